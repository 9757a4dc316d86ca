//! Our vDSO: a small ELF image whose functions go on to the host's vDSO, which lies above the guest's
//! addresses in every stub. A clock with an offset is asked of the sentry instead.

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Symbol, as the host's vDSO has it.
    pub name: &'static str,
    /// The system call that does the same.
    pub nr: i64,
    /// Address of the host's function in a stub.
    pub host: Option<u64>,
    /// Whether clock offsets concern it.
    pub offset: bool,
}

/// The functions of Linux's own vDSO on x86-64, without host addresses.
pub const FUNCTIONS: [Function; 5] = [
    function("__vdso_clock_gettime", libc::SYS_clock_gettime, true),
    function("__vdso_gettimeofday", libc::SYS_gettimeofday, false),
    function("__vdso_time", libc::SYS_time, false),
    function("__vdso_clock_getres", libc::SYS_clock_getres, false),
    function("__vdso_getcpu", libc::SYS_getcpu, false),
];

const fn function(name: &'static str, nr: i64, offset: bool) -> Function {
    Function { name, nr, host: None, offset }
}

const SONAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";
const EHDR_LEN: usize = 64;
const PHDR_LEN: usize = 56;
const SYM_LEN: usize = 24;
const VERDEF_LEN: usize = 28;
const FUNCTION_LEN: usize = 64;

/// Builds the image. `offsets` is the address, in every stub, of a word that is not zero while clock
/// offsets are.
pub fn build(functions: &[Function], offsets: u64) -> Vec<u8> {
    let mut strings = vec![0_u8];
    let mut name_of = |name: &str| {
        let at = strings.len();
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        half(at)
    };
    let names: Vec<u32> = functions.iter().map(|f| name_of(f.name)).collect();
    let (soname, version) = (name_of(SONAME), name_of(VERSION));

    let nr_symbols = functions.len() + 1;
    let dynamic = EHDR_LEN + 2 * PHDR_LEN;
    let symbols = dynamic + 9 * 16;
    let hash = symbols + nr_symbols * SYM_LEN;
    let verdef = hash + (3 + nr_symbols) * 4 + (3 + nr_symbols) % 2 * 4;
    let versym = verdef + 2 * VERDEF_LEN;
    let strtab = versym + nr_symbols * 2;
    let text = (strtab + strings.len()).next_multiple_of(FUNCTION_LEN);
    let end = text + functions.len() * FUNCTION_LEN;

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
    for (i, name) in names.iter().enumerate() {
        image.u32(*name).bytes(&[0x12, 0]).u16(1);
        image.u64(text + i * FUNCTION_LEN).u64(FUNCTION_LEN);
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
    for (i, function) in functions.iter().enumerate() {
        image.function(function, offsets);
        image.0.resize(text + (i + 1) * FUNCTION_LEN, 0xcc);
    }
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

    fn function(&mut self, function: &Function, offsets: u64) {
        if let Some(host) = function.host {
            if function.offset {
                // mov rax, offsets; cmp dword [rax], 0; jne to the system call
                self.bytes(&[0x48, 0xb8]).bytes(&offsets.to_le_bytes());
                self.bytes(&[0x83, 0x38, 0, 0x75, 12]);
            }
            // mov rax, host; jmp rax
            self.bytes(&[0x48, 0xb8]).bytes(&host.to_le_bytes()).bytes(&[0xff, 0xe0]);
        }
        // mov eax, nr; syscall; ret
        let nr = u32::try_from(function.nr).unwrap_or(u32::MAX);
        self.bytes(&[0xb8]).u32(nr).bytes(&[0x0f, 0x05, 0xc3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_an_elf_with_versioned_functions() {
        let mut functions = FUNCTIONS;
        functions[0].host = Some(0x7fff_0000_1000);
        let image = build(&functions, 0x7fff_0000_0000);
        let elf = goblin::elf::Elf::parse(&image).expect("an ELF file");
        assert_eq!(elf.soname, Some(SONAME));
        let names: Vec<_> =
            elf.dynsyms.iter().filter_map(|s| elf.dynstrtab.get_at(s.st_name)).collect();
        assert_eq!(names[1..], FUNCTIONS.map(|f| f.name));
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
