//! Puts pages behind addresses: eagerly, on faults, and by copying on write.

use super::layout::STACK_GUARD_GAP;
use super::pma::{Pages, Pma};
use super::vma::{Source, VmFlags, Vma};
use super::{MemoryManager, State};
use crate::addr::{PAGE_SIZE, page_ceil, page_floor};
use crate::extents::Place;
use crate::file::{AllocOpts, FileRange};
use crate::mappable::{Backing, BackingRun};
use crate::rangemap::Piece;
use crate::recover;
use bevor_abi::Errno;
use bevor_abi::errno::ENOMEM;
use bevor_platform::{Access, Order};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes copied by one copy-on-write fault, naturally aligned.
pub(super) const COW_CHUNK: u64 = 32 << 10;

/// Largest anonymous mapping made of pages from the stock: likely to be touched altogether.
const STOCK_MAX: u64 = 256 << 10;

/// Mappings an address space may have for copies to go to the stock's pages, wherever those are,
/// rather than side by side.
const SCATTERED_MAPS: usize = 512;

/// Bytes of anonymous memory mapped by one fault where it was not mapped eagerly.
const DEMAND_CHUNK: u64 = 2 << 20;

/// Bytes of a file mapped by one fault.
const FILE_CHUNK: u64 = 16 << 20;

/// Largest private writable file mapping that is copied when it is made: `.data` of a library.
const EAGER_COPY: u64 = 64 << 10;

/// Bytes a stack grows by at least.
const STACK_STEP: u64 = 128 << 10;

/// The signal a fault ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultError {
    /// `SIGSEGV` or `SIGBUS`; `SIGKILL` with `oom`, or when the host process is lost.
    pub signo: i32,
    /// `si_code`.
    pub code: i32,
    /// No page was left under the account's limit: run the out-of-memory killer, then retry.
    pub oom: bool,
}

impl FaultError {
    /// Nothing is mapped there.
    pub(super) const MAPERR: Self = Self::segv(1);
    /// The mapping does not allow it.
    pub(super) const ACCERR: Self = Self::segv(2);
    /// Beyond the end of the file, or the file cannot be read.
    pub(super) const BUS: Self = Self { signo: libc::SIGBUS, code: 2, oom: false };
    /// The host process is gone or could not follow.
    const KILLED: Self = Self { signo: libc::SIGKILL, code: 0, oom: false };
    /// The memory limit was hit.
    pub(super) const OOM: Self = Self { signo: libc::SIGKILL, code: 0, oom: true };

    const fn segv(code: i32) -> Self {
        Self { signo: libc::SIGSEGV, code, oom: false }
    }

    fn from_errno(error: Errno) -> Self {
        if error == ENOMEM { Self::OOM } else { Self::BUS }
    }
}

impl MemoryManager {
    /// Handles a guest's page fault. `Ok`: the access can be retried.
    ///
    /// # Errors
    /// The signal to deliver.
    pub fn fault(&self, addr: u64, access: Access, bus: bool) -> Result<(), FaultError> {
        self.minor_faults.fetch_add(1, Ordering::Relaxed);
        self.with_reclaim(
            |failure: &FaultError| failure.oom,
            || {
                let mut failure = None;
                let flushed = self.change(|st| {
                    failure = st.guest_fault(addr, access, bus).err();
                    Ok(())
                });
                match (failure, flushed) {
                    (Some(failure), _) => Err(failure),
                    (None, Err(_)) => Err(FaultError::KILLED),
                    (None, Ok(())) => Ok(()),
                }
            },
        )
    }

    /// Takes the pages of `range` (bytes of file `id`) out of this address space. A range that ends
    /// at `u64::MAX` is a truncation: private copies go too.
    pub fn invalidate(&self, id: u64, range: Range<u64>) {
        let _ = self.change(|st| {
            st.invalidate(id, &range);
            Ok(())
        });
    }
}

/// How eagerly [`State::populate`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Populate {
    /// At `mmap`: as far as it fits the account; the host faults pages in later.
    Eager,
    /// On a fault: must succeed.
    Demand,
    /// As `Eager`, and the host shall fault the pages in at once.
    Commit,
}

impl State {
    fn guest_fault(&mut self, addr: u64, access: Access, bus: bool) -> Result<(), FaultError> {
        if addr >= self.layout.end {
            return Err(FaultError::MAPERR);
        }
        let resolved = self.resolve(addr, access, false)?;
        if resolved {
            self.spurious = None;
            return Ok(());
        }
        let page = page_floor(addr);
        let Some((start, pma)) = self.pmas.get(page) else { return Err(FaultError::MAPERR) };
        if bus {
            let Some((vma_start, vma)) = self.vmas.get(page) else {
                return Err(FaultError::MAPERR);
            };
            if pma.memory().is_some() {
                return Err(FaultError::OOM);
            }
            let size = vma.file().map_or(0, |file| file.size());
            if vma.file_offset(page - vma_start) >= page_ceil(size).unwrap_or(u64::MAX) {
                return Err(FaultError::BUS);
            }
        }
        // Another thread was faster, or the host process lost the mapping: the second time in a
        // row at one place the mapping is made again.
        if self.spurious.replace(page) == Some(page) {
            let order = pma.map_order(page, page - start, PAGE_SIZE, false);
            self.order(order);
        }
        Ok(())
    }

    /// Makes `addr` accessible if the VMA allows it. Returns whether anything had to be done.
    /// `force` is a debugger's access: rights do not count, stores go to private copies.
    pub(super) fn resolve(
        &mut self,
        addr: u64,
        access: Access,
        force: bool,
    ) -> Result<bool, FaultError> {
        let page = page_floor(addr);
        let mut changed = false;
        if self.vmas.get(page).is_none() {
            self.grow_stack(page)?;
            changed = true;
        }
        let Some((vma_start, vma)) = self.vmas.get(page) else { return Err(FaultError::MAPERR) };
        if vma.is_guard() {
            return Err(FaultError::MAPERR);
        }
        let allowed = match access {
            Access::Read => vma.is_accessible() || force,
            Access::Write => vma.prot.write || (force && !vma.is_shared()),
            Access::Exec => vma.prot.exec,
        };
        if !allowed {
            return Err(FaultError::ACCERR);
        }
        if self.pmas.get(page).is_none() {
            let chunk = if vma.is_anon() { DEMAND_CHUNK } else { FILE_CHUNK };
            let bounds = vma_start..vma_start + vma.len();
            self.demand(page, chunk, &bounds)?;
            changed = true;
        }
        let Some((_, pma)) = self.pmas.get(page) else { return Err(FaultError::BUS) };
        if access == Access::Write && pma.cow {
            if !pma.of_file {
                self.hot.lock().note(page & !(COW_CHUNK - 1));
            }
            self.break_cow(page).map_err(FaultError::from_errno)?;
            changed = true;
            if self.pmas.get(page).is_none_or(|(_, pma)| pma.cow) {
                return Err(FaultError::BUS);
            }
        }
        Ok(changed)
    }

    /// Maps a chunk around `page`; a smaller one if memory is short.
    fn demand(&mut self, page: u64, chunk: u64, bounds: &Range<u64>) -> Result<(), FaultError> {
        let mut result = Ok(());
        for size in [chunk, COW_CHUNK, PAGE_SIZE] {
            let start = (page & !(size - 1)).max(bounds.start);
            let end = ((page & !(size - 1)) + size).min(bounds.end);
            if size > PAGE_SIZE && !self.has_room_for(start..end) {
                // What filled the gaps before this page would leave none for it.
                continue;
            }
            result = self.populate(start..end, Populate::Demand);
            if result.is_ok() {
                break;
            }
        }
        result.map_err(FaultError::from_errno)
    }

    /// Whether all of `range` that is not mapped yet could be charged now.
    fn has_room_for(&self, range: Range<u64>) -> bool {
        let room = self.file.account().room();
        if range.end - range.start <= room {
            return true;
        }
        let missing: u64 = self.pmas.gaps(range).iter().map(|gap| gap.end - gap.start).sum();
        missing <= room
    }

    /// Grows the stack that begins above `page` down to it.
    fn grow_stack(&mut self, page: u64) -> Result<(), FaultError> {
        let Some((start, vma)) = self.vmas.next_from(page) else {
            return Err(FaultError::MAPERR);
        };
        if !vma.flags.contains(VmFlags::GROWSDOWN) {
            return Err(FaultError::MAPERR);
        }
        let limit = self.limits.stack.min(start + vma.len() - self.layout.min);
        let floor = (start + vma.len()).saturating_sub(page_floor(limit));
        let floor = match self.vmas.prev_before(page) {
            Some((below, other)) => {
                let gap = if other.is_accessible() { STACK_GUARD_GAP } else { 0 };
                floor.max(below + other.len() + gap)
            }
            None => floor,
        };
        if page < floor {
            return Err(FaultError::MAPERR);
        }
        let new_start = page.min(start.saturating_sub(STACK_STEP)).max(floor);
        let more = start - new_start;
        if self.totals.mapped.saturating_add(more) > self.limits.address_space {
            return Err(FaultError::MAPERR);
        }
        if self.reserved_in(&(new_start..start)).is_some() {
            return Err(FaultError::MAPERR);
        }
        let flags = vma.flags - VmFlags::GUARD;
        let grown = Vma { len: more, flags, ..vma.clone() };
        self.insert_vma(new_start, grown);
        Ok(())
    }

    /// Makes mappings for the parts of `range` that have none. With [`Populate::Eager`] what does
    /// not fit is left to faults.
    pub(super) fn populate(&mut self, range: Range<u64>, how: Populate) -> Result<(), Errno> {
        for gap in self.pmas.gaps(range) {
            let areas: Vec<(u64, Vma)> = self
                .vmas
                .overlapping(gap.clone())
                .map(|(start, vma)| (start, vma.clone()))
                .collect();
            for (vma_start, vma) in areas {
                let part = gap.start.max(vma_start)..gap.end.min(vma_start + vma.len());
                if vma.is_guard() {
                    continue;
                }
                if how != Populate::Demand && !vma.is_accessible() {
                    continue;
                }
                match &vma.source {
                    Source::Anon => self.populate_anon(&vma, part, how)?,
                    Source::File { file, .. } => {
                        let offset = vma.file_offset(part.start - vma_start);
                        let for_write = vma.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE);
                        let len = part.end - part.start;
                        match file.backing(offset, len, for_write) {
                            Ok(runs) => self.map_runs(&vma, part.start, &runs, how)?,
                            Err(error) if how == Populate::Demand => return Err(error),
                            Err(_) => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn populate_anon(&mut self, vma: &Vma, part: Range<u64>, how: Populate) -> Result<(), Errno> {
        let len = part.end - part.start;
        let stocked = if len <= STOCK_MAX { self.file.take_zeroed_stock(len) } else { None };
        if let Some(pages) = stocked {
            // Pages that exist are mapped at once: that costs a tenth of a fault for each.
            let now = vma.prot.write || how == Populate::Commit;
            self.insert_pma(part.start, Pma::own(pages, vma.prot), now);
            return Ok(());
        }
        let opts = AllocOpts { place: self.place_for(&part), ..AllocOpts::default() };
        if how != Populate::Demand && len > self.file.account().room() / 2 {
            return Ok(());
        }
        let pages = match self.file.alloc(len, opts) {
            Ok(pages) => pages,
            Err(error) if how == Populate::Demand => return Err(error),
            Err(_) => return Ok(()),
        };
        self.insert_pma(part.start, Pma::own(pages, vma.prot), how == Populate::Commit);
        Ok(())
    }

    /// Where pages for `part` should go so that its neighbours' host mappings extend over it.
    pub(super) fn place_for(&self, part: &Range<u64>) -> Place {
        let here = |pages: &FileRange| Arc::ptr_eq(pages.file(), &self.file);
        if let Some((start, pma)) = self.pmas.get(part.end)
            && start == part.end
            && let Some(pages) = pma.memory().filter(|pages| here(pages))
        {
            return Place::EndingAt(pages.offset());
        }
        if let Some((_, pma)) = part.start.checked_sub(1).and_then(|at| self.pmas.get(at))
            && let Some(pages) = pma.memory().filter(|pages| here(pages))
        {
            return Place::StartingAt(pages.offset() + pages.len());
        }
        Place::Fresh(part.start)
    }

    /// Puts the runs of a file behind the addresses from `at` on.
    fn map_runs(
        &mut self,
        vma: &Vma,
        at: u64,
        runs: &[BackingRun],
        how: Populate,
    ) -> Result<(), Errno> {
        let mut at = at;
        for run in runs {
            let pages = match &run.source {
                Backing::None => None,
                Backing::Memory(range) => {
                    Some(Pages::Memory(range.share_part(run.offset, run.len)))
                }
                Backing::Host { fd, id } => {
                    let size = || vma.file().map_or(0, |file| file.size());
                    let writable = vma.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE);
                    let file = self.pool.host_file(*id, fd, writable, size);
                    Some(Pages::Host { file, offset: run.offset, len: run.len })
                }
            };
            if let Some(pages) = pages {
                let pma = Pma {
                    pages,
                    prot: vma.prot,
                    cow: !vma.is_shared(),
                    of_file: true,
                    shadow: None,
                };
                self.insert_pma(at, pma, how == Populate::Commit);
            }
            at += run.len;
        }
        Ok(())
    }

    fn insert_pma(&mut self, start: u64, pma: Pma, commit: bool) {
        let order = pma.map_order(start, 0, pma.len(), commit);
        self.pmas.insert(start, pma);
        self.order(order);
    }

    /// Whether a private writable file mapping of `len` bytes is worth copying when it is made.
    pub(super) fn copies_eagerly(vma: &Vma) -> bool {
        vma.prot.write
            && !vma.is_shared()
            && vma.len <= EAGER_COPY
            && vma.file().is_some_and(|file| !file.has_writers())
    }

    /// Copies all of a small file mapping at once, as far as the file reaches.
    pub(super) fn copy_eagerly(&mut self, range: &Range<u64>) -> Result<(), Errno> {
        let mut at = range.start;
        while at < range.end {
            match self.pmas.get(at) {
                Some((_, pma)) if pma.cow => self.break_cow(at)?,
                _ => {}
            }
            at = (at & !(COW_CHUNK - 1)) + COW_CHUNK;
        }
        Ok(())
    }

    /// Gives the chunk around `page` pages of its own, if it is copy-on-write.
    pub(super) fn break_cow(&mut self, page: u64) -> Result<(), Errno> {
        let Some((start, pma)) = self.pmas.get(page).filter(|(_, pma)| pma.cow) else {
            return Ok(());
        };
        let whole = start..start + pma.len();
        // What shows a file that changes is copied no further than it must be.
        let follows_file = pma.of_file
            && self
                .vmas
                .get(page)
                .is_some_and(|(_, vma)| vma.file().is_some_and(|f| f.has_writers()));
        let step = if follows_file { PAGE_SIZE } else { COW_CHUNK };
        let chunk_start = (page & !(step - 1)).max(whole.start);
        let chunk = chunk_start..((page & !(step - 1)) + step).min(whole.end);
        if let Some(pages) = pma.memory().filter(|_| !pma.of_file) {
            let file = Arc::clone(pages.file());
            let offset = pages.offset();
            if file.is_unique(offset, pages.len()) {
                self.own(whole);
                return Ok(());
            }
            if file.is_unique(offset + chunk.start - whole.start, chunk.end - chunk.start) {
                self.own(chunk);
                return Ok(());
            }
        }
        let may_scatter = pma.shadow.is_none() && self.pmas.count() < SCATTERED_MAPS;
        let stock = may_scatter.then(|| self.file.take_stock(chunk.end - chunk.start));
        if let Some(pages) = stock.flatten() {
            self.pmas.isolate(&chunk);
            return self.copy_to(&chunk, pages, true);
        }
        self.ensure_shadow(page)?;
        self.copy_to_shadow(&chunk)
    }

    /// Makes a copy-on-write range writable in place: nobody else refers to its pages any more.
    fn own(&mut self, range: Range<u64>) {
        self.pmas.isolate(&range);
        let mut orders = Vec::new();
        for (start, pma) in self.pmas.within_mut(range.clone()) {
            pma.cow = false;
            pma.shadow = None;
            orders.push(Order::Protect { addr: start, len: pma.len(), prot: pma.host_prot() });
        }
        for order in orders {
            self.order(order);
        }
        self.pmas.merge_range(&range);
    }

    fn ensure_shadow(&mut self, page: u64) -> Result<(), Errno> {
        let Some((start, pma)) = self.pmas.get(page) else { return Ok(()) };
        if pma.shadow.is_some() {
            return Ok(());
        }
        let range = start..start + pma.len();
        let opts =
            AllocOpts { place: self.place_for(&range), reserve: true, ..AllocOpts::default() };
        let shadow = self.file.alloc(range.end - range.start, opts)?;
        if let Some((_, pma)) = self.pmas.get_mut(page) {
            pma.shadow = Some(shadow);
        }
        Ok(())
    }

    /// Moves `chunk`, part of one mapping with a shadow, into that shadow.
    fn copy_to_shadow(&mut self, chunk: &Range<u64>) -> Result<(), Errno> {
        self.pmas.isolate(chunk);
        let Some((_, pma)) = self.pmas.get_mut(chunk.start) else { return Ok(()) };
        let Some(shadow) = &pma.shadow else { return Ok(()) };
        shadow.charge()?;
        match pma.shadow.take() {
            Some(shadow) => self.copy_to(chunk, shadow, false),
            None => Ok(()),
        }
    }

    /// Replaces the mapping that is exactly `chunk` by a copy in `pages`, as far as its content
    /// reaches: what lies beyond the end of a file stays what it is. `dirty`: `pages` holds old
    /// content.
    fn copy_to(
        &mut self,
        chunk: &Range<u64>,
        mut pages: FileRange,
        dirty: bool,
    ) -> Result<(), Errno> {
        let Some(mut old) = self.pmas.take(chunk.start) else { return Ok(()) };
        let copied = copy_pages(&old.pages, &pages, dirty);
        if copied < old.len() {
            drop(pages.split_off(copied));
            let rest = old.split_off(copied);
            self.pmas.insert_alone(chunk.start + copied, rest);
        }
        if copied == 0 {
            return Ok(());
        }
        let pma = Pma::own(pages, old.prot);
        self.garbage.push(old);
        self.insert_pma(chunk.start, pma, dirty);
        Ok(())
    }

    fn invalidate(&mut self, id: u64, range: &Range<u64>) {
        let truncated = range.end == u64::MAX;
        let mut hit = Vec::new();
        for (start, vma) in self.vmas.iter() {
            let Source::File { file, offset } = &vma.source else { continue };
            let from = page_ceil(range.start).unwrap_or(u64::MAX).max(*offset);
            let to = page_floor(range.end).min(offset.saturating_add(vma.len()));
            if file.id() == id && from < to {
                hit.push(start + (from - offset)..start + (to - offset));
            }
        }
        for part in hit {
            self.pmas.isolate(&part);
            let pieces: Vec<Range<u64>> = self
                .pmas
                .overlapping(part)
                .filter(|(_, pma)| truncated || pma.of_file)
                .map(|(start, pma)| start..start + pma.len())
                .collect();
            for piece in pieces {
                self.unmap_pages(piece);
            }
        }
    }
}

/// Copies `from` to `to`, which reads as zeros unless `dirty`. Returns how many bytes of `from`
/// exist: less than all at the end of a file.
fn copy_pages(from: &Pages, to: &FileRange, dirty: bool) -> u64 {
    match from {
        Pages::Memory(from) => {
            copy_committed(from, to, dirty);
            from.len()
        }
        Pages::Host { file, offset, len } => {
            let mut done = 0;
            while done < *len {
                let Ok((src, room)) = file.at(offset + done) else { break };
                let bytes = room.min(len - done);
                // SAFETY: the window lives as long as `file`; `to` is not yet mapped anywhere else.
                let copied = unsafe { recover::copy(to.at(done), src, to_usize(bytes)) };
                match copied {
                    Ok(()) => done += bytes,
                    Err(fault) => return page_floor(done + fault.done as u64),
                }
            }
            done
        }
    }
}

/// Copies the pages of `from` that the host has committed; the others are zeros.
pub(super) fn copy_committed(from: &FileRange, to: &FileRange, dirty: bool) {
    let pages = to_usize(from.len() / PAGE_SIZE);
    let mut resident = vec![1u8; pages];
    // When the host does not tell, all pages are copied.
    let _ = from.file().window().resident(from.offset(), &mut resident);
    let mut at = 0;
    while at < pages {
        let committed = resident[at] & 1 == 1;
        let run = resident[at..].iter().take_while(|&&page| (page & 1 == 1) == committed).count();
        let (start, len) = (at as u64 * PAGE_SIZE, run as u64 * PAGE_SIZE);
        if committed {
            // SAFETY: both lie in windows of live memory files; `to` is ours alone.
            if unsafe { recover::copy(to.at(start), from.at(start), to_usize(len)) }.is_err() {
                tracing::error!("the host ran out of memory under a memory file");
            }
        } else if dirty {
            to.zero(start, len);
        }
        at += run;
    }
}

/// A length known to fit memory.
pub(super) fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
