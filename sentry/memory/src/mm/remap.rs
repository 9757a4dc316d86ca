//! `mremap`.

use super::fault::Populate;
use super::pma::Pma;
use super::vma::{Source, VmFlags, Vma};
use super::{MemoryManager, State};
use crate::addr::{PAGE_SIZE, page_ceil};
use crate::rangemap::Piece;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM};
use bevor_platform::Order;
use std::ops::Range;

const MREMAP_MAYMOVE: u32 = 1;
const MREMAP_FIXED: u32 = 2;
const MREMAP_DONTUNMAP: u32 = 4;

impl MemoryManager {
    /// Moves or resizes a mapping (mremap(2)); returns its address.
    ///
    /// # Errors
    /// `EINVAL`, `EFAULT`, `ENOMEM`, `EAGAIN` as mremap(2).
    pub fn mremap(
        &self,
        old_addr: u64,
        old_len: u64,
        new_len: u64,
        flags: u32,
        new_addr: u64,
    ) -> Result<u64, Errno> {
        self.change(|st| st.mremap(old_addr, old_len, new_len, flags, new_addr))
    }
}

impl State {
    fn mremap(
        &mut self,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: u32,
        new_addr: u64,
    ) -> Result<u64, Errno> {
        let may_move = flags & MREMAP_MAYMOVE != 0;
        let fixed = flags & MREMAP_FIXED != 0;
        let keep_old = flags & MREMAP_DONTUNMAP != 0;
        if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0
            || ((fixed || keep_old) && !may_move)
            || (keep_old && old_len != new_len)
            || !addr.is_multiple_of(PAGE_SIZE)
        {
            return Err(EINVAL.into());
        }
        let old_len = page_ceil(old_len).ok_or(EINVAL)?;
        let new_len = page_ceil(new_len).ok_or(EINVAL)?;
        if new_len == 0 || new_len > self.layout.end {
            return Err(EINVAL.because("bad new length"));
        }
        let old_end = addr.checked_add(old_len).ok_or(EINVAL)?;
        if fixed || keep_old {
            let new_end = new_addr.checked_add(new_len).ok_or(EINVAL)?;
            if !new_addr.is_multiple_of(PAGE_SIZE) || (fixed && new_end > self.layout.end) {
                return Err(EINVAL.because("bad new address"));
            }
            if fixed && addr < new_end && new_addr < old_end {
                return Err(EINVAL.because("old and new range overlap"));
            }
        }
        let Some((vma_start, vma)) = self.vmas.get(addr) else {
            return Err(EFAULT.because("nothing mapped there"));
        };
        let vma = vma.clone();
        if vma.is_sealed() {
            return Err(EPERM.because("sealed (mseal)"));
        }
        let vma_end = self.unguarded_end(addr).unwrap_or(vma_start + vma.len());
        self.check_map_count(4)?;
        if !fixed && !keep_old && old_len >= new_len {
            if old_len > new_len {
                self.munmap(addr + new_len..old_end)?;
            }
            return Ok(addr);
        }
        if fixed && old_len == new_len {
            return self.move_areas(addr..old_end, new_addr, keep_old);
        }
        // What is cut off may cross mappings.
        if addr + old_len.min(new_len) > vma_end {
            return Err(EFAULT.because("old range crosses mappings"));
        }
        if old_len == 0 && !vma.is_shared() {
            return Err(EINVAL.because("only shared mappings can be duplicated"));
        }
        let more = if keep_old || old_len == 0 { new_len } else { new_len.saturating_sub(old_len) };
        if vma.flags.contains(VmFlags::LOCKED) && !self.may_lock_more(more) {
            return Err(EAGAIN.because("RLIMIT_MEMLOCK"));
        }
        self.check_room(more, &vma)?;
        if let Source::File { .. } = &vma.source
            && vma.file_offset(addr - vma_start).checked_add(new_len).is_none()
        {
            return Err(EINVAL.because("file offset overflows"));
        }
        if !fixed && !keep_old && old_len > 0 && old_end == vma_end {
            let grown = old_end..addr + new_len;
            if addr + new_len <= self.layout.end && self.is_vacant(&grown) {
                self.extend(&vma, vma_start, grown)?;
                return Ok(addr);
            }
        }
        if !may_move {
            return Err(ENOMEM.because("no room to grow in place"));
        }
        let target = if fixed {
            self.unmap_target(new_addr, new_len)?;
            new_addr
        } else {
            let hint = if keep_old { new_addr } else { 0 };
            self.find_free(hint, new_len).ok_or_else(|| ENOMEM.because("no free address range"))?
        };
        if old_len == 0 {
            let copy = self.piece_of(&vma, vma_start, addr, new_len);
            self.insert_vma(target, copy);
            self.populate(target..target + new_len, Populate::Eager)?;
            return Ok(target);
        }
        let moved = old_len.min(new_len);
        if old_len > new_len {
            self.munmap(addr + new_len..old_end)?;
        }
        self.move_range(addr..addr + moved, target, keep_old);
        if new_len > moved {
            let Some((start, vma)) = self.vmas.get(target) else { return Ok(target) };
            let vma = vma.clone();
            self.extend(&vma, start, target + moved..target + new_len)?;
        }
        Ok(target)
    }

    /// Moves all areas of `from`, the gaps between them kept, as Linux 6.17 and later do.
    fn move_areas(&mut self, from: Range<u64>, to: u64, keep_old: bool) -> Result<u64, Errno> {
        let areas: Vec<(Range<u64>, Vma)> = self
            .vmas
            .overlapping(from.clone())
            .map(|(at, vma)| (at.max(from.start)..(at + vma.len()).min(from.end), vma.clone()))
            .collect();
        for (part, vma) in areas {
            let len = part.end - part.start;
            let target = to + (part.start - from.start);
            if keep_old {
                if vma.flags.contains(VmFlags::LOCKED) && !self.may_lock_more(len) {
                    return Err(EAGAIN.because("RLIMIT_MEMLOCK"));
                }
                self.check_room(len, &vma)?;
            }
            self.unmap_target(target, len)?;
            self.move_range(part, target, keep_old);
        }
        Ok(to)
    }

    /// Where the area around `addr` would end if no guard lay in it.
    fn unguarded_end(&self, addr: u64) -> Option<u64> {
        let (start, vma) = self.vmas.get(addr)?;
        let mut whole = vma.clone();
        let mut after_guard = vma.is_guard();
        whole.flags -= VmFlags::GUARD;
        while let Some((_, next)) = self.vmas.get(start + whole.len()) {
            if !after_guard && !next.is_guard() {
                break;
            }
            after_guard = next.is_guard();
            let mut next = next.clone();
            next.flags -= VmFlags::GUARD;
            if whole.try_join(next).is_err() {
                break;
            }
        }
        Some(start + whole.len())
    }

    fn unmap_target(&mut self, addr: u64, len: u64) -> Result<(), Errno> {
        if addr < self.layout.min {
            return Err(bevor_abi::errno::EPERM.because("below vm.mmap_min_addr"));
        }
        if self.reserved_in(&(addr..addr + len)).is_some() {
            return Err(ENOMEM.because("trampolines of patched code lie there"));
        }
        self.munmap(addr..addr + len)
    }

    /// A VMA like `vma` (which starts at `vma_start`) that shows `len` bytes from `addr` on.
    fn piece_of(&self, vma: &Vma, vma_start: u64, addr: u64, len: u64) -> Vma {
        let mut piece = vma.clone();
        piece.len = len;
        piece.flags -= VmFlags::GUARD;
        if let Source::File { offset, .. } = &mut piece.source {
            *offset = vma.file_offset(addr - vma_start);
        }
        piece
    }

    /// Continues `vma` over `grown`, which is free.
    fn extend(&mut self, vma: &Vma, vma_start: u64, grown: Range<u64>) -> Result<(), Errno> {
        let more = self.piece_of(vma, vma_start, grown.start, grown.end - grown.start);
        self.insert_vma(grown.start, more);
        self.populate(grown, Populate::Eager)
    }

    /// Moves VMAs and mappings of `from` to `to`, which is free. With `keep_old` the VMAs stay
    /// behind, without pages.
    fn move_range(&mut self, from: Range<u64>, to: u64, keep_old: bool) {
        let shift = |at: u64| at - from.start + to;
        let vmas: Vec<(u64, Vma)> = if keep_old {
            self.vmas.isolate(&from);
            self.vmas.overlapping(from.clone()).map(|(start, vma)| (start, vma.clone())).collect()
        } else {
            self.remove_vmas(from.clone())
        };
        for (start, mut vma) in vmas {
            // A moved heap or stack is neither any more, as Linux shows it.
            if matches!(vma.name.as_deref(), Some(b"[heap]" | b"[stack]")) {
                vma.name = None;
            }
            self.insert_vma(shift(start), vma);
        }
        if keep_old {
            for (_, vma) in self.vmas.within_mut(from.clone()) {
                vma.flags -= VmFlags::GUARD;
            }
            self.vmas.merge_range(&from);
        }
        self.forget_patches(&from);
        let pmas: Vec<(u64, Pma)> = self.pmas.remove(from.clone());
        if pmas.is_empty() {
            return;
        }
        for (start, pma) in pmas {
            let at = shift(start);
            let order = pma.map_order(at, 0, pma.len(), false);
            self.order(order);
            self.pmas.insert(at, pma);
        }
        self.order(Order::Unmap { addr: from.start, len: from.end - from.start });
    }
}
