//! `mprotect`.

use super::fault::Populate;
use super::vma::{VmFlags, Vma};
use super::{MemoryManager, PROT_EXEC, PROT_READ, PROT_WRITE, State, prot_from_bits};
use crate::addr::{PAGE_SIZE, page_ceil};
use crate::rangemap::Piece;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, ENOMEM, EPERM};
use bevor_platform::Order;
use bevor_platform::Prot;
use std::ops::Range;

const PROT_SEM: u32 = 0x8;
const PROT_GROWSDOWN: u32 = 0x0100_0000;
const PROT_GROWSUP: u32 = 0x0200_0000;

impl MemoryManager {
    /// Changes the rights of a range (mprotect(2)).
    ///
    /// # Errors
    /// `EINVAL`, `ENOMEM` (a gap in the range, after the part before it was changed; limits),
    /// `EACCES`.
    pub fn mprotect(&self, addr: u64, len: u64, prot: u32) -> Result<(), Errno> {
        self.change(|st| st.mprotect(addr, len, prot))
    }

    /// Seals a range (mseal(2)).
    ///
    /// # Errors
    /// `EINVAL`: unaligned, overflow. `ENOMEM`: a gap in the range.
    pub fn mseal(&self, addr: u64, len: u64) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("address not page aligned"));
        }
        let end = page_ceil(len).and_then(|len| addr.checked_add(len)).ok_or(EINVAL)?;
        if end == addr {
            return Ok(());
        }
        self.change(|st| {
            if !st.vmas.covers(addr..end) {
                return Err(ENOMEM.because("a gap in the range"));
            }
            st.check_map_count(2)?;
            st.update_vmas(&(addr..end), |vma| vma.flags |= VmFlags::SEALED);
            Ok(())
        })
    }
}

impl State {
    fn mprotect(&mut self, addr: u64, len: u64, bits: u32) -> Result<(), Errno> {
        let grows = bits & (PROT_GROWSDOWN | PROT_GROWSUP);
        let bits = bits & !(PROT_GROWSDOWN | PROT_GROWSUP);
        if grows == PROT_GROWSDOWN | PROT_GROWSUP {
            return Err(EINVAL.because("both PROT_GROWSDOWN and PROT_GROWSUP"));
        }
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("address not page aligned"));
        }
        if len == 0 {
            return Ok(());
        }
        let end = page_ceil(len).and_then(|len| addr.checked_add(len)).ok_or(ENOMEM)?;
        if end <= addr || bits & !(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM) != 0 {
            return Err(if end <= addr { ENOMEM } else { EINVAL }.into());
        }
        let mut range = addr..end;
        let Some((first, vma)) = self.vmas.overlapping(range.clone()).next() else {
            return Err(ENOMEM.because("nothing mapped there"));
        };
        if grows == PROT_GROWSDOWN {
            if first >= end || !vma.flags.contains(VmFlags::GROWSDOWN) {
                return Err(if first >= end { ENOMEM } else { EINVAL }.into());
            }
            range.start = first;
        } else if first > addr {
            return Err(ENOMEM.because("the start is not mapped"));
        } else if grows == PROT_GROWSUP {
            return Err(EINVAL.because("no mapping grows up"));
        }
        let prot = prot_from_bits(bits);
        let areas: Vec<(u64, Vma)> =
            self.vmas.overlapping(range.clone()).map(|(start, vma)| (start, vma.clone())).collect();
        self.check_map_count(2)?;
        let mut at = range.start;
        for (start, vma) in areas {
            if start > at {
                return Err(ENOMEM.because("a gap in the range"));
            }
            let part = at..range.end.min(start + vma.len());
            self.protect_part(&vma, &part, prot)?;
            at = part.end;
        }
        if at < range.end { Err(ENOMEM.because("a gap in the range")) } else { Ok(()) }
    }

    fn protect_part(&mut self, vma: &Vma, part: &Range<u64>, prot: Prot) -> Result<(), Errno> {
        if vma.is_sealed() {
            return Err(EPERM.because("sealed (mseal)"));
        }
        if vma.prot == prot {
            return Ok(());
        }
        if prot.write && !vma.flags.contains(VmFlags::MAYWRITE) {
            return Err(EACCES.because("shared mapping of a file not open for writing"));
        }
        if prot.exec && !vma.flags.contains(VmFlags::MAYEXEC) {
            return Err(EACCES.because("file system mounted noexec"));
        }
        self.check_gain(Some(vma), prot)?;
        let len = part.end - part.start;
        let becomes_data = Vma { prot, ..vma.clone() }.is_data() && !vma.is_data();
        if becomes_data && self.totals.data.saturating_add(len) > self.limits.data {
            return Err(ENOMEM.because("RLIMIT_DATA"));
        }
        self.update_vmas(part, |vma| vma.prot = prot);
        if prot.write {
            self.restore_patched(part)?;
        }
        self.pmas.isolate(part);
        let mut orders = Vec::new();
        for (start, pma) in self.pmas.within_mut(part.clone()) {
            let before = pma.host_prot();
            pma.prot = prot;
            if pma.host_prot() != before {
                orders.push(Order::Protect { addr: start, len: pma.len(), prot: pma.host_prot() });
            }
        }
        for order in orders {
            self.order(order);
        }
        self.pmas.merge_range(part);
        if !vma.is_accessible() && prot != Prot::default() {
            self.populate(part.clone(), Populate::Eager)?;
        }
        Ok(())
    }
}
