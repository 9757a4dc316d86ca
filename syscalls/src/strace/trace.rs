//! A call under trace, from its start to its line.

use bevor_abi::Errno;
use bevor_abi::conv::as_i64;
use bevor_abi::fcntl::{O_CREAT, O_DIRECTORY, O_TMPFILE, OPEN_FLAGS};
use std::fmt::Write;
use std::time::Duration;

use super::format::{Peek, Values};
use super::shape::Shape;
use crate::row::Row;

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// It returned this value.
    Value(u64),
    /// It failed.
    Failed(Errno),
    /// It does not return here: the task ended, or a signal frame was left.
    NoReturn,
    /// A signal interrupted it; it is restarted or fails with `EINTR`.
    Interrupted,
}

/// A call that has started.
#[derive(Debug)]
pub struct Call {
    nr: u64,
    name: String,
    row: Option<&'static Row>,
    regs: [u64; 6],
    /// What was decoded on entry, in the place of each argument.
    shown: Vec<Option<String>>,
}

impl Call {
    /// Decodes what is known on entry.
    #[must_use]
    pub fn enter<M: Peek>(row: Option<&'static Row>, nr: u64, regs: [u64; 6], memory: &M) -> Self {
        let Some(found) = row else {
            let shown = regs.iter().map(|reg| Some(format!("{reg:#x}"))).collect();
            return Self { nr, name: format!("syscall_{nr}"), row, regs, shown };
        };
        let values = Values { regs: &regs, moved: None, memory };
        let args =
            found.args.iter().enumerate().filter(|(index, _)| !is_unused(found, &regs, *index));
        let shown = args.map(|(index, arg)| {
            (!arg.shape.is_out()).then(|| {
                let mut text = String::new();
                values.show(index, arg.shape, &mut text);
                text
            })
        });
        let shown = shown.collect();
        Self { nr, name: found.name.into(), row, regs, shown }
    }

    /// Its number.
    #[must_use]
    pub const fn nr(&self) -> u64 {
        self.nr
    }

    /// The line of a call that waits: `read(3, ...`.
    #[must_use]
    pub fn wait(&self) -> String {
        let shown: Vec<_> = self.shown.iter().map_while(Option::as_deref).collect();
        format!("{}({} ... waits", self.name, shown.join(", "))
    }

    /// The line of the call: `read(3, "abc", 10) = 3 <0.000012>`.
    #[must_use]
    pub fn leave<M: Peek>(&self, outcome: Outcome, took: Duration, memory: &M) -> String {
        let moved = match outcome {
            Outcome::Value(value) => Some(value),
            _ => None,
        };
        let values = Values { regs: &self.regs, moved, memory };
        let mut line = format!("{}(", self.name);
        for (index, shown) in self.shown.iter().enumerate() {
            if index > 0 {
                line.push_str(", ");
            }
            match (shown, self.row.and_then(|row| row.args.get(index))) {
                (Some(shown), _) => line.push_str(shown),
                (None, Some(arg)) => values.show(index, arg.shape, &mut line),
                (None, None) => line.push('?'),
            }
        }
        line.push_str(") = ");
        let result = match outcome {
            Outcome::Value(value) => match i32::try_from(as_i64(value)) {
                Ok(small) => write!(line, "{small}"),
                Err(_) => write!(line, "{value:#x}"),
            },
            Outcome::Failed(errno) => write!(line, "-1 {errno}"),
            Outcome::NoReturn => write!(line, "?"),
            Outcome::Interrupted => write!(line, "? (interrupted)"),
        };
        let duration = write!(line, " <{}.{:06}>", took.as_secs(), took.subsec_micros());
        result.and(duration).expect("writing to a string cannot fail");
        line
    }
}

/// Whether a mode is given where no file is made: what is in its register means nothing.
fn is_unused(row: &Row, regs: &[u64; 6], index: usize) -> bool {
    let [.., flags, mode] = row.args else { return false };
    let last = index + 1 == row.args.len();
    let opens = matches!(flags.shape, Shape::Named(named) if named.names.iter().any(|names| std::ptr::eq(*names, &OPEN_FLAGS)));
    let made = u64::from(O_CREAT | O_TMPFILE & !O_DIRECTORY);
    last && opens && matches!(mode.shape, Shape::Octal) && regs[index - 1] & made == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ROWS;
    use bevor_abi::errno::ENOENT;
    use std::collections::BTreeMap;

    /// Memory made of a few runs of bytes.
    struct Memory(BTreeMap<u64, Vec<u8>>);

    impl Peek for Memory {
        fn peek(&self, addr: u64, buf: &mut [u8]) -> usize {
            let Some((&start, bytes)) = self.0.range(..=addr).next_back() else { return 0 };
            let skip = usize::try_from(addr - start).unwrap_or(usize::MAX).min(bytes.len());
            let len = buf.len().min(bytes.len() - skip);
            buf[..len].copy_from_slice(&bytes[skip..skip + len]);
            len
        }
    }

    fn line(name: &str, regs: [u64; 6], memory: &[(u64, &[u8])], outcome: Outcome) -> String {
        let row = ROWS.iter().find(|row| row.name == name).expect("in the table");
        let memory = Memory(memory.iter().map(|&(at, bytes)| (at, bytes.to_vec())).collect());
        let call = Call::enter(Some(row), row.nr, regs, &memory);
        let line = call.leave(outcome, Duration::from_micros(7), &memory);
        line.strip_suffix(" <0.000007>").expect("the duration").to_owned()
    }

    const MINUS_100: u64 = 0xffff_ffff_ffff_ff9c;

    #[test]
    fn paths_and_flags_are_decoded() {
        let regs = [MINUS_100, 0x1000, 0x80241, 0o644, 0, 0];
        let memory: &[(u64, &[u8])] = &[(0x1000, b"/tmp/a\n\0")];
        assert_eq!(
            line("openat", regs, memory, Outcome::Value(3)),
            "openat(AT_FDCWD, \"/tmp/a\\n\", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0644) = 3"
        );
        let errno = Outcome::Failed(ENOENT.because("no such file"));
        assert!(line("openat", regs, &[], errno).ends_with("= -1 ENOENT (no such file)"));
        assert!(line("openat", regs, &[], errno).contains("AT_FDCWD, 0x1000, "));
    }

    #[test]
    fn buffers_show_what_was_moved() {
        let memory: &[(u64, &[u8])] = &[(0x2000, b"hello, world")];
        let read = line("read", [3, 0x2000, 100, 0, 0, 0], memory, Outcome::Value(5));
        assert_eq!(read, "read(3, \"hello\", 100) = 5");
        let write = line("write", [1, 0x2000, 12, 0, 0, 0], memory, Outcome::Value(12));
        assert_eq!(write, "write(1, \"hello, world\", 12) = 12");
        let failed = line("read", [3, 0x2000, 9, 0, 0, 0], memory, Outcome::Interrupted);
        assert_eq!(failed, "read(3, 0x2000, 9) = ? (interrupted)");
        let long = [b'x'; 64];
        let memory: &[(u64, &[u8])] = &[(0x2000, &long)];
        let write = line("write", [1, 0x2000, 64, 0, 0, 0], memory, Outcome::Value(64));
        assert_eq!(write, format!("write(1, \"{}\"..., 64) = 64", "x".repeat(32)));
    }

    #[test]
    fn structures_are_shown_after_success_only() {
        let mut timespec = 1_u64.to_le_bytes().to_vec();
        timespec.extend_from_slice(&2_u64.to_le_bytes());
        let memory: &[(u64, &[u8])] = &[(0x3000, &timespec)];
        let regs = [1, 0x3000, 0, 0, 0, 0];
        assert_eq!(
            line("clock_gettime", regs, memory, Outcome::Value(0)),
            "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=2}) = 0"
        );
        assert_eq!(
            line("clock_gettime", regs, memory, Outcome::Failed(ENOENT.into())),
            "clock_gettime(CLOCK_MONOTONIC, 0x3000) = -1 ENOENT"
        );
    }

    #[test]
    fn addresses_of_sockets_are_decoded() {
        let inet = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let memory: &[(u64, &[u8])] = &[(0x4000, &inet)];
        assert_eq!(
            line("connect", [5, 0x4000, 16, 0, 0, 0], memory, Outcome::Value(0)),
            "connect(5, {sa_family=AF_INET, sin_port=8080, sin_addr=127.0.0.1}, 16) = 0"
        );
        let memory: &[(u64, &[u8])] = &[(0x4000, b"\x01\0\0abc")];
        assert_eq!(
            line("bind", [5, 0x4000, 6, 0, 0, 0], memory, Outcome::Value(0)),
            "bind(5, {sa_family=AF_UNIX, sun_path=@\"abc\"}, 6) = 0"
        );
        assert_eq!(
            line("setsockopt", [5, 1, 2, 0x4000, 0, 0], memory, Outcome::Value(0)),
            "setsockopt(5, SOL_SOCKET, SO_REUSEADDR, \"\", 0) = 0"
        );
        assert_eq!(
            line("socket", [2, 0x80001, 6, 0, 0, 0], &[], Outcome::Value(9)),
            "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 9"
        );
    }

    #[test]
    fn masks_and_values_share_a_register() {
        assert_eq!(
            line("mmap", [0, 4096, 3, 0x22, u64::from(u32::MAX), 0], &[], Outcome::Value(1 << 40)),
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
             = 0x10000000000"
        );
        assert_eq!(
            line("futex", [16, 128, 7, 0, 0, 0], &[], Outcome::Value(0)),
            "futex(0x10, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 7, NULL, NULL, 0x0) = 0"
        );
        assert_eq!(
            line("kill", [MINUS_100, 15, 0, 0, 0, 0], &[], Outcome::Value(0)),
            "kill(-100, SIGTERM) = 0"
        );
    }

    #[test]
    fn vectors_and_argument_lists_are_followed() {
        let mut memory = Vec::new();
        memory.extend_from_slice(&0x6000_u64.to_le_bytes());
        memory.extend_from_slice(&3_u64.to_le_bytes());
        memory.extend_from_slice(&0_u64.to_le_bytes());
        let memory: &[(u64, &[u8])] = &[(0x5000, &memory), (0x6000, b"abc\0")];
        assert_eq!(
            line("writev", [1, 0x5000, 1, 0, 0, 0], memory, Outcome::Value(3)),
            "writev(1, [{iov_base=\"abc\", iov_len=3}], 1) = 3"
        );
        let mut argv = 0x6000_u64.to_le_bytes().to_vec();
        argv.extend_from_slice(&0_u64.to_le_bytes());
        let memory: &[(u64, &[u8])] = &[(0x5000, &argv), (0x6000, b"abc\0")];
        assert_eq!(
            line("execve", [0x6000, 0x5000, 0, 0, 0, 0], memory, Outcome::NoReturn),
            "execve(\"abc\", [\"abc\"], NULL) = ?"
        );
    }

    #[test]
    fn hostile_registers_do_no_harm() {
        for row in ROWS {
            for reg in [0, 1, 0xfff, u64::MAX, u64::MAX - 7, 1 << 63, 0x7fff_ffff, 0x8000_0000] {
                let shown = line(row.name, [reg; 6], &[(1, &[0xff; 64])], Outcome::Value(reg));
                assert!(shown.len() < 8192, "{shown}");
            }
        }
    }
}
