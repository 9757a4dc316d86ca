//! Clients that break the rules, and directories that do not hold still.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bevor_abi::errno::EIO;
use bevor_gofer_protocol::client::WalkStop;
use bevor_gofer_protocol::codec::Writer;
use bevor_gofer_protocol::ring::{Header, REPLY, Ring, SLOTS};
use bevor_gofer_protocol::service::Ended;
use bevor_gofer_protocol::wire::{Make, OnNode, Op, Open, ReadDir, Rename, SetAttr, Walk};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use zerocopy::IntoBytes;

use crate::common::{Gofer, LIMITS, TempDir};

const READ: u32 = libc::O_RDONLY.cast_unsigned();

/// How the gofer took a message.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// Answered with this error number, 0 for success.
    Answered(u32),
    /// Ended the connection.
    Ended,
}

/// Writes a message into the ring by hand.
fn send(gofer: &Gofer, ring: &Ring, op: u32, len: u32, payload: &[u8]) -> Taken {
    send_with(gofer, ring, Header { sequence: 1, code: op, len, extra: 0 }, payload)
}

fn send_with(gofer: &Gofer, ring: &Ring, header: Header, payload: &[u8]) -> Taken {
    let slot = SLOTS - 1; // the client takes the lowest
    ring.put(slot, header, payload);
    ring.submit(slot);
    loop {
        if ring.state(slot).load(Ordering::Acquire) == REPLY {
            return Taken::Answered(ring.header(slot).code);
        }
        if gofer.threads.iter().any(std::thread::JoinHandle::is_finished) {
            return Taken::Ended;
        }
        std::thread::yield_now();
    }
}

fn served() -> Gofer {
    let dir = TempDir::new();
    dir.write("dir/file", b"content");
    Gofer::with(dir, false, LIMITS, |_| {})
}

fn message(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn name(name: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.string(name);
    writer.message().to_vec()
}

#[test]
fn malformed_messages_end_the_connection() {
    let number = |gofer: &Gofer| gofer.root.handle.number();
    let walk = |dir, count| Walk { dir, flags: 0, count, open_flags: 0, pad: 0 };
    type Forge<'a> = (&'a str, u32, Box<dyn Fn(&Gofer) -> Vec<u8>>);
    let op = Op::number;
    let cases: Vec<Forge<'_>> = vec![
        ("unknown operation", 999, Box::new(|_| Vec::new())),
        ("operation 0", 0, Box::new(|_| Vec::new())),
        ("too short", op(Op::GetAttr), Box::new(|_| vec![1, 2, 3])),
        (
            "too long",
            op(Op::GetAttr),
            Box::new(move |gofer| message(&[OnNode { node: number(gofer) }.as_bytes(), &[0]])),
        ),
        (
            "the way up",
            op(Op::Walk),
            Box::new(move |gofer| message(&[walk(number(gofer), 1).as_bytes(), &name(b"..")])),
        ),
        (
            "a path for a name",
            op(Op::Walk),
            Box::new(move |gofer| {
                message(&[walk(number(gofer), 1).as_bytes(), &name(b"dir/../..")])
            }),
        ),
        (
            "an absolute path for a name",
            op(Op::Walk),
            Box::new(move |gofer| message(&[walk(number(gofer), 1).as_bytes(), &name(b"/etc")])),
        ),
        (
            "fewer names than announced",
            op(Op::Walk),
            Box::new(move |gofer| message(&[walk(number(gofer), 2).as_bytes(), &name(b"dir")])),
        ),
        (
            "more names than allowed",
            op(Op::Walk),
            Box::new(move |gofer| {
                message(&[walk(number(gofer), 129).as_bytes(), &name(b"a").repeat(129)])
            }),
        ),
        (
            "unknown open flags",
            op(Op::Open),
            Box::new(move |gofer| {
                let flags = libc::O_PATH.cast_unsigned();
                Open { node: number(gofer), flags, pad: 0 }.as_bytes().to_vec()
            }),
        ),
        (
            "unknown setattr mask",
            op(Op::SetAttr),
            Box::new(move |gofer| {
                SetAttr { node: number(gofer), mask: 1 << 20, ..SetAttr::default() }
                    .as_bytes()
                    .to_vec()
            }),
        ),
        (
            "the parent as a new name",
            op(Op::MkDir),
            Box::new(move |gofer| {
                message(&[
                    Make { dir: number(gofer), mode: 0o700, ..Make::default() }.as_bytes(),
                    &name(b".."),
                ])
            }),
        ),
        (
            "a rename out of the directory",
            op(Op::Rename),
            Box::new(move |gofer| {
                let root = number(gofer);
                let head = Rename { from: root, to: root, flags: 0, pad: 0 };
                message(&[head.as_bytes(), &name(b"dir"), &name(b"../dir")])
            }),
        ),
    ];
    for (what, op, forge) in cases {
        let gofer = served();
        let ring = Ring::map(gofer.memory.as_fd()).unwrap();
        let payload = forge(&gofer);
        let len = u32::try_from(payload.len()).unwrap();
        assert_eq!(send(&gofer, &ring, op, len, &payload), Taken::Ended, "{what}");
        assert_eq!(gofer.client.getattr(&gofer.root.handle).unwrap_err(), EIO, "{what}");
    }
}

#[test]
fn lengths_beyond_the_slot_end_the_connection() {
    for len in [u32::MAX, 128 * 1024, 128 * 1024 - 63] {
        let gofer = served();
        let ring = Ring::map(gofer.memory.as_fd()).unwrap();
        assert_eq!(send(&gofer, &ring, Op::GetAttr.number(), len, &[]), Taken::Ended);
    }
}

#[test]
fn slots_that_do_not_exist_end_the_connection() {
    let mut gofer = served();
    let ring = Ring::map(gofer.memory.as_fd()).unwrap();
    ring.pending().fetch_or(1 << 30, Ordering::SeqCst);
    assert_eq!(gofer.client.getattr(&gofer.root.handle).unwrap_err(), EIO);
    let ended: Vec<Ended> = gofer.threads.drain(..).map(|thread| thread.join().unwrap()).collect();
    assert!(ended.iter().any(|ended| matches!(ended, Ended::Malformed(_))), "{ended:?}");
}

#[test]
fn handles_that_were_never_given_out_are_stale() {
    let gofer = served();
    let ring = Ring::map(gofer.memory.as_fd()).unwrap();
    for node in [0, 1, 7, u64::MAX, 1 << 32, (1 << 32) + 1, 2 << 32] {
        if node == gofer.root.handle.number() {
            continue;
        }
        let payload = OnNode { node };
        let taken = send(&gofer, &ring, Op::GetAttr.number(), 8, payload.as_bytes());
        let stale = u32::from(bevor_abi::errno::ESTALE.0);
        assert_eq!(taken, Taken::Answered(stale), "{node:#x}");
        let header = Header { sequence: 1, code: Op::Close.number(), len: 8, extra: 1 };
        let taken = send_with(&gofer, &ring, header, payload.as_bytes());
        assert_eq!(taken, Taken::Answered(0), "{node:#x}");
    }
    gofer.client.getattr(&gofer.root.handle).unwrap();
}

/// A message that is right in most respects.
fn plausible() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let handle = || prop_oneof![4 => (0_u64..8).prop_map(|n| (1 << 32) + n), 1 => any::<u64>()];
    let word =
        || prop_oneof![4 => 0_u32..4, 2 => (0_u32..32).prop_map(|n| 1 << n), 1 => any::<u32>()];
    let names = prop_oneof![
        Just(b"dir".to_vec()),
        Just(b"file".to_vec()),
        Just(b"new".to_vec()),
        Just(b"out".to_vec()),
        Just(b"..".to_vec()),
        Just(b"a/b".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..300),
    ];
    let name = move || names.clone().prop_map(|bytes| name(&bytes));
    let op = 0..Op::ALL.len();
    (op, handle(), handle(), [word(), word(), word(), word()], name(), name(), any::<bool>())
        .prop_map(|(op, one, two, [a, b, c, d], first, second, cut)| {
            let op = Op::ALL[op];
            let root = [one.to_ne_bytes(), two.to_ne_bytes()];
            let head: Vec<u8> = match op {
                Op::Hello => [1_u32, 0].as_bytes().to_vec(),
                Op::Walk => Walk { dir: one, flags: a & 3, count: b % 3, open_flags: c, pad: 0 }
                    .as_bytes()
                    .to_vec(),
                Op::ReadDir => {
                    let cursor = i64::from(a) - 2;
                    ReadDir { node: one, cursor, max_bytes: b << 8, flags: c & 3 }
                        .as_bytes()
                        .to_vec()
                }
                Op::SetAttr => {
                    let size = u64::from(d);
                    SetAttr {
                        node: one,
                        mask: a & 127,
                        mode: b & 0o777,
                        size,
                        ..SetAttr::default()
                    }
                    .as_bytes()
                    .to_vec()
                }
                Op::Create | Op::MkDir | Op::MkNod | Op::Symlink | Op::Bind => {
                    let mode = a & 0o7777 | if op == Op::MkNod { b << 12 } else { 0 };
                    Make {
                        dir: one,
                        flags: c,
                        mode,
                        rdev_major: 1,
                        rdev_minor: 3,
                        ..Make::default()
                    }
                    .as_bytes()
                    .to_vec()
                }
                Op::Rename => {
                    Rename { from: one, to: two, flags: a & 7, pad: 0 }.as_bytes().to_vec()
                }
                Op::Link | Op::Close => root.concat(),
                _ => [&root[0][..], &a.to_ne_bytes(), &0_u32.to_ne_bytes()].concat(),
            };
            let mut payload = [head, first, second].concat();
            if cut {
                payload.truncate(payload.len() / 2);
            }
            (op.number(), payload)
        })
}

#[test]
fn no_sequence_of_messages_leaves_the_root_or_stops_the_gofer() {
    let garbage = (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..500));
    let one = prop_oneof![9 => plausible(), 1 => garbage];
    let sequence = proptest::collection::vec(one, 1..60);
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let property = |messages: Vec<(u32, Vec<u8>)>| {
        let outer = TempDir::new();
        outer.write("secret", b"secret");
        outer.write("root/dir/file", b"content");
        symlink("..", outer.join("root/out")).unwrap();
        symlink("../../secret", outer.join("root/dir/out")).unwrap();
        let path = outer.join("root");
        let gofer = Gofer::serving(outer, &path, false, LIMITS, |_| {});
        let known = [gofer.handle("dir"), gofer.handle("dir/file"), gofer.handle("out")];
        let ring = Ring::map(gofer.memory.as_fd()).unwrap();
        for (op, payload) in messages {
            let len = u32::try_from(payload.len()).unwrap();
            let header = Header { sequence: 1, code: op, len, extra: op / 9 % 3 };
            if send_with(&gofer, &ring, header, &payload) == Taken::Ended {
                break;
            }
        }
        drop(known);
        let left: Vec<_> = fs::read_dir(&gofer.dir.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "secret" && name != "root")
            .collect();
        assert_eq!(left, [""; 0], "made outside of the root");
        assert_eq!(fs::read(gofer.dir.join("secret")).unwrap(), b"secret");
        Ok(())
    };
    TestRunner::new(config).run(&sequence, property).unwrap();
}

/// Runs `body` while a thread swaps two names of a directory as fast as it can.
fn while_swapping(dir: &TempDir, one: &str, two: &str, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let (one, two) = (dir.join(one), dir.join(two));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let exchange = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let here = nix::fcntl::AT_FDCWD;
                nix::fcntl::renameat2(here, &one, here, &two, exchange).unwrap();
            }
        });
        body();
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_directory_swapped_with_a_symlink_never_leads_outside() {
    let outer = TempDir::new();
    outer.write("outside/file", b"outside");
    outer.write("root/dir/file", b"inside");
    symlink("../outside", outer.join("root/link")).unwrap();
    let path = outer.join("root");
    // Few descriptors, so that handles are walked down to again and again.
    let limits = bevor_gofer::Limits { descriptors: 2, ..LIMITS };
    let gofer = Gofer::serving(outer, &path, false, limits, |_| {});
    let (mut opened, mut links) = (0, 0);
    while_swapping(&gofer.dir, "root/dir", "root/link", || {
        for round in 0..3000 {
            let names: [&[u8]; 2] = [b"dir", b"file"];
            let walk = gofer.client.walk_open(&gofer.root.handle, &names, READ).unwrap();
            match walk.stop {
                WalkStop::Complete => {
                    let mut content = String::new();
                    let Some(Ok(file)) = walk.file else { continue };
                    fs::File::from(file).read_to_string(&mut content).unwrap();
                    assert_eq!(content, "inside");
                    opened += 1;
                }
                WalkStop::Symlink(target) => {
                    assert_eq!(target, b"../outside");
                    links += 1;
                }
                WalkStop::Error(error) => panic!("round {round}: {error}"),
            }
            if let Some(dir) = walk.nodes.first().filter(|node| node.attr.is_dir()) {
                let made = gofer.client.mkdir(
                    &dir.handle,
                    format!("{round}").as_bytes(),
                    bevor_gofer_protocol::client::MakeArgs { mode: 0o700, uid: None, gid: None },
                );
                drop(made);
            }
        }
    });
    assert!(opened > 0 && links > 0, "{opened} opened, {links} links");
    assert_eq!(fs::read_dir(gofer.dir.join("outside")).unwrap().count(), 1);
}

#[test]
fn threads_share_a_client() {
    let gofer = served();
    for number in 0..64 {
        gofer.dir.write(&format!("dir/{number}"), format!("content {number}").as_bytes());
    }
    std::thread::scope(|scope| {
        // More threads than slots.
        for thread in 0..SLOTS + 8 {
            let gofer = &gofer;
            scope.spawn(move || {
                for round in 0..100 {
                    let number = (thread * 7 + round) % 64;
                    let path = format!("dir/{number}");
                    let names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
                    let walk = gofer.client.walk_open(&gofer.root.handle, &names, READ).unwrap();
                    let mut content = String::new();
                    let file = walk.file.unwrap().unwrap();
                    fs::File::from(file).read_to_string(&mut content).unwrap();
                    assert_eq!(content, format!("content {number}"));
                }
            });
        }
    });
}

#[test]
fn a_lost_gofer_fails_every_call() {
    let gofer = served();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if gofer.client.getattr(&gofer.root.handle).is_err() {
                        return;
                    }
                }
                panic!("a call after the end succeeded");
            });
        }
        std::thread::sleep(Duration::from_millis(20));
        gofer.service.end(Ended::Closed);
        while !gofer.client.is_lost() {
            std::thread::yield_now();
        }
    });
    assert_eq!(gofer.client.getattr(&gofer.root.handle).unwrap_err(), EIO);
    assert!(gofer.client.roots().is_err());
}
