//! devpts as a file system, and the two ends of a pseudo-terminal.

use crate::devpts::{DevPts, DevPtsOptions, MasterFile};
use crate::file::File;
use crate::testing::{TestTask, read, write};
use bevor_abi::errno::{EAGAIN, EIO, ENOENT};
use bevor_abi::fcntl::{O_NOCTTY, O_RDWR};
use bevor_base::{Ready, UserNamespace};
use bevor_memory::{Account, MemoryPool};
use std::sync::Arc;

fn task() -> TestTask {
    let options = DevPtsOptions { ptmx_mode: 0o666, mode: 0o620, ..DevPtsOptions::default() };
    let superblock = DevPts::superblock(options, UserNamespace::initial());
    TestTask::on(superblock, MemoryPool::new(), Arc::new(Account::new(1 << 30)))
}

fn master(task: &TestTask) -> Arc<File> {
    let master = task.open("/ptmx", O_RDWR | O_NOCTTY).unwrap();
    let pair = &master.downcast::<MasterFile>().unwrap().pair;
    pair.act(|state, _| state.locked = false);
    master
}

#[test]
fn entries_live_as_long_as_their_masters() {
    let task = task();
    assert_eq!(task.list("/").unwrap(), ["ptmx"]);
    let (first, second) = (master(&task), master(&task));
    assert_eq!(task.list("/").unwrap(), ["0", "1", "ptmx"]);
    let attr = task.stat("/1").unwrap();
    assert_eq!((attr.mode, attr.rdev), (0o020_620, bevor_abi::stat::makedev(136, 1)));
    drop(first);
    assert_eq!(task.list("/").unwrap(), ["1", "ptmx"]);
    assert_eq!(task.stat("/0").unwrap_err(), ENOENT);
    let third = master(&task);
    assert_eq!(task.list("/").unwrap(), ["0", "1", "ptmx"]);
    assert!(task.stat("/01").is_err());
    drop((second, third));
}

#[test]
fn a_number_stays_taken_while_a_slave_is_open() {
    let task = task();
    let first = master(&task);
    let slave = task.open("/0", O_RDWR | O_NOCTTY).unwrap();
    drop(first);
    assert!(slave.path().dentry.is_deleted());
    let _second = master(&task);
    assert_eq!(task.list("/").unwrap(), ["1", "ptmx"]);
    drop(slave);
    let _third = master(&task);
    assert_eq!(task.list("/").unwrap(), ["0", "1", "ptmx"]);
}

#[test]
fn the_ends_speak_with_each_other_until_one_is_closed() {
    let task = task();
    let master = master(&task);
    let slave = task.open("/0", O_RDWR | O_NOCTTY).unwrap();
    assert_eq!(read(&slave, 10).unwrap_err(), EAGAIN);
    write(&master, b"in\n").unwrap();
    assert_eq!(slave.poll(), Ready::READABLE | Ready::WRITABLE);
    assert_eq!(read(&slave, 10).unwrap(), b"in\n");
    write(&slave, b"out\n").unwrap();
    assert_eq!(read(&master, 100).unwrap(), b"in\r\nout\r\n");
    drop(slave);
    assert_eq!(read(&master, 10).unwrap_err(), EIO);
    assert_eq!(master.poll(), Ready::WRITABLE | Ready::HUP);
    let slave = task.open("/0", O_RDWR | O_NOCTTY).unwrap();
    assert_eq!(read(&master, 10).unwrap_err(), EAGAIN);
    drop(master);
    assert_eq!(read(&slave, 10).unwrap(), b"");
    assert_eq!(write(&slave, b"x").unwrap_err(), EIO);
    assert!(slave.poll().intersects(Ready::HUP));
}

#[test]
fn both_directions_are_bounded() {
    let task = task();
    let master = master(&task);
    let slave = task.open("/0", O_RDWR | O_NOCTTY).unwrap();
    let text = vec![b'x'; 100_000];
    let sent = write(&slave, &text).unwrap();
    assert!((4096..65536).contains(&sent));
    assert_eq!(write(&slave, &text).unwrap_err(), EAGAIN);
    assert!(!slave.poll().intersects(Ready::WRITABLE));
    let mut got = 0;
    while let Ok(bytes) = read(&master, 100_000) {
        got += bytes.len();
    }
    assert_eq!(got, sent);
    assert!(slave.poll().intersects(Ready::WRITABLE));
}
