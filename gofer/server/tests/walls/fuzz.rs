//! Messages of every shape, several at once, into memory that others scribble over.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bevor_gofer::{EXIT_CLOSED, EXIT_MALFORMED, HostSockets};
use bevor_gofer_protocol::Handle;
use bevor_gofer_protocol::ring::{Header, REPLY, Ring, SLOTS};
use bevor_gofer_protocol::wire::{Node, Op, WalkReply};
use zerocopy::FromBytes;

use crate::launch::Gofer;
use crate::messages;
use crate::place::{Place, walls};
use crate::random::{Random, Rounds};

/// Messages to one gofer, unless one ends it.
const MESSAGES: usize = 400;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection used without regard for its rules.
struct Hostile<'a> {
    ring: Ring,
    random: Random,
    handles: Vec<u64>,
    gofer: &'a mut Gofer,
    /// One message in so many is spoilt; none where there is no number.
    spoils: Option<usize>,
}

impl Hostile<'_> {
    /// Sends some messages at once and waits for what becomes of them; false when the gofer ended.
    fn send_some(&mut self) -> bool {
        let random = &mut self.random;
        let first = SLOTS - 1 - random.below(8);
        let (mut sent, mut forged) = (Vec::new(), false);
        for slot in (first..SLOTS).rev() {
            let (op, mut payload) = messages::right(random, &self.handles, self.spoils.is_some());
            if self.spoils.is_some_and(|times| random.once_in(times)) {
                messages::spoil(random, &mut payload, &self.handles);
            }
            let mut header = Header {
                sequence: random.word(),
                code: op.number(),
                len: u32::try_from(payload.len()).unwrap(),
                extra: 0,
            };
            if random.once_in(8) {
                header.extra = u32::try_from(random.below(3)).unwrap();
                for _ in 0..header.extra {
                    payload.extend(random.pick(&self.handles).to_ne_bytes());
                    header.len += 8;
                }
            }
            match if self.spoils.is_some() { random.below(400) } else { 400 } {
                0 => header.len = random.half(),
                1 => header.extra = random.half() >> random.below(32),
                2 => header.code = random.half() >> random.below(32),
                3 => drop(self.ring.pending().fetch_or(1 << random.below(31), Ordering::SeqCst)),
                _ => {}
            }
            self.ring.put(slot, header, &payload);
            self.ring.submit(slot);
            // A state that says something else, and a second request in the same slot.
            match if self.spoils.is_some() { random.below(800) } else { 800 } {
                0 => {
                    forged = true;
                    self.ring.state(slot).store(random.half() % 5, Ordering::SeqCst);
                }
                1 => self.ring.submit(slot),
                _ => {}
            }
            sent.push((slot, op, header.sequence));
        }
        let started = Instant::now();
        for (slot, op, sequence) in sent {
            while self.ring.state(slot).load(Ordering::Acquire) != REPLY {
                if self.gofer.child.try_wait().unwrap().is_some() {
                    return false;
                }
                // What was overwritten may have been the answer.
                if forged && started.elapsed() > PATIENCE / 600 {
                    return false;
                }
                if started.elapsed() > PATIENCE {
                    self.gofer.child.kill().unwrap();
                    panic!("no answer to {op:?}");
                }
                std::thread::yield_now();
            }
            // Descriptors are not kept: what comes beside the tag is dropped by the host.
            while self.take_tag() {}
            let header = self.ring.header(slot);
            if header.sequence == sequence && header.code == 0 {
                self.learn(slot, op, header.len);
            }
        }
        true
    }

    fn take_tag(&self) -> bool {
        use nix::sys::socket::{MsgFlags, recv};
        let mut tag = [0; 8];
        recv(self.gofer.socket.as_raw_fd(), &mut tag, MsgFlags::MSG_DONTWAIT) == Ok(8)
    }

    /// Takes note of the handles a reply names.
    fn learn(&mut self, slot: usize, op: Op, len: u32) {
        let Some(reply) = self.ring.payload(slot, len, Vec::new()) else { return };
        let mut at = match op {
            Op::Walk => size_of::<WalkReply>(),
            Op::Create | Op::MkDir | Op::MkNod | Op::Symlink | Op::Link | Op::Bind => 0,
            _ => return,
        };
        while let Some(Ok((node, _))) = reply.get(at..).map(Node::read_from_prefix) {
            if node.handle != 0 && self.handles.len() < 64 {
                self.handles.push(node.handle);
            } else if node.handle != 0 {
                let old = self.random.below(64);
                self.handles[old] = node.handle;
            }
            at += size_of::<Node>();
        }
    }
}

/// Writes random words where messages lie, while the gofer reads them.
fn scribble(ring: &Ring, stop: &AtomicBool, seed: u64) {
    let mut random = Random::new(seed);
    let known = AtomicU64::new(1 << 32);
    while !stop.load(Ordering::Relaxed) {
        let slot = SLOTS - 1 - random.below(8);
        let len = 8 * (1 + random.below(30));
        let mut payload = random.bytes(len);
        if random.once_in(2) {
            payload[..8].copy_from_slice(&known.fetch_add(1, Ordering::Relaxed).to_ne_bytes());
        }
        let header = ring.header(slot);
        ring.put(slot, header, &payload);
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
    }
}

pub fn messages_of_every_shape_break_nothing() {
    if walls().is_none() {
        return;
    }
    let mut ends = [0, 0];
    for seed in Rounds::new(40) {
        let place = Place::new();
        let around = place.around();
        let read_only = seed % 3 == 0;
        let mut gofer = place.serve(|root| {
            root.read_only = read_only;
            root.hidden = vec!["dir/sub".into()];
            root.devices = seed % 2 == 0;
            root.locks = seed % 2 == 1;
            if seed % 5 == 0 {
                root.sockets = HostSockets::All;
            }
        });
        let kept = some_handles(&gofer);
        let handles = kept.iter().map(Handle::number).chain([0, 1, u64::MAX]).collect();
        let ring = Ring::map(gofer.memory.as_fd()).unwrap();
        let random = Random::new(seed);
        // Some keep to the rules, and must get to a good end.
        let spoils = [None, Some(100), Some(15), Some(5)][usize::try_from(seed % 4).unwrap()];
        let mut hostile = Hostile { ring, random, handles, gofer: &mut gofer, spoils };
        let stop = AtomicBool::new(false);
        let scribbled = (seed % 4 > 1).then(|| Ring::map(hostile.gofer.memory.as_fd()).unwrap());
        std::thread::scope(|scope| {
            if let Some(ring) = &scribbled {
                scope.spawn(|| scribble(ring, &stop, seed));
            }
            for _ in 0..MESSAGES / 4 {
                if !hostile.send_some() {
                    break;
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        gofer.client.shutdown();
        drop(kept);
        let (code, report) = gofer.ended();
        let malformed = code == Some(EXIT_MALFORMED) && report.contains("malformed message");
        let closed = code == Some(EXIT_CLOSED) && report.is_empty();
        assert!(malformed || closed, "seed {seed}: ended with {code:?} and said {report:?}");
        assert!(!report.contains("panick"), "seed {seed}: {report}");
        assert!(closed || spoils.is_some(), "seed {seed}: {report}");
        ends[usize::from(malformed)] += 1;
        assert_eq!(place.around(), around, "seed {seed}: something outside changed");
    }
    assert!(ends[1] > 0, "{ends:?}: nothing was malformed");
}

/// Handles of what is there.
fn some_handles(gofer: &Gofer) -> Vec<Handle> {
    let root = gofer.client.roots().unwrap().remove(0).handle;
    let mut handles = Vec::new();
    let paths: [&[&[u8]]; 9] = [
        &[b"dir", b"sub"],
        &[b"dir", b"file"],
        &[b"dir", b"out"],
        &[b"file"],
        &[b"link"],
        &[b"fds"],
        &[b"fifo"],
        &[b"sock"],
        &[b"bound"],
    ];
    for path in paths {
        let walk = gofer.client.walk(&root, path).unwrap();
        handles.extend(walk.nodes.into_iter().map(|node| node.handle));
    }
    handles.push(root);
    handles
}
