//! Process ids and pid namespaces (`pid_namespaces(7)`).
//!
//! A [`Pid`] is one identity: a number in its namespace and in every ancestor. Threads, thread
//! groups, process groups and sessions are all named by one.

use bevor_abi::Errno;
use bevor_abi::errno::EAGAIN;
use bevor_base::UserNamespace;
use bevor_base::cred::next_namespace_id;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

static NEXT_PID: AtomicU64 = AtomicU64::new(1);

/// `/proc/sys/kernel/pid_max` at start.
pub const PID_MAX: i32 = 4_194_304;

/// First number given out again after the numbers have wrapped.
const RESERVED_PIDS: i32 = 300;

/// One identity, with a number in each namespace that can see it.
#[derive(Debug)]
pub struct Pid {
    /// Unique in the sandbox, never reused.
    pub id: u64,
    /// The namespace it lives in first, then its ancestors.
    numbers: Vec<(Arc<PidNamespace>, i32)>,
    /// The wait status of the thread or process, once nothing of it is left.
    ended: OnceLock<i32>,
}

impl Pid {
    /// Draws a number in `ns` and all its ancestors.
    ///
    /// # Errors
    /// `EAGAIN` when a namespace has no number left; `ENOMEM` (as Linux) when its init is gone.
    pub fn allocate(ns: &Arc<PidNamespace>) -> Result<Arc<Self>, Errno> {
        Self::allocate_with(ns, &[])
    }

    /// Like [`Pid::allocate`], asking for the given numbers from the innermost namespace outwards
    /// (`clone3` `set_tid`).
    ///
    /// # Errors
    /// `EEXIST` when a number is taken, `EINVAL` for too many or non-positive numbers.
    pub fn allocate_with(ns: &Arc<PidNamespace>, wanted: &[i32]) -> Result<Arc<Self>, Errno> {
        let mut numbers: Vec<(Arc<PidNamespace>, i32)> = Vec::new();
        let mut at = Some(ns);
        let mut failure = None;
        while let Some(ns) = at {
            match ns.draw(wanted.get(numbers.len()).copied()) {
                Ok(number) => numbers.push((ns.clone(), number)),
                Err(errno) => {
                    failure = Some(errno);
                    break;
                }
            }
            at = ns.parent.as_ref();
        }
        if let Some(errno) = failure {
            for (ns, number) in &numbers {
                ns.inner.lock().pids.remove(number);
            }
            return Err(errno);
        }
        let pid = Arc::new(Self {
            id: NEXT_PID.fetch_add(1, Ordering::Relaxed),
            numbers,
            ended: OnceLock::new(),
        });
        for (ns, number) in &pid.numbers {
            ns.inner.lock().pids.insert(*number, Arc::downgrade(&pid));
        }
        Ok(pid)
    }

    /// The namespace it was made in.
    #[must_use]
    pub fn namespace(&self) -> &Arc<PidNamespace> {
        // An identity always has at least the namespace it was drawn in.
        &self.numbers[0].0
    }

    /// Its number as seen from `ns`; `None` if `ns` cannot see it.
    #[must_use]
    pub fn number_in(&self, ns: &PidNamespace) -> Option<i32> {
        self.numbers.iter().find(|(its, _)| its.id == ns.id).map(|&(_, number)| number)
    }

    /// Its number as seen from `ns`, 0 if invisible (what `getppid` and `si_pid` show).
    #[must_use]
    pub fn number_or_zero(&self, ns: &PidNamespace) -> i32 {
        self.number_in(ns).unwrap_or(0)
    }

    /// Notes that nothing is left of what it names, and its wait status.
    pub fn end(&self, status: i32) {
        // Nothing ends twice.
        let _ = self.ended.set(status);
    }

    /// The wait status of what it named, if nothing of that is left.
    #[must_use]
    pub fn ended(&self) -> Option<i32> {
        self.ended.get().copied()
    }

    /// Its number in its own namespace.
    #[must_use]
    pub fn own_number(&self) -> i32 {
        self.numbers[0].1
    }

    /// Its numbers from the outermost namespace `outer` that sees it to its own (`NSpid:`).
    #[must_use]
    pub fn numbers_from(&self, outer: &PidNamespace) -> Vec<i32> {
        let depth = self.numbers.iter().position(|(ns, _)| ns.id == outer.id);
        let visible = depth.map_or(&[][..], |depth| &self.numbers[..=depth]);
        visible.iter().rev().map(|&(_, number)| number).collect()
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        for (ns, number) in &self.numbers {
            ns.inner.lock().pids.remove(number);
        }
    }
}

#[derive(Debug, Default)]
struct Numbers {
    /// `None` marks a number being drawn.
    pids: BTreeMap<i32, Weak<Pid>>,
    last: i32,
}

/// A pid namespace.
#[derive(Debug)]
pub struct PidNamespace {
    /// Unique in the sandbox; the inode of `/proc/PID/ns/pid`.
    pub id: u64,
    /// `None` for a container's outermost one.
    pub parent: Option<Arc<Self>>,
    /// Nesting depth.
    pub level: u32,
    /// The owner of the namespace.
    pub user_ns: Arc<UserNamespace>,
    inner: Mutex<Numbers>,
    /// Set when its init has died: no process can be made in it any more.
    dead: AtomicBool,
}

impl PidNamespace {
    /// Makes an empty namespace; its first process gets number 1.
    #[must_use]
    pub fn new(parent: Option<Arc<Self>>, user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self {
            id: next_namespace_id(),
            level: parent.as_ref().map_or(0, |parent| parent.level + 1),
            parent,
            user_ns,
            inner: Mutex::default(),
            dead: AtomicBool::new(false),
        })
    }

    /// Finds the identity with this number.
    #[must_use]
    pub fn find(&self, number: i32) -> Option<Arc<Pid>> {
        self.inner.lock().pids.get(&number)?.upgrade()
    }

    /// All identities, by number.
    #[must_use]
    pub fn all(&self) -> Vec<(i32, Arc<Pid>)> {
        let inner = self.inner.lock();
        inner.pids.iter().filter_map(|(&number, pid)| Some((number, pid.upgrade()?))).collect()
    }

    /// The number drawn last (`/proc/loadavg`, `ns_last_pid`).
    #[must_use]
    pub fn last(&self) -> i32 {
        self.inner.lock().last
    }

    /// Sets the number drawn last.
    ///
    /// # Errors
    /// `EINVAL` for what no process can have.
    pub fn set_last(&self, number: i32) -> Result<(), Errno> {
        if !(0..PID_MAX).contains(&number) {
            return Err(bevor_abi::errno::EINVAL.into());
        }
        self.inner.lock().last = number;
        Ok(())
    }

    /// Refuses new processes: its init is dead.
    pub fn close(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whether `self` is `other` or nested in it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let mut at = Some(self);
        while let Some(ns) = at {
            if ns.id == other.id {
                return true;
            }
            at = ns.parent.as_deref();
        }
        false
    }

    fn draw(&self, wanted: Option<i32>) -> Result<i32, Errno> {
        use bevor_abi::errno::{EEXIST, EINVAL, ENOMEM};
        if self.dead.load(Ordering::Acquire) {
            return Err(ENOMEM.because("the init of the pid namespace is dead"));
        }
        let mut inner = self.inner.lock();
        let number = match wanted {
            Some(number) if !(1..PID_MAX).contains(&number) => return Err(EINVAL.into()),
            Some(number) if inner.pids.contains_key(&number) => return Err(EEXIST.into()),
            Some(number) if number != 1 && inner.last == 0 => return Err(EINVAL.into()),
            Some(number) => number,
            None => {
                let number = inner.next_free().ok_or(EAGAIN)?;
                inner.last = number;
                number
            }
        };
        inner.pids.insert(number, Weak::new());
        Ok(number)
    }
}

impl Numbers {
    /// The next number after the last one, cyclically, as Linux hands them out.
    fn next_free(&self) -> Option<i32> {
        let after = (self.last + 1..PID_MAX).find(|number| !self.pids.contains_key(number));
        after.or_else(|| (RESERVED_PIDS..PID_MAX).find(|number| !self.pids.contains_key(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_from_ancestors_only() {
        let user = UserNamespace::initial();
        let outer = PidNamespace::new(None, user.clone());
        let first = Pid::allocate(&outer).unwrap();
        let inner = PidNamespace::new(Some(outer.clone()), user);
        let nested = Pid::allocate(&inner).unwrap();
        assert_eq!((first.own_number(), nested.own_number()), (1, 1));
        assert_eq!((nested.number_in(&outer), first.number_in(&inner)), (Some(2), None));
        assert_eq!(nested.numbers_from(&outer), [2, 1]);
        assert_eq!(outer.find(2).unwrap().id, nested.id);
        drop(nested);
        assert!(outer.find(2).is_none());
        assert_eq!(Pid::allocate(&outer).unwrap().own_number(), 3);
        inner.close();
        assert!(Pid::allocate(&inner).is_err());
    }

    #[test]
    fn chosen_numbers_must_be_free() {
        let ns = PidNamespace::new(None, UserNamespace::initial());
        let _init = Pid::allocate(&ns).unwrap();
        let chosen = Pid::allocate_with(&ns, &[77]).unwrap();
        assert_eq!(chosen.own_number(), 77);
        let taken = Pid::allocate_with(&ns, &[77]).unwrap_err();
        assert_eq!(taken, bevor_abi::errno::EEXIST);
    }
}
