//! Everything at once, from several host threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevor_platform::{Event, FpState, Kick, Platform, PlatformError};
use parking_lot::Mutex;

use crate::conformance::case::{Case, cases};
use crate::conformance::world::{PAGE, RW, World, guest_code};

pub const CASES: &[Case] = cases![workers_do_not_disturb_each_other];

const WORKERS: u64 = 4;
const WORLDS: u64 = 25;
const STEPS: u64 = 60;

guest_code!(
    sum,
    "2:",
    "add rbx, rdi",
    "movq xmm3, rbx",
    "mov eax, 1",
    "syscall",
    "movq rcx, xmm3",
    "cmp rcx, rbx",
    "je 2b",
    "ud2",
);

/// A small deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// What the thread that kicks aims at.
type Targets = Mutex<Vec<Arc<dyn Kick>>>;

fn workers_do_not_disturb_each_other(platform: &dyn Platform) {
    let targets = Targets::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(99);
            while !done.load(Ordering::Relaxed) {
                let target = {
                    let targets = targets.lock();
                    let index = random.below(targets.len().max(1) as u64);
                    targets.get(usize::try_from(index).expect("small")).cloned()
                };
                if let Some(target) = target {
                    target.kick();
                }
                std::thread::yield_now();
            }
        });
        let workers: Vec<_> = (1..=WORKERS)
            .map(|seed| {
                let targets = &targets;
                scope.spawn(move || worker(platform, seed, targets))
            })
            .collect();
        for worker in workers {
            worker.join().expect("workers do not panic");
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn worker(platform: &dyn Platform, seed: u64, targets: &Targets) {
    let mut random = Random(seed);
    for nr in 0..WORLDS {
        let mut world = World::new(platform, sum());
        targets.lock().push(world.thread.kicker());
        let mut total = 0_u64;
        for step in 0..STEPS {
            let add = random.below(1000);
            world.ctx.regs.rdi = add;
            world.ctx.full = true;
            total += add;
            assert_eq!(world.run_to_syscall(), 1, "worker {seed}, world {nr}, step {step}");
            assert_eq!(world.ctx.regs.rbx, total);
            world.answer(0);
            match random.below(12) {
                0 => {
                    let addr = 0x7000_0000 + PAGE * random.below(64);
                    let order = world.alias(addr, random.below(8), RW);
                    world.space.apply(&[order]).expect("a page can be mapped");
                }
                1 => {
                    let fp = world.thread.pull_full_state().expect("a parked thread");
                    world.thread.set_fp_state(&FpState::default()).expect("a parked thread");
                    world.thread.set_fp_state(&fp).expect("a parked thread");
                }
                2 => change_threads(&mut world),
                3 => world.space.membarrier().expect("a living space"),
                4 => drop(world.another_thread()),
                _ => {}
            }
        }
        match random.below(3) {
            0 => world.space.kill(),
            1 => {
                world.resume();
                world.space.kill();
                let event = world.wait();
                assert!(
                    matches!(event, Event::Gone | Event::Syscall | Event::Interrupted),
                    "{event:?}"
                );
                let answer = world.thread.fp_state();
                assert!(matches!(answer, Err(PlatformError::Gone)), "{answer:?}");
            }
            _ => {}
        }
    }
}

/// The guest goes on in another host thread of the same space.
fn change_threads(world: &mut World) {
    let fp = world.thread.pull_full_state().expect("a parked thread");
    let (thread, _) = world.another_thread();
    world.thread = thread;
    world.thread.set_fp_state(&fp).expect("a parked thread");
    world.ctx.full = true;
}
