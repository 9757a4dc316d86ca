//! The initial stack: strings, auxiliary vector, environment, arguments (`getauxval(3)`).

use bevor_abi::Errno;
use bevor_abi::errno::E2BIG;

/// Longest single argument or environment string (`MAX_ARG_STRLEN`).
pub const MAX_STRING: usize = 131_072;
/// Most bytes of all strings and pointers whatever the stack limit says (three quarters of 8 MiB).
const MAX_TOTAL: u64 = 6 << 20;

/// What goes on the stack.
#[derive(Debug)]
pub struct Contents<'a> {
    /// `argv`.
    pub args: &'a [Vec<u8>],
    /// `environ`.
    pub envs: &'a [Vec<u8>],
    /// Path for `AT_EXECFN`.
    pub filename: &'a [u8],
    /// Bytes for `AT_RANDOM`.
    pub random: [u8; 16],
    /// Auxiliary vector without the entries that point into the stack.
    pub auxv: Vec<(u64, u64)>,
}

/// A stack ready to be written.
#[derive(Debug)]
pub struct Built {
    /// Stack pointer to start with.
    pub sp: u64,
    /// Bytes from `sp` up to the top.
    pub bytes: Vec<u8>,
    /// Addresses of the argument strings.
    pub args: std::ops::Range<u64>,
    /// Addresses of the environment strings.
    pub envs: std::ops::Range<u64>,
    /// The complete auxiliary vector, for `/proc/PID/auxv`.
    pub auxv: Vec<(u64, u64)>,
}

const AT_NULL: u64 = 0;
const AT_PLATFORM: u64 = 15;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;

/// Checks that arguments and environment fit a stack limit (`execve(2)`, "Limits on size").
///
/// # Errors
/// `E2BIG`.
pub fn check_size(args: &[Vec<u8>], envs: &[Vec<u8>], stack_limit: u64) -> Result<(), Errno> {
    let strings = args.iter().chain(envs);
    let total: u64 = strings.map(|string| string.len() as u64 + 1 + 8).sum();
    let limit = (stack_limit / 4).clamp(131_072, MAX_TOTAL);
    let too_long = args.iter().chain(envs).any(|string| string.len() >= MAX_STRING);
    if too_long || total > limit { Err(E2BIG.into()) } else { Ok(()) }
}

/// Lays the stack out below `top`.
#[must_use]
pub fn build(top: u64, contents: &Contents<'_>) -> Built {
    // From the top down: a null word, the file name, environment, arguments, platform, random.
    let mut at = top - 8;
    let mut chunks: Vec<(u64, &[u8])> = Vec::new();
    let place = |string: &'_ [u8], at: &mut u64| {
        *at -= string.len() as u64 + 1;
        *at
    };
    let filename = place(contents.filename, &mut at);
    let env_end = at;
    let env_at: Vec<u64> = contents.envs.iter().rev().map(|env| place(env, &mut at)).collect();
    let arg_end = at;
    let arg_at: Vec<u64> = contents.args.iter().rev().map(|arg| place(arg, &mut at)).collect();
    let strings_start = at;
    let platform = place(b"x86_64", &mut at);
    at = (at - 16) & !15;
    let random = at;
    chunks.push((filename, contents.filename));
    chunks.extend(env_at.iter().rev().copied().zip(contents.envs.iter().map(Vec::as_slice)));
    chunks.extend(arg_at.iter().rev().copied().zip(contents.args.iter().map(Vec::as_slice)));
    chunks.push((platform, b"x86_64"));
    chunks.push((random, &contents.random));

    let mut auxv = contents.auxv.clone();
    auxv.extend([
        (AT_RANDOM, random),
        (AT_EXECFN, filename),
        (AT_PLATFORM, platform),
        (AT_NULL, 0),
    ]);
    let mut words = vec![contents.args.len() as u64];
    words.extend(arg_at.iter().rev());
    words.push(0);
    words.extend(env_at.iter().rev());
    words.push(0);
    words.extend(auxv.iter().flat_map(|&(key, value)| [key, value]));
    let sp = (at - 8 * words.len() as u64) & !15;

    let mut bytes = vec![0; usize::try_from(top - sp).unwrap_or(0)];
    let mut put = |address: u64, data: &[u8]| {
        let start = usize::try_from(address - sp).unwrap_or(usize::MAX);
        if let Some(target) = bytes.get_mut(start..start.saturating_add(data.len())) {
            target.copy_from_slice(data);
        }
    };
    for (address, data) in chunks {
        put(address, data);
    }
    for (index, word) in words.iter().enumerate() {
        put(sp + 8 * index as u64, &word.to_ne_bytes());
    }
    Built { sp, bytes, args: strings_start..arg_end, envs: arg_end..env_end, auxv }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_their_strings() {
        let contents = Contents {
            args: &[b"prog".to_vec(), b"-x".to_vec()],
            envs: &[b"A=1".to_vec()],
            filename: b"/bin/prog",
            random: [7; 16],
            auxv: vec![(6, 4096)],
        };
        let top = 0x7000_0000;
        let built = build(top, &contents);
        assert_eq!(built.sp % 16, 0);
        let word = |index: usize| {
            u64::from_ne_bytes(built.bytes[8 * index..8 * index + 8].try_into().unwrap())
        };
        let string = |address: u64| {
            let start = usize::try_from(address - built.sp).unwrap();
            let end = built.bytes[start..].iter().position(|&byte| byte == 0).unwrap();
            built.bytes[start..start + end].to_vec()
        };
        assert_eq!((word(0), word(3), word(5)), (2, 0, 0));
        assert_eq!((string(word(1)), string(word(2))), (b"prog".to_vec(), b"-x".to_vec()));
        assert_eq!(string(word(4)), b"A=1");
        assert_eq!((word(6), word(7)), (6, 4096));
        assert!(check_size(contents.args, contents.envs, 8 << 20).is_ok());
        assert!(check_size(&[vec![b'x'; MAX_STRING]], &[], 8 << 20).is_err());
    }
}
