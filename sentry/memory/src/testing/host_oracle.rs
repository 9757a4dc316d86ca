//! Random fixed-address calls on the host kernel and on a memory manager: results must agree.

use super::{BASE, Guest, SPAN, Sandbox};
use crate::addr::PAGE_SIZE;
use crate::recover;
use parking_lot::Mutex;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::prop_assert_eq;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Where the host's side plays: far from where the host puts things by itself.
const ORIGIN: u64 = 0x2000_0000_0000;
const PAGES: u64 = 64;
/// The same place in the guest.
const GUEST: u64 = BASE + SPAN / 2;
/// Pages around that moves and growth may reach.
const MARGIN: u64 = 64;

/// The host's side is one place: its tests take turns.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Clone, Debug)]
enum Call {
    Mmap { at: u64, len: u64, prot: u32, flags: u32 },
    Munmap { at: u64, len: u64 },
    Mprotect { at: u64, len: u64, prot: u32 },
    Mremap { at: u64, old: u64, new: u64, flags: u32, to: u64 },
    Madvise { at: u64, len: u64, advice: i32 },
    Msync { at: u64, len: u64, flags: u32 },
    Store { page: u64, value: u8 },
}

/// Which `mremap` calls are made. Linux does not join neighbouring anonymous areas once both have
/// pages; we do, as nothing but growing across their border tells. So growing is tried only on
/// areas that keep a distance, and not mixed with moving.
#[derive(Clone, Copy, PartialEq)]
enum Remaps {
    Moving,
    Resizing,
}

/// Bytes of a slot that areas may fill.
const SLOT_USE: u64 = 15 * PAGE_SIZE;

/// The start of the slot around an offset, what makes it odd kept.
fn slot(at: u64) -> u64 {
    at / (16 * PAGE_SIZE) * 16 * PAGE_SIZE + at % PAGE_SIZE
}

fn call(remaps: Remaps) -> impl Strategy<Value = Call> {
    // Mostly aligned, sometimes not.
    let at = || {
        (0..PAGES, prop_oneof![12 => 0u64..1, 1 => 1..PAGE_SIZE])
            .prop_map(|(page, odd)| page * PAGE_SIZE + odd)
    };
    let len = || {
        let pages = (1..16u64).prop_map(|pages| pages * PAGE_SIZE);
        prop_oneof![12 => pages, 2 => 1..16 * PAGE_SIZE, 1 => 0u64..1]
    };
    let prot = || prop_oneof![4 => 3u32..4, 2 => 0u32..4, 1 => 0u32..32];
    // Private, shared, private without replacing; all fixed and anonymous.
    let kind = || prop_oneof![4 => 0x32u32..0x33, 2 => 0x31u32..0x32, 1 => 0x10_0022u32..0x10_0023];
    // What the host answers to collapsing, merging, and lazily freeing depends on its state.
    let advice =
        prop_oneof![5 => 4i32..5, 1 => 0i32..5, 1 => 9i32..12, 1 => 16i32..25, 1 => 500..600];
    prop_oneof![
        4 => (at(), len(), prot(), kind()).prop_map(move |(at, len, prot, flags)| match remaps {
            Remaps::Moving => Call::Mmap { at, len, prot, flags },
            // All of a slot, writable and stored to at once: what the host joins depends on that.
            Remaps::Resizing => Call::Mmap { at: slot(at), len: SLOT_USE, prot: 3, flags },
        }),
        2 => (at(), len()).prop_map(|(at, len)| Call::Munmap { at, len }),
        3 => (at(), len(), prot()).prop_map(|(at, len, prot)| Call::Mprotect { at, len, prot }),
        4 => (at(), len(), len(), at(), 0..2u32).prop_map(move |(at, old, new, to, kind)| {
            match remaps {
                Remaps::Moving => Call::Mremap { at, old, new: old, flags: 3 + 4 * kind, to },
                Remaps::Resizing => {
                    Call::Mremap { at: slot(at), old, new: new.min(SLOT_USE), flags: 0, to: 0 }
                }
            }
        }),
        2 => (at(), len(), advice).prop_map(|(at, len, advice)| Call::Madvise { at, len, advice }),
        1 => (at(), len(), 0u32..8).prop_map(|(at, len, flags)| Call::Msync { at, len, flags }),
        6 => (0..PAGES, 1u8..).prop_map(|(page, value)| Call::Store { page, value }),
    ]
}

/// An address relative to the playground, or the error number.
type Answer = Result<u64, i32>;

fn host_call(nr: libc::c_long, args: [u64; 6], base: u64) -> Answer {
    // SAFETY: the calls made here only touch the playground, which belongs to this test.
    let result = unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]) };
    match u64::try_from(result) {
        Ok(value) => Ok(value.saturating_sub(base)),
        Err(_) => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

fn on_host(call: &Call) -> Answer {
    let nobody = u64::MAX;
    match *call {
        Call::Mmap { at, len, prot, flags } => host_call(
            libc::SYS_mmap,
            [ORIGIN + at, len, prot.into(), flags.into(), nobody, 0],
            ORIGIN,
        ),
        Call::Munmap { at, len } => host_call(libc::SYS_munmap, [ORIGIN + at, len, 0, 0, 0, 0], 0),
        Call::Mprotect { at, len, prot } => {
            host_call(libc::SYS_mprotect, [ORIGIN + at, len, prot.into(), 0, 0, 0], 0)
        }
        Call::Mremap { at, old, new, flags, to } => host_call(
            libc::SYS_mremap,
            [ORIGIN + at, old, new, flags.into(), ORIGIN + to, 0],
            ORIGIN,
        ),
        Call::Madvise { at, len, advice } => {
            host_call(libc::SYS_madvise, [ORIGIN + at, len, advice as u64, 0, 0, 0], 0)
        }
        Call::Msync { at, len, flags } => {
            host_call(libc::SYS_msync, [ORIGIN + at, len, flags.into(), 0, 0, 0], 0)
        }
        Call::Store { page, value } => {
            let at = std::ptr::with_exposed_provenance_mut((ORIGIN + page * PAGE_SIZE) as usize);
            // SAFETY: the playground; a fault there is recovered.
            unsafe { recover::copy(at, &raw const value, 1) }.map(|()| 0).map_err(|_| 0)
        }
    }
}

fn on_guest(guest: &Guest, call: &Call) -> Answer {
    let answer = |result: Result<(), bevor_abi::Errno>| result.map(|()| 0);
    let result = match *call {
        Call::Mmap { at, len, prot, flags } => {
            guest.map(GUEST + at, len, prot, flags).map(|at| at - GUEST)
        }
        Call::Munmap { at, len } => answer(guest.mm.munmap(GUEST + at, len)),
        Call::Mprotect { at, len, prot } => answer(guest.mm.mprotect(GUEST + at, len, prot)),
        Call::Mremap { at, old, new, flags, to } => {
            guest.mm.mremap(GUEST + at, old, new, flags, GUEST + to).map(|at| at - GUEST)
        }
        Call::Madvise { at, len, advice } => answer(guest.mm.madvise(GUEST + at, len, advice)),
        Call::Msync { at, len, flags } => answer(guest.mm.msync(GUEST + at, len, flags)),
        Call::Store { page, value } => {
            return guest.store_byte(GUEST + page * PAGE_SIZE, value).map(|()| 0).map_err(|_| 0);
        }
    };
    result.map_err(|error| i32::from(error.code.0))
}

/// What a page shows on the host: its first byte, if it can be read.
fn host_byte(page: u64) -> Option<u8> {
    let mut byte = 0;
    let at = std::ptr::with_exposed_provenance((ORIGIN + page * PAGE_SIZE) as usize);
    // SAFETY: the playground; a fault there is recovered.
    unsafe { recover::copy(&raw mut byte, at, 1) }.ok().map(|()| byte)
}

fn compare(remaps: Remaps) {
    let _turn = TURN.lock();
    let mut runner = TestRunner::new(Config { cases: 120, ..Config::default() });
    runner.run(&proptest::collection::vec(call(remaps), 1..100), |calls| play(&calls)).unwrap();
}

fn play(calls: &[Call]) -> Result<(), TestCaseError> {
    let sandbox = Sandbox::new(u64::MAX);
    let guest = sandbox.guest();
    let len = (PAGES + MARGIN) * PAGE_SIZE;
    host_call(libc::SYS_munmap, [ORIGIN, len, 0, 0, 0, 0], 0).unwrap();
    for (index, call) in calls.iter().enumerate() {
        let (native, ours) = (on_host(call), on_guest(&guest, call));
        if let (Call::Mmap { prot: 3, .. }, Ok(at)) = (call, &native) {
            let touch = Call::Store { page: at / PAGE_SIZE, value: 1 };
            prop_assert_eq!(on_host(&touch), on_guest(&guest, &touch));
        }
        prop_assert_eq!(ours, native, "call {}: {:?}", index, call);
        for page in 0..PAGES + MARGIN {
            let seen = guest.load_byte(GUEST + page * PAGE_SIZE).ok();
            let native = host_byte(page);
            prop_assert_eq!(seen, native, "page {} after call {}: {:?}", page, index, call);
        }
    }
    host_call(libc::SYS_munmap, [ORIGIN, len, 0, 0, 0, 0], 0).unwrap();
    Ok(())
}

#[test]
fn resizing_and_protecting_answers_as_the_host() {
    compare(Remaps::Resizing);
}

#[test]
fn moving_and_protecting_answers_as_the_host() {
    compare(Remaps::Moving);
}
