//! `mmap` and `munmap`.

use super::fault::Populate;
use super::vma::{Holder, Source, VmFlags, Vma};
use super::{MemoryManager, PROT_EXEC, PROT_READ, PROT_WRITE, State, prot_from_bits};
use crate::addr::{PAGE_SIZE, page_ceil, page_floor};
use crate::mappable::Mappable;
use crate::shared::SharedAnon;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EAGAIN, EEXIST, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW, EPERM};
use std::ops::Range;
use std::sync::Arc;

const MAP_SHARED: u32 = 0x01;
const MAP_PRIVATE: u32 = 0x02;
const MAP_SHARED_VALIDATE: u32 = 0x03;
const MAP_DROPPABLE: u32 = 0x08;
const MAP_TYPE: u32 = 0x0f;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_32BIT: u32 = 0x40;
const MAP_GROWSDOWN: u32 = 0x0100;
const MAP_DENYWRITE: u32 = 0x0800;
const MAP_EXECUTABLE: u32 = 0x1000;
const MAP_LOCKED: u32 = 0x2000;
const MAP_NORESERVE: u32 = 0x4000;
const MAP_POPULATE: u32 = 0x8000;
const MAP_NONBLOCK: u32 = 0x1_0000;
const MAP_STACK: u32 = 0x2_0000;
const MAP_HUGETLB: u32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;

/// What `MAP_SHARED_VALIDATE` accepts (`LEGACY_MAP_MASK`).
const LEGACY_FLAGS: u32 = MAP_TYPE
    | MAP_FIXED
    | MAP_ANONYMOUS
    | MAP_32BIT
    | MAP_GROWSDOWN
    | MAP_DENYWRITE
    | MAP_EXECUTABLE
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | MAP_STACK
    | MAP_HUGETLB
    | MAP_FIXED_NOREPLACE;

/// `F_SEAL_WRITE` and `F_SEAL_FUTURE_WRITE`.
const SEALED_WRITE: u32 = 0x08 | 0x10;

/// Where `MAP_32BIT` mappings go.
const LOW: Range<u64> = 0x4000_0000..0x8000_0000;

/// The arguments of `mmap`, the descriptor resolved.
#[derive(Clone, Default)]
pub struct MmapArgs {
    /// Address or hint.
    pub addr: u64,
    /// Length, bytes.
    pub len: u64,
    /// `PROT_*`.
    pub prot: u32,
    /// `MAP_*`.
    pub flags: u32,
    /// The file, unless `MAP_ANONYMOUS`.
    pub file: Option<Arc<dyn Mappable>>,
    /// The open file description, which stays open as long as it is mapped.
    pub opened: Option<Holder>,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// How it shows in `/proc/self/maps`, where not as the file: `[vdso]`, `[stack]`.
    pub name: Option<Arc<[u8]>>,
}

impl MemoryManager {
    /// Maps memory (mmap(2)); returns the address.
    ///
    /// The caller has checked that the file is open for reading.
    ///
    /// # Errors
    /// As mmap(2): `EINVAL`, `ENOMEM`, `EEXIST`, `EACCES`, `EPERM`, `EAGAIN`, `EOVERFLOW`,
    /// `EOPNOTSUPP`, and what the file answers.
    pub fn mmap(&self, args: MmapArgs) -> Result<u64, Errno> {
        self.change(|st| st.mmap(args))
    }

    /// Maps another part of the file that is mapped shared at `addr` (remap_file_pages(2)).
    ///
    /// # Errors
    /// `EINVAL`, and those of [`MemoryManager::mmap`].
    pub fn remap_file_pages(
        &self,
        addr: u64,
        len: u64,
        page: u64,
        nonblocking: bool,
    ) -> Result<(), Errno> {
        let (addr, len) = (page_floor(addr), page_floor(len));
        let end = addr.checked_add(len).filter(|&end| end > addr).ok_or(EINVAL)?;
        page.checked_add(len / PAGE_SIZE).ok_or(EINVAL)?;
        self.change(|st| {
            let whole = VmFlags::SHARED | VmFlags::MAYWRITE;
            let Some((_, vma)) = st.vmas.get(addr).filter(|(_, vma)| vma.flags.contains(whole))
            else {
                return Err(EINVAL.because("no shared mapping there"));
            };
            let Some(file) = vma.file().cloned() else { return Err(EINVAL.into()) };
            let alike = |other: &Vma| {
                other.file().is_some_and(|its| its.id() == file.id()) && other.flags == vma.flags
            };
            if !st.vmas.covers(addr..end)
                || !st.vmas.overlapping(addr..end).all(|(_, other)| alike(other))
            {
                return Err(EINVAL.because("not one mapping"));
            }
            let (read, write, exec) = (vma.prot.read, vma.prot.write, vma.prot.exec);
            let bits = [(read, PROT_READ), (write, PROT_WRITE), (exec, PROT_EXEC)];
            let prot = bits.iter().filter(|(has, _)| *has).fold(0, |all, (_, bit)| all | bit);
            let mut flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
            if nonblocking {
                flags |= MAP_NONBLOCK;
            }
            if vma.flags.contains(VmFlags::LOCKED) {
                flags |= MAP_LOCKED;
            }
            let args = MmapArgs {
                addr,
                len,
                prot,
                flags,
                opened: vma.opened.clone(),
                name: vma.name.clone(),
                file: Some(file),
                offset: page.checked_mul(PAGE_SIZE).ok_or(EOVERFLOW)?,
            };
            st.mmap(args).map(drop)
        })
    }

    /// Unmaps a range (munmap(2)).
    ///
    /// # Errors
    /// `EINVAL`: unaligned, empty or out of range. `ENOMEM`: too many mappings.
    pub fn munmap(&self, addr: u64, len: u64) -> Result<(), Errno> {
        self.change(|st| {
            let range = st.user_range(addr, len)?;
            st.munmap(range)
        })
    }

    /// Unmaps everything.
    pub fn clear(&self) {
        let _ = self.change(|st| {
            let all = 0..st.layout.end;
            st.brk = 0..0;
            st.unmap(all)
        });
    }
}

impl State {
    /// Checks an unmapping or advice range: aligned, not empty, in the guest's half.
    pub(super) fn user_range(&self, addr: u64, len: u64) -> Result<Range<u64>, Errno> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("address not page aligned"));
        }
        let len = page_ceil(len).ok_or(EINVAL)?;
        let end = addr.checked_add(len).ok_or(EINVAL)?;
        if len == 0 || end > self.layout.end {
            return Err(EINVAL.because("empty range, or beyond the address space"));
        }
        Ok(addr..end)
    }

    /// Unmaps a range, unless a part of it is sealed.
    pub(super) fn munmap(&mut self, range: Range<u64>) -> Result<(), Errno> {
        if self.vmas.overlapping(range.clone()).any(|(_, vma)| vma.is_sealed()) {
            return Err(EPERM.because("sealed (mseal)"));
        }
        self.unmap(range)
    }

    fn unmap(&mut self, range: Range<u64>) -> Result<(), Errno> {
        let cuts = usize::from(self.vmas.get(range.start).is_some_and(|(at, _)| at < range.start))
            + usize::from(self.vmas.get(range.end).is_some_and(|(at, _)| at < range.end));
        if cuts == 2 {
            self.check_map_count(1)?;
        }
        self.remove_vmas(range.clone());
        self.unmap_pages(range);
        Ok(())
    }

    pub(super) fn mmap(&mut self, args: MmapArgs) -> Result<u64, Errno> {
        if args.len == 0 {
            return Err(EINVAL.because("zero length"));
        }
        let len = page_ceil(args.len).ok_or(ENOMEM)?;
        if !args.offset.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("file offset not page aligned"));
        }
        if args.offset.checked_add(len).is_none() {
            return Err(EOVERFLOW.into());
        }
        self.check_map_count(2)?;
        if args.flags & MAP_HUGETLB != 0 {
            let anonymous = args.flags & MAP_ANONYMOUS != 0;
            return Err(if anonymous { ENOMEM } else { EINVAL }.because("no huge page pool"));
        }
        let fixed = args.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0;
        let addr = self.choose_address(&args, len, fixed)?;
        let range = addr..addr + len;
        if args.flags & MAP_FIXED_NOREPLACE != 0
            && self.vmas.overlapping(range.clone()).next().is_some()
        {
            return Err(EEXIST.into());
        }
        let locked = args.flags & MAP_LOCKED != 0 || self.default_flags.contains(VmFlags::LOCKED);
        if args.flags & MAP_LOCKED != 0 && self.limits.memlock == 0 && !self.limits.may_lock {
            return Err(EPERM.because("RLIMIT_MEMLOCK is zero"));
        }
        if locked && !self.may_lock_more(len) {
            return Err(EAGAIN.because("RLIMIT_MEMLOCK"));
        }
        let vma = self.new_vma(&args, len, locked)?;
        let replaced: u64 = self
            .vmas
            .overlapping(range.clone())
            .map(|(start, vma)| (start + vma.len).min(range.end) - start.max(range.start))
            .sum();
        self.check_room(len - replaced.min(len), &vma)?;
        if replaced > 0 {
            self.munmap(range.clone())?;
        }
        let copies = State::copies_eagerly(&vma);
        let commit = args.flags & MAP_POPULATE != 0 && args.flags & MAP_NONBLOCK == 0 || locked;
        self.insert_vma(addr, vma);
        let how = if commit { Populate::Commit } else { Populate::Eager };
        self.populate(range.clone(), how)?;
        if copies {
            // Without memory for the copies the first store meets the limit.
            let _ = self.copy_eagerly(&range);
        }
        Ok(addr)
    }

    fn choose_address(&self, args: &MmapArgs, len: u64, fixed: bool) -> Result<u64, Errno> {
        let bounds = self.layout.range();
        if len > bounds.end {
            return Err(ENOMEM.because("longer than the address space"));
        }
        if fixed {
            if args.addr > bounds.end - len {
                return Err(ENOMEM.because("beyond the address space"));
            }
            if !args.addr.is_multiple_of(PAGE_SIZE) {
                return Err(EINVAL.because("fixed address not page aligned"));
            }
            if args.addr < bounds.start {
                return Err(EPERM.because("below vm.mmap_min_addr"));
            }
            if self.reserved_in(&(args.addr..args.addr + len)).is_some() {
                return Err(ENOMEM.because("trampolines of patched code lie there"));
            }
            return Ok(args.addr);
        }
        let hint = page_floor(args.addr);
        let found = if args.flags & MAP_32BIT != 0 {
            let at_hint = hint >= bounds.start
                && hint.checked_add(len).is_some_and(|end| end <= LOW.end)
                && self.is_vacant(&(hint..hint + len));
            if at_hint { Some(hint) } else { self.find_free_above(LOW, len) }
        } else {
            let hint = if hint == 0 { 0 } else { hint.max(bounds.start) };
            self.find_free(hint, len)
        };
        found.ok_or_else(|| ENOMEM.because("no free address range"))
    }

    fn new_vma(&self, args: &MmapArgs, len: u64, locked: bool) -> Result<Vma, Errno> {
        let prot = prot_from_bits(args.prot & (PROT_READ | PROT_WRITE | PROT_EXEC));
        self.check_gain(None, prot)?;
        let mut flags = VmFlags::MAYWRITE | VmFlags::MAYEXEC;
        let kind = args.flags & MAP_TYPE;
        let source = match &args.file {
            None => {
                match kind {
                    MAP_SHARED if args.flags & MAP_GROWSDOWN != 0 => {
                        return Err(EINVAL.because("shared mappings do not grow down"));
                    }
                    MAP_DROPPABLE if args.flags & MAP_LOCKED != 0 => {
                        return Err(EINVAL.because("what is locked cannot be dropped"));
                    }
                    MAP_DROPPABLE => {
                        flags |= VmFlags::DROPPABLE | VmFlags::WIPEONFORK | VmFlags::DONTDUMP;
                    }
                    MAP_SHARED | MAP_PRIVATE => {}
                    _ => return Err(EINVAL.because("neither MAP_SHARED nor MAP_PRIVATE")),
                }
                if kind == MAP_SHARED {
                    flags |= VmFlags::SHARED;
                    let file: Arc<dyn Mappable> = SharedAnon::new(Arc::clone(&self.file), len);
                    Source::File { file, offset: 0 }
                } else {
                    Source::Anon
                }
            }
            Some(file) => {
                match kind {
                    MAP_SHARED_VALIDATE if args.flags & !LEGACY_FLAGS != 0 => {
                        return Err(EOPNOTSUPP.because("unknown flags with MAP_SHARED_VALIDATE"));
                    }
                    MAP_SHARED | MAP_SHARED_VALIDATE => {
                        flags |= VmFlags::SHARED;
                        if !file.may_write() {
                            if prot.write {
                                return Err(EACCES.because("file not open for writing"));
                            }
                            flags -= VmFlags::MAYWRITE;
                        }
                        if file.seals() & SEALED_WRITE != 0 {
                            if prot.write {
                                return Err(EPERM.because("file is sealed against writing"));
                            }
                            flags -= VmFlags::MAYWRITE;
                        }
                    }
                    MAP_PRIVATE => {}
                    _ => return Err(EINVAL.because("neither MAP_SHARED nor MAP_PRIVATE")),
                }
                if !file.may_exec() {
                    if prot.exec {
                        return Err(EPERM.because("file system mounted noexec"));
                    }
                    flags -= VmFlags::MAYEXEC;
                }
                if args.flags & MAP_GROWSDOWN != 0 {
                    return Err(EINVAL.because("file mappings do not grow down"));
                }
                Source::File { file: Arc::clone(file), offset: args.offset }
            }
        };
        flags |= self.default_flags;
        flags.set(VmFlags::LOCKED, locked && !flags.contains(VmFlags::DROPPABLE));
        flags.set(VmFlags::GROWSDOWN, args.flags & MAP_GROWSDOWN != 0);
        flags.set(VmFlags::NORESERVE, args.flags & MAP_NORESERVE != 0);
        Ok(Vma { len, prot, flags, source, opened: args.opened.clone(), name: args.name.clone() })
    }

    /// Checks `RLIMIT_AS`, `RLIMIT_DATA` and the overcommit heuristic for `more` bytes.
    pub(super) fn check_room(&self, more: u64, vma: &Vma) -> Result<(), Errno> {
        if self.totals.mapped.saturating_add(more) > self.limits.address_space {
            return Err(ENOMEM.because("RLIMIT_AS"));
        }
        if vma.is_data() && self.totals.data.saturating_add(more) > self.limits.data {
            return Err(ENOMEM.because("RLIMIT_DATA"));
        }
        if vma.is_accounted() && more > self.overcommit_limit() {
            return Err(ENOMEM.because("obvious overcommit"));
        }
        Ok(())
    }

    /// What a single request may not exceed (`vm.overcommit_memory` = 0): all memory there is.
    fn overcommit_limit(&self) -> u64 {
        self.file.account().limit().min(self.pool.total_memory())
    }

    pub(super) fn may_lock_more(&self, more: u64) -> bool {
        self.limits.may_lock || self.totals.locked.saturating_add(more) <= self.limits.memlock
    }
}
