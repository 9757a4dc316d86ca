//! One timer: when it is due, what it does then.

use super::source::Source;
use crate::group::ThreadGroup;
use crate::kernel::Kernel;
use crate::signal::{Detail, Info, send};
use crate::task::Task;
use bevor_abi::time::CLOCK_MONOTONIC;
use bevor_base::clock::monotonic_ns;
use bevor_base::timer::{Timed, TimerId, TimerQueue};
use std::sync::{Arc, Weak};

/// Shortest and longest wall time between looks at a CPU clock, nanoseconds.
const LEAST_LOOK_NS: u64 = 1_000_000;
/// An idle process is looked at no more often than this.
const IDLE_LOOK_NS: u64 = 50_000_000;

/// Time to the first expiration and between later ones, nanoseconds; zero for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Setting {
    /// To the first expiration.
    pub value_ns: u64,
    /// Between later ones.
    pub interval_ns: u64,
}

/// What an expiration does.
#[derive(Clone)]
pub enum Notify {
    /// Nothing.
    Nothing,
    /// Sends a signal to the process.
    Process(Info),
    /// Sends a signal to one thread.
    Thread(Weak<Task>, Info),
}

impl Notify {
    /// What the signal carries.
    pub(super) const fn detail(&mut self) -> Option<&mut Detail> {
        match self {
            Self::Nothing => None,
            Self::Process(info) | Self::Thread(_, info) => Some(&mut info.detail),
        }
    }

    /// Sends the signal; whether it is in a queue now.
    pub(super) fn send(&self, group: &Arc<ThreadGroup>, source: &Source) -> bool {
        match self {
            Self::Nothing => false,
            Self::Process(info) => {
                let send = if source.is_wall() { send::try_to_group } else { send::try_to_busy };
                let sent = send(group, *info);
                sent.is_ok() && group.signals.lock().pending.iter().any(|one| same(one, info))
            }
            Self::Thread(task, info) => task.upgrade().is_some_and(|task| {
                let sent = send::try_to_task(&task, *info);
                sent.is_ok() && task.signals.lock().pending.iter().any(|one| same(one, info))
            }),
        }
    }
}

fn same(one: &Info, other: &Info) -> bool {
    one.signo == other.signo && one.code == other.code && one.detail == other.detail
}

/// An entry of the kernel's queue; dropping it takes it out.
struct Alarm {
    queue: Arc<TimerQueue>,
    id: TimerId,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.queue.disarm(self.id);
    }
}

/// One timer.
pub(super) struct Timer {
    source: Source,
    /// The guest's name of the clock.
    pub(super) clock_id: i32,
    notify: Notify,
    /// When it expires next, or has expired if `queued`; in the time of `source`.
    expiry_ns: Option<u64>,
    interval_ns: u64,
    /// Whether its signal was sent and not taken yet.
    queued: bool,
    overrun: i32,
    alarm: Option<Alarm>,
    /// What `source` showed at the last look, to see whether it advances.
    last_look_ns: Option<u64>,
}

impl Timer {
    pub(super) fn new(source: Source, notify: Notify) -> Self {
        Self {
            source,
            clock_id: CLOCK_MONOTONIC,
            notify,
            expiry_ns: None,
            interval_ns: 0,
            queued: false,
            overrun: 0,
            alarm: None,
            last_look_ns: None,
        }
    }

    /// What it counts.
    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    pub(super) const fn notify(&self) -> &Notify {
        &self.notify
    }

    pub(super) const fn last_overrun(&self) -> i32 {
        self.overrun
    }

    /// Time to the next expiration, at least one nanosecond while there will be one.
    pub(super) fn remaining(&self) -> Setting {
        let Some(expiry) = self.expiry_ns else {
            return Setting { value_ns: 0, interval_ns: self.interval_ns };
        };
        let now = self.source.now_ns();
        let next = if expiry > now {
            expiry
        } else if self.interval_ns == 0 {
            // Without signal nobody has noticed: it is over.
            let value_ns = u64::from(!matches!(self.notify, Notify::Nothing));
            return Setting { value_ns, interval_ns: 0 };
        } else {
            self.after(expiry, now).0
        };
        Setting { value_ns: (next - now).max(1), interval_ns: self.interval_ns }
    }

    /// The first expiration after `now`, and how many of those before it come after `expiry`.
    fn after(&self, expiry: u64, now: u64) -> (u64, u64) {
        let missed = now.saturating_sub(expiry) / self.interval_ns;
        let next = expiry.saturating_add(self.interval_ns.saturating_mul(missed + 1));
        (next, missed)
    }

    /// Sets it from now on; it must be armed afterwards.
    pub(super) fn set(&mut self, setting: Setting) {
        let expiry = match setting.value_ns {
            0 => None,
            value => Some(self.source.now_ns().saturating_add(value)),
        };
        self.set_at(expiry, setting.interval_ns);
    }

    /// Sets it to expire at a time of its clock; it must be armed afterwards.
    pub(super) fn set_at(&mut self, expiry_ns: Option<u64>, interval_ns: u64) {
        self.alarm = None;
        self.queued = false;
        self.overrun = 0;
        self.last_look_ns = None;
        self.interval_ns = interval_ns;
        self.expiry_ns = expiry_ns;
    }

    /// Puts it into the kernel's queue if it will expire.
    pub(super) fn arm(&mut self, kernel: &Kernel, what: impl FnOnce() -> Arc<dyn Timed>) {
        self.alarm = None;
        let Some(expiry) = self.expiry_ns.filter(|_| !self.queued) else { return };
        if matches!(self.notify, Notify::Nothing) {
            return;
        }
        let deadline = if self.source.is_wall() { expiry } else { self.look_at(expiry) };
        let queue = kernel.timers.clone();
        let id = queue.arm(deadline, what());
        self.alarm = Some(Alarm { queue, id });
    }

    /// When to look at the CPU clock next: not before all of it could have been used up.
    fn look_at(&mut self, expiry: u64) -> u64 {
        let now = self.source.now_ns();
        let idle = self.last_look_ns.replace(now) == Some(now);
        let least = if idle { IDLE_LOOK_NS } else { LEAST_LOOK_NS };
        let guess = expiry.saturating_sub(now) / self.source.most_speed();
        monotonic_ns().saturating_add(guess.max(least))
    }

    /// Notes that its deadline has come; `false` if it is not due yet.
    pub(super) fn expire(&mut self) -> bool {
        self.alarm = None;
        let Some(expiry) = self.expiry_ns.filter(|_| !self.queued) else { return false };
        if self.source.now_ns() < expiry {
            return false;
        }
        self.queued = true;
        if self.interval_ns == 0 {
            self.expiry_ns = None;
        }
        true
    }

    /// Its signal was taken: the next expiration lies ahead, at least `least_ns` from now. Returns
    /// how many were missed; `None` if no signal was out.
    pub(super) fn taken(&mut self, least_ns: u64) -> Option<i32> {
        if !std::mem::take(&mut self.queued) {
            return None;
        }
        let missed = match self.expiry_ns {
            Some(expiry) if self.interval_ns != 0 => {
                let now = self.source.now_ns();
                let (next, missed) = self.after(expiry, now);
                self.expiry_ns = Some(next.max(now.saturating_add(least_ns)));
                missed
            }
            _ => 0,
        };
        self.overrun = i32::try_from(missed).unwrap_or(i32::MAX);
        Some(self.overrun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(value_ns: u64, interval_ns: u64) -> Timer {
        let mut timer = Timer::new(Source::Wall, Notify::Process(Info::kernel(14)));
        timer.set(Setting { value_ns, interval_ns });
        timer
    }

    const HOUR_NS: u64 = 3_600_000_000_000;

    #[test]
    fn remaining_time_shrinks_and_ends() {
        let far = timer(HOUR_NS, 7);
        let left = far.remaining();
        assert!(left.value_ns <= HOUR_NS && left.value_ns > HOUR_NS / 2 && left.interval_ns == 7);
        assert_eq!(timer(0, 5).remaining().value_ns, 0);
        let mut due = timer(1, 0);
        while !due.expire() {}
        assert_eq!(due.remaining(), Setting::default());
    }

    #[test]
    fn it_expires_once_until_its_signal_is_taken() {
        let mut timer = timer(1, HOUR_NS);
        while !timer.expire() {}
        assert!(!timer.expire());
        assert_eq!(timer.taken(0), Some(0));
        assert_eq!(timer.taken(0), None);
        let left = timer.remaining().value_ns;
        assert!(left > HOUR_NS / 2 && left <= HOUR_NS);
    }

    #[test]
    fn what_was_missed_is_the_overrun() {
        let mut timer = timer(1, 1000);
        while !timer.expire() {}
        let begin = monotonic_ns();
        while monotonic_ns() < begin + 50_000 {}
        let missed = timer.taken(0).expect("a signal was out");
        assert!(missed >= 49, "{missed}");
        assert_eq!(timer.last_overrun(), missed);
        let left = timer.remaining().value_ns;
        assert!((1..=1000).contains(&left), "{left}");
    }

    #[test]
    fn a_dropped_signal_slows_the_timer_down() {
        let mut timer = timer(1, 1);
        while !timer.expire() {}
        assert!(timer.taken(HOUR_NS).is_some());
        assert!(timer.remaining().value_ns > HOUR_NS / 2);
    }
}
