//! Guest threads: the slot shared with the stub, and the kernel's handle.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize};

use crate::arch::systrap::{BAD_RIP, loadable, read_event};
use crate::arch::{clock, fpu, patch};
use crate::systrap::host::{self, Part};
use crate::systrap::layout::{
    ALT_STACK, ALT_STACK_LEN, DOWN, DOWN_XSAVE, SLOT_LEN, UP, UP_XSAVE, down, up,
};
use crate::systrap::space::{Stub, SystrapSpace};
use crate::systrap::{KICK_SIGNAL, PAGE, RawEvent};
use crate::{Answers, Context, Event, FpState, Kick, PlatformError, Thread};

/// How long a parked stub thread may take to do what it is asked before it counts as lost.
const PATIENCE_NS: u64 = 2_000_000_000;

/// Which cores a guest thread may run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Only this one: its worker's, which sleeps while it runs.
    On(usize),
    /// All but this one: its worker's, which spins while it runs.
    Off(usize),
    /// All.
    Anywhere,
}

impl Place {
    const fn number(self) -> usize {
        match self {
            Self::Anywhere => 0,
            Self::On(cpu) => 2 * cpu + 1,
            Self::Off(cpu) => 2 * cpu + 2,
        }
    }
}

/// One host thread of a stub process. Lives until the process is reaped; guest threads come and go.
#[derive(Debug)]
pub struct ThreadShared {
    pub(super) stub: Arc<Stub>,
    slot: u64,
    /// Address of the thread area in the stub.
    pub(super) area: u64,
    up: Part,
    pub(super) down: Part,
    tid: AtomicI32,
    /// Ticks its guest code ran for.
    pub(super) ran: AtomicU64,
    /// When it was resumed, ticks; 0 while it is parked.
    pub(super) since: AtomicU64,
    /// Ticks its events took to be served.
    served: AtomicU64,
    /// When serving the present one began, ticks; 0 while it runs or rests.
    serving_since: AtomicU64,
    /// Host time of the last kick, for the keeper.
    kicked_ns: AtomicU64,
    /// Its [`Place`], as a number.
    place: AtomicUsize,
}

impl ThreadShared {
    pub(super) fn new(stub: Arc<Stub>, slot: u64, area: u64) -> Self {
        let (up, down) = stub.core.slot(slot);
        let (tid, ran, kicked_ns) = (AtomicI32::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (since, place) = (AtomicU64::new(0), AtomicUsize::new(Place::Anywhere.number()));
        let (served, serving_since) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            stub,
            slot,
            area,
            up,
            down,
            tid,
            ran,
            since,
            served,
            serving_since,
            kicked_ns,
            place,
        }
    }

    /// The same host thread for another guest of the same process, `stub`.
    pub(super) fn succeed(&self, stub: Arc<Stub>) -> Self {
        let next = Self::new(stub, self.slot, self.area);
        next.tid.store(self.tid.load(Relaxed), Relaxed);
        next.place.store(self.place.load(Relaxed), Relaxed);
        next
    }

    /// Writes what stays the same in the page the sentry writes.
    pub(super) fn write_constants(&self) {
        let (page, core) = (&self.down, &self.stub.core);
        page.u64(down::STACK_T).store(self.area + ALT_STACK, Relaxed);
        page.u64(down::STACK_T + 8).store(0, Relaxed);
        page.u64(down::STACK_T + 16).store(ALT_STACK_LEN, Relaxed);
        page.u64(down::BELL).store(core.region.bell(0), Relaxed);
        page.u32(down::SPIN).store(core.spin, Relaxed);
        page.u64(down::SCRATCH).store(self.area + UP + up::SCRATCH_END, Relaxed);
    }

    /// Whether the host says that somebody waits for the present run to end: in the stub, which goes
    /// on from there as this thread whatever its registers were.
    pub(super) fn is_stopped(&self) -> bool {
        host::futex_waiters(self.down.u32(down::GO), self.go()) == 1
    }

    /// Clears everything the sentry wrote for the last guest, but for the number of the run.
    pub(super) fn forget(&self) {
        self.down.clear(down::KICK, PAGE - down::KICK);
        self.down.clear(DOWN_XSAVE - DOWN, fpu::XSAVE.len as u64);
        self.write_constants();
    }

    /// Has the parked thread drop what a guest left in its CPU. Tells whether it did; that is a guest's
    /// word unless no guest code is left in the process. Runs are counted anew, from a number that is
    /// neither the last one nor what a cleared page says.
    pub(super) fn reset(&self) -> bool {
        let go = if self.go() == 1 { 2 } else { 1 };
        self.ask(down::RESET, go, 0).is_ok() && self.up.u32(up::SIG).load(Relaxed) == up::CLEAN
    }

    /// Has the parked thread do something in the stub, as run number `go`, and waits for it,
    /// spinning up to `spin` ticks.
    fn ask(&self, flags: u32, go: u32, spin: u32) -> Result<(), PlatformError> {
        let bell = self.stub.core.bells.take_for_wait();
        self.set_bell(bell.address());
        self.release_as(flags, go);
        // Its word that it sleeps may have been cleared.
        host::futex_wake(self.down.u32(down::GO));
        let deadline = host::now_ns() + PATIENCE_NS;
        while !self.has_event() {
            let now = host::now_ns();
            if now >= deadline {
                tracing::warn!(pid = self.stub.pid, "a stub thread is deaf: killing its process");
                self.stub.kill();
                break;
            }
            bell.wait(spin, Some(deadline - now), || self.has_event());
        }
        if self.stub.is_gone() { Err(PlatformError::Gone) } else { Ok(()) }
    }

    /// Notes that serving an event begins now.
    pub(super) fn begin_serving(&self, now: u64) {
        self.serving_since.store(now, Relaxed);
    }

    /// Notes that serving an event has ended, if one was being served.
    pub(super) fn end_serving(&self, now: u64) {
        let since = self.serving_since.swap(0, Relaxed);
        if since != 0 {
            self.served.fetch_add(now.saturating_sub(since), Relaxed);
        }
    }

    pub(super) fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn tid(&self) -> i32 {
        self.tid.load(Relaxed)
    }

    /// Number of the current run.
    #[inline]
    pub(super) fn go(&self) -> u32 {
        self.down.u32(down::GO).load(Relaxed)
    }

    /// Whether the event of the current run is published, or will never be.
    #[inline]
    pub(super) fn has_event(&self) -> bool {
        self.up.u32(up::DONE).load(Acquire) == self.go() || self.stub.is_gone()
    }

    /// Lets the stub thread go on.
    #[inline]
    pub(super) fn release(&self, flags: u32) {
        self.release_as(flags, self.go().wrapping_add(1));
    }

    #[inline]
    fn release_as(&self, flags: u32, go: u32) {
        self.down.u32(down::FLAGS).store(flags, Relaxed);
        self.down.u32(down::GO).store(go, SeqCst);
        if self.up.u32(up::SLEEP).load(SeqCst) != 0 {
            host::futex_wake(self.down.u32(down::GO));
        }
    }

    /// Wakes a stub thread that says it sleeps although it was released.
    pub(super) fn release_again(&self) {
        if self.up.u32(up::SLEEP).load(SeqCst) != 0 {
            host::futex_wake(self.down.u32(down::GO));
        }
    }

    /// How long the thread was running guest code, ticks, as it says itself.
    pub(super) fn guest_ticks(&self) -> u64 {
        let at = |offset| self.up.u64(offset).load(Relaxed);
        at(up::STOPPED).saturating_sub(at(up::STARTED))
    }

    /// Says where the thread may run.
    pub(super) fn put(&self, place: Place) {
        if self.place.load(Relaxed) == place.number() {
            return;
        }
        self.place.store(place.number(), Relaxed);
        let tid = self.tid.load(Relaxed);
        let cpus = &self.stub.core.cpus;
        self.stub.with_live(|| match place {
            Place::On(cpu) => host::pin(tid, cpu),
            Place::Off(cpu) => cpus.keep_off(tid, cpu),
            Place::Anywhere => cpus.unpin(tid),
        });
    }

    /// Frees it from a core it had to share.
    pub(super) fn leave_core(&self) {
        // `Place::On` alone has odd numbers.
        if !self.place.load(Relaxed).is_multiple_of(2) {
            self.put(Place::Anywhere);
        }
    }

    /// Whether resuming it takes a wake-up.
    pub(super) fn sleeps(&self) -> bool {
        self.up.u32(up::SLEEP).load(Relaxed) != 0
    }

    /// How long the thread spins for its next run.
    pub(super) fn set_spin(&self, ticks: u32) {
        let spin = self.down.u32(down::SPIN);
        if spin.load(Relaxed) != ticks {
            spin.store(ticks, Relaxed);
        }
    }

    /// Names the doorbell to ring.
    pub(super) fn set_bell(&self, address: u64) {
        let bell = self.down.u64(down::BELL);
        if bell.load(Relaxed) != address {
            bell.store(address, Relaxed);
        }
    }

    /// Since when a kick is unanswered, host nanoseconds.
    pub(super) fn unanswered_kick(&self) -> Option<u64> {
        let kicked = self.kicked_ns.load(Relaxed);
        let pending = self.down.u32(down::KICK).load(Relaxed) == self.go() && !self.has_event();
        (pending && kicked != 0).then_some(kicked)
    }
}

impl Kick for ThreadShared {
    fn kick(&self) {
        let go = self.go();
        // Compared with the number just read: the thread may be parked and resumed meanwhile.
        let parked = self.up.u32(up::DONE).load(Acquire) == go || self.stub.is_gone();
        if parked || self.down.u32(down::KICK).swap(go, SeqCst) == go {
            return;
        }
        self.kicked_ns.store(host::now_ns(), Relaxed);
        self.stub.core.watch_kicks();
        self.stub.signal(self.tid.load(Relaxed), KICK_SIGNAL);
    }

    fn withdraw_answers(&self) {
        // What the entries refer to stays: the thread may be at an answer just now.
        for (nr, _) in patch::answers(&Answers::default()) {
            self.down.u64(down::ANSWERS + 8 * nr.cast_unsigned()).store(0, Release);
        }
        self.down.u32(down::GETCPU).store(0, SeqCst);
    }
}

/// The kernel's handle of a guest thread.
#[derive(Debug)]
pub struct SystrapThread {
    space: Arc<SystrapSpace>,
    pub(super) shared: Arc<ThreadShared>,
    /// `DOWN_XSAVE` holds a state that is not loaded yet.
    load_fp: bool,
    /// The stub cannot raise this event itself.
    pub(super) instead: Option<Event>,
    /// A doorbell's owner resumed it and has not taken its event.
    pub(super) running: bool,
    /// The call site of the last event, if it should be rewritten.
    candidate: Option<u64>,
}

impl SystrapThread {
    pub(super) fn new(space: Arc<SystrapSpace>, shared: Arc<ThreadShared>) -> Self {
        Self { space, shared, load_fp: false, instead: None, running: false, candidate: None }
    }

    /// Lets the guest run from `ctx`.
    #[inline]
    pub(super) fn start(&mut self, ctx: &Context, bell: u64) -> Result<(), PlatformError> {
        if self.shared.stub.is_gone() {
            return Err(PlatformError::Gone);
        }
        let page = &self.shared.down;
        let mut flags = 0;
        if ctx.full {
            let mut regs = ctx.regs;
            self.shared.stub.patches.enter(&mut regs);
            let Some(regs) = loadable(&regs, self.shared.area) else {
                self.instead = Some(BAD_RIP);
                self.running = true;
                return Ok(());
            };
            page.write_regs(down::REGS, &regs);
            flags |= down::FULL;
        } else {
            page.u64(down::RAX).store(ctx.regs.result(), Relaxed);
        }
        if std::mem::take(&mut self.load_fp) {
            flags |= down::LOAD_FP;
        }
        self.shared.set_bell(bell);
        self.running = true;
        self.shared.release(flags);
        Ok(())
    }
}

impl Thread for SystrapThread {
    fn take_event(&mut self, ctx: &mut Context) -> Event {
        self.running = false;
        if let Some(event) = self.instead.take() {
            ctx.full = true;
            return event;
        }
        let shared = &self.shared;
        if shared.stub.is_gone() {
            return Event::Gone;
        }
        let RawEvent { event, rip, patched } =
            read_event(&shared.up, shared.area, KICK_SIGNAL.cast_unsigned(), ctx);
        if !patched && shared.stub.core.in_image(rip) {
            tracing::warn!(pid = shared.stub.pid, ?event, rip, "a guest broke into the stub");
            shared.stub.kill();
            return Event::Gone;
        }
        self.candidate = None;
        if !patched {
            if shared.stub.patches.translate(&mut ctx.regs, &event) {
                ctx.full = true;
                return Event::Interrupted;
            }
            let rewrite = shared.stub.core.config.rewrite_calls;
            if rewrite && event == Event::Syscall && ctx.regs.gs_base == 0 {
                let after = ctx.regs.rip;
                self.candidate = shared.stub.patches.count_trap(after).then_some(after);
            }
        }
        event
    }

    fn patch_candidate(&self) -> Option<u64> {
        self.candidate
    }

    fn kicker(&self) -> Arc<dyn Kick> {
        self.shared.clone()
    }

    fn fp_state(&mut self) -> Result<FpState, PlatformError> {
        let mut state = FpState { xsave: vec![0; fpu::XSAVE.len] };
        if self.load_fp {
            self.shared.down.read(DOWN_XSAVE - DOWN, &mut state.xsave);
            return if self.space.stub.is_gone() { Err(PlatformError::Gone) } else { Ok(state) };
        }
        let (go, spin) = (self.shared.go().wrapping_add(1), self.shared.stub.core.spin);
        self.shared.ask(down::SAVE_FP, go, spin)?;
        self.shared.up.read(UP_XSAVE - UP, &mut state.xsave);
        Ok(state)
    }

    fn set_fp_state(&mut self, state: &FpState) -> Result<(), PlatformError> {
        if self.shared.stub.is_gone() {
            return Err(PlatformError::Gone);
        }
        self.shared.down.write(DOWN_XSAVE - DOWN, &fpu::loadable(state));
        self.load_fp = true;
        Ok(())
    }

    fn rest(&self) {
        self.shared.end_serving(clock::ticks());
        self.shared.set_spin(0);
    }

    fn set_answers(&mut self, answers: &Answers) {
        if !answers.enabled {
            self.shared.withdraw_answers();
            return;
        }
        let (page, cpus) = (&self.shared.down, &self.shared.stub.core.cpus);
        if let Some(names) = &answers.names {
            page.write(down::NAMES, names.as_flattened());
        }
        let Answers { uid, euid, suid, gid, egid, sgid, .. } = *answers;
        for (id, at) in [uid, euid, suid, gid, egid, sgid].into_iter().zip((down::IDS..).step_by(4))
        {
            page.u32(at).store(id, Relaxed);
        }
        for (rank, &host) in cpus.numbers().iter().enumerate() {
            let host = host as u64;
            let may_tell =
                answers.cpus.get(rank / 64).is_some_and(|bits| bits >> (rank % 64) & 1 != 0);
            if let Ok(told) = u16::try_from(rank + 1)
                && host < down::NR_CPUS
            {
                let told = if may_tell { told } else { 0 };
                page.write(down::CPUS + 2 * host, &told.to_ne_bytes());
            }
        }
        for (nr, entry) in patch::answers(answers) {
            page.u64(down::ANSWERS + 8 * nr.cast_unsigned()).store(entry, Release);
        }
        page.u32(down::GETCPU).store(1, Release);
    }

    fn cpu(&self) -> Option<usize> {
        let claimed = self.shared.up.u32(up::CPU).load(Relaxed);
        self.shared.stub.core.cpus.rank(usize::try_from(claimed).ok()?)
    }

    fn cpu_time_ns(&self) -> u64 {
        let running = match self.shared.since.load(Relaxed) {
            0 => 0,
            since => clock::ticks().saturating_sub(since),
        };
        clock::ns_of_ticks(self.shared.ran.load(Relaxed) + running)
    }

    fn served_ns(&self) -> u64 {
        clock::ns_of_ticks(self.served_ticks())
    }
}

impl SystrapThread {
    fn served_ticks(&self) -> u64 {
        let now = match self.shared.serving_since.load(Relaxed) {
            0 => 0,
            since => clock::ticks().saturating_sub(since),
        };
        self.shared.served.load(Relaxed) + now
    }
}

impl Drop for SystrapThread {
    fn drop(&mut self) {
        if self.running && !self.shared.has_event() {
            // The caller broke its promise; what the thread does can be nobody's business any more.
            self.shared.stub.kill();
            return;
        }
        self.shared.withdraw_answers();
        self.shared.set_spin(0);
        self.shared.ran.store(0, Relaxed);
        self.shared.served.store(0, Relaxed);
        self.shared.serving_since.store(0, Relaxed);
        self.shared.stub.park(self.shared.clone());
    }
}

const _: () = assert!(UP_XSAVE - UP < SLOT_LEN && DOWN_XSAVE - DOWN < SLOT_LEN);

/// Whether some thread was kicked since the keeper last looked.
#[derive(Debug, Default)]
pub struct KickWatch(AtomicBool);

impl KickWatch {
    /// Notes a kick; `true` if it is the first since [`KickWatch::reset`].
    pub fn set(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, SeqCst)
    }

    /// Starts over.
    pub fn reset(&self) {
        self.0.store(false, SeqCst);
    }
}
