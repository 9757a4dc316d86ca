//! Page stores against plain byte vectors, mappings included.

use super::{Guest, R, RW, SHARED, Sandbox};
use crate::addr::PAGE_SIZE;
use crate::io::{IoDst, IoSrc};
use crate::mappable::{BackingRun, MapName, Mappable, MappingSet};
use crate::store::{PageStore, SpaceLimit};
use bevor_abi::Errno;
use bevor_abi::errno::{ENOSPC, ENXIO};
use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;

const P: u64 = PAGE_SIZE;

struct StoreFile(Arc<PageStore>);

impl Mappable for StoreFile {
    fn id(&self) -> u64 {
        self.0.id()
    }

    fn backing(&self, offset: u64, len: u64, _for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        self.0.backing(offset, len)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn describe(&self) -> MapName {
        MapName::default()
    }

    fn mappings(&self) -> &MappingSet {
        self.0.mappings()
    }

    fn is_shmem(&self) -> bool {
        true
    }
}

fn store(sandbox: &Sandbox, limit: u64) -> Arc<PageStore> {
    let limit = SpaceLimit::new(limit);
    Arc::new(PageStore::new(&sandbox.pool, &sandbox.account, limit).unwrap())
}

fn write(store: &PageStore, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
    store.write_at(at, &mut IoSrc::kernel(bytes))
}

fn read(store: &PageStore, at: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0xee; len];
    let n = store.read_at(at, &mut IoDst::kernel(&mut buf)).unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn holes_data_and_limits() {
    let sandbox = Sandbox::new(u64::MAX);
    let store = store(&sandbox, 4 * P);
    assert_eq!(write(&store, 10 * P + 5, b"data").unwrap(), 4);
    assert_eq!(store.size(), 10 * P + 9);
    assert_eq!(store.allocated_bytes(), P);
    assert_eq!(store.seek_data(0).unwrap(), 10 * P);
    assert_eq!(store.seek_hole(0).unwrap(), 0);
    assert_eq!(store.seek_hole(10 * P).unwrap(), 10 * P + 9);
    assert_eq!(store.seek_data(11 * P).unwrap_err(), ENXIO);
    assert_eq!(read(&store, 10 * P + 3, 100), b"\0\0data");
    assert_eq!(write(&store, 0, &[1; 8 * P as usize]).unwrap(), 3 * P as usize);
    assert_eq!(write(&store, 4 * P, b"x").unwrap_err(), ENOSPC);
    store.punch_hole(0..2 * P + 1);
    assert_eq!(store.allocated_bytes(), 2 * P);
    assert_eq!(read(&store, 2 * P, 2), [0, 1]);
    store.truncate(1).unwrap();
    assert_eq!(store.allocated_bytes(), 0);
    drop(store);
    assert_eq!(sandbox.account.charged(), 0);
}

#[test]
fn mappings_see_writes_and_lose_truncated_pages() {
    let sandbox = Sandbox::new(u64::MAX);
    let guest = sandbox.guest();
    let other: Guest = sandbox.guest();
    let store = store(&sandbox, u64::MAX);
    store.truncate(4 * P).unwrap();
    let file: Arc<dyn Mappable> = Arc::new(StoreFile(Arc::clone(&store)));
    let at = guest.map_file(&file, 0, 8 * P, RW, SHARED).unwrap();
    let view = other.map_file(&file, 0, 4 * P, R, SHARED).unwrap();
    let copy = other.map_file(&file, 0, 4 * P, RW, super::PRIVATE).unwrap();
    guest.store_byte(at + 2 * P, 5).unwrap();
    assert_eq!(other.load_byte(view + 2 * P).unwrap(), 5);
    assert_eq!(read(&store, 2 * P, 1), [5]);
    other.store_byte(copy + 2 * P, 6).unwrap();
    assert_eq!(guest.load_byte(at + 2 * P).unwrap(), 5);
    write(&store, 3 * P, b"z").unwrap();
    assert_eq!(other.load_byte(view + 3 * P).unwrap(), b'z');
    assert_eq!(guest.load_byte(at + 4 * P).unwrap_err().signo, libc::SIGBUS);
    store.truncate(2 * P).unwrap();
    assert_eq!(guest.load_byte(at + 2 * P).unwrap_err().signo, libc::SIGBUS);
    assert_eq!(other.load_byte(view + 3 * P).unwrap_err().signo, libc::SIGBUS);
    assert_eq!(other.load_byte(copy + 2 * P).unwrap_err().signo, libc::SIGBUS);
    store.truncate(8 * P).unwrap();
    assert_eq!(guest.load_byte(at + 2 * P).unwrap(), 0);
    assert_eq!(other.load_byte(view + 2 * P).unwrap(), 0);
    assert!(store.mappings().is_writable());
    guest.mm.munmap(at, 8 * P).unwrap();
    assert!(!store.mappings().is_empty());
    drop(other);
    assert!(store.mappings().is_empty());
    drop((guest, file, store));
    sandbox.pool.trim();
    assert_eq!(sandbox.account.charged(), 0);
    assert_eq!(sandbox.pool.committed_bytes(&sandbox.account), 0);
}

#[test]
fn a_file_can_be_read_into_its_own_mapping() {
    let sandbox = Sandbox::new(u64::MAX);
    let guest = sandbox.guest();
    let store = store(&sandbox, u64::MAX);
    write(&store, 0, &[7; 100]).unwrap();
    let file: Arc<dyn Mappable> = Arc::new(StoreFile(Arc::clone(&store)));
    let at = guest.map_file(&file, 0, P, RW, super::PRIVATE).unwrap();
    let mut dst = IoDst::user_one(&guest.mm, crate::UserAddr(at + 200), 50);
    assert_eq!(store.read_at(0, &mut dst).unwrap(), 50);
    assert_eq!(guest.load_byte(at + 249).unwrap(), 7);
    let mut src = IoSrc::user_one(&guest.mm, crate::UserAddr(at + 200), 50);
    assert_eq!(store.write_at(300, &mut src).unwrap(), 50);
    assert_eq!(read(&store, 349, 10), [7]);
}

#[derive(Clone, Debug)]
enum Op {
    Append { len: usize, value: u8 },
    Settle,
    Write { at: u64, len: usize, value: u8 },
    Truncate { len: u64 },
    Punch { at: u64, len: u64 },
    Map { at: u64, len: u64 },
}

/// Runs random operations on contents of up to 25 `units`.
fn compare_with_bytes(unit: u64, cases: u32, sandbox: fn() -> Sandbox) {
    let span = || (0..20 * unit, 1..5 * unit);
    let op = prop_oneof![
        4 => (1..5 * unit, 1u8..).prop_map(|(len, value)| Op::Append { len: len as usize, value }),
        4 => (span(), 1u8..).prop_map(|((at, len), value)| Op::Write { at, len: len as usize, value }),
        1 => (0..20 * unit).prop_map(|len| Op::Truncate { len }),
        1 => span().prop_map(|(at, len)| Op::Punch { at, len }),
        1 => proptest::strategy::Just(Op::Settle),
        1 => span().prop_map(|(at, len)| Op::Map { at: at & !(P - 1), len: (len & !(P - 1)) + P }),
    ];
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    runner
        .run(&proptest::collection::vec(op, 1..60), |ops| {
            let sandbox = sandbox();
            let store = store(&sandbox, u64::MAX);
            let mut model: Vec<u8> = Vec::new();
            for op in ops {
                match op {
                    Op::Append { len, value } => {
                        let at = model.len();
                        assert_eq!(write(&store, at as u64, &vec![value; len]).unwrap(), len);
                        model.resize(at + len, value);
                    }
                    Op::Settle => store.settle(),
                    Op::Write { at, len, value } => {
                        assert_eq!(write(&store, at, &vec![value; len]).unwrap(), len);
                        let at = at as usize;
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].fill(value);
                    }
                    Op::Truncate { len } => {
                        store.truncate(len).unwrap();
                        model.resize(len as usize, 0);
                    }
                    Op::Punch { at, len } => {
                        store.punch_hole(at..at + len);
                        let end = model.len().min((at + len) as usize);
                        model[end.min(at as usize)..end].fill(0);
                    }
                    Op::Map { at, len } => drop(store.backing(at, len).unwrap()),
                }
                assert_eq!(store.size(), model.len() as u64);
            }
            assert_eq!(read(&store, 0, model.len() + 10), model);
            let mut at = 0;
            while let Ok(data) = store.seek_data(at) {
                assert!(model[at as usize..data as usize].iter().all(|&byte| byte == 0));
                at = store.seek_hole(data).unwrap();
                assert!(at > data);
            }
            drop(store);
            assert_eq!(sandbox.account.charged(), 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_operations_match_a_byte_vector() {
    compare_with_bytes(P, 200, || Sandbox::new(u64::MAX));
}

#[test]
fn long_contents_match_a_byte_vector() {
    compare_with_bytes(100 * P, 40, || Sandbox::with_large_files(u64::MAX));
}

#[test]
fn what_is_set_aside_is_given_back() {
    let sandbox = Sandbox::with_large_files(1 << 30);
    let store = store(&sandbox, u64::MAX);
    let piece = vec![9; 32 * P as usize];
    let len = (1 << 20) + 32 * P;
    for at in (0..len).step_by(piece.len()) {
        write(&store, at, &piece).unwrap();
    }
    assert_eq!(store.allocated_bytes(), len);
    assert!(sandbox.account.charged() > len);
    store.settle();
    assert_eq!(sandbox.account.charged(), len);
    assert_eq!(sandbox.pool.committed_bytes(&sandbox.account), len);
    assert_eq!(read(&store, len - 1, 10), [9]);
    // Written on: what was set aside and given back reads as zeros where nobody wrote.
    write(&store, len + P, b"x").unwrap();
    assert_eq!(read(&store, len, P as usize), vec![0; P as usize]);
    store.truncate(0).unwrap();
    assert_eq!(sandbox.account.charged(), 0);
}

#[test]
fn short_of_memory_nothing_is_set_aside() {
    let sandbox = Sandbox::with_large_files(5 << 20);
    let store = store(&sandbox, u64::MAX);
    let piece = vec![9; 1 << 20];
    for at in 0..5 {
        assert_eq!(write(&store, at << 20, &piece).unwrap(), piece.len());
    }
    assert_eq!(sandbox.account.charged(), 5 << 20);
    assert!(write(&store, 5 << 20, &piece).is_err());
}
