//! Interval timers and POSIX timers of a process (`setitimer(2)`, `timer_create(2)`).
//!
//! A timer that has expired waits for its signal to be taken before it is armed again, as on Linux:
//! the expirations in between are its overrun, and a blocked signal costs nothing.
//!
//! Lock order: `GroupTimers::inner` → `ThreadGroup::threads`; no signal lock is held with it.

mod source;
mod timer;

pub use source::Source;
pub use timer::{Notify, Setting};

use crate::group::ThreadGroup;
use crate::kernel::Kernel;
use crate::limits;
use crate::signal::{self, Detail, Info};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL};
use bevor_abi::signal::{SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU};
use bevor_base::timer::Timed;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use timer::Timer;

/// Nanoseconds of a second.
const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Shortest time between expirations of a timer whose signal goes nowhere, nanoseconds.
const LEAST_DROPPED_NS: u64 = 4_000_000;

/// Which timer of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Which {
    /// `ITIMER_REAL`: wall time, `SIGALRM`.
    Real,
    /// `ITIMER_VIRTUAL`: CPU time of the program, `SIGVTALRM`.
    Virtual,
    /// `ITIMER_PROF`: CPU time in all, `SIGPROF`.
    Prof,
    /// `RLIMIT_CPU`: CPU time in all, `SIGXCPU` and in the end `SIGKILL`.
    CpuLimit,
    /// A POSIX timer by its id.
    Posix(i32),
}

/// Timers of a process.
#[derive(Default)]
pub struct GroupTimers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    timers: BTreeMap<Which, Timer>,
    /// Id of the next POSIX timer.
    next_id: i32,
}

/// What the kernel's queue calls when a deadline has come.
struct Expiry {
    kernel: Weak<Kernel>,
    group: Weak<ThreadGroup>,
    which: Which,
}

impl Timed for Expiry {
    fn expired(&self) {
        if let (Some(kernel), Some(group)) = (self.kernel.upgrade(), self.group.upgrade())
            && !group.is_exiting()
        {
            group.timers.expired(&kernel, &group, self.which);
        }
    }
}

impl Expiry {
    fn of(kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>, which: Which) -> Arc<dyn Timed> {
        let (kernel, group) = (Arc::downgrade(kernel), Arc::downgrade(group));
        Arc::new(Self { kernel, group, which })
    }
}

impl GroupTimers {
    /// Sets an interval timer and returns what it was set to.
    pub fn set_interval_timer(
        &self,
        kernel: &Arc<Kernel>,
        group: &Arc<ThreadGroup>,
        which: Which,
        setting: Setting,
    ) -> Setting {
        let mut inner = self.inner.lock();
        let timer = inner.timers.entry(which).or_insert_with(|| match which {
            Which::Virtual => interval_timer(Source::Process(Arc::downgrade(group)), SIGVTALRM),
            Which::Prof => interval_timer(Source::Process(Arc::downgrade(group)), SIGPROF),
            Which::CpuLimit => interval_timer(Source::Process(Arc::downgrade(group)), SIGXCPU),
            Which::Real | Which::Posix(_) => interval_timer(Source::Wall, SIGALRM),
        });
        let old = timer.remaining();
        timer.set(setting);
        timer.arm(kernel, || Expiry::of(kernel, group, which));
        old
    }

    /// Time left and interval of a timer; zero for one that is not set.
    #[must_use]
    pub fn remaining(&self, which: Which) -> Setting {
        self.inner.lock().timers.get(&which).map(Timer::remaining).unwrap_or_default()
    }

    /// The POSIX timers: id, clock and what each does.
    #[must_use]
    pub fn posix(&self) -> Vec<(i32, i32, Notify)> {
        let inner = self.inner.lock();
        let posix = inner.timers.iter().filter_map(|(which, timer)| match which {
            Which::Posix(id) => Some((*id, timer.clock_id, timer.notify().clone())),
            _ => None,
        });
        posix.collect()
    }

    /// Makes a POSIX timer, not set yet, and returns its id, which is put into what `notify` sends:
    /// as the timer's, and with `carries_id` as the value, too.
    ///
    /// # Errors
    /// `EAGAIN` when there are as many as `RLIMIT_SIGPENDING` allows.
    pub fn create(
        &self,
        group: &ThreadGroup,
        source: Source,
        clock_id: i32,
        mut notify: Notify,
        carries_id: bool,
    ) -> Result<i32, Errno> {
        let mut inner = self.inner.lock();
        if inner.timers.len() as u64 >= group.limits.soft(limits::SIGPENDING) {
            return Err(EAGAIN.because("RLIMIT_SIGPENDING"));
        }
        while inner.timers.contains_key(&Which::Posix(inner.next_id)) {
            inner.next_id = inner.next_id.checked_add(1).unwrap_or(0);
        }
        let id = inner.next_id;
        inner.next_id = id.checked_add(1).unwrap_or(0);
        if let Some(Detail::Timer { id: place, value, .. }) = notify.detail() {
            *place = id;
            if carries_id {
                *value = u64::from(id.cast_unsigned());
            }
        }
        let mut timer = Timer::new(source, notify);
        timer.clock_id = clock_id;
        inner.timers.insert(Which::Posix(id), timer);
        Ok(id)
    }

    /// Sets a POSIX timer and returns what it was set to. `expiry` tells, for the timer's clock,
    /// when it expires first, `None` for never.
    ///
    /// # Errors
    /// `EINVAL` for an unknown id.
    pub fn set(
        &self,
        kernel: &Arc<Kernel>,
        group: &Arc<ThreadGroup>,
        id: i32,
        expiry: impl FnOnce(&Source) -> Option<u64>,
        interval_ns: u64,
    ) -> Result<Setting, Errno> {
        let which = Which::Posix(id);
        let mut inner = self.inner.lock();
        let timer = inner.timers.get_mut(&which).ok_or(EINVAL)?;
        let old = timer.remaining();
        let expiry = expiry(timer.source());
        timer.set_at(expiry, interval_ns);
        timer.arm(kernel, || Expiry::of(kernel, group, which));
        Ok(old)
    }

    /// Time left and interval of a POSIX timer.
    ///
    /// # Errors
    /// `EINVAL` for an unknown id.
    pub fn get(&self, id: i32) -> Result<Setting, Errno> {
        let inner = self.inner.lock();
        Ok(inner.timers.get(&Which::Posix(id)).ok_or(EINVAL)?.remaining())
    }

    /// Overrun of the signal of a POSIX timer taken last.
    ///
    /// # Errors
    /// `EINVAL` for an unknown id.
    pub fn overrun(&self, id: i32) -> Result<i32, Errno> {
        let inner = self.inner.lock();
        Ok(inner.timers.get(&Which::Posix(id)).ok_or(EINVAL)?.last_overrun())
    }

    /// The clock a POSIX timer was made with.
    ///
    /// # Errors
    /// `EINVAL` for an unknown id.
    pub fn clock(&self, id: i32) -> Result<i32, Errno> {
        let inner = self.inner.lock();
        Ok(inner.timers.get(&Which::Posix(id)).ok_or(EINVAL)?.clock_id)
    }

    /// Deletes a POSIX timer.
    ///
    /// # Errors
    /// `EINVAL` for an unknown id.
    pub fn delete(&self, id: i32) -> Result<(), Errno> {
        self.inner.lock().timers.remove(&Which::Posix(id)).map(drop).ok_or_else(|| EINVAL.into())
    }

    /// The ids of all POSIX timers (`/proc/PID/timers`).
    #[must_use]
    pub fn ids(&self) -> Vec<i32> {
        let inner = self.inner.lock();
        let posix = inner.timers.keys().filter_map(|which| match which {
            Which::Posix(id) => Some(*id),
            _ => None,
        });
        posix.collect()
    }

    /// What `execve` does: POSIX timers go, interval timers stay.
    pub fn exec(&self) {
        self.inner.lock().timers.retain(|which, _| !matches!(which, Which::Posix(_)));
    }

    /// Watches `RLIMIT_CPU`, which has just been set or inherited.
    pub fn watch_cpu_limit(&self, kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>) {
        let which = Which::CpuLimit;
        let soft = group.limits.soft(limits::CPU);
        let mut inner = self.inner.lock();
        if soft == limits::INFINITY {
            inner.timers.remove(&which);
            return;
        }
        let source = Source::Process(Arc::downgrade(group));
        let timer = inner.timers.entry(which).or_insert_with(|| interval_timer(source, SIGXCPU));
        timer.set_at(Some(soft.saturating_mul(NSEC_PER_SEC)), 0);
        timer.arm(kernel, || Expiry::of(kernel, group, which));
    }

    /// The CPU time of `RLIMIT_CPU` is used up: `SIGXCPU` every second until the hard limit.
    fn cpu_limit_reached(&self, kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>) {
        let used_ns = Source::Process(Arc::downgrade(group)).now_ns();
        let hard = group.limits.get(limits::CPU).map_or(limits::INFINITY, |limit| limit.hard);
        let over = used_ns / NSEC_PER_SEC >= hard;
        let signal = if over { SIGKILL } else { SIGXCPU };
        signal::send::to_group(group, Info::kernel(signal.number()));
        let mut inner = self.inner.lock();
        if let Some(timer) = inner.timers.get_mut(&Which::CpuLimit)
            && !over
        {
            timer.set_at(Some(used_ns.saturating_add(NSEC_PER_SEC)), 0);
            timer.arm(kernel, || Expiry::of(kernel, group, Which::CpuLimit));
        }
    }

    /// The deadline of a timer has come, or the time at which its CPU time could have been used up.
    fn expired(&self, kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>, which: Which) {
        let (notify, source) = {
            let mut inner = self.inner.lock();
            let Some(timer) = inner.timers.get_mut(&which) else { return };
            if !timer.expire() {
                timer.arm(kernel, || Expiry::of(kernel, group, which));
                return;
            }
            (timer.notify().clone(), timer.source().clone())
        };
        if which == Which::CpuLimit {
            return self.cpu_limit_reached(kernel, group);
        }
        let queued = notify.send(group, &source);
        if queued {
            return;
        }
        // Ignored, merged with another of its kind, or refused: nobody will take it.
        let mut inner = self.inner.lock();
        if let Some(timer) = inner.timers.get_mut(&which)
            && timer.taken(LEAST_DROPPED_NS).is_some()
        {
            timer.arm(kernel, || Expiry::of(kernel, group, which));
        }
    }

    /// A signal was taken from a queue: arms the timer that sent it again, and tells the signal how
    /// often the timer has expired since.
    #[must_use]
    pub fn dequeued(&self, kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>, mut info: Info) -> Info {
        let which = match info.detail {
            Detail::Timer { id, .. } => Which::Posix(id),
            Detail::None if info.signo == SIGALRM.number() => Which::Real,
            Detail::None if info.signo == SIGVTALRM.number() => Which::Virtual,
            Detail::None if info.signo == SIGPROF.number() => Which::Prof,
            _ => return info,
        };
        let mut inner = self.inner.lock();
        let Some(timer) = inner.timers.get_mut(&which) else { return info };
        if let Some(missed) = timer.taken(0) {
            timer.arm(kernel, || Expiry::of(kernel, group, which));
            if let Detail::Timer { overrun, .. } = &mut info.detail {
                *overrun = missed;
            }
        }
        info
    }
}

fn interval_timer(source: Source, signal: bevor_abi::signal::Signal) -> Timer {
    Timer::new(source, Notify::Process(Info::kernel(signal.number())))
}

impl std::fmt::Debug for GroupTimers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupTimers({})", self.inner.lock().timers.len())
    }
}
