//! The ptrace platform against the suite every platform must pass, and what is its own.

mod conformance;
mod walls;

use std::process::ExitCode;

use bevor_confine::tables::Features;
use bevor_platform::{Event, Platform, PlatformError, Ptrace, PtraceConfig};
use conformance::case::{Case, cases};
use conformance::world::{DATA, PAGE, RW, Stub, World, eventually, guest_code};

const CASES: &[Case] = cases![
    the_stub_page_is_harmless,
    nothing_else_is_mapped,
    a_dropped_platform_takes_its_guests_along,
    without_the_first_stub_nothing_hangs,
    a_running_thread_refuses_requests,
];

fn main() -> ExitCode {
    let make = |config: PtraceConfig| -> Box<dyn Platform> {
        Box::new(Ptrace::new(config).expect("this host allows tracing"))
    };
    let features = Features { ptrace: true, ..Features::default() };
    if let Some(code) = walls::play_part(features, PtraceConfig::from_host, make) {
        return code;
    }
    let own: Vec<Case> = [CASES, walls::CASES].concat();
    conformance::main(make(PtraceConfig::from_host()).as_ref(), &own)
}

/// Start addresses of a stub's executable mappings.
fn executable(stub: &Stub) -> Vec<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", stub.pid)).expect("it is alive");
    maps.lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.contains('x')))
        .filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok())
        .collect()
}

guest_code!(jump, "mov eax, 39", "jmp rdi");

/// A guest may jump anywhere into the stub page: its calls are calls, its faults are faults.
fn the_stub_page_is_harmless(platform: &dyn Platform) {
    let mut world = World::new(platform, jump());
    let end = platform.guest_range().end;
    let stub: Vec<u64> = executable(&world.stub()).into_iter().filter(|&at| at >= end).collect();
    assert!(!stub.is_empty());
    let mut calls = 0;
    for at in stub.into_iter().filter(|&at| at < 0xffff_8000_0000_0000) {
        for offset in 0..64 {
            world.jump(0);
            world.ctx.regs.rdi = at + offset;
            // As if the agent had orders in the guest's own data.
            world.ctx.regs.r12 = DATA;
            world.ctx.regs.r13 = DATA + 112;
            calls += u64::from(world.run() == Event::Syscall);
        }
    }
    assert!(calls > 0, "the syscall instruction was met");
    assert!(!world.space.is_gone());
    world.space.membarrier().expect("the agent is unharmed");
}

/// Nothing of the sentry is left in a stub: the guest's own mappings and one page of ours.
fn nothing_else_is_mapped(platform: &dyn Platform) {
    let world = World::new(platform, jump());
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", world.stub().pid))
        .expect("the stub is alive");
    let others: Vec<&str> = maps
        .lines()
        .filter(|line| !line.contains("memfd:bevor-test") && !line.ends_with("[vsyscall]"))
        .filter(|line| !["[vdso]", "[vvar]", "[vvar_vclock]"].iter().any(|v| line.ends_with(v)))
        .collect();
    assert_eq!(others.len(), 1, "{maps}");
    assert!(others[0].contains("r-xp"), "{maps}");
    // Once there has been a batch, the page that carried it, which nobody can write.
    let batch: Vec<_> = (0..8).map(|i| world.alias(0x7000_0000 + 2 * PAGE * i, i, RW)).collect();
    world.space.apply(&batch).expect("pages can be mapped");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", world.stub().pid))
        .expect("the stub is alive");
    let page = maps.lines().find(|line| line.contains("bevor-orders")).expect("a page of orders");
    assert!(page.contains("r--s"), "{maps}");
}

guest_code!(spin, "2:", "jmp 2b");

fn another_platform() -> Ptrace {
    Ptrace::new(PtraceConfig::from_host()).expect("this host allows tracing")
}

fn is_gone<T>(answer: &Result<T, PlatformError>) -> bool {
    matches!(answer, Err(PlatformError::Gone))
}

fn a_dropped_platform_takes_its_guests_along(_: &dyn Platform) {
    let platform = another_platform();
    let mut running = World::new(&platform, spin());
    let mut parked = World::new(&platform, spin());
    let (_another, _) = parked.another_thread();
    let stubs = [running.stub(), parked.stub()];
    running.resume();
    drop(platform);
    assert_eq!(running.wait(), Event::Gone);
    assert!(is_gone(&parked.port.resume(1, parked.thread.as_mut(), &parked.ctx)));
    assert!(is_gone(&parked.space.apply(&[])));
    assert!(is_gone(&parked.thread.fp_state()));
    assert!(is_gone(&parked.space.clone().new_thread()));
    for stub in stubs {
        assert!(!std::fs::exists(format!("/proc/{}", stub.pid)).expect("/proc is mounted"));
    }
}

fn without_the_first_stub_nothing_hangs(_: &dyn Platform) {
    let before = children();
    let platform = another_platform();
    let zygote = children().into_iter().find(|pid| !before.contains(pid)).expect("a first stub");
    let mut world = World::new(&platform, jump());
    Stub { pid: zygote }.signal(libc::SIGKILL);
    eventually("no more spaces", || is_gone(&platform.new_space()));
    // What is there goes on.
    world.ctx.regs.rdi = platform.guest_range().end;
    assert!(matches!(world.run(), Event::PageFault { .. }));
    let (_another, _) = world.another_thread();
    let pid = world.stub().pid;
    world.space.kill();
    eventually("nothing is left to trace", || !children().contains(&pid));
    assert!(is_gone(&platform.new_space()));
}

/// Children of this process, whichever thread made them.
fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

fn a_running_thread_refuses_requests(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    world.resume();
    let refused = |answer: Result<(), PlatformError>| {
        assert!(matches!(answer, Err(PlatformError::Host { .. })), "{answer:?}");
    };
    refused(world.thread.fp_state().map(drop));
    refused(world.port.resume(1, world.thread.as_mut(), &world.ctx));
    world.thread.kicker().kick();
    assert_eq!(world.wait(), Event::Interrupted);
    world.thread.fp_state().expect("parked again");
}
