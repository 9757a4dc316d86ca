//! What is left behind: nothing.

use bevor_platform::Platform;

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{World, eventually, guest_code};

pub const CASES: &[Case] = cases![a_thousand_spaces_leave_nothing_behind, spaces_side_by_side];

/// Stubs a platform may keep in stock, more or less.
const STOCK: usize = 16;

guest_code!(call, "2:", "syscall", "jmp 2b");

fn nr_children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .map(|children| children.split_whitespace().count())
        .sum()
}

fn nr_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

fn nr_mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted").lines().count()
}

fn a_thousand_spaces_leave_nothing_behind(platform: &dyn Platform) {
    let one = |nr: u64| {
        let mut world = World::new(platform, call());
        let (_second, _) = world.another_thread();
        world.ctx.regs.rax = nr;
        assert_eq!(world.run_to_syscall(), nr);
    };
    (0..32).for_each(one);
    let (children, descriptors, mappings) = (nr_children(), nr_descriptors(), nr_mappings());
    (0..1000).for_each(one);
    eventually("stubs are reaped", || nr_children() <= children + STOCK);
    eventually("descriptors are closed", || nr_descriptors() <= descriptors + STOCK);
    eventually("memory is unmapped", || nr_mappings() <= mappings + 4 * STOCK);
}

fn spaces_side_by_side(platform: &dyn Platform) {
    let mut worlds: Vec<World> = (0..100).map(|_| World::new(platform, call())).collect();
    for round in 0..3 {
        for (i, world) in worlds.iter_mut().enumerate() {
            world.ctx.regs.rax = 1000 * round + i as u64;
            world.resume();
        }
        for world in &mut worlds {
            loop {
                match world.wait() {
                    bevor_platform::Event::Interrupted => world.resume(),
                    bevor_platform::Event::Syscall => break,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
