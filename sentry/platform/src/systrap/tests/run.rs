//! Guests that behave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::systrap::tests::harness::{
    CODE, DATA, DATA_END, Guest, Memory, PLATFORM, READ, WRITE, at, enter, guest, map, soon,
};
use crate::{
    Access, Context, Event, FpState, Order, Platform, PlatformError, Systrap, SystrapConfig, Wake,
};

#[test]
fn a_system_call_reports_all_registers() {
    let mut g = Guest::new(guest!(guest_calls), 0);
    for round in 0..100 {
        assert_eq!(g.answer(round), Event::Syscall);
        let regs = &g.ctx.regs;
        assert_eq!(regs.syscall_nr(), 1000);
        assert_eq!(regs.syscall_args(), [1, 2, 3, 4, 5, 6]);
        assert_eq!((regs.rbx, regs.rbp, regs.r12), (7, 8, 9));
        assert_eq!((regs.r13, regs.r14, regs.r15), (10, 11, 12));
        assert_eq!((regs.rsp, regs.rcx, regs.gs_base), (DATA_END, regs.rip, 0));
        assert!(!g.ctx.full);
    }
}

#[test]
fn results_and_replaced_registers_reach_the_guest() {
    let mut g = Guest::new(guest!(guest_sum), 5);
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!(g.ctx.regs.rdi, 5);
    assert_eq!(g.answer(37), Event::Syscall);
    assert_eq!(g.ctx.regs.rdi, 42, "the result alone was replaced");
    g.ctx.regs.rdi = 1000;
    g.ctx.full = true;
    assert_eq!(g.answer(1), Event::Syscall);
    assert_eq!(g.ctx.regs.rdi, 1001, "all registers were");
}

#[test]
fn flags_and_the_red_zone_survive_a_call() {
    let mut g = Guest::new(guest!(guest_flags), 0);
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!(g.answer(0), Event::Syscall);
    assert_eq!(g.ctx.regs.rdi & 0x401, 0x401, "carry and direction");
    assert_eq!(g.ctx.regs.rsi, 0x5678);
}

#[test]
fn a_page_fault_names_address_and_access_and_can_be_served() {
    let far = 0x1234_5000;
    let mut g = Guest::new(guest!(guest_load), far + 8);
    let fault = |addr, access, code| Event::PageFault { addr, access, code, bus: false };
    let (maperr, accerr) = (1, 2);
    assert_eq!(g.run(), fault(far + 8, Access::Read, maperr));
    g.space.apply(&[map(far, 0x1000, READ, &g.memory.data, 0)]).expect("maps");
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!((g.ctx.regs.rdi, g.ctx.regs.syscall_nr()), (0, 1002));

    g.ctx = enter(guest!(guest_store), far);
    assert_eq!(g.run(), fault(far, Access::Write, accerr));
    g.space.apply(&[Order::Protect { addr: far, len: 0x1000, prot: WRITE }]).expect("protects");
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!(g.memory.read::<1>(0), [1]);

    g.space.apply(&[Order::Unmap { addr: far, len: 0x1000 }]).expect("unmaps");
    g.ctx = enter(guest!(guest_store), far);
    assert_eq!(g.run(), fault(far, Access::Write, maperr));

    g.ctx = enter(guest!(guest_jump), DATA);
    assert_eq!(g.run(), fault(DATA, Access::Exec, accerr));
}

#[test]
fn a_truncated_file_raises_a_bus_error() {
    let mut g = Guest::new(guest!(guest_load), 0x7000_0000);
    g.space.apply(&[map(0x7000_0000, 0x4000, READ, &g.memory.data, 0x10_0000)]).expect("maps");
    let adrerr = 2;
    let (addr, access) = (0x7000_0000, Access::Read);
    assert_eq!(g.run(), Event::PageFault { addr, access, code: adrerr, bus: true });
}

#[test]
fn exceptions_are_reported_by_signal() {
    for (symbol, signo) in [
        (guest!(guest_undefined), libc::SIGILL),
        (guest!(guest_divide), libc::SIGFPE),
        (guest!(guest_breakpoint), libc::SIGTRAP),
    ] {
        let mut g = Guest::new(symbol, 0);
        let event = g.run();
        assert!(matches!(event, Event::Exception { signo: got, .. } if got == signo), "{event:?}");
    }
}

#[test]
fn foreign_calls_are_told_apart() {
    let mut g = Guest::new(guest!(guest_x32), 0);
    assert_eq!(g.run(), Event::ForeignSyscall { nr: 0x4000_0001 });
    g.ctx = enter(guest!(guest_int80), 0);
    let event = g.run();
    assert!(matches!(event, Event::Exception { signo: libc::SIGSEGV, .. }), "{event:?}");
    assert_eq!(g.ctx.regs.rip, at(guest!(guest_int80)) + 5, "at the instruction");
}

#[test]
fn the_vsyscall_page_is_served_by_the_sentry() {
    let mut g = Guest::new(guest!(guest_vsyscall), 0);
    match g.run() {
        Event::Syscall => {
            assert_eq!(g.ctx.regs.syscall_nr(), libc::SYS_time.cast_unsigned());
            assert_eq!(g.answer(77), Event::Syscall);
            assert_eq!(g.ctx.regs.rdi, 77);
        }
        // A host without the page: the fetch faults.
        event => {
            assert!(matches!(event, Event::PageFault { access: Access::Exec, .. }), "{event:?}")
        }
    }
}

#[test]
fn a_wild_instruction_pointer_is_the_guests_fault() {
    let mut g = Guest::new(guest!(guest_calls), 0);
    g.ctx.regs.rip = 0xdead_beef_0000_0000;
    let event = g.run();
    assert!(matches!(event, Event::Exception { signo: libc::SIGSEGV, .. }), "{event:?}");
    g.ctx = enter(guest!(guest_calls), 0);
    assert_eq!(g.run(), Event::Syscall);
}

#[test]
fn a_guest_may_own_its_gs_base() {
    let mut g = Guest::new(guest!(guest_gs), DATA + 0x100);
    for _ in 0..3 {
        assert_eq!(g.run(), Event::Syscall);
        assert_eq!(g.ctx.regs.gs_base, DATA + 0x100);
        g.ctx.full = true;
    }
}

#[test]
fn extended_registers_survive_calls_and_can_be_read_and_replaced() {
    let mut g = Guest::new(guest!(guest_fp), DATA);
    let pattern: Vec<u8> = (1..=32).collect();
    let order = map(DATA, 0x2000, WRITE, &g.memory.data, 0);
    g.space.apply(&[order]).expect("maps");
    crate::systrap::host::write_at(&g.memory.data, &pattern, 0).expect("writes");
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!(g.answer(0), Event::Syscall);
    assert_eq!(g.memory.read::<32>(64)[..], pattern[..], "untouched by a call");
    assert_eq!(f64::from_le_bytes(g.memory.read::<8>(96)), 1.0);

    assert_eq!(g.answer(0), Event::Syscall);
    assert_eq!(g.ctx.regs.syscall_nr(), 1003);
    let mut state = g.thread.fp_state().expect("state");
    assert_eq!(state.xsave[160..176], pattern[..16], "xmm0 in the image");
    assert_eq!(state, g.thread.fp_state().expect("state"), "reading changes nothing");
    state.xsave[160..176].fill(0xaa);
    g.thread.set_fp_state(&state).expect("sets");
    assert_eq!(g.thread.fp_state().expect("state").xsave[160..176], [0xaa; 16]);
    assert_eq!(g.answer(0), Event::Syscall);
    assert_eq!(g.memory.read::<16>(64), [0xaa; 16]);
    assert_eq!(g.memory.read::<16>(80)[..], pattern[16..]);
}

#[test]
fn a_new_thread_starts_with_clean_registers() {
    let mut g = Guest::new(guest!(guest_fp), DATA);
    crate::systrap::host::write_at(&g.memory.data, &[0xff; 32], 0).expect("writes");
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!(g.answer(0), Event::Syscall);
    // The host thread is parked and taken again.
    let old = std::mem::replace(&mut g.thread, g.space.clone().new_thread().expect("thread"));
    drop(old);
    let state = g.space.clone().new_thread().expect("thread").fp_state().expect("state");
    assert_eq!(state.xsave[24..28], [0x80, 0x1f, 0, 0], "mxcsr");
    assert_eq!(state.xsave[160..416], [0; 256], "xmm registers");
}

#[test]
fn a_malformed_extended_state_harms_nobody() {
    let mut g = Guest::new(guest!(guest_fp), DATA);
    g.thread.set_fp_state(&FpState { xsave: vec![0xff; 10_000] }).expect("sets");
    assert_eq!(g.run(), Event::Syscall);
    g.thread.set_fp_state(&FpState { xsave: vec![0xff; 600] }).expect("sets");
    assert_eq!(g.answer(0), Event::Syscall);
}

#[test]
fn a_kick_stops_a_running_guest_and_no_parked_one() {
    let mut g = Guest::new(guest!(guest_spin), 0);
    let kick = g.thread.kicker();
    kick.kick();
    for _ in 0..200 {
        g.resume();
        kick.kick();
        assert_eq!(g.wait(), Event::Interrupted);
        assert_eq!(g.ctx.regs.rip & !0xf, at(guest!(guest_spin)) & !0xf);
    }
    g.resume();
    std::thread::sleep(Duration::from_millis(20));
    kick.kick();
    kick.kick();
    assert_eq!(g.wait(), Event::Interrupted);
    assert!(g.ctx.regs.rcx > 1000, "it ran");
    kick.kick();
    g.ctx = enter(guest!(guest_calls), 0);
    assert_eq!(g.run(), Event::Syscall, "the late kick was not kept");
}

#[test]
fn a_kick_at_any_moment_loses_no_call() {
    let mut g = Guest::new(guest!(guest_sum), 0);
    let kick = g.thread.kicker();
    let (tell, told) = mpsc::channel::<()>();
    let kicker = std::thread::spawn(move || {
        while told.try_recv() == Err(mpsc::TryRecvError::Empty) {
            kick.kick();
            std::thread::yield_now();
        }
    });
    let (mut calls, mut kicks) = (0_u64, 0_u64);
    while calls < 3000 || kicks < 100 {
        match g.run() {
            Event::Syscall => {
                assert_eq!(g.ctx.regs.rdi, calls, "each answer adds one");
                calls += 1;
                g.ctx.regs.rax = 1;
            }
            Event::Interrupted => kicks += 1,
            event => panic!("{event:?}"),
        }
    }
    drop(tell);
    kicker.join().expect("ends");
}

#[test]
fn killing_a_process_ends_its_running_threads() {
    let mut g = Guest::new(guest!(guest_spin), 0);
    g.resume();
    g.space.kill();
    assert_eq!(g.wait(), Event::Gone);
    assert!(g.space.is_gone());
    assert!(matches!(g.space.apply(&g.memory.orders()), Err(PlatformError::Gone)));
    assert!(matches!(g.thread.fp_state(), Err(PlatformError::Gone)));
    let Guest { mut port, mut thread, ctx, .. } = g;
    assert!(matches!(port.resume(1, &mut *thread, &ctx), Err(PlatformError::Gone)));
}

#[test]
fn orders_outside_the_guests_range_are_refused() {
    let g = Guest::new(guest!(guest_spin), 0);
    let end = PLATFORM.guest_range().end;
    for (addr, len) in [
        (end, 0x1000),
        (end - 0x1000, 0x2000),
        (0x1001, 0x1000),
        (u64::MAX - 0xfff, 0x1000),
        (CODE, 0),
    ] {
        let order = Order::Unmap { addr, len };
        assert!(matches!(g.space.apply(&[order]), Err(PlatformError::Range)), "{addr:x}+{len:x}");
    }
    g.space.apply(&[Order::Unmap { addr: end - 0x1000, len: 0x1000 }]).expect("the last page");
}

#[test]
fn large_batches_are_done_in_order() {
    let mut g = Guest::new(guest!(guest_load), 0x5000_0000);
    let mut orders = Vec::new();
    for i in 0..1000 {
        let addr = 0x5000_0000 + i * 0x1000;
        orders.push(map(addr, 0x1000, READ, &g.memory.data, 0));
        orders.push(Order::Unmap { addr, len: 0x1000 });
    }
    orders.push(map(0x5000_0000, 0x1000, READ, &g.memory.data, 0));
    g.space.apply(&orders).expect("applies");
    assert_eq!(g.run(), Event::Syscall);
}

#[test]
fn many_threads_of_one_process_share_a_port() {
    let mut g = Guest::new(guest!(guest_sum), 0);
    let mut threads: Vec<_> = (0..64_u64)
        .map(|i| {
            (g.space.clone().new_thread().expect("thread"), enter(guest!(guest_sum), i), 0_u64)
        })
        .collect();
    for (token, (thread, ctx, _)) in (0..).zip(&mut threads) {
        g.port.resume(token, &mut **thread, ctx).expect("resumes");
    }
    let mut left = threads.len() * 50;
    while left > 0 {
        let Wake::Event(token) = g.port.next(soon()) else { panic!("a hang") };
        let (thread, ctx, calls) = &mut threads[usize::try_from(token).expect("small")];
        assert_eq!(thread.take_event(ctx), Event::Syscall);
        assert_eq!(ctx.regs.rdi, token + *calls);
        *calls += 1;
        left -= 1;
        if *calls < 50 {
            ctx.regs.rax = 1;
            g.port.resume(token, &mut **thread, ctx).expect("resumes");
        }
    }
    assert_eq!(g.port.nr_running(), 0);
}

#[test]
fn processes_are_separate_and_their_slots_reused() {
    for round in 0..40 {
        let mut g = Guest::new(guest!(guest_load), DATA);
        crate::systrap::host::write_at(&g.memory.data, &[round], 0).expect("writes");
        assert_eq!(g.run(), Event::Syscall);
        assert_eq!(g.ctx.regs.rdi, round.into());
    }
}

#[test]
fn state_can_be_pulled_and_a_process_rebuilt_from_it() {
    let mut g = Guest::new(guest!(guest_fp), DATA);
    crate::systrap::host::write_at(&g.memory.data, &[0x5a; 32], 0).expect("writes");
    assert_eq!(g.run(), Event::Syscall);
    let fp = g.thread.pull_full_state().expect("state");
    let mut ctx = g.ctx;
    let Guest { memory, space, thread, mut port, .. } = g;
    drop((space, thread));

    let space = PLATFORM.new_space().expect("a space");
    space.apply(&memory.orders()).expect("orders");
    let mut thread = space.clone().new_thread().expect("a thread");
    thread.set_fp_state(&fp).expect("state");
    ctx.full = true;
    ctx.regs.rax = 0;
    port.resume(9, &mut *thread, &ctx).expect("resumes");
    assert_eq!(port.next(soon()), Wake::Event(9));
    assert_eq!(thread.take_event(&mut ctx), Event::Syscall);
    assert_eq!(ctx.regs.syscall_nr(), 1004, "it went on where it was");
    assert_eq!(memory.read::<32>(64), [0x5a; 32]);
}

#[test]
fn a_notification_wakes_a_sleeping_port() {
    let mut port = PLATFORM.new_port().expect("a port");
    let notifier = port.notifier();
    assert_eq!(port.try_next(), None);
    assert_eq!(port.next(Some(0)), Wake::Deadline);
    for _ in 0..100 {
        let notifier = notifier.clone();
        let other = std::thread::spawn(move || notifier.notify());
        assert_eq!(port.next(soon()), Wake::Notified);
        other.join().expect("ends");
    }
    assert_eq!(port.try_next(), None);
}

#[test]
fn a_process_killed_from_outside_is_reported_by_its_death() {
    static DIED: AtomicU64 = AtomicU64::new(0);
    let platform = Systrap::on_host(SystrapConfig::from_host()).expect("a platform");
    platform.set_death_hook(Box::new(|id| DIED.store(id.0, Ordering::SeqCst)));
    let space = platform.new_space().expect("a space");
    let memory = Memory::new();
    space.apply(&memory.orders()).expect("orders");
    let mut thread = space.clone().new_thread().expect("a thread");
    let mut port = platform.new_port().expect("a port");
    port.resume(3, &mut *thread, &enter(guest!(guest_spin), 0)).expect("resumes");
    platform.kill_behind_its_back(space.id());
    assert_eq!(port.next(soon()), Wake::Event(3));
    assert_eq!(thread.take_event(&mut Context::default()), Event::Gone);
    while DIED.load(Ordering::SeqCst) != space.id().0 {
        std::thread::yield_now();
    }
    assert!(matches!(space.apply(&memory.orders()), Err(PlatformError::Gone)));
}

#[test]
fn membarrier_and_cpu_time_work() {
    let mut g = Guest::new(guest!(guest_spin), 0);
    g.space.membarrier().expect("registers and runs");
    let long = 1_000_000;
    while g.space.cpu_time_ns() < long || g.thread.cpu_time_ns() < long {
        g.resume();
        g.space.membarrier().expect("runs");
        std::thread::sleep(Duration::from_millis(5));
        g.thread.kicker().kick();
        assert_eq!(g.wait(), Event::Interrupted);
    }
}
