//! Rewritten call sites of one address space, and their trampolines.
//!
//! The memory crate owns the guest's pages, so it swaps the changed page in ([`Text`]). Trampolines
//! lie in a file of the platform's, in regions of guest addresses the memory crate gave up for them; a
//! fork inherits its parent's, which is why slots of a region are handed out under one lock for all.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use parking_lot::{Mutex, MutexGuard};

use crate::arch::patch::{LOOK, PATCH_LEN, SYSCALL_LEN, Site};
use crate::systrap::agent::Call;
use crate::systrap::core::Core;
use crate::systrap::layout::trampoline;
use crate::systrap::{MAP_FLAGS, PAGE};
use crate::{Event, Text, UserRegs};

/// Length of a region of trampolines.
pub const REGION_LEN: u64 = 0x1_0000;
/// How many regions a platform has.
pub const MAX_REGIONS: u64 = 1024;
const SLOTS: u64 = REGION_LEN / trampoline::LEN;
/// A site is rewritten when it trapped this often: a rewrite costs about ten traps.
const TRAPS_BEFORE: u8 = 8;
/// How many sites are remembered before the counts are thrown away.
const MAX_COUNTS: usize = 4096;
/// Trap number of a debug exception.
const DEBUG_TRAP: u64 = 1;

/// A region of the platform's trampoline file, shared by an address space and its forks.
#[derive(Debug)]
struct Region {
    core: Arc<Core>,
    index: u64,
    taken: Mutex<HashSet<u64>>,
}

impl Drop for Region {
    fn drop(&mut self) {
        self.core.free_region(self.index);
    }
}

#[derive(Clone, Copy, Debug)]
struct Patched {
    /// Address of the trampoline.
    at: u64,
    moved_len: u64,
    back: u64,
}

#[derive(Debug, Default)]
struct State {
    /// By address in the guest.
    regions: Vec<(u64, Arc<Region>)>,
    /// By the address after the `syscall` instruction.
    sites: HashMap<u64, Patched>,
    /// The same, by trampoline.
    trampolines: HashMap<u64, (u64, Patched)>,
    traps: HashMap<u64, u8>,
    refused: HashSet<u64>,
}

/// The patches of one address space.
#[derive(Debug, Default)]
pub struct Patches {
    any: AtomicBool,
    /// Held while a site is rewritten. Two at a time could use a region that is not mapped yet, or undo
    /// each other's work on one site.
    rewriting: Mutex<()>,
    /// Never held while the guest's text is used, whose own lock is held when patches are forgotten.
    state: Mutex<State>,
}

/// What a new patch needs.
pub struct Prepared {
    /// Order that maps a new region.
    pub map: Option<Call>,
    site: Site,
    at: u64,
    region: Arc<Region>,
    slot: u64,
}

impl Patches {
    /// Counts a trap from the call that ended at `after`; `true` when it should be rewritten.
    pub fn count_trap(&self, after: u64) -> bool {
        let mut state = self.state.lock();
        if state.refused.contains(&after) || state.sites.contains_key(&after) {
            return false;
        }
        if state.traps.len() >= MAX_COUNTS {
            state.traps.clear();
        }
        let count = state.traps.entry(after).or_insert(0);
        *count = count.saturating_add(1);
        *count >= TRAPS_BEFORE
    }

    /// Lets the caller rewrite a site unless somebody is at it; then there will be another trap.
    pub fn begin(&self) -> Option<MutexGuard<'_, ()>> {
        self.rewriting.try_lock()
    }

    /// Decodes a site and chooses its trampoline's place.
    pub fn prepare(&self, core: &Arc<Core>, after: u64, text: &dyn Text) -> Option<Prepared> {
        let addr = after.checked_sub(SYSCALL_LEN)?;
        let mut code = [0; LOOK];
        let len = text.read_code(addr, &mut code).min(LOOK);
        let one_page = addr / PAGE == (addr + PATCH_LEN as u64 - 1) / PAGE;
        let site = Site::decode(addr, &code[..len]).filter(|_| one_page);
        let mut state = self.state.lock();
        if state.sites.contains_key(&after) {
            return None;
        }
        let Some(site) = site else {
            refuse(&mut state, after);
            return None;
        };
        let place = state.regions.iter().find_map(|(start, region)| {
            let slot = take_slot(region, *start, &site)?;
            Some((*start, region.clone(), slot))
        });
        if let Some((start, region, slot)) = place {
            let at = start + slot * trampoline::LEN;
            return Some(Prepared { map: None, site, at, region, slot });
        }
        drop(state);
        let index = core.take_region()?;
        let region = Arc::new(Region { core: core.clone(), index, taken: Mutex::default() });
        let start = text.reserve_near(addr, REGION_LEN).filter(|at| at.is_multiple_of(PAGE));
        let slot = start.and_then(|start| take_slot(&region, start, &site));
        let mut state = self.state.lock();
        let (Some(start), Some(slot)) = (start, slot) else {
            refuse(&mut state, after);
            return None;
        };
        state.regions.push((start, region.clone()));
        let at = start + slot * trampoline::LEN;
        Some(Prepared { map: Some(map_region(core, start, index)), site, at, region, slot })
    }

    /// The order of `prepared` failed: nothing is mapped in its region.
    pub fn give_up(&self, prepared: &Prepared) {
        let mut state = self.state.lock();
        state.regions.retain(|(_, region)| !Arc::ptr_eq(region, &prepared.region));
        refuse(&mut state, prepared.site.addr + SYSCALL_LEN);
    }

    /// Writes the trampoline, has the site rewritten, remembers both.
    pub fn finish(&self, core: &Core, prepared: Prepared, text: &dyn Text) -> bool {
        let Prepared { site, at, region, slot, .. } = prepared;
        let after = site.addr + SYSCALL_LEN;
        let done = site.build(at, core.patched_entry()).and_then(|patch| {
            let offset = region.index * REGION_LEN + slot * trampoline::LEN;
            core.write_trampoline(offset, &patch.trampoline);
            let known = Patched { at, moved_len: patch.moved_len, back: patch.back };
            let mut old = [0; PATCH_LEN];
            let mut state = self.state.lock();
            // Known before anybody can run into it.
            state.sites.insert(after, known);
            state.trampolines.insert(at, (after, known));
            state.traps.remove(&after);
            self.any.store(true, Release);
            drop(state);
            let read = text.read_code(site.addr, &mut old);
            (read >= PATCH_LEN && text.replace_code(site.addr, &old, &patch.code)).then_some(())
        });
        if done.is_none() {
            let mut state = self.state.lock();
            state.sites.remove(&after);
            state.trampolines.remove(&at);
            refuse(&mut state, after);
        }
        done.is_some()
    }

    /// Where a guest with these registers goes on: nobody may be sent into a rewritten instruction.
    pub fn enter(&self, regs: &mut UserRegs) {
        if self.any.load(Acquire)
            && let Some(patched) = self.state.lock().sites.get(&regs.rip)
        {
            regs.rip = patched.at + trampoline::TAIL;
        }
    }

    /// Translates an event of the slow path that came from a trampoline or from inside a patch.
    /// `true`: it is none of the guest's; let it go on with all registers.
    pub fn translate(&self, regs: &mut UserRegs, event: &Event) -> bool {
        if !self.any.load(Acquire) {
            return false;
        }
        let state = self.state.lock();
        let illegal = matches!(event, Event::Exception { signo: libc::SIGILL, .. });
        if illegal && state.sites.contains_key(&regs.rip) {
            return true;
        }
        let start = regs.rip - regs.rip % trampoline::LEN;
        if let Some((after, patched)) = state.trampolines.get(&start) {
            // A step into the trampoline is half of the original instruction: it goes on until the call
            // has been made.
            let step =
                matches!(event, Event::Exception { signo: libc::SIGTRAP, trapno: DEBUG_TRAP, .. });
            if step && regs.rip - start < trampoline::TAIL {
                return true;
            }
            regs.rip = match regs.rip - start {
                trampoline::TAIL => *after,
                at if at == trampoline::TAIL + patched.moved_len => patched.back,
                at if at < trampoline::TAIL => after - SYSCALL_LEN,
                _ => regs.rip,
            };
        }
        false
    }

    /// Forgets the sites in a range whose bytes changed. Their trampolines stay: somebody may be there.
    pub fn forget(&self, addr: u64, len: u64) {
        if !self.any.load(Acquire) {
            return;
        }
        let gone = |after: u64| after.wrapping_sub(addr) < len.saturating_add(SYSCALL_LEN);
        let mut state = self.state.lock();
        state.sites.retain(|after, _| !gone(*after));
        state.refused.retain(|after| !gone(*after));
        state.traps.retain(|after, _| !gone(*after));
    }

    /// Takes over all of `parent`'s; returns the orders that map its regions.
    pub fn inherit(&self, core: &Core, parent: &Self) -> Vec<Call> {
        let from = parent.state.lock();
        let mut to = self.state.lock();
        to.regions.clone_from(&from.regions);
        to.sites.clone_from(&from.sites);
        to.trampolines.clone_from(&from.trampolines);
        to.refused.clone_from(&from.refused);
        self.any.store(parent.any.load(Acquire), Release);
        to.regions.iter().map(|(start, region)| map_region(core, *start, region.index)).collect()
    }
}

fn refuse(state: &mut State, after: u64) {
    state.traps.remove(&after);
    if state.refused.len() < MAX_COUNTS {
        state.refused.insert(after);
    }
}

fn take_slot(region: &Region, start: u64, site: &Site) -> Option<u64> {
    let mut taken = region.taken.lock();
    let slot = (0..SLOTS)
        .find(|slot| site.fits(start + slot * trampoline::LEN) && !taken.contains(slot))?;
    taken.insert(slot);
    Some(slot)
}

fn map_region(core: &Core, start: u64, index: u64) -> Call {
    let word = |value: i32| u64::from(value.cast_unsigned());
    let prot = word(libc::PROT_READ | libc::PROT_EXEC);
    let fd = word(core.files.trampolines.as_raw_fd());
    let args = [start, REGION_LEN, prot, word(MAP_FLAGS), fd, index * REGION_LEN];
    Call::new(libc::SYS_mmap, args)
}
