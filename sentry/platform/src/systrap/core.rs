//! What all parts of one systrap platform share.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::{Condvar, Mutex};

use crate::DeathHook;
use crate::arch::systrap::has_rdpid;
use crate::arch::{clock, fpu, patch, vdso};
use crate::systrap::agent::{Agent, Call, EventFds};
use crate::systrap::bell::Bells;
use crate::systrap::host::{self, Children, Cpus, Exec, Part, Window};
use crate::systrap::image::Image;
use crate::systrap::layout::{
    ALT_STACK_LEN, CONFIG_LEN, SLOT_LEN, XSAVE_MAX, agent_down, agent_up,
};
use crate::systrap::patch::{MAX_REGIONS, REGION_LEN};
use crate::systrap::region::{self, GUEST_END, Mapping, Region};
use crate::systrap::reuse::Retired;
use crate::systrap::space::Stub;
use crate::systrap::thread::KickWatch;
use crate::systrap::zygote::{self, Files};
use crate::systrap::{PAGE, SystrapConfig};
use crate::{PlatformError, SpaceId};

/// Slots of the shared files: one for each stub thread, agents included.
const MAX_SLOTS: u64 = 0x4000;
const TRAMPOLINES_LEN: u64 = MAX_REGIONS * REGION_LEN;
/// How many batches of orders may be under way at once.
const NR_EVENT_FDS: usize = 32;
/// How long either side spins before it sleeps, microseconds.
const SPIN_US: u32 = 20;

/// Hands out slots.
#[derive(Debug)]
pub struct Slots {
    free: Vec<u64>,
    next: u64,
    end: u64,
}

impl Slots {
    /// Takes a slot, whose pages are zero.
    pub fn take(&mut self) -> Option<u64> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = self.next;
        (slot < self.end).then(|| {
            self.next += 1;
            slot
        })
    }
}

/// Shared state. Lock order: a stub's locks, then `slots`.
#[derive(Debug)]
pub struct Core {
    pub(super) config: SystrapConfig,
    pub(super) region: Region,
    pub(super) files: Files,
    image_len: u64,
    up: Window,
    stacks: Window,
    trampolines: Window,
    patched_entry: u64,
    regions: Mutex<Slots>,
    down: Window,
    _config_pages: Window,
    pub(super) vdso: Vec<u8>,
    pub(super) bells: Arc<Bells>,
    pub(super) slots: Mutex<Slots>,
    pub(super) event_fds: EventFds,
    zygote: Agent,
    pub(super) zygote_pid: i32,
    pub(super) can_seal: bool,
    /// The zygote was made by the main thread, whose end is the process's.
    pub(super) dies_with_parent: bool,
    pub(super) spin: u32,
    pub(super) cpus: Cpus,
    next_id: AtomicU64,
    /// Live processes by pid.
    pub(super) stubs: Mutex<HashMap<i32, Arc<Stub>>>,
    pub(super) keeper: Mutex<KeeperState>,
    pub(super) keeper_wake: Condvar,
    kicks: KickWatch,
    hook: OnceLock<Hook>,
}

/// What the keeper thread works on.
#[derive(Debug, Default)]
pub struct KeeperState {
    /// Spare processes.
    pub pool: Vec<Arc<Stub>>,
    /// Processes whose guest is gone, to be emptied.
    pub retired: Vec<Retired>,
    /// Slots to clean.
    pub dirty: Vec<u64>,
    /// Kicks must be watched.
    pub kicks: bool,
    /// The platform is being dropped.
    pub stop: bool,
}

struct Hook(DeathHook);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl Core {
    /// Makes the shared files and the zygote. `maps` is this process's `/proc/self/maps`.
    pub fn new(config: SystrapConfig, maps: impl io::Read) -> io::Result<Arc<Self>> {
        let xsave = *fpu::XSAVE;
        if !host::has_fsgsbase() || xsave.len == 0 || xsave.len as u64 > XSAVE_MAX {
            let why = "this processor or kernel lacks FSGSBASE or XSAVE: use --platform=ptrace";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let image = Image::embedded();
        let own = region::own_mappings(maps)?;
        let region = Region::choose(&own)?;
        let files = Files {
            image: host::memfd(c"bevor-stub", image.code.len() as u64, Exec::Allowed)?,
            config: host::memfd(c"bevor-config", CONFIG_LEN, Exec::Sealed)?,
            down: host::memfd(c"bevor-down", MAX_SLOTS * SLOT_LEN, Exec::Sealed)?,
            up: host::memfd(c"bevor-up", MAX_SLOTS * SLOT_LEN, Exec::Sealed)?,
            stacks: host::memfd(c"bevor-stacks", MAX_SLOTS * ALT_STACK_LEN, Exec::Sealed)?,
            trampolines: host::memfd(c"bevor-trampolines", TRAMPOLINES_LEN, Exec::Allowed)?,
        };
        host::write_at(&files.image, image.code, 0)?;
        let constant = patch::window_constant(region.window);
        host::write_at(&files.image, &constant, image.known("guest_window"))?;
        host::seal(&files.image)?;
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let config_pages = Window::map(&files.config, CONFIG_LEN, both)?;
        let down = Window::map(&files.down, MAX_SLOTS * SLOT_LEN, both)?;
        let up = Window::map(&files.up, MAX_SLOTS * SLOT_LEN, libc::PROT_READ)?;
        // Only to see which pages there are.
        let stacks = Window::map(&files.stacks, MAX_SLOTS * ALT_STACK_LEN, libc::PROT_NONE)?;
        let trampolines = Window::map(&files.trampolines, TRAMPOLINES_LEN, both)?;
        let page = config_pages.part(0, CONFIG_LEN);
        zygote::write_config(&page, &image, &region);
        let vdso = own_vdso(&own, &region);

        let cpus = Cpus::current()?;
        let spin = if cpus.count() > 1 { clock::ticks_of_us(SPIN_US) } else { 0 };
        let results = up.part(0, SLOT_LEN);
        let zygote = Agent::new(down.part(0, SLOT_LEN), results, spin);
        let zygote_pid = zygote::start(&files, &zygote, 0, &results, &image, &region, &own)?;
        Ok(Arc::new(Self {
            config,
            region,
            files,
            trampolines,
            patched_entry: region.image + image.known("guest_patched"),
            regions: Mutex::new(Slots { free: Vec::new(), next: 0, end: MAX_REGIONS }),
            image_len: image.known("stub_end"),
            up,
            stacks,
            down,
            _config_pages: config_pages,
            vdso,
            bells: Arc::new(Bells::new(page, region)),
            slots: Mutex::new(Slots { free: Vec::new(), next: 1, end: MAX_SLOTS }),
            event_fds: EventFds::new(NR_EVENT_FDS)?,
            zygote,
            zygote_pid,
            can_seal: host::can_seal(),
            dies_with_parent: host::is_main_thread(),
            spin,
            cpus,
            next_id: AtomicU64::new(1),
            stubs: Mutex::new(HashMap::new()),
            keeper: Mutex::new(KeeperState::default()),
            keeper_wake: Condvar::new(),
            kicks: KickWatch::default(),
            hook: OnceLock::new(),
        }))
    }

    /// The pages of a slot: those the guest writes, those the sentry writes.
    pub fn slot(&self, slot: u64) -> (Part, Part) {
        (self.up.part(slot * SLOT_LEN, SLOT_LEN), self.down.part(slot * SLOT_LEN, SLOT_LEN))
    }

    /// Whether an address lies in the host's vDSO.
    pub fn in_host_vdso(&self, addr: u64) -> bool {
        self.region.host_vdso().contains(&addr)
    }

    /// Clears the pages of a slot that its guest could write and does not at present.
    pub fn wipe_slot(&self, slot: u64) -> io::Result<()> {
        let (up, stack) = (slot * SLOT_LEN, slot * ALT_STACK_LEN);
        host::wipe(&self.files.up, up, &self.up.part(up, SLOT_LEN))?;
        host::wipe(&self.files.stacks, stack, &self.stacks.part(stack, ALT_STACK_LEN))
    }

    /// Where trampolines jump to.
    pub const fn patched_entry(&self) -> u64 {
        self.patched_entry
    }

    /// A region of the trampoline file, of zeros.
    pub fn take_region(&self) -> Option<u64> {
        self.regions.lock().take()
    }

    /// Frees a region no process maps any more.
    pub fn free_region(&self, index: u64) {
        match host::punch(&self.files.trampolines, index * REGION_LEN, REGION_LEN) {
            Ok(()) => self.regions.lock().free.push(index),
            Err(error) => tracing::warn!(index, %error, "a region of trampolines is lost"),
        }
    }

    /// Writes a trampoline nobody jumps to yet.
    pub fn write_trampoline(&self, offset: u64, bytes: &[u8]) {
        self.trampolines.part(offset, bytes.len() as u64).write(0, bytes);
    }

    /// Whether an address lies in the stub's code.
    pub fn in_image(&self, addr: u64) -> bool {
        (self.region.image..self.region.image + self.image_len).contains(&addr)
    }

    /// Makes all ports look at their guests.
    pub fn ring_all_bells(&self) {
        self.bells.ring_all();
    }

    /// Notes that a kick is under way.
    pub fn watch_kicks(&self) {
        if self.kicks.set() {
            self.keeper.lock().kicks = true;
            self.keeper_wake.notify_one();
        }
    }

    /// Starts the next watch of kicks.
    pub fn rewatch_kicks(&self) {
        self.kicks.reset();
    }

    /// Registers the function told of deaths.
    pub fn set_hook(&self, hook: DeathHook) {
        if self.hook.set(Hook(hook)).is_err() {
            tracing::warn!("the death hook is set already");
        }
    }

    /// Makes a stub process with one parked thread.
    pub fn make_stub(self: &Arc<Self>) -> Result<Arc<Stub>, PlatformError> {
        let host = |errno| PlatformError::Host {
            what: "making a stub process",
            source: io::Error::from_raw_os_error(errno),
        };
        let slot = self.slots.lock().take().ok_or_else(|| host(libc::EAGAIN))?;
        let word = |value: i32| u64::from(value.cast_unsigned());
        let flags = bevor_confine::tables::agent::SPACE_FLAGS;
        let files = word(self.files.up.as_raw_fd()) | word(self.files.down.as_raw_fd()) << 32;
        let clone = Call {
            kind: agent_down::CLONE_SPACE,
            nr: libc::SYS_clone,
            args: [word(flags), 0, files, 0, slot * SLOT_LEN, 0],
        };
        let mut results = Vec::with_capacity(1);
        // The map of stubs is locked so that the reaper cannot meet a pid that is not in it yet.
        let mut stubs = self.stubs.lock();
        let run = self.zygote.run(&self.event_fds, &[clone], &mut results);
        run.map_err(|_| PlatformError::Gone)?;
        let pid = match results.first().copied().and_then(|pid| i32::try_from(pid).ok()) {
            Some(pid) if pid > 0 => pid,
            error => {
                self.free_later(&mut vec![slot]);
                return Err(host(error.map_or(libc::EINVAL, |error| -error)));
            }
        };
        let (up, down) = self.slot(slot);
        let id = self.new_id();
        let agent = Agent::new(down, up, self.spin);
        agent.follow_callers(pid);
        let stub = Arc::new(Stub::new(self.clone(), id, pid, agent, vec![slot]));
        stubs.insert(pid, stub.clone());
        drop(stubs);
        stub.set_up().inspect_err(|_| stub.kill())?;
        Ok(stub)
    }

    /// A name for a new address space.
    pub fn new_id(&self) -> SpaceId {
        SpaceId(self.next_id.fetch_add(1, Relaxed))
    }

    /// Has the keeper free slots whose process is reaped. Their pages read as zero afterwards.
    pub fn free_later(&self, slots: &mut Vec<u64>) {
        self.keeper.lock().dirty.append(slots);
        self.keeper_wake.notify_one();
    }

    /// Frees a slot nothing uses any more.
    pub fn free_slot(&self, slot: u64) {
        let clean = host::punch(&self.files.up, slot * SLOT_LEN, SLOT_LEN)
            .and_then(|()| host::punch(&self.files.down, slot * SLOT_LEN, SLOT_LEN))
            .and_then(|()| host::punch(&self.files.stacks, slot * ALT_STACK_LEN, ALT_STACK_LEN));
        match clean {
            Ok(()) => self.slots.lock().free.push(slot),
            Err(error) => tracing::warn!(slot, %error, "control pages are lost"),
        }
    }

    /// The reaper's work for one dead child.
    pub fn reap(&self, pid: i32) {
        if pid == self.zygote_pid {
            self.zygote.set_ended(&self.event_fds);
        }
        let stub = self.stubs.lock().remove(&pid);
        let unasked = stub.as_ref().is_some_and(|stub| stub.ended());
        drop(host::wait(Children::One(pid), 0));
        self.ring_all_bells();
        self.keeper.lock().pool.retain(|spare| spare.pid != pid);
        let died = match stub {
            Some(stub) => unasked.then_some(stub.id),
            None => (pid == self.zygote_pid).then_some(SpaceId::ZYGOTE),
        };
        if let Some(id) = died
            && let Some(Hook(hook)) = self.hook.get()
            && !self.keeper.lock().stop
        {
            hook(id);
        }
    }
}

/// Our vDSO, whose functions lead to where the zygote moves the host's.
fn own_vdso(own: &[Mapping], region: &Region) -> Vec<u8> {
    let Region { window, image } = *region;
    let mut facts = vdso::Facts { host: [0; 4], window, image, rdpid: has_rdpid() };
    let mut at = region.host_vdso().start;
    for mapping in own.iter().filter(|m| m.is_host_vdso()) {
        if mapping.name == "[vdso]" {
            let bytes = host::own_vdso(mapping.range.end - mapping.range.start);
            let elf = bytes.and_then(|bytes| goblin::elf::Elf::parse(bytes).ok());
            for symbol in elf.iter().flat_map(|elf| elf.dynsyms.iter()) {
                let name = elf.as_ref().and_then(|elf| elf.dynstrtab.get_at(symbol.st_name));
                let known = vdso::HOST_FUNCTIONS.iter().position(|known| Some(*known) == name);
                if let Some(place) = known.and_then(|known| facts.host.get_mut(known)) {
                    *place = at + symbol.st_value;
                }
            }
        }
        at += mapping.range.end - mapping.range.start;
    }
    vdso::build(&facts)
}

const _: () = assert!(agent_up::RESULTS < SLOT_LEN && PAGE <= GUEST_END);
