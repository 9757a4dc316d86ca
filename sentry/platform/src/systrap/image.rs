//! The stub's code, embedded, and the addresses of its symbols.

use goblin::elf::Elf;

/// Compiled by the build script.
static ELF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

/// The stub's one segment and its symbols, as offsets from its base.
#[derive(Debug)]
pub struct Image {
    /// The bytes to map read-execute.
    pub code: &'static [u8],
    symbols: Vec<(String, u64)>,
}

impl Image {
    /// Reads the embedded ELF.
    pub fn embedded() -> Self {
        let elf = Elf::parse(ELF).expect("the build script linked it");
        let segment = elf
            .program_headers
            .iter()
            .find(|segment| segment.p_type == goblin::elf::program_header::PT_LOAD)
            .expect("the linker script defines it");
        let symbols = elf
            .syms
            .iter()
            .filter_map(|sym| Some((elf.strtab.get_at(sym.st_name)?.to_owned(), sym.st_value)))
            .collect();
        Self { code: &ELF[segment.file_range()], symbols }
    }

    /// Offset of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find_map(|(have, at)| (have == name).then_some(*at))
    }

    /// Offset of a symbol this crate knows the stub to have.
    pub fn known(&self, name: &'static str) -> u64 {
        self.symbol(name).unwrap_or_else(|| panic!("the stub defines {name}"))
    }
}
