//! `fork`: the child shares all pages; private ones are copied when either side stores to them.

use super::pma::Pma;
use super::vma::{VmFlags, Vma};
use super::{MappedFile, MemoryManager, State, push_order};
use crate::account::Account;
use crate::addr::page_floor;
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
            child_state = Some(st.fork_into(space, file, opts.stack_pointer)?);
            Ok(())
        })?;
        let child_state = child_state.ok_or(bevor_abi::errno::ENOMEM)?;
        let child = Arc::new_cyclic(|me| {
            Self::from_parts(me.clone(), Arc::clone(&self.pool), account, child_state)
        });
        child.change(|st| {
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
        file: Arc<crate::file::MemoryFile>,
        stack_pointer: Option<u64>,
    ) -> Result<State, Errno> {
        let mut child = State::new(space, Arc::clone(&self.pool), file, std::sync::Weak::new());
        child.layout = self.layout;
        child.limits = self.limits;
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
                (start, vma)
            })
            .collect::<RangeMap<Vma>>();
        child.count_all();
        let (shared, protect) = self.share_pmas(&left_out);
        child.pmas = shared;
        for order in protect {
            self.order(order);
        }
        child.patches = self.patches.clone();
        if let Some(sp) = stack_pointer {
            self.copy_for_child(&mut child, sp);
        }
        child.orders.clear();
        for (start, pma) in child.pmas.iter() {
            push_order(&mut child.orders, pma.map_order(start, 0, pma.len(), false));
        }
        Ok(child)
    }

    /// Shares every mapping outside `left_out` (whole mappings), marking private ones; returns
    /// the orders that take the right to write from those that had it.
    fn share_pmas(&mut self, left_out: &[Range<u64>]) -> (RangeMap<Pma>, Vec<Order>) {
        let mut protect = Vec::new();
        let mut skip = left_out.iter().peekable();
        let vmas = &self.vmas;
        let mut shared = Vec::with_capacity(self.pmas.count());
        for (start, pma) in self.pmas.iter_mut() {
            while skip.peek().is_some_and(|range| range.end <= start) {
                skip.next();
            }
            if skip.peek().is_some_and(|range| range.contains(&start)) {
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

    /// Copies the chunk around the stack pointer for the child; the parent keeps its own.
    fn copy_for_child(&mut self, child: &mut State, sp: u64) {
        let page = page_floor(sp);
        let is_stack = child.pmas.get(page).is_some_and(|(_, pma)| pma.prot.write && pma.cow);
        if is_stack && child.break_cow(page).is_ok() {
            child.garbage.clear();
            let _ = self.break_cow(page);
        }
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
