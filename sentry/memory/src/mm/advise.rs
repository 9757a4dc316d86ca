//! `madvise`, `mlock` and relatives, `msync`.

use super::fault::Populate;
use super::vma::{VmFlags, Vma};
use super::{MemoryManager, State};
use crate::addr::{PAGE_SIZE, page_ceil, page_floor};
use crate::mappable::Mappable;
use crate::rangemap::Piece;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EBUSY, EFAULT, EINVAL, ENOMEM, EPERM};
use bevor_platform::Order;
use std::ops::Range;
use std::sync::Arc;

const MADV_NORMAL: i32 = 0;
const MADV_RANDOM: i32 = 1;
const MADV_SEQUENTIAL: i32 = 2;
const MADV_DONTNEED: i32 = 4;
const MADV_FREE: i32 = 8;
const MADV_REMOVE: i32 = 9;
const MADV_DONTFORK: i32 = 10;
const MADV_DOFORK: i32 = 11;
const MADV_MERGEABLE: i32 = 12;
const MADV_UNMERGEABLE: i32 = 13;
const MADV_HUGEPAGE: i32 = 14;
const MADV_NOHUGEPAGE: i32 = 15;
const MADV_DONTDUMP: i32 = 16;
const MADV_DODUMP: i32 = 17;
const MADV_WIPEONFORK: i32 = 18;
const MADV_KEEPONFORK: i32 = 19;
const MADV_COLD: i32 = 20;
const MADV_PAGEOUT: i32 = 21;
const MADV_POPULATE_READ: i32 = 22;
const MADV_POPULATE_WRITE: i32 = 23;
const MADV_DONTNEED_LOCKED: i32 = 24;
const MADV_COLLAPSE: i32 = 25;
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

const MS_ASYNC: u32 = 1;
const MS_INVALIDATE: u32 = 2;
const MS_SYNC: u32 = 4;

const MCL_CURRENT: u32 = 1;
const MCL_FUTURE: u32 = 2;
const MCL_ONFAULT: u32 = 4;

/// A file and a range of it, to be worked on after the lock is released.
type FilePart = (Arc<dyn Mappable>, Range<u64>);

impl MemoryManager {
    /// Gives advice about a range (madvise(2)).
    ///
    /// # Errors
    /// As madvise(2): `EINVAL`, `ENOMEM` (parts are not mapped; the others were advised), `EFAULT`,
    /// `EACCES`, what the file answers.
    pub fn madvise(&self, addr: u64, len: u64, advice: i32) -> Result<(), Errno> {
        if !is_known(advice) {
            return Err(EINVAL.because("unknown advice"));
        }
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("address not page aligned"));
        }
        let len = page_ceil(len).ok_or(EINVAL)?;
        let end = addr.checked_add(len).ok_or(EINVAL)?;
        if len == 0 {
            return Ok(());
        }
        let mut removed: Vec<FilePart> = Vec::new();
        let result = self.change(|st| st.madvise(addr..end, advice, &mut removed));
        // Files call back to take the pages out of every mapping.
        for (file, range) in removed {
            file.punch_hole(range)?;
        }
        result
    }

    /// Locks a range in memory (mlock(2), mlock2(2)). Pages of the sandbox are never swapped by the
    /// sentry; the range is faulted in and counted against `RLIMIT_MEMLOCK`.
    ///
    /// # Errors
    /// `ENOMEM`: a gap, or over the limit. `EPERM`: the limit is zero. `EINVAL`: overflow.
    pub fn mlock(&self, addr: u64, len: u64, on_fault: bool) -> Result<(), Errno> {
        self.change(|st| {
            st.check_may_lock()?;
            let range = lock_range(addr, len)?;
            let already: u64 = st
                .vmas
                .overlapping(range.clone())
                .filter(|(_, vma)| vma.flags.contains(VmFlags::LOCKED))
                .map(|(at, vma)| (at + vma.len()).min(range.end) - at.max(range.start))
                .sum();
            if !st.may_lock_more(range.end - range.start - already) {
                return Err(ENOMEM.because("RLIMIT_MEMLOCK"));
            }
            st.set_lock(&range, true, on_fault)
        })
    }

    /// Unlocks a range (munlock(2)).
    ///
    /// # Errors
    /// `ENOMEM`: a gap. `EINVAL`: overflow.
    pub fn munlock(&self, addr: u64, len: u64) -> Result<(), Errno> {
        self.change(|st| {
            let range = lock_range(addr, len)?;
            st.set_lock(&range, false, false)
        })
    }

    /// Locks everything, now or from now on (mlockall(2)).
    ///
    /// # Errors
    /// `EINVAL`: bad flags. `ENOMEM`: over the limit. `EPERM`: the limit is zero.
    pub fn mlockall(&self, flags: u32) -> Result<(), Errno> {
        if flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0
            || flags & (MCL_CURRENT | MCL_FUTURE) == 0
        {
            return Err(EINVAL.because("bad mlockall flags"));
        }
        self.change(|st| {
            st.check_may_lock()?;
            if flags & MCL_CURRENT != 0
                && !st.limits.may_lock
                && st.totals.mapped > st.limits.memlock
            {
                return Err(ENOMEM.because("RLIMIT_MEMLOCK"));
            }
            let on_fault = flags & MCL_ONFAULT != 0;
            st.default_flags.set(VmFlags::LOCKED, flags & MCL_FUTURE != 0);
            st.default_flags.set(VmFlags::LOCKONFAULT, flags & MCL_FUTURE != 0 && on_fault);
            if flags & MCL_CURRENT != 0 {
                let all: Vec<Range<u64>> =
                    st.vmas.iter().map(|(at, vma)| at..at + vma.len()).collect();
                for range in all {
                    st.set_lock(&range, true, on_fault)?;
                }
            }
            Ok(())
        })
    }

    /// Unlocks everything (munlockall(2)).
    ///
    /// # Errors
    /// None but those of a dead host process.
    pub fn munlockall(&self) -> Result<(), Errno> {
        self.change(|st| {
            st.default_flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            let all: Vec<Range<u64>> = st.vmas.iter().map(|(at, vma)| at..at + vma.len()).collect();
            for range in all {
                st.set_lock(&range, false, false)?;
            }
            Ok(())
        })
    }

    /// Writes shared file mappings of a range back (msync(2)).
    ///
    /// # Errors
    /// `EINVAL`, `ENOMEM` (a gap), `EBUSY` (`MS_INVALIDATE` of a locked range), what the file
    /// answers.
    pub fn msync(&self, addr: u64, len: u64, flags: u32) -> Result<(), Errno> {
        if flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0
            || flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC
            || !addr.is_multiple_of(PAGE_SIZE)
        {
            return Err(EINVAL.because("bad msync arguments"));
        }
        let end = page_ceil(len).and_then(|len| addr.checked_add(len)).ok_or(ENOMEM)?;
        if end == addr {
            return Ok(());
        }
        let mut parts: Vec<FilePart> = Vec::new();
        let mut covered = addr;
        let mut gap = false;
        {
            let st = self.state.read();
            for (start, vma) in st.vmas.overlapping(addr..end) {
                gap |= start > covered;
                covered = start + vma.len();
                if flags & MS_INVALIDATE != 0 && vma.flags.contains(VmFlags::LOCKED) {
                    return Err(EBUSY.because("MS_INVALIDATE of locked memory"));
                }
                if let Some(file) = vma.file().filter(|_| vma.is_shared() && flags & MS_SYNC != 0) {
                    let part = start.max(addr)..covered.min(end);
                    let from = vma.file_offset(part.start - start);
                    parts.push((Arc::clone(file), from..from + (part.end - part.start)));
                }
            }
        }
        for (file, range) in parts {
            file.msync(range)?;
        }
        if gap || covered < end { Err(ENOMEM.because("a gap in the range")) } else { Ok(()) }
    }
}

fn is_known(advice: i32) -> bool {
    matches!(
        advice,
        MADV_NORMAL..=MADV_DONTNEED
            | MADV_FREE..=MADV_COLLAPSE
            | MADV_GUARD_INSTALL
            | MADV_GUARD_REMOVE
    )
}

/// Whether an advice loses contents, here or in children.
fn is_discard(advice: i32) -> bool {
    matches!(
        advice,
        MADV_FREE
            | MADV_DONTNEED
            | MADV_DONTNEED_LOCKED
            | MADV_REMOVE
            | MADV_DONTFORK
            | MADV_WIPEONFORK
            | MADV_GUARD_INSTALL
    )
}

fn lock_range(addr: u64, len: u64) -> Result<Range<u64>, Errno> {
    let start = page_floor(addr);
    let len = len.checked_add(addr - start).and_then(page_ceil).ok_or(EINVAL)?;
    let end = start.checked_add(len).ok_or(EINVAL)?;
    Ok(start..end)
}

impl State {
    fn check_may_lock(&self) -> Result<(), Errno> {
        if self.limits.memlock == 0 && !self.limits.may_lock {
            return Err(EPERM.because("RLIMIT_MEMLOCK is zero"));
        }
        Ok(())
    }

    fn set_lock(&mut self, range: &Range<u64>, lock: bool, on_fault: bool) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        let covered = self.vmas.covers(range.clone());
        self.check_map_count(2)?;
        self.update_vmas(range, |vma| {
            let lock = lock && !vma.flags.contains(VmFlags::DROPPABLE);
            vma.flags.set(VmFlags::LOCKED, lock);
            vma.flags.set(VmFlags::LOCKONFAULT, lock && on_fault);
        });
        if lock && !on_fault {
            // mlock(2) reports only gaps; pages that cannot be had now fault later.
            let _ = self.commit(range, false);
        }
        if covered { Ok(()) } else { Err(ENOMEM.because("a gap in the range")) }
    }

    /// Faults the pages of a range in, as far as its VMAs allow.
    fn commit(&mut self, range: &Range<u64>, write: bool) -> Result<(), Errno> {
        if write {
            let mut at = range.start;
            while at < range.end {
                self.resolve(at, bevor_platform::Access::Write, false).map_err(|fault| {
                    if fault.oom { ENOMEM } else { EFAULT }.because("cannot populate")
                })?;
                let covered = self.pmas.get(at).map_or(at, |(start, pma)| start + pma.len());
                at = covered.max(at + PAGE_SIZE);
            }
        } else {
            self.populate(range.clone(), Populate::Commit)?;
        }
        let parts: Vec<Range<u64>> = self
            .pmas
            .overlapping(range.clone())
            .filter(|(_, pma)| pma.readable())
            .map(|(start, pma)| start.max(range.start)..(start + pma.len()).min(range.end))
            .collect();
        for part in parts {
            let (addr, len) = (part.start, part.end - part.start);
            self.order(Order::Advise { addr, len, advice: MADV_POPULATE_READ });
        }
        Ok(())
    }

    /// As [`State::commit`], but fails where the file ends.
    fn commit_file_part(
        &mut self,
        part: &Range<u64>,
        vma: &Vma,
        vma_start: u64,
        write: bool,
    ) -> Result<(), Errno> {
        let mut inside = part.clone();
        if let Some(file) = vma.file() {
            let size = page_ceil(file.size()).unwrap_or(u64::MAX);
            let left = size.saturating_sub(vma.file_offset(part.start - vma_start));
            inside.end = part.end.min(part.start.saturating_add(left));
        }
        if !inside.is_empty() {
            self.commit(&inside, write)?;
        }
        if inside.end < part.end {
            return Err(EFAULT.because("the file ends before the range"));
        }
        Ok(())
    }

    fn madvise(
        &mut self,
        range: Range<u64>,
        advice: i32,
        removed: &mut Vec<FilePart>,
    ) -> Result<(), Errno> {
        let areas: Vec<(Range<u64>, u64, Vma)> = self
            .vmas
            .overlapping(range.clone())
            .map(|(at, vma)| {
                let part = at.max(range.start)..(at + vma.len()).min(range.end);
                (part, at, vma.clone())
            })
            .collect();
        self.check_map_count(2)?;
        let mut covered = range.start;
        let mut gap = false;
        for (part, vma_start, vma) in areas {
            gap |= part.start > covered;
            covered = part.end;
            if matches!(advice, MADV_POPULATE_READ | MADV_POPULATE_WRITE) && gap {
                return Err(ENOMEM.because("a gap in the range"));
            }
            if is_discard(advice)
                && vma.is_sealed()
                && vma.is_anon()
                && !vma.is_shared()
                && !vma.prot.write
            {
                return Err(EPERM.because("sealed and read-only (mseal)"));
            }
            if advice == MADV_REMOVE {
                removed.push(Self::check_remove(&vma, vma_start, &part)?);
            } else {
                self.advise_part(&part, &vma, vma_start, advice)?;
            }
        }
        if gap || covered < range.end {
            return Err(ENOMEM.because("parts of the range are not mapped"));
        }
        Ok(())
    }

    fn check_remove(vma: &Vma, vma_start: u64, part: &Range<u64>) -> Result<FilePart, Errno> {
        let Some(file) = vma.file().filter(|_| !vma.flags.contains(VmFlags::LOCKED)) else {
            return Err(EINVAL.because("MADV_REMOVE of anonymous or locked memory"));
        };
        if !vma.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE) {
            return Err(EACCES.because("MADV_REMOVE of what stores cannot reach"));
        }
        let from = vma.file_offset(part.start - vma_start);
        Ok((Arc::clone(file), from..from + (part.end - part.start)))
    }

    fn advise_part(
        &mut self,
        part: &Range<u64>,
        vma: &Vma,
        vma_start: u64,
        advice: i32,
    ) -> Result<(), Errno> {
        let locked = vma.flags.contains(VmFlags::LOCKED);
        let (clear, set) = match advice {
            MADV_NORMAL => (VmFlags::SEQ_READ | VmFlags::RAND_READ, VmFlags::empty()),
            MADV_RANDOM => (VmFlags::SEQ_READ, VmFlags::RAND_READ),
            MADV_SEQUENTIAL => (VmFlags::RAND_READ, VmFlags::SEQ_READ),
            MADV_DONTFORK => (VmFlags::empty(), VmFlags::DONTFORK),
            MADV_DOFORK => (VmFlags::DONTFORK, VmFlags::empty()),
            MADV_DONTDUMP => (VmFlags::empty(), VmFlags::DONTDUMP),
            MADV_DODUMP | MADV_KEEPONFORK if vma.flags.contains(VmFlags::DROPPABLE) => {
                return Err(EINVAL.because("memory that may be dropped is not inherited or dumped"));
            }
            MADV_DODUMP => (VmFlags::DONTDUMP, VmFlags::empty()),
            MADV_MERGEABLE => (VmFlags::empty(), VmFlags::MERGEABLE),
            MADV_UNMERGEABLE => (VmFlags::MERGEABLE, VmFlags::empty()),
            MADV_HUGEPAGE => (VmFlags::NOHUGEPAGE, VmFlags::HUGEPAGE),
            MADV_NOHUGEPAGE => (VmFlags::HUGEPAGE, VmFlags::NOHUGEPAGE),
            MADV_WIPEONFORK | MADV_KEEPONFORK => {
                if advice == MADV_WIPEONFORK && (!vma.is_anon() || vma.is_shared()) {
                    return Err(EINVAL.because("MADV_WIPEONFORK of a file or shared memory"));
                }
                if advice == MADV_WIPEONFORK {
                    (VmFlags::empty(), VmFlags::WIPEONFORK)
                } else {
                    (VmFlags::WIPEONFORK, VmFlags::empty())
                }
            }
            MADV_GUARD_INSTALL => {
                if locked {
                    return Err(EINVAL.because("MADV_GUARD_INSTALL in locked memory"));
                }
                self.unmap_pages(part.clone());
                (VmFlags::empty(), VmFlags::GUARD)
            }
            MADV_GUARD_REMOVE => (VmFlags::GUARD, VmFlags::empty()),
            MADV_DONTNEED | MADV_DONTNEED_LOCKED => {
                if locked && advice == MADV_DONTNEED {
                    return Err(EINVAL.because("MADV_DONTNEED of locked memory"));
                }
                if !vma.is_shared() {
                    self.discard_private(part, vma)?;
                }
                return Ok(());
            }
            MADV_FREE => {
                if !vma.is_anon() || locked {
                    return Err(EINVAL.because("MADV_FREE of a file, shared or locked memory"));
                }
                return self.discard_private(part, vma);
            }
            MADV_COLD | MADV_PAGEOUT => {
                if locked {
                    return Err(EINVAL.because("MADV_COLD or MADV_PAGEOUT of locked memory"));
                }
                return Ok(());
            }
            MADV_POPULATE_READ => {
                if !vma.prot.read {
                    return Err(EINVAL.because("not readable"));
                }
                return self.commit_file_part(part, vma, vma_start, false);
            }
            MADV_POPULATE_WRITE => {
                if !vma.prot.write {
                    return Err(EINVAL.because("not writable"));
                }
                return self.commit_file_part(part, vma, vma_start, true);
            }
            // Read-ahead and huge page collapse are the host's to decide on.
            _ => return Ok(()),
        };
        self.update_vmas(part, |vma| {
            vma.flags -= clear;
            vma.flags |= set;
        });
        if matches!(advice, MADV_HUGEPAGE | MADV_NOHUGEPAGE) {
            let mapped: Vec<Range<u64>> = self
                .pmas
                .overlapping(part.clone())
                .map(|(start, pma)| start.max(part.start)..(start + pma.len()).min(part.end))
                .collect();
            for run in mapped {
                self.order(Order::Advise { addr: run.start, len: run.end - run.start, advice });
            }
        }
        Ok(())
    }

    /// Drops the private pages of `part`: anonymous memory reads as zeros, files as the file.
    fn discard_private(&mut self, part: &Range<u64>, vma: &Vma) -> Result<(), Errno> {
        self.pmas.isolate(part);
        self.forget_patches(part);
        let mut replace: Vec<Range<u64>> = Vec::new();
        for (start, pma) in self.pmas.within_mut(part.clone()) {
            if pma.of_file {
                continue;
            }
            let reusable = vma.is_anon()
                && pma.memory().is_some_and(|pages| {
                    pages.is_unique() && pages.discard(0, pages.len()).is_ok()
                });
            if !reusable {
                replace.push(start..start + pma.len());
            }
        }
        for range in &replace {
            self.unmap_pages(range.clone());
        }
        for range in replace {
            self.populate(range, Populate::Eager)?;
        }
        self.pmas.merge_range(part);
        Ok(())
    }
}
