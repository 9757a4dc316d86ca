//! A gofer that breaks the rules: its client gets errors, never hangs, panics or mixes replies up.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use bevor_gofer_protocol::Client;
use bevor_gofer_protocol::codec::Writer;
use bevor_gofer_protocol::ring::{Header, REPLY, Ring, SLOT_MASK, SLOTS};
use bevor_gofer_protocol::service::Service;
use bevor_gofer_protocol::wire::{HelloReply, OnNode, Op, ReadDirFlags, Root};
use bevor_gofer_protocol::{Attr, channel};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

/// What a forged reply is like.
#[derive(Clone, Debug)]
struct Forgery {
    sequence: u64,
    code: u32,
    len: Option<u32>,
    extra: u32,
    state: u32,
    payload: Vec<u8>,
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let sequence = prop_oneof![6 => 0..1_u64, 1 => any::<u64>()];
    let code = prop_oneof![4 => 0..1_u32, 1 => any::<u32>()];
    let len = proptest::option::weighted(
        0.2,
        prop_oneof![0..600_u32, 131_000..131_100_u32, any::<u32>()],
    );
    let extra = prop_oneof![6 => 0..1_u32, 1 => any::<u32>(), 1 => 1..3_u32];
    let state = prop_oneof![8 => REPLY..REPLY + 1, 1 => any::<u32>()];
    let byte = prop_oneof![2 => 0..4_u8, 1 => any::<u8>()];
    let payload = proptest::collection::vec(byte, 0..700);
    (sequence, code, len, extra, state, payload).prop_map(
        |(sequence, code, len, extra, state, payload)| Forgery {
            sequence,
            code,
            len,
            extra,
            state,
            payload,
        },
    )
}

/// Answers the first requests with forgeries, then says nothing any more.
fn answer(ring: &Ring, forgeries: &[Forgery], stop: &AtomicBool) {
    let mut forgeries = forgeries.iter();
    while !stop.load(Ordering::Relaxed) {
        let pending = ring.pending().load(Ordering::SeqCst) & SLOT_MASK;
        if pending == 0 {
            std::thread::yield_now();
            continue;
        }
        let slot = usize::try_from(pending.trailing_zeros()).unwrap();
        ring.pending().fetch_and(!(1 << slot), Ordering::SeqCst);
        let Some(forged) = forgeries.next() else { return };
        let asked = ring.header(slot);
        let header = Header {
            sequence: asked.sequence.wrapping_add(forged.sequence),
            code: forged.code,
            len: forged.len.unwrap_or_else(|| u32::try_from(forged.payload.len()).unwrap()),
            extra: forged.extra,
        };
        ring.put(slot, header, &forged.payload);
        ring.state(slot).store(forged.state, Ordering::SeqCst);
    }
}

/// Some root handle, to ask with.
fn greet(service: &Service) {
    let mut message = Vec::new();
    let request = service.next(&mut message).unwrap();
    assert_eq!(request.op, Op::Hello);
    let mut reply = Writer::new();
    reply.put(&HelloReply { version: bevor_gofer_protocol::ring::VERSION, roots: 1 });
    reply.put(&Root { handle: 7, flags: 0, pad: 0, attr: Attr::default() });
    service.reply(request, 0, reply.message(), &[]).unwrap();
}

fn connected() -> (Client, Service, OwnedFd) {
    let fds = channel().unwrap();
    let service = Service::new(fds.memory.as_fd(), fds.server_socket).unwrap();
    let client = Client::new(fds.memory.as_fd(), fds.client_socket).unwrap();
    (client, service, fds.memory)
}

#[test]
fn forged_replies_are_errors() {
    let full = std::env::var("BEVOR_TEST_SECONDS").is_ok();
    let cases = if full { 1000 } else { 40 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let forgeries = proptest::collection::vec(forgery(), 1..20);
    let property = |forgeries: Vec<Forgery>| {
        let (client, service, memory) = connected();
        let root = std::thread::scope(|scope| {
            scope.spawn(|| greet(&service));
            client.roots().unwrap().remove(0).handle
        });
        let ring = Ring::map(memory.as_fd()).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                answer(&ring, &forgeries, &stop);
                // A gofer that is gone: nobody waits for it.
                service.end(bevor_gofer_protocol::service::Ended::Closed);
            });
            let names: [&[u8]; 3] = [b"a", b"b", b"c"];
            for round in 0..40 {
                match round % 7 {
                    0 => drop(client.getattr(&root).err()),
                    1 => drop(client.walk(&root, &names)),
                    2 => drop(client.readdir(&root, 0, 4096, ReadDirFlags::DIRS)),
                    3 => drop(client.open(&root, 0)),
                    4 => drop(client.readlink(&root)),
                    5 => drop(client.statfs(&root).err()),
                    _ => drop(client.roots()),
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        Ok(())
    };
    TestRunner::new(config).run(&forgeries, property).unwrap();
}

#[test]
fn replies_may_come_in_any_order() {
    let (client, service, _memory) = connected();
    let root = std::thread::scope(|scope| {
        scope.spawn(|| greet(&service));
        client.roots().unwrap().remove(0).handle
    });
    let askers = SLOTS / 2;
    std::thread::scope(|scope| {
        for asker in 0..askers {
            let (client, root) = (&client, &root);
            scope.spawn(move || {
                for round in 0..50 {
                    let name = format!("{asker}.{round}");
                    let value = client.getxattr(root, name.as_bytes()).unwrap();
                    assert_eq!(value, name.as_bytes(), "the reply to another request");
                }
            });
        }
        scope.spawn(|| {
            let mut held = Vec::new();
            let mut left = askers * 50;
            while left > 0 {
                let mut message = Vec::new();
                let request = service.next(&mut message).unwrap();
                let (body, _) = request.split(&message);
                let name = body[size_of::<OnNode>() + 2..].to_vec();
                held.push((request, name));
                // The last one first.
                if held.len() == askers.min(left) {
                    while let Some((request, name)) = held.pop() {
                        left -= 1;
                        service.reply(request, 0, &name, &[]).unwrap();
                    }
                }
            }
        });
    });
}
