//! ELF files and the auxiliary vector: `<linux/elf.h>`, `<linux/auxvec.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Entry of the auxiliary vector, `getauxval(3)`.
    values AUXV_TYPES: u64 {
        AT_NULL = 0,
        AT_IGNORE = 1,
        AT_EXECFD = 2,
        AT_PHDR = 3,
        AT_PHENT = 4,
        AT_PHNUM = 5,
        AT_PAGESZ = 6,
        AT_BASE = 7,
        AT_FLAGS = 8,
        AT_ENTRY = 9,
        AT_NOTELF = 10,
        AT_UID = 11,
        AT_EUID = 12,
        AT_GID = 13,
        AT_EGID = 14,
        AT_PLATFORM = 15,
        AT_HWCAP = 16,
        AT_CLKTCK = 17,
        AT_SECURE = 23,
        AT_BASE_PLATFORM = 24,
        AT_RANDOM = 25,
        AT_HWCAP2 = 26,
        AT_RSEQ_FEATURE_SIZE = 27,
        AT_RSEQ_ALIGN = 28,
        AT_HWCAP3 = 29,
        AT_HWCAP4 = 30,
        AT_EXECFN = 31,
        AT_SYSINFO = 32,
        AT_SYSINFO_EHDR = 33,
        AT_MINSIGSTKSZ = 51,
    }

    /// Type of an ELF file.
    values ELF_TYPES: u16 {
        ET_NONE = 0,
        ET_REL = 1,
        ET_EXEC = 2,
        ET_DYN = 3,
        ET_CORE = 4,
    }

    /// Machine of an ELF file.
    values ELF_MACHINES: u16 {
        EM_386 = 3,
        EM_X86_64 = 62,
        EM_AARCH64 = 183,
    }

    /// Type of a program header.
    values PROGRAM_HEADER_TYPES: u32 {
        PT_NULL = 0x0,
        PT_LOAD = 0x1,
        PT_DYNAMIC = 0x2,
        PT_INTERP = 0x3,
        PT_NOTE = 0x4,
        PT_SHLIB = 0x5,
        PT_PHDR = 0x6,
        PT_TLS = 0x7,
        PT_GNU_EH_FRAME = 0x6474_e550,
        PT_GNU_STACK = 0x6474_e551,
        PT_GNU_RELRO = 0x6474_e552,
        PT_GNU_PROPERTY = 0x6474_e553,
    }

    /// Permission of a segment.
    flags SEGMENT_FLAGS: u32 {
        PF_X = 1,
        PF_W = 2,
        PF_R = 4,
    }

    /// Index into the identification bytes of an ELF file.
    values ELF_IDENT: usize {
        EI_CLASS = 4,
        EI_DATA = 5,
        EI_VERSION = 6,
        EI_OSABI = 7,
        EI_NIDENT = 16,
    }

    /// Class of an ELF file.
    values ELF_CLASSES: u8 {
        ELFCLASS32 = 1,
        ELFCLASS64 = 2,
    }

    /// Byte order of an ELF file.
    values ELF_DATA: u8 {
        ELFDATA2LSB = 1,
        ELFDATA2MSB = 2,
    }

    /// Version of an ELF file.
    values ELF_VERSIONS: u8 {
        EV_CURRENT = 1,
    }
}

/// First bytes of an ELF file.
pub const ELFMAG: [u8; 4] = *b"\x7fELF";
/// Number of program headers that says the true one is in the first section header.
pub const PN_XNUM: u16 = 0xffff;

uapi_struct! {
    /// Head of a 64-bit ELF file.
    [64] Elf64Ehdr {
        e_ident: [u8; 16], e_type: u16, e_machine: u16, e_version: u32, e_entry: u64, e_phoff: u64,
        e_shoff: u64, e_flags: u32, e_ehsize: u16, e_phentsize: u16, e_phnum: u16, e_shentsize: u16,
        e_shnum: u16, e_shstrndx: u16,
    }
    /// Program header of a 64-bit ELF file.
    [56] Elf64Phdr {
        p_type: u32, p_flags: u32, p_offset: u64, p_vaddr: u64, p_paddr: u64, p_filesz: u64,
        p_memsz: u64, p_align: u64,
    }
    /// Entry of the auxiliary vector.
    [16] Elf64Auxv { a_type: u64, a_val: u64 }
    /// Head of a note.
    [12] Elf64Nhdr { n_namesz: u32, n_descsz: u32, n_type: u32 }
}
