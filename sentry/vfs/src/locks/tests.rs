use crate::locks::{self, Kind, Owner, Record};
use crate::testing::TestTask;
use bevor_abi::errno::{EAGAIN, EDEADLK};
use bevor_abi::fcntl::{O_CREAT, O_RDWR};
use bevor_base::{Ready, Wakeable};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const A: Owner = Owner::Process { table: 1, pid: 10 };
const B: Owner = Owner::Process { table: 2, pid: 20 };

fn read(start: u64, end: u64) -> Record {
    Record { kind: Kind::Shared, start, end }
}

fn write(start: u64, end: u64) -> Record {
    Record { kind: Kind::Exclusive, start, end }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wakeable for Woken {
    fn wake(&self, _: Ready) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn records_exclude_split_and_join() {
    let task = TestTask::new();
    let file = task.open("/f", O_CREAT | O_RDWR).unwrap();
    locks::set(&file, A, write(0, 99)).unwrap();
    assert_eq!(locks::set(&file, B, read(99, 99)).unwrap_err(), EAGAIN);
    locks::set(&file, B, read(100, 200)).unwrap();
    // Splits A's lock in three.
    locks::set(&file, A, read(40, 49)).unwrap();
    locks::set(&file, B, read(40, 49)).unwrap();
    assert_eq!(locks::set(&file, B, read(39, 49)).unwrap_err(), EAGAIN);
    locks::clear(&file, B, 0, 60);
    locks::set(&file, A, write(40, 49)).unwrap();
    let found = locks::test(&file, B, &read(45, 45)).unwrap().unwrap();
    assert_eq!((found.pid, found.record), (10, write(0, 99)));
    locks::closed(&file, 1);
    assert_eq!(locks::test(&file, B, &write(0, Record::TO_END)).unwrap(), None);
    locks::closed(&file, 2);
}

#[test]
fn descriptions_own_locks_until_they_end() {
    let task = TestTask::new();
    let file = task.open("/f", O_CREAT | O_RDWR).unwrap();
    let other = task.open("/f", O_RDWR).unwrap();
    let (first, second) = (Owner::Description(file.id()), Owner::Description(other.id()));
    locks::set(&file, first, write(5, 10)).unwrap();
    assert_eq!(locks::set(&other, second, write(10, 10)).unwrap_err(), EAGAIN);
    assert_eq!(locks::test(&other, second, &write(7, 7)).unwrap().unwrap().pid, -1);
    drop(file);
    locks::set(&other, second, write(10, 10)).unwrap();
}

#[test]
fn a_waiter_is_woken_and_gets_the_lock() {
    let task = TestTask::new();
    let file = task.open("/f", O_CREAT | O_RDWR).unwrap();
    locks::set(&file, A, write(0, 9)).unwrap();
    let wait = locks::set_or_wait(&file, B, write(5, 5), None).unwrap().unwrap();
    let woken = Arc::new(Woken::default());
    let _registered = wait.queue.register(woken.clone(), Ready::ALL);
    let wait = locks::set_or_wait(&file, B, write(5, 5), Some(wait)).unwrap().unwrap();
    locks::clear(&file, A, 5, 5);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(locks::set_or_wait(&file, B, write(5, 5), Some(wait)).unwrap().is_none());
    locks::closed(&file, 1);
    locks::closed(&file, 2);
}

#[test]
fn a_circle_of_waiters_is_refused() {
    let task = TestTask::new();
    let file = task.open("/f", O_CREAT | O_RDWR).unwrap();
    let other = task.open("/g", O_CREAT | O_RDWR).unwrap();
    locks::set(&file, A, write(0, 0)).unwrap();
    locks::set(&other, B, write(0, 0)).unwrap();
    let wait = locks::set_or_wait(&other, A, write(0, 0), None).unwrap().unwrap();
    // Not waiting yet: nobody is registered.
    let back = locks::set_or_wait(&file, B, write(0, 0), None).unwrap();
    let registered = wait.queue.register(Arc::new(Woken::default()), Ready::ALL);
    let again = locks::set_or_wait(&other, A, write(0, 0), Some(wait)).unwrap();
    assert!(again.is_some());
    assert_eq!(locks::set_or_wait(&file, B, write(0, 0), back).unwrap_err(), EDEADLK);
    drop(registered);
    assert!(locks::set_or_wait(&file, B, write(0, 0), None).unwrap().is_some());
    for file in [&file, &other] {
        locks::closed(file, 1);
        locks::closed(file, 2);
    }
}

#[test]
fn whole_file_locks_convert() {
    let task = TestTask::new();
    let file = task.open("/f", O_CREAT | O_RDWR).unwrap();
    let other = task.open("/f", O_RDWR).unwrap();
    assert!(locks::flock(&file, Kind::Shared, false, None).unwrap().is_none());
    assert!(locks::flock(&other, Kind::Shared, false, None).unwrap().is_none());
    assert_eq!(locks::flock(&other, Kind::Exclusive, false, None).unwrap_err(), EAGAIN);
    // The failed conversion gave up the shared lock.
    assert!(locks::flock(&file, Kind::Exclusive, false, None).unwrap().is_none());
    drop(file);
    assert!(locks::flock(&other, Kind::Exclusive, true, None).unwrap().is_none());
    locks::unflock(&other);
}
