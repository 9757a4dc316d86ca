//! Calls answered in the guest: those that write to its memory, and those that yield.

use std::any::Any;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::systrap::host;
use crate::systrap::layout::{ALT_STACK, DOWN, GUEST_END};
use crate::systrap::tests::harness::{
    CODE, DATA, DATA_END, DATA_LEN, Guest, PLATFORM, READ, WRITE, at, enter, guest, map,
};
use crate::systrap::tests::patch::Page;
use crate::systrap::thread::{SystrapThread, ThreadShared};
use crate::{Answers, Context, Event, Order, UserRegs, Utsname};

const UNAME: u64 = 63;
const GETCPU: u64 = 309;
const GETRESUID: u64 = 118;
const GETRESGID: u64 = 120;
const SCHED_YIELD: u64 = 24;
/// Number with which the guest reports a result.
const REPORT: u64 = 2002;
const NAMES_LEN: usize = 390;
/// The AC flag: unaligned access traps.
const ALIGNMENT_CHECK: u64 = 1 << 18;

fn names() -> Utsname {
    std::array::from_fn(|field| std::array::from_fn(|i| u8::try_from(field * 40 + i).unwrap_or(7)))
}

fn answers() -> Answers {
    Answers {
        enabled: true,
        uid: 11,
        euid: 12,
        suid: 13,
        gid: 21,
        egid: 22,
        sgid: 23,
        names: Some(names()),
        cpus: vec![u64::MAX],
        ..Answers::default()
    }
}

/// A guest whose asking site is rewritten, so that it asks the stub first. The page is its code.
fn asking() -> (Guest, Page) {
    let mut g = Guest::new(guest!(guest_ask), 0);
    let page = Page::new(&g);
    (g.ctx.regs.r12, g.ctx.regs.rbp) = (5000, 1);
    loop {
        assert_eq!(g.run(), Event::Syscall);
        if let Some(site) = g.thread.patch_candidate().filter(|_| g.ctx.regs.syscall_nr() == 5000) {
            assert!(g.space.patch(site, &page));
            break;
        }
        g.ctx.regs.rax = 0;
    }
    g.thread.set_answers(&answers());
    (g, page)
}

/// The call arrived as any other, with the registers as they were, and without a trap.
#[derive(PartialEq, Eq, Debug)]
struct Asked;

/// Has the guest make a call; tells the result if the stub answered.
fn ask(g: &mut Guest, nr: u64, args: [u64; 3], flags: u64) -> Result<u64, Asked> {
    g.ctx = enter(guest!(guest_ask), 0);
    g.ctx.regs = UserRegs {
        r12: nr,
        r13: args[0],
        r14: args[1],
        r15: args[2],
        r10: 0x10,
        r9: 0x9,
        r8: 0x8,
        rbx: 0xb,
        rbp: 0xbb,
        eflags: flags,
        ..g.ctx.regs
    };
    let before = g.ctx.regs;
    loop {
        match g.run() {
            Event::Interrupted => {}
            event => {
                assert_eq!(event, Event::Syscall);
                break;
            }
        }
    }
    let regs = g.ctx.regs;
    let kept = |regs: &UserRegs| (regs.r12, regs.r13, regs.r14, regs.r15, regs.r10);
    let more = |regs: &UserRegs| (regs.r9, regs.r8, regs.rbx, regs.rbp, regs.rsp);
    assert_eq!((kept(&regs), more(&regs)), (kept(&before), more(&before)));
    if regs.syscall_nr() == REPORT {
        return Ok(regs.rdi);
    }
    assert_eq!(g.thread.patch_candidate(), None, "the call did not trap");
    assert_eq!((regs.syscall_nr(), regs.syscall_args()[..3].to_vec()), (nr, args.to_vec()));
    assert_eq!((regs.rip, regs.rcx, regs.gs_base), (at(guest!(guest_ask_after)), regs.rip, 0));
    assert_eq!(regs.eflags & ALIGNMENT_CHECK, flags & ALIGNMENT_CHECK);
    Err(Asked)
}

/// Registers with which the guest makes a call for ever.
fn for_ever(nr: u64) -> Context {
    let mut ctx = enter(guest!(guest_ask), 0);
    (ctx.regs.r12, ctx.regs.r13, ctx.regs.rbp) = (nr, DATA, 0);
    ctx
}

fn shared(g: &mut Guest) -> &ThreadShared {
    let thread: &mut dyn Any = &mut *g.thread;
    &thread.downcast_mut::<SystrapThread>().expect("a systrap thread").shared
}

/// Addresses no answer may be written to: the kernel's, those that are none, the stub's, unmapped and
/// read-only ones.
fn bad_addresses(g: &mut Guest) -> Vec<u64> {
    let (area, region) = (shared(g).area, PLATFORM.core.region);
    let stub =
        [area, area + DOWN, area + ALT_STACK, region.image, region.bell(0), region.agent_up()];
    let bad = [0, 8, 0x1000, CODE, GUEST_END - 1, GUEST_END, GUEST_END + 0x1000, 1 << 47];
    let worse = [1 << 48, 0x8000_0000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - 400, u64::MAX];
    [&stub[..], &bad, &worse].concat()
}

#[test]
fn uname_is_written_by_the_stub() {
    let (mut g, _page) = asking();
    for start in [0, 1, 7, 0xffd, DATA_LEN - NAMES_LEN as u64] {
        assert_eq!(ask(&mut g, UNAME, [DATA + start, 1, 2], 0x202), Ok(0));
        assert_eq!(g.memory.read::<NAMES_LEN>(start), *names().as_flattened());
    }
    assert_eq!(ask(&mut g, UNAME, [DATA + 0x400, 1, 2], 0x202), Ok(0));
    assert_eq!(g.memory.read::<8>(0x400 + NAMES_LEN as u64), [0; 8], "and no more");

    // The direction flag and others are the guest's.
    assert_eq!(ask(&mut g, UNAME, [DATA, 1, 2], 0xed7), Ok(0));
    g.thread.set_answers(&Answers { names: None, ..answers() });
    assert!(ask(&mut g, UNAME, [DATA, 1, 2], 0x202).is_err());
}

#[test]
fn where_an_answer_cannot_be_written_the_call_is_the_sentrys() {
    let (mut g, _page) = asking();
    for addr in bad_addresses(&mut g) {
        let beside = DATA + 0x100;
        for (nr, args) in [
            (UNAME, [addr, 0, 0]),
            (GETCPU, [addr, beside, 0]),
            (GETCPU, [beside, addr, 0]),
            (GETRESUID, [addr, beside, beside]),
            (GETRESUID, [beside, addr, beside]),
            (GETRESGID, [beside, beside, addr]),
        ] {
            if nr == GETCPU && addr == 0 {
                assert_eq!(ask(&mut g, nr, args, 0x202), Ok(0));
            } else {
                assert!(ask(&mut g, nr, args, 0x202).is_err(), "{nr} {args:x?}");
            }
        }
    }
    // Half of it is mapped; not aligned, where the guest wants to know.
    assert!(ask(&mut g, UNAME, [DATA_END - 100, 0, 0], 0x202).is_err());
    assert!(ask(&mut g, UNAME, [DATA + 1, 0, 0], 0x202 | ALIGNMENT_CHECK).is_err());
    // A file that ends before the mapping does.
    let past_end = 0x90_0000;
    g.space.apply(&[map(past_end, 0x1000, WRITE, &g.memory.data, DATA_LEN)]).expect("maps");
    assert!(ask(&mut g, UNAME, [past_end, 0, 0], 0x202).is_err());
    g.space.apply(&[map(DATA, DATA_LEN, READ, &g.memory.data, 0)]).expect("maps");
    assert!(ask(&mut g, UNAME, [DATA, 0, 0], 0x202).is_err());
    g.space.apply(&g.memory.orders()[1..]).expect("maps");
    assert_eq!(ask(&mut g, UNAME, [DATA, 0, 0], 0x202), Ok(0));
}

#[test]
fn pages_that_come_and_go_change_no_answer() {
    let (mut g, _page) = asking();
    let (done, space) = (AtomicBool::new(false), g.space.clone());
    let [_, map_data] = g.memory.orders();
    let mut seen = [0; 2];
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let protect = Order::Protect { addr: DATA, len: 0x1000, prot: READ };
            let ends = Instant::now() + Duration::from_secs(20);
            while !done.load(Relaxed) && Instant::now() < ends {
                space.apply(&[Order::Unmap { addr: DATA, len: 0x1000 }]).expect("unmaps");
                space.apply(&[map_data]).expect("maps");
                space.apply(&[protect]).expect("protects");
                space.apply(&[map_data]).expect("maps");
            }
        });
        // Both must be seen: a loaded machine may let one side run alone for long.
        let begun = Instant::now();
        let mut round = 0;
        while round < 3000 || (seen.contains(&0) && begun.elapsed() < Duration::from_secs(20)) {
            round += 1;
            let nr = if round % 2 == 0 { UNAME } else { GETRESUID };
            let result = ask(&mut g, nr, [DATA + 0xf00, DATA + 0x1000, DATA + 0x10], 0x202);
            assert!(matches!(result, Ok(0) | Err(Asked)));
            seen[usize::from(result.is_err())] += 1;
        }
        done.store(true, Relaxed);
        changes.join().expect("no order fails");
    });
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn ids_are_written_by_the_stub() {
    let (mut g, _page) = asking();
    for (nr, ids) in [(GETRESUID, [11, 12, 13_u32]), (GETRESGID, [21, 22, 23])] {
        assert_eq!(ask(&mut g, nr, [DATA, DATA + 5, DATA + 0x1ffc], 0x202), Ok(0));
        let told = [g.memory.read::<4>(0), g.memory.read::<4>(5), g.memory.read::<4>(0x1ffc)];
        assert_eq!(told.map(u32::from_le_bytes), ids);
    }
}

#[test]
fn getcpu_tells_the_sandboxs_number_of_the_processor() {
    let (mut g, _page) = asking();
    let cpus = PLATFORM.core.cpus.numbers().to_vec();
    for (rank, &cpu) in cpus.iter().enumerate().take(64) {
        let only = Answers { cpus: vec![1 << rank], ..answers() };
        let others = Answers { cpus: vec![!(1 << rank)], ..answers() };
        // A port may choose the core anew while its guest sleeps.
        let told = (0..100).any(|_| {
            let (stub, tid) = (shared(&mut g).stub.clone(), shared(&mut g).tid());
            stub.with_live(|| host::pin(tid, cpu));
            g.thread.set_answers(&only);
            if ask(&mut g, GETCPU, [DATA, DATA + 4, 0], 0x202) != Ok(0) {
                return false;
            }
            assert_eq!(g.memory.read::<4>(0), u32::try_from(rank).expect("few").to_le_bytes());
            assert_eq!(g.memory.read::<4>(4), [0; 4]);
            g.thread.set_answers(&others);
            let asked = ask(&mut g, GETCPU, [DATA, DATA + 4, 0], 0x202).is_err();
            // The sentry can tell, too.
            asked && g.thread.cpu() == Some(rank)
        });
        assert!(told, "processor {cpu}");
    }
}

#[test]
fn sched_yield_is_the_hosts() {
    let (mut g, _page) = asking();
    for _ in 0..100 {
        assert_eq!(ask(&mut g, SCHED_YIELD, [1, 2, 3], 0x202), Ok(0));
    }
    // A kick reaches a guest that does nothing else.
    let kick = g.thread.kicker();
    for _ in 0..200 {
        g.ctx = for_ever(SCHED_YIELD);
        g.resume();
        loop {
            kick.kick();
            if g.port.try_next().is_some() {
                break;
            }
        }
        assert_eq!(g.thread.take_event(&mut g.ctx), Event::Interrupted);
    }
}

#[test]
fn answers_are_withdrawn_from_a_running_guest() {
    let (mut g, _page) = asking();
    for nr in [39, UNAME, GETCPU, GETRESUID, SCHED_YIELD] {
        g.thread.set_answers(&answers());
        assert!(ask(&mut g, nr, [DATA; 3], 0x202).is_ok());
        g.thread.kicker().withdraw_answers();
        assert!(ask(&mut g, nr, [DATA; 3], 0x202).is_err());
    }
    // While it runs: it asks for ever, until the sentry is asked.
    g.thread.set_answers(&answers());
    g.ctx = for_ever(UNAME);
    g.resume();
    std::thread::sleep(Duration::from_millis(5));
    g.thread.kicker().withdraw_answers();
    assert_eq!(g.wait(), Event::Syscall);
    assert_eq!(g.ctx.regs.syscall_nr(), UNAME);
}
