//! `fork`: the child shares all pages; private ones are copied when either side stores to them.

use super::fault::{COW_CHUNK, copy_committed};
use super::pma::Pma;
use super::vma::{VmFlags, Vma};
use super::{MappedFile, MemoryManager, State};
use crate::account::Account;
use crate::addr::page_floor;
use crate::file::{AllocOpts, MemoryFile};
use crate::rangemap::{Piece, RangeMap};
use bevor_abi::Errno;
use bevor_platform::{Order, Space};
use std::ops::Range;
use std::sync::Arc;

/// What [`MemoryManager::fork`] may be told to do better.
#[derive(Clone, Default)]
pub struct ForkOpts {
    /// Who pays for the child's pages, if not who pays for the parent's.
    pub account: Option<Arc<Account>>,
    /// The forking thread's stack pointer: the pages around it are copied at once.
    pub stack_pointer: Option<u64>,
    /// Whether no other thread runs in this address space, so that pages can be copied at once.
    pub alone: bool,
}

/// Chunks that were stored to while they were shared with a parent or child: the stack, `.data` of
/// libraries, the heap's head. They are copied by the next fork at once, which costs less than the
/// faults of both sides.
#[derive(Debug, Default)]
pub(super) struct HotChunks {
    chunks: Vec<u64>,
    next: usize,
}

impl HotChunks {
    /// Most chunks remembered.
    const MOST: usize = 16;

    /// Remembers a chunk, in place of the oldest if there are too many.
    pub(super) fn note(&mut self, chunk: u64) {
        if self.chunks.contains(&chunk) {
            return;
        }
        if self.chunks.len() < Self::MOST {
            self.chunks.push(chunk);
        } else {
            self.chunks[self.next] = chunk;
            self.next = (self.next + 1) % Self::MOST;
        }
    }
}

impl MemoryManager {
    /// Makes a copy of this address space on `space` (fork(2)).
    ///
    /// # Errors
    /// `ENOMEM`, or a host process is gone.
    pub fn fork(&self, space: Arc<dyn Space>, opts: &ForkOpts) -> Result<Arc<Self>, Errno> {
        let account = opts.account.clone().unwrap_or_else(|| Arc::clone(&self.account));
        let file = self.pool.pick(&account)?;
        let mut child_state = None;
        self.change(|st| {
            child_state = Some(st.fork_into(space, file, opts)?);
            Ok(())
        })?;
        let child_state = child_state.ok_or(bevor_abi::errno::ENOMEM)?;
        let child = Arc::new_cyclic(|me| {
            Self::from_parts(me.clone(), Arc::clone(&self.pool), account, child_state)
        });
        child.account.add(&child);
        // Goes with the orders below.
        let shared = self.space().share_patches(&*child.space());
        shared.map_err(|_| bevor_abi::errno::ENOMEM)?;
        // Another thread may have had a site rewritten since the copy was made.
        let reserved = self.state.read().reserved.clone();
        child.change(|st| {
            st.reserved = reserved;
            st.me = child.me.clone();
            for entry in st.files.values() {
                entry.file.mappings().set(&child.me, true, entry.writable_bytes > 0);
            }
            Ok(())
        })?;
        Ok(child)
    }
}

impl State {
    fn fork_into(
        &mut self,
        space: Arc<dyn Space>,
        file: Arc<MemoryFile>,
        opts: &ForkOpts,
    ) -> Result<State, Errno> {
        let mut child = State::new(space, Arc::clone(&self.pool), file, std::sync::Weak::new());
        child.layout = self.layout;
        child.limits = self.limits;
        child.policy = self.policy.inherited();
        child.brk = self.brk.clone();
        let left_out: Vec<Range<u64>> = self
            .vmas
            .iter()
            .filter(|(_, vma)| vma.flags.intersects(VmFlags::DONTFORK | VmFlags::WIPEONFORK))
            .map(|(start, vma)| start..start + vma.len())
            .collect();
        for range in &left_out {
            self.pmas.isolate(range);
        }
        child.vmas = self
            .vmas
            .iter()
            .filter(|(_, vma)| !vma.flags.contains(VmFlags::DONTFORK))
            .map(|(start, vma)| {
                let mut vma = vma.clone();
                vma.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
                if vma.flags.contains(VmFlags::WIPEONFORK) {
                    vma.flags -= VmFlags::GUARD;
                }
                (start, vma)
            })
            .collect::<RangeMap<Vma>>();
        child.count_all();
        let copies = if opts.alone {
            self.copy_hot_chunks(&child.file, &left_out, opts.stack_pointer)
        } else {
            Vec::new()
        };
        let (shared, protect) = self.share_pmas(&left_out, copies);
        child.pmas = shared;
        for order in protect {
            self.order(order);
        }
        child.patches = self.patches.clone();
        child.reserved = self.reserved.clone();
        child.hot = Arc::clone(&self.hot);
        child.order_all();
        Ok(child)
    }

    /// Copies the chunks that parent and child are about to store to: the child's mappings for
    /// them, by address. The parent keeps its own, writable if they were.
    fn copy_hot_chunks(
        &mut self,
        file: &Arc<MemoryFile>,
        left_out: &[Range<u64>],
        stack_pointer: Option<u64>,
    ) -> Vec<(u64, Pma)> {
        let mut chunks = self.hot.lock().chunks.clone();
        let stack = stack_pointer.map(|sp| page_floor(sp) & !(COW_CHUNK - 1));
        // Guests put anything there.
        chunks.extend(stack.filter(|&at| self.layout.range().contains(&at)));
        chunks.sort_unstable();
        chunks.dedup();
        let mut copies = Vec::new();
        for chunk in chunks {
            let ours: Vec<Range<u64>> = self
                .pmas
                .overlapping(chunk..chunk + COW_CHUNK)
                .filter(|(_, pma)| pma.prot.write && !pma.of_file)
                .map(|(start, pma)| start.max(chunk)..(start + pma.len()).min(chunk + COW_CHUNK))
                .filter(|part| !left_out.iter().any(|range| range.contains(&part.start)))
                .collect();
            for part in ours {
                if let Some(pma) = self.copy_hot(file, &part) {
                    copies.push((part.start, pma));
                }
            }
        }
        copies
    }

    /// Copies one part of a private mapping; `None` if memory is short.
    fn copy_hot(&mut self, file: &Arc<MemoryFile>, part: &Range<u64>) -> Option<Pma> {
        let len = part.end - part.start;
        let (pages, dirty) = match file.take_stock(len) {
            Some(pages) => (pages, true),
            None => (file.alloc(len, AllocOpts::default()).ok()?, false),
        };
        self.pmas.isolate(part);
        let (_, pma) = self.pmas.get(part.start)?;
        copy_committed(pma.memory()?, &pages, dirty);
        let prot = pma.prot;
        Some(Pma::own(pages, prot))
    }

    /// Shares every mapping outside `left_out` (whole mappings), marking private ones, except those
    /// that were copied; returns the orders that take the right to write from those that had it.
    fn share_pmas(
        &mut self,
        left_out: &[Range<u64>],
        copies: Vec<(u64, Pma)>,
    ) -> (RangeMap<Pma>, Vec<Order>) {
        let mut protect = Vec::new();
        let mut skip = left_out.iter().peekable();
        let mut copies = copies.into_iter().peekable();
        let vmas = &self.vmas;
        let mut shared = Vec::with_capacity(self.pmas.count());
        for (start, pma) in self.pmas.iter_mut() {
            while skip.peek().is_some_and(|range| range.end <= start) {
                skip.next();
            }
            if skip.peek().is_some_and(|range| range.contains(&start)) {
                continue;
            }
            if let Some(copy) = copies.next_if(|(at, _)| *at == start) {
                shared.push(copy);
                continue;
            }
            let private = vmas.get(start).is_none_or(|(_, vma)| !vma.is_shared());
            if private && !pma.cow {
                pma.cow = true;
                if pma.prot.write {
                    protect.push(Order::Protect {
                        addr: start,
                        len: pma.len(),
                        prot: pma.host_prot(),
                    });
                }
            }
            shared.push((start, pma.share()));
        }
        (shared.into_iter().collect(), protect)
    }

    /// Sums all VMAs up anew, registering nothing.
    fn count_all(&mut self) {
        let vmas = std::mem::take(&mut self.vmas);
        for (_, vma) in vmas.iter() {
            self.totals.count(vma, true);
            if let Some(file) = vma.file() {
                let writable = vma.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE);
                let entry = self.files.entry(file.id()).or_insert_with(|| MappedFile {
                    file: Arc::clone(file),
                    bytes: 0,
                    writable_bytes: 0,
                });
                entry.bytes += vma.len();
                entry.writable_bytes += if writable { vma.len() } else { 0 };
            }
        }
        self.vmas = vmas;
    }
}
