//! Ports: where events arrive, notifications, deadlines.

use std::sync::atomic::{AtomicBool, Ordering};

use bevor_platform::{Event, Platform, Wake};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{World, guest_code, now_ns};

pub const CASES: &[Case] = cases![
    a_passed_deadline_is_reported,
    a_deadline_is_waited_for,
    a_notification_is_kept,
    notifications_do_not_pile_up,
    a_sleeping_port_is_notified,
    an_event_is_reported_once,
    events_arrive_where_the_thread_was_resumed,
    looking_does_not_wait,
    a_port_can_move_to_another_thread,
    notifications_race_with_events,
];

guest_code!(call, "2:", "syscall", "jmp 2b");

fn a_passed_deadline_is_reported(platform: &dyn Platform) {
    let mut port = platform.new_port().expect("a port");
    assert_eq!(port.next(Some(0)), Wake::Deadline);
    assert_eq!(port.next(Some(now_ns())), Wake::Deadline);
    // But not before what has happened.
    port.notifier().notify();
    assert_eq!(port.next(Some(0)), Wake::Notified);
}

fn a_deadline_is_waited_for(platform: &dyn Platform) {
    let mut port = platform.new_port().expect("a port");
    let deadline = now_ns() + 5_000_000;
    assert_eq!(port.next(Some(deadline)), Wake::Deadline);
    assert!(now_ns() >= deadline);
}

fn a_notification_is_kept(platform: &dyn Platform) {
    let mut port = platform.new_port().expect("a port");
    port.notifier().notify();
    assert_eq!(port.next(None), Wake::Notified);
    assert_eq!(port.next(Some(0)), Wake::Deadline);
}

fn notifications_do_not_pile_up(platform: &dyn Platform) {
    let mut port = platform.new_port().expect("a port");
    let notifier = port.notifier();
    for _ in 0..1000 {
        notifier.notify();
    }
    assert_eq!(port.try_next(), Some(Wake::Notified));
    assert_eq!(port.try_next(), None);
}

fn a_sleeping_port_is_notified(platform: &dyn Platform) {
    let mut port = platform.new_port().expect("a port");
    for _ in 0..200 {
        let notifier = port.notifier();
        std::thread::scope(|scope| {
            scope.spawn(move || notifier.notify());
            assert_eq!(port.next(Some(now_ns() + 30_000_000_000)), Wake::Notified);
        });
    }
}

fn an_event_is_reported_once(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    assert_eq!(world.port.nr_running(), 0);
    world.resume();
    assert_eq!(world.port.nr_running(), 1);
    let event = world.wait();
    assert!(matches!(event, Event::Syscall | Event::Interrupted), "{event:?}");
    assert_eq!(world.port.nr_running(), 0);
    assert_eq!(world.port.next(Some(now_ns() + 1_000_000)), Wake::Deadline);
}

fn events_arrive_where_the_thread_was_resumed(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    let mut other = platform.new_port().expect("a second port");
    for round in 0..100 {
        let port = if round % 2 == 0 { &mut world.port } else { &mut other };
        port.resume(round, world.thread.as_mut(), &world.ctx).expect("a parked thread runs");
        assert_eq!(port.next(None), Wake::Event(round));
        let event = world.thread.take_event(&mut world.ctx);
        assert!(matches!(event, Event::Syscall | Event::Interrupted), "{event:?}");
        assert_eq!(world.port.try_next(), None);
        assert_eq!(other.try_next(), None);
    }
}

fn looking_does_not_wait(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    assert_eq!(world.port.try_next(), None);
    world.resume();
    loop {
        match world.port.try_next() {
            None => std::thread::yield_now(),
            Some(Wake::Event(_)) => break,
            Some(other) => panic!("{other:?}"),
        }
    }
    let event = world.thread.take_event(&mut world.ctx);
    assert!(matches!(event, Event::Syscall | Event::Interrupted), "{event:?}");
}

fn a_port_can_move_to_another_thread(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    for nr in 0..10 {
        world.ctx.regs.rax = nr;
        // The world and its port move there and back.
        let moved = std::thread::spawn(move || {
            assert_eq!(world.run_to_syscall(), nr);
            world
        });
        world = moved.join().expect("the other thread does not panic");
    }
}

fn notifications_race_with_events(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    let notifier = world.port.notifier();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                notifier.notify();
                std::thread::yield_now();
            }
        });
        let mut events = 0;
        let mut notified = 0;
        world.resume();
        while events < 2000 || notified == 0 {
            match world.port.next(Some(now_ns() + 30_000_000_000)) {
                Wake::Event(_) => {
                    world.thread.take_event(&mut world.ctx);
                    events += 1;
                    world.resume();
                }
                Wake::Notified => notified += 1,
                Wake::Deadline => panic!("an event was lost"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    // The last event may come after another notification.
    while !matches!(world.port.next(None), Wake::Event(_)) {}
    world.thread.take_event(&mut world.ctx);
}
