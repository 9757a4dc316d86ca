//! `timerfd_create(2)`.

use crate::caller::Caller;
use crate::file::{File, FileOps};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL, ENOTTY};
use bevor_base::clock::monotonic_ns;
use bevor_base::timer::{Timed, TimerId, TimerQueue};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, UserAddr};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::{Arc, Weak};

/// `TFD_IOC_SET_TICKS`: what was not read yet, set by who restores a checkpoint.
const TFD_IOC_SET_TICKS: u32 = 0x4008_5400;

/// A timer's setting on the host's `CLOCK_MONOTONIC`, nanoseconds; 0 disarms or means no interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Setting {
    /// When it expires next.
    pub deadline_ns: u64,
    /// Period after that.
    pub interval_ns: u64,
}

struct State {
    setting: Setting,
    armed: Option<TimerId>,
    /// Expirations nobody has read, up to the last one counted.
    expirations: u64,
    /// What `timerfd_settime` was told.
    flags: u32,
}

struct Inner {
    this: Weak<Self>,
    timers: Arc<TimerQueue>,
    state: Mutex<State>,
    queue: WaitQueue,
}

impl Timed for Inner {
    fn expired(&self) {
        let mut state = self.state.lock();
        state.armed = None;
        self.count(&mut state);
        drop(state);
        self.queue.wake(Ready::READABLE);
    }
}

impl Inner {
    /// Counts the periods that have passed and arms the next one.
    fn count(&self, state: &mut State) {
        let Setting { deadline_ns, interval_ns } = state.setting;
        let now = monotonic_ns();
        if deadline_ns != 0 && now >= deadline_ns {
            match (now - deadline_ns).checked_div(interval_ns) {
                None => {
                    state.expirations += 1;
                    state.setting.deadline_ns = 0;
                }
                Some(whole) => {
                    state.expirations += whole + 1;
                    state.setting.deadline_ns = deadline_ns + (whole + 1) * interval_ns;
                }
            }
        }
        self.rearm(state);
    }

    fn rearm(&self, state: &mut State) {
        if let Some(armed) = state.armed.take() {
            self.timers.disarm(armed);
        }
        if state.setting.deadline_ns != 0
            && let Some(this) = self.this.upgrade()
        {
            state.armed = Some(self.timers.arm(state.setting.deadline_ns, this));
        }
    }
}

/// A timer read through a descriptor.
pub struct TimerFd {
    inner: Arc<Inner>,
    /// The guest's clock it was made for.
    pub clock_id: i32,
}

impl TimerFd {
    /// A disarmed timer.
    #[must_use]
    pub fn new(timers: Arc<TimerQueue>, clock_id: i32) -> Self {
        let state = State { setting: Setting::default(), armed: None, expirations: 0, flags: 0 };
        let inner = Arc::new_cyclic(|this| Inner {
            this: this.clone(),
            timers,
            state: Mutex::new(state),
            queue: WaitQueue::new(),
        });
        Self { inner, clock_id }
    }

    /// Sets it, as `flags` (`TFD_TIMER_*`) told; unread expirations are forgotten. Returns the time
    /// left and the old interval.
    pub fn set(&self, setting: Setting, flags: u32) -> Setting {
        let mut state = self.inner.state.lock();
        let old = left(&state);
        state.setting = setting;
        state.flags = flags;
        state.expirations = 0;
        self.inner.rearm(&mut state);
        old
    }

    /// Time left (not absolute) and interval.
    #[must_use]
    pub fn get(&self) -> Setting {
        left(&self.inner.state.lock())
    }
}

fn left(state: &State) -> Setting {
    let Setting { deadline_ns, interval_ns } = state.setting;
    let left = match deadline_ns {
        0 => 0,
        // One that is due but not counted yet still shows as running.
        _ => deadline_ns.saturating_sub(monotonic_ns()).max(1),
    };
    Setting { deadline_ns: left, interval_ns }
}

impl FileOps for TimerFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn stays_where_it_is(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        if dst.remaining() < 8 {
            return Err(EINVAL.into());
        }
        let mut state = self.inner.state.lock();
        self.inner.count(&mut state);
        let count = std::mem::take(&mut state.expirations);
        drop(state);
        if count == 0 {
            return Err(EAGAIN.into());
        }
        dst.put(&count.to_ne_bytes())
    }

    fn poll(&self) -> Ready {
        Ready::READABLE.when(self.inner.state.lock().expirations > 0)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inner.queue)
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = file;
        if cmd != TFD_IOC_SET_TICKS {
            return Err(ENOTTY.into());
        }
        let ticks = caller.mm().read::<u64>(UserAddr(arg))?;
        if ticks == 0 {
            return Err(EINVAL.into());
        }
        self.inner.state.lock().expirations = ticks;
        self.inner.queue.wake(Ready::READABLE);
        Ok(0)
    }

    fn release(&self, file: &File) {
        let _ = file;
        let mut state = self.inner.state.lock();
        state.setting = Setting::default();
        self.inner.rearm(&mut state);
    }

    fn fdinfo(&self) -> String {
        let state = self.inner.state.lock();
        let Setting { deadline_ns, interval_ns } = left(&state);
        let split = |ns: u64| (ns / 1_000_000_000, ns % 1_000_000_000);
        let (value, interval) = (split(deadline_ns), split(interval_ns));
        format!(
            "clockid: {}\nticks: {}\nsettime flags: 0{:o}\nit_value: ({}, {})\nit_interval: ({}, {})\n",
            self.clock_id, state.expirations, state.flags, value.0, value.1, interval.0, interval.1
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
