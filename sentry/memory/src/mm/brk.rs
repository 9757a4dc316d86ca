//! `brk` and the areas set up by `execve`.

use super::fault::Populate;
use super::vma::{Source, VmFlags, Vma};
use super::{Layout, MemoryManager, State};
use crate::addr::{page_ceil, page_floor};
use crate::rangemap::Piece;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOMEM};
use bevor_platform::Prot;
use std::ops::Range;
use std::sync::Arc;

/// What a stack is given at once, below what `execve` puts there.
const STACK_HEADROOM: u64 = 128 << 10;

impl MemoryManager {
    /// Moves the end of the data segment (brk(2)); returns where it is then. Never fails: the old
    /// end tells that the wish was not granted.
    pub fn brk(&self, wanted: u64) -> u64 {
        let mut end = 0;
        let result = self.change(|st| {
            let _ = st.set_brk(wanted);
            end = st.brk.end;
            Ok(())
        });
        if result.is_err() { self.state.read().brk.end } else { end }
    }

    /// Sets where the data segment starts (and, empty, ends): page aligned, by `execve`.
    pub fn set_brk_start(&self, start: u64) {
        self.state.write().brk = start..start;
    }

    /// The data segment: start and end of `brk`.
    #[must_use]
    pub fn brk_range(&self) -> Range<u64> {
        self.state.read().brk.clone()
    }

    /// Sets the fixed points, before anything is mapped.
    pub fn set_layout(&self, layout: Layout) {
        self.state.write().layout = layout;
    }

    /// The fixed points.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.state.read().layout
    }

    /// Makes the stack: `len` bytes (and some head-room) below the layout's `stack_top`, growing
    /// down. Returns its present start.
    ///
    /// # Errors
    /// `ENOMEM`: the limits, or something is in the way.
    pub fn map_stack(&self, len: u64, executable: bool) -> Result<u64, Errno> {
        self.change(|st| {
            let len = page_ceil(len).ok_or(EINVAL)?;
            let with_room = len.saturating_add(STACK_HEADROOM).min(page_floor(st.limits.stack));
            let len = with_room.max(len);
            let end = st.layout.stack_top;
            let start = end.checked_sub(len).ok_or(ENOMEM)?;
            if !st.is_vacant(&(start..end)) {
                return Err(ENOMEM.because("no room for the stack"));
            }
            let vma = Vma {
                len,
                prot: Prot { read: true, write: true, exec: executable },
                flags: VmFlags::MAYWRITE | VmFlags::MAYEXEC | VmFlags::GROWSDOWN,
                source: Source::Anon,
                opened: None,
                name: Some(Arc::from(&b"[stack]"[..])),
            };
            st.check_room(len, &vma)?;
            st.insert_vma(start, vma);
            st.populate(start..end, Populate::Eager)?;
            Ok(start)
        })
    }
}

impl State {
    fn set_brk(&mut self, wanted: u64) -> Result<(), Errno> {
        let Range { start, end } = self.brk;
        if wanted < start {
            return Err(EINVAL.because("below the start of the data segment"));
        }
        let old_end = page_ceil(end).ok_or(ENOMEM)?;
        let new_end = page_ceil(wanted).ok_or(ENOMEM)?;
        if wanted - start > self.limits.data {
            return Err(ENOMEM.because("RLIMIT_DATA"));
        }
        if new_end < old_end {
            self.munmap(new_end..old_end)?;
        } else if new_end > old_end {
            let grown = old_end..new_end;
            // Linux keeps a page between the heap and what follows.
            let guarded = old_end..page_ceil(new_end + 1).ok_or(ENOMEM)?;
            if new_end > self.layout.end || !self.is_vacant(&guarded) {
                return Err(ENOMEM.because("something is in the way"));
            }
            self.check_map_count(1)?;
            let mut flags = VmFlags::MAYWRITE | VmFlags::MAYEXEC;
            flags |= self.default_flags;
            let vma = Vma {
                len: new_end - old_end,
                prot: Prot { read: true, write: true, exec: false },
                flags,
                source: Source::Anon,
                opened: None,
                name: Some(Arc::from(&b"[heap]"[..])),
            };
            if flags.contains(VmFlags::LOCKED) && !self.may_lock_more(vma.len()) {
                return Err(ENOMEM.because("RLIMIT_MEMLOCK"));
            }
            self.check_room(vma.len(), &vma)?;
            self.insert_vma(old_end, vma);
            self.populate(grown, Populate::Eager)?;
        }
        self.brk.end = wanted;
        Ok(())
    }
}
