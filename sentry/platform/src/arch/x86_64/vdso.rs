//! Our vDSO: a small ELF image whose functions (`vdso.s`) go on to the host's vDSO, which lies above the
//! guest's addresses in every stub. They add the address space's clock offsets to what it tells.

use std::arch::global_asm;

use crate::systrap::layout::{AGENT_DOWN, DOWN, agent_down, down};

global_asm!(
    include_str!("vdso.s"),
    SHIFTED = const agent_down::CLOCKS_SHIFTED,
    MONOTONIC = const agent_down::MONOTONIC,
    BOOTTIME = const agent_down::BOOTTIME,
    DOWN_GETCPU = const DOWN + down::GETCPU,
    DOWN_CPUS = const DOWN + down::CPUS,
    NR_CPUS = const down::NR_CPUS,
);

unsafe extern "C" {
    static vdso_text: u8;
    static vdso_text_end: u8;
    static vdso_clock_gettime: u8;
    static vdso_gettimeofday: u8;
    static vdso_time: u8;
    static vdso_clock_getres: u8;
    static vdso_getcpu: u8;
}

/// What the functions need to know. By default they make system calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Addresses of the host's functions of the same names, in a stub; 0 for none.
    pub host: [u64; HOST_FUNCTIONS.len()],
    /// Start of the stub's window; 0 for none.
    pub window: u64,
    /// Where the stub's image lies.
    pub image: u64,
    /// Whether the processor has `rdpid`.
    pub rdpid: bool,
}

/// The host's functions that are used.
pub const HOST_FUNCTIONS: [&str; 4] =
    ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_clock_getres"];

/// The functions of Linux's own vDSO on x86-64, and where they begin in the text.
fn functions() -> [(&'static str, usize); 5] {
    let offset = |at: *const u8| at.addr() - (&raw const vdso_text).addr();
    [
        ("__vdso_clock_gettime", offset(&raw const vdso_clock_gettime)),
        ("__vdso_gettimeofday", offset(&raw const vdso_gettimeofday)),
        ("__vdso_time", offset(&raw const vdso_time)),
        ("__vdso_clock_getres", offset(&raw const vdso_clock_getres)),
        ("__vdso_getcpu", offset(&raw const vdso_getcpu)),
    ]
}

/// The text, its words filled in.
fn text(facts: &Facts) -> Vec<u8> {
    let start = &raw const vdso_text;
    let len = (&raw const vdso_text_end).addr() - start.addr();
    // SAFETY: the bytes between the two symbols are vdso.s, in a section nobody writes.
    let mut text = unsafe { std::slice::from_raw_parts(start, len) }.to_vec();
    let clocks = facts.image + AGENT_DOWN;
    let last = facts.window >> 32 | u64::from(facts.rdpid) << 32;
    let words = facts.host.into_iter().chain([clocks, last]);
    for (place, word) in text.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    text
}

const SONAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";
const EHDR_LEN: usize = 64;
const PHDR_LEN: usize = 56;
const SYM_LEN: usize = 24;
const VERDEF_LEN: usize = 28;
const TEXT_ALIGN: usize = 64;

/// Builds the image.
pub fn build(facts: &Facts) -> Vec<u8> {
    let (functions, code) = (functions(), text(facts));
    let mut strings = vec![0_u8];
    let mut name_of = |name: &str| {
        let at = strings.len();
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        half(at)
    };
    let names: Vec<u32> = functions.iter().map(|(name, _)| name_of(name)).collect();
    let (soname, version) = (name_of(SONAME), name_of(VERSION));

    let nr_symbols = functions.len() + 1;
    let dynamic = EHDR_LEN + 2 * PHDR_LEN;
    let symbols = dynamic + 9 * 16;
    let hash = symbols + nr_symbols * SYM_LEN;
    let verdef = hash + (3 + nr_symbols) * 4 + (3 + nr_symbols) % 2 * 4;
    let versym = verdef + 2 * VERDEF_LEN;
    let strtab = versym + nr_symbols * 2;
    let text = (strtab + strings.len()).next_multiple_of(TEXT_ALIGN);
    let end = text + code.len();

    let mut image = Image(Vec::with_capacity(end));
    // ELF header (elf(5)): 64 bit, little endian, shared object, x86-64.
    image.bytes(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    image.u16(3).u16(62).u32(1).u64(0).u64(EHDR_LEN).u64(0).u32(0);
    image.u16(64).u16(56).u16(2).u16(64).u16(0).u16(0);
    // Program headers: PT_LOAD read-execute, PT_DYNAMIC.
    image.u32(1).u32(5).u64(0).u64(0).u64(0).u64(end).u64(end).u64(0x1000);
    image.u32(2).u32(4);
    image.u64(dynamic).u64(dynamic).u64(dynamic).u64(9 * 16).u64(9 * 16).u64(8);
    // Dynamic section.
    let soname_at = usize::try_from(soname).unwrap_or(0);
    for (tag, value) in [
        (14, soname_at),       // DT_SONAME
        (4, hash),             // DT_HASH
        (5, strtab),           // DT_STRTAB
        (6, symbols),          // DT_SYMTAB
        (10, strings.len()),   // DT_STRSZ
        (11, SYM_LEN),         // DT_SYMENT
        (0x6fff_fffc, verdef), // DT_VERDEF
        (0x6fff_fffd, 2),      // DT_VERDEFNUM
        (0x6fff_fff0, versym), // DT_VERSYM
    ] {
        image.u64(tag).u64(value);
    }
    debug_assert_eq!(image.0.len(), symbols);
    // Symbols: global functions in section 1.
    image.bytes(&[0; SYM_LEN]);
    let starts = functions.map(|(_, start)| start);
    for (i, (name, start)) in names.iter().zip(starts).enumerate() {
        let next = starts.get(i + 1).copied().unwrap_or(code.len());
        image.u32(*name).bytes(&[0x12, 0]).u16(1);
        image.u64(text + start).u64(next - start);
    }
    // One bucket: a chain through all symbols.
    image.u32(1).u32(half(nr_symbols)).u32(1);
    for i in 0..nr_symbols {
        let next = if i == 0 || i + 1 == nr_symbols { 0 } else { i + 1 };
        image.u32(half(next));
    }
    image.0.resize(verdef, 0);
    // Version definitions: the file's own name, then LINUX_2.6.
    for (index, name, text, next) in
        [(1, soname, SONAME, half(VERDEF_LEN)), (2, version, VERSION, 0)]
    {
        image.u16(1).u16(u16::from(index == 1)).u16(index).u16(1);
        image.u32(elf_hash(text)).u32(20).u32(next).u32(name).u32(0);
    }
    image.u16(0);
    for _ in functions {
        image.u16(2);
    }
    image.bytes(&strings);
    image.0.resize(text, 0);
    image.bytes(&code);
    image.0.resize(end.next_multiple_of(0x1000), 0);
    image.0
}

fn half(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The hash of the System V ABI.
fn elf_hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash, byte| {
        let hash = (hash << 4) + u32::from(byte);
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

struct Image(Vec<u8>);

impl Image {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: usize) -> &mut Self {
        self.bytes(&(value as u64).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_an_elf_with_versioned_functions() {
        let facts = Facts { image: 0x7fff_8000_0000, window: 0x7fff_0000_0000, ..Facts::default() };
        let image = build(&facts);
        let elf = goblin::elf::Elf::parse(&image).expect("an ELF file");
        assert_eq!(elf.soname, Some(SONAME));
        let names: Vec<_> =
            elf.dynsyms.iter().filter_map(|s| elf.dynstrtab.get_at(s.st_name)).collect();
        assert_eq!(names[1..], functions().map(|(name, _)| name));
        let dynamic = elf.dynamic.expect("a dynamic section");
        let tag = |tag| dynamic.dyns.iter().find(|d| d.d_tag == tag).expect("an entry").d_val;
        let word = |at: u64| {
            let at = usize::try_from(at).expect("small");
            u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes"))
        };
        let (verdef, versym) = (tag(0x6fff_fffc), tag(0x6fff_fff0));
        let second = verdef + VERDEF_LEN as u64;
        assert_eq!((word(verdef + 16), word(second + 8)), (28, 0x3ae_75f6));
        let name = usize::try_from(word(second + 20)).expect("small");
        assert_eq!(elf.dynstrtab.get_at(name), Some(VERSION));
        assert_eq!(word(versym), 2 << 16, "the first function has the version");
        assert_eq!(elf_hash(VERSION), 0x3ae_75f6);
    }
}
