//! Call-site patching: replacing bytes of code pages without the guest seeing half a change.

use super::fault::to_usize;
use super::pma::{Pages, Pma};
use super::{MemoryManager, State};
use crate::addr::{PAGE_SIZE, UserAddr, page_floor};
use crate::file::{AllocOpts, Fill};
use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, EINVAL, EPERM};
use bevor_platform::Text;
use std::ops::Range;

const PAGE: usize = 4096;

impl MemoryManager {
    /// Replaces bytes of code with `bytes`: builds the changed page aside and swaps it in with one
    /// order. Debuggers go on seeing the original bytes.
    ///
    /// # Errors
    /// `EPERM`: the page is not private, executable and read-only. `EFAULT`: not mapped.
    /// `EINVAL`: longer than a page. `ENOMEM`: the memory limit.
    pub fn patch_code(&self, addr: UserAddr, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() || bytes.len() > PAGE {
            return Err(EINVAL.because("patch longer than a page"));
        }
        let end = addr.add(bytes.len() as u64)?.0;
        self.change(|st| {
            let pages = page_floor(addr.0)..end;
            let mut built = Vec::new();
            let mut page = pages.start;
            while page < pages.end {
                built.push((page, st.patched_page(page, addr.0, bytes)?));
                page += PAGE_SIZE;
            }
            for (page, (pma, original)) in built {
                st.swap_page(page, pma);
                st.patches.entry(page).or_insert(original);
            }
            Ok(())
        })
    }

    /// Puts the original bytes back into what a debugger read.
    pub(super) fn hide_patches(&self, addr: UserAddr, buf: &mut [u8]) {
        let st = self.state.read();
        if st.patches.is_empty() {
            return;
        }
        let end = addr.0.saturating_add(buf.len() as u64);
        for (&page, original) in st.patches.range(page_floor(addr.0)..end) {
            let part = page.max(addr.0)..(page + PAGE_SIZE).min(end);
            let from = to_usize(part.start - page)..to_usize(part.end - page);
            let to = to_usize(part.start - addr.0)..to_usize(part.end - addr.0);
            if let (Some(from), Some(to)) = (original.get(from), buf.get_mut(to)) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Restores the original pages a debugger is about to write to.
    pub(super) fn drop_patches(&self, addr: UserAddr, len: u64) -> Result<(), Errno> {
        let range = page_floor(addr.0)..addr.0.saturating_add(len);
        if self.state.read().patches.range(range.clone()).next().is_none() {
            return Ok(());
        }
        self.change(|st| st.restore_patched(&range))
    }
}

/// How far from a call site its trampolines are looked for: far enough to be out of the way of what
/// grows next to the code, and within the reach of a jump.
const NEAR: Range<u64> = 0x3000_0000..0x7000_0000;

impl Text for MemoryManager {
    fn read_code(&self, addr: u64, bytes: &mut [u8]) -> usize {
        let st = self.state.read();
        let mut done = 0;
        while done < bytes.len() {
            let at = addr.saturating_add(done as u64);
            let page = page_floor(at);
            let exec = st.vmas.get(page).is_some_and(|(_, vma)| vma.prot.exec);
            let Some(content) = exec.then(|| st.page_content(page).ok()).flatten() else { break };
            let from = &content[to_usize(at - page)..];
            let len = from.len().min(bytes.len() - done);
            bytes[done..done + len].copy_from_slice(&from[..len]);
            done += len;
        }
        done
    }

    fn reserve_near(&self, addr: u64, len: u64) -> Option<u64> {
        let mut st = self.state.write();
        let bounds = st.layout.range();
        let addr = page_floor(addr);
        let far = addr.saturating_sub(NEAR.end).max(bounds.start);
        let near = addr.saturating_sub(NEAR.start);
        // Code at low addresses has no room that far below it: take what is right below.
        let at = if near > far { st.find_free_below(far..near, len) } else { None }
            .or_else(|| st.find_free_below(far..addr.min(bounds.end), len))?;
        st.reserved.push(at..at + len);
        Some(at)
    }

    fn replace_code(&self, addr: u64, old: &[u8], new: &[u8]) -> bool {
        let mut have = vec![0; old.len()];
        self.read_code(addr, &mut have) == old.len()
            && have == old
            && self.patch_code(UserAddr(addr), new).is_ok()
    }
}

impl State {
    /// The part of the guest's addresses given up for trampolines that `range` would touch.
    pub(super) fn reserved_in(&self, range: &Range<u64>) -> Option<&Range<u64>> {
        self.reserved.iter().find(|held| held.start < range.end && range.start < held.end)
    }

    /// Builds the mapping of `page` with the patch applied, and returns the original content.
    fn patched_page(
        &mut self,
        page: u64,
        addr: u64,
        bytes: &[u8],
    ) -> Result<(Pma, Box<[u8; PAGE]>), Errno> {
        let (_, vma) = self.vmas.get(page).ok_or(EFAULT)?;
        if vma.is_shared() || vma.prot.write || !vma.prot.exec {
            return Err(EPERM.because("only private, read-only code is patched"));
        }
        let prot = vma.prot;
        let original = self.page_content(page)?;
        let mut content = original.clone();
        for (index, &byte) in bytes.iter().enumerate() {
            let at = (addr + index as u64).checked_sub(page).map(to_usize);
            if let Some(slot) = at.and_then(|at| content.get_mut(at)) {
                *slot = byte;
            }
        }
        let opts = AllocOpts { fill: Fill::Any, ..AllocOpts::default() };
        let pages = self.file.alloc(PAGE_SIZE, opts)?;
        pages.write_at(0, &content[..]);
        let pma =
            Pma { pages: Pages::Memory(pages), prot, cow: false, of_file: false, shadow: None };
        Ok((pma, original))
    }

    /// What is in a mapped page now.
    fn page_content(&self, page: u64) -> Result<Box<[u8; PAGE]>, Errno> {
        let mut content = Box::new([0u8; PAGE]);
        let (start, pma) = self.pmas.get(page).ok_or(EFAULT)?;
        match &pma.pages {
            Pages::Memory(range) => range.read_at(page - start, &mut content[..]),
            Pages::Host { file, offset, .. } => {
                file.read(offset + (page - start), &mut content[..]).map_err(|_| EFAULT)?;
            }
        }
        Ok(content)
    }

    fn swap_page(&mut self, page: u64, pma: Pma) {
        let range = page..page + PAGE_SIZE;
        let old = self.pmas.remove(range);
        self.garbage.extend(old.into_iter().map(|(_, pma)| pma));
        let order = pma.map_order(page, 0, PAGE_SIZE, false);
        self.pmas.insert(page, pma);
        self.order(order);
    }

    /// Swaps the original content of patched pages in again.
    pub(super) fn restore_patched(&mut self, range: &Range<u64>) -> Result<(), Errno> {
        let pages: Vec<u64> = self.patches.range(range.clone()).map(|(&page, _)| page).collect();
        for page in pages {
            let Some(original) = self.patches.get(&page).cloned() else { continue };
            let Some((_, pma)) = self.pmas.get(page) else { continue };
            let prot = pma.prot;
            let opts = AllocOpts { fill: Fill::Any, ..AllocOpts::default() };
            let pages = self.file.alloc(PAGE_SIZE, opts)?;
            pages.write_at(0, &original[..]);
            let pma =
                Pma { pages: Pages::Memory(pages), prot, cow: false, of_file: false, shadow: None };
            self.swap_page(page, pma);
            self.patches.remove(&page);
            self.space.forget_patches(page, PAGE_SIZE);
        }
        Ok(())
    }
}
