//! ELF images: checks and mapping (`elf(5)`, `fs/binfmt_elf.c` for the errno of each malformation).

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, ENOEXEC, ENOMEM};
use bevor_memory::{IoDst, MemoryManager, MmapArgs, UserAddr};
use bevor_vfs::file::File;
use goblin::elf64::header::{EM_X86_64, ET_DYN, ET_EXEC, Header, SIZEOF_EHDR};
use goblin::elf64::program_header::{PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR};
use goblin::elf64::program_header::{ProgramHeader, SIZEOF_PHDR};
use std::sync::Arc;

/// Page size.
const PAGE: u64 = 4096;
/// Longest interpreter path (`PATH_MAX`).
const MAX_INTERP: u64 = 4096;
/// Most bytes of program headers (`ELF_MIN_ALIGN` times 16 in the kernel: 64 KiB).
const MAX_PHDR_BYTES: usize = 65536;
/// `MAP_PRIVATE | MAP_FIXED`.
const FIXED: u32 = 0x02 | 0x10;
/// `MAP_PRIVATE | MAP_FIXED_NOREPLACE`.
const FIXED_NOREPLACE: u32 = 0x02 | 0x10_0000;
/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED`.
const ANONYMOUS_FIXED: u32 = 0x02 | 0x20 | 0x10;

/// A parsed image.
#[derive(Debug)]
pub struct Image {
    file: Arc<File>,
    header: Header,
    segments: Vec<ProgramHeader>,
    /// `PT_INTERP`, without the NUL.
    pub interpreter: Option<Vec<u8>>,
    /// Whether `PT_GNU_STACK` asks for an executable stack.
    pub executable_stack: bool,
}

/// Where an image was mapped.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// Difference between addresses in memory and in the file.
    pub bias: u64,
    /// Entry point in memory.
    pub entry: u64,
    /// Program headers in memory; 0 if no segment holds them.
    pub phdr: u64,
    /// How many.
    pub nr_phdr: u64,
    /// End of the highest segment.
    pub end: u64,
    /// Lowest address of code.
    pub start_code: u64,
    /// End of code.
    pub end_code: u64,
    /// Start of writable data.
    pub start_data: u64,
    /// End of initialised data.
    pub end_data: u64,
}

/// Where a position-independent image goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this base if it is free.
    Base(u64),
    /// Wherever mappings go.
    Anywhere,
}

fn read_exact(file: &File, at: u64, bytes: &mut [u8], short: bevor_abi::Code) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let mut dst = IoDst::kernel(&mut bytes[done..]);
        match file.ops().read(file, &mut dst, at + done as u64)? {
            0 => return Err(short.because("the file ends within a header")),
            more => done += more,
        }
    }
    Ok(())
}

impl Image {
    /// Parses the headers of `file`, whose first bytes are `head`.
    ///
    /// # Errors
    /// `ENOEXEC` for anything that is no x86-64 executable; `EINVAL` for a bad interpreter; `EIO`.
    pub fn parse(file: &Arc<File>, head: &[u8]) -> Result<Self, Errno> {
        let bytes: &[u8; SIZEOF_EHDR] =
            head.get(..SIZEOF_EHDR).and_then(|bytes| bytes.try_into().ok()).ok_or(ENOEXEC)?;
        let header = *Header::from_bytes(bytes);
        let ident = &header.e_ident;
        // ELFCLASS64, little endian: 32-bit programs are refused by design.
        let ours = ident.starts_with(b"\x7fELF\x02\x01")
            && header.e_machine == EM_X86_64
            && matches!(header.e_type, ET_EXEC | ET_DYN)
            && usize::from(header.e_phentsize) == SIZEOF_PHDR;
        let nr_phdr = usize::from(header.e_phnum);
        if !ours || nr_phdr == 0 || nr_phdr * SIZEOF_PHDR > MAX_PHDR_BYTES {
            return Err(ENOEXEC.into());
        }
        let mut table = vec![0; nr_phdr * SIZEOF_PHDR];
        read_exact(file, header.e_phoff, &mut table, ENOEXEC)?;
        let segments = ProgramHeader::from_bytes(&table, nr_phdr);
        let interpreter = match segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            Some(segment) => Some(read_interpreter(file, segment)?),
            None => None,
        };
        let stack = segments.iter().find(|segment| segment.p_type == PT_GNU_STACK);
        Ok(Self {
            file: file.clone(),
            executable_stack: stack.is_some_and(|stack| stack.p_flags & PF_X != 0),
            header,
            interpreter,
            segments,
        })
    }

    /// Whether the image can be placed anywhere.
    #[must_use]
    pub const fn is_relocatable(&self) -> bool {
        self.header.e_type == ET_DYN
    }

    fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(|segment| segment.p_type == PT_LOAD)
    }

    /// Maps every segment.
    ///
    /// # Errors
    /// `ENOEXEC`, `EINVAL`, `ENOMEM` for segments that make no sense or do not fit; what the file
    /// system answers to the mapping.
    pub fn map(&self, mm: &MemoryManager, limit: u64, place: Place) -> Result<Mapped, Errno> {
        let mut extent: Option<(u64, u64)> = None;
        for segment in self.loads() {
            let end = segment.p_vaddr.checked_add(segment.p_memsz).ok_or(ENOMEM)?;
            if segment.p_filesz > segment.p_memsz || end > limit || segment.p_memsz > limit {
                return Err(ENOMEM.because("a segment leaves the address space"));
            }
            if segment.p_offset % PAGE != segment.p_vaddr % PAGE {
                return Err(EINVAL.because("a segment's offset and address do not agree"));
            }
            let (low, high) = extent.unwrap_or((segment.p_vaddr, end));
            if segment.p_vaddr < low {
                return Err(EINVAL.because("segments are not in ascending order"));
            }
            extent = Some((low, high.max(end)));
        }
        let (low, high) = extent.ok_or_else(|| ENOEXEC.because("no segment to load"))?;
        let low = low & !(PAGE - 1);
        let length = page_up(high - low)?;
        let bias = self.reserve(mm, low, length, limit, place)?;
        let mut mapped = Mapped {
            bias,
            entry: self.header.e_entry.wrapping_add(bias),
            phdr: 0,
            nr_phdr: u64::from(self.header.e_phnum),
            end: 0,
            start_code: u64::MAX,
            end_code: 0,
            start_data: 0,
            end_data: 0,
        };
        for segment in self.loads() {
            self.map_segment(mm, segment, bias)?;
            mapped.note(segment, self.header.e_phoff);
        }
        if let Some(phdr) = self.segments.iter().find(|segment| segment.p_type == PT_PHDR) {
            mapped.phdr = phdr.p_vaddr.wrapping_add(bias);
        }
        if mapped.entry >= limit {
            return Err(EINVAL.because("the entry point lies outside the address space"));
        }
        Ok(mapped)
    }

    /// Decides on the bias. A relocatable image reserves its whole extent first.
    fn reserve(
        &self,
        mm: &MemoryManager,
        low: u64,
        length: u64,
        limit: u64,
        place: Place,
    ) -> Result<u64, Errno> {
        if !self.is_relocatable() {
            if low < bevor_memory::GUEST_MIN {
                return Err(bevor_abi::errno::EPERM.because("below vm.mmap_min_addr"));
            }
            return Ok(0);
        }
        let align = self.loads().map(|segment| segment.p_align).filter(|a| a.is_power_of_two());
        let align = align.max().unwrap_or(PAGE).clamp(PAGE, 1 << 30);
        let hint = match place {
            Place::Base(base) => base & !(align - 1),
            Place::Anywhere => 0,
        };
        let slack = align - PAGE;
        let args = MmapArgs {
            addr: hint,
            len: length.checked_add(slack).filter(|&len| len < limit).ok_or(ENOMEM)?,
            prot: 0,
            // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
            flags: 0x02 | 0x20 | 0x4000,
            ..MmapArgs::default()
        };
        let total = args.len;
        let start = mm.mmap(args)?;
        let base = (start + align - 1) & !(align - 1);
        if base > start {
            mm.munmap(start, base - start)?;
        }
        let tail = start + total - (base + length);
        if tail > 0 {
            mm.munmap(base + length, tail)?;
        }
        Ok(base.wrapping_sub(low))
    }

    fn map_segment(
        &self,
        mm: &MemoryManager,
        segment: &ProgramHeader,
        bias: u64,
    ) -> Result<(), Errno> {
        let prot = [(PF_R, 1), (PF_W, 2), (PF_X, 4)]
            .into_iter()
            .filter(|(flag, _)| segment.p_flags & flag != 0)
            .fold(0, |prot, (_, bit)| prot | bit);
        let at = segment.p_vaddr.wrapping_add(bias);
        let start = at & !(PAGE - 1);
        let file_end = at.checked_add(segment.p_filesz).ok_or(ENOMEM)?;
        let memory_end = page_up(at.checked_add(segment.p_memsz).ok_or(ENOMEM)?)?;
        let mapped_end = page_up(file_end)?;
        if segment.p_filesz != 0 {
            let flags = if self.is_relocatable() { FIXED } else { FIXED_NOREPLACE };
            mm.mmap(MmapArgs {
                addr: start,
                len: mapped_end - start,
                prot,
                flags,
                file: Some(self.file.ops().mappable(&self.file)?),
                offset: segment.p_offset & !(PAGE - 1),
                ..MmapArgs::default()
            })?;
        }
        let zero_from = if segment.p_filesz == 0 { start } else { mapped_end };
        if memory_end > zero_from {
            mm.mmap(MmapArgs {
                addr: zero_from,
                len: memory_end - zero_from,
                prot,
                flags: ANONYMOUS_FIXED,
                ..MmapArgs::default()
            })?;
        }
        // The rest of the last file page belongs to .bss.
        if segment.p_memsz > segment.p_filesz && segment.p_filesz != 0 && file_end < mapped_end {
            let zeroed = mm.zero(UserAddr(file_end), mapped_end - file_end);
            // A read-only segment keeps what the file has there, as on Linux.
            if segment.p_flags & PF_W != 0 {
                zeroed?;
            }
        }
        Ok(())
    }
}

impl Mapped {
    fn note(&mut self, segment: &ProgramHeader, phoff: u64) {
        let start = segment.p_vaddr.wrapping_add(self.bias);
        let file_end = start + segment.p_filesz;
        self.end = self.end.max(start + segment.p_memsz);
        if phoff >= segment.p_offset && phoff < segment.p_offset + segment.p_filesz {
            self.phdr = start + (phoff - segment.p_offset);
        }
        self.start_code = self.start_code.min(start);
        if segment.p_flags & PF_X != 0 {
            self.end_code = self.end_code.max(file_end);
        }
        if start >= self.start_data {
            self.start_data = start;
        }
        self.end_data = self.end_data.max(file_end);
    }
}

fn page_up(address: u64) -> Result<u64, Errno> {
    Ok(address.checked_add(PAGE - 1).ok_or(ENOMEM)? & !(PAGE - 1))
}

fn read_interpreter(file: &File, segment: &ProgramHeader) -> Result<Vec<u8>, Errno> {
    if !(2..=MAX_INTERP).contains(&segment.p_filesz) {
        return Err(ENOEXEC.because("PT_INTERP has no sensible length"));
    }
    let length = usize::try_from(segment.p_filesz).map_err(|_| ENOEXEC)?;
    let mut path = vec![0; length];
    read_exact(file, segment.p_offset, &mut path, EIO)?;
    if path.pop() != Some(0) {
        return Err(ENOEXEC.because("PT_INTERP is not NUL-terminated"));
    }
    path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(path.len()));
    Ok(path)
}
