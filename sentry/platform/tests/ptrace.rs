//! The ptrace platform against the suite every platform must pass, and what is its own.

mod conformance;
mod walls;

use std::process::ExitCode;

use bevor_confine::tables::Features;
use bevor_platform::{Event, Platform, Ptrace, PtraceConfig};
use conformance::case::{Case, cases};
use conformance::world::{Stub, World, guest_code};

const CASES: &[Case] = cases![the_stub_page_is_harmless, nothing_else_is_mapped];

fn main() -> ExitCode {
    let make = || -> Box<dyn Platform> {
        Box::new(Ptrace::new(PtraceConfig::from_host()).expect("this host allows tracing"))
    };
    let features = Features { ptrace: true, ..Features::default() };
    if let Some(code) = walls::play_part(features, make) {
        return code;
    }
    let own: Vec<Case> = [CASES, walls::CASES].concat();
    conformance::main(make().as_ref(), &own)
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

/// A guest that jumps to the `syscall` instruction of the stub page has made a system call.
fn the_stub_page_is_harmless(platform: &dyn Platform) {
    let mut world = World::new(platform, jump());
    let end = platform.guest_range().end;
    let stub: Vec<u64> = executable(&world.stub()).into_iter().filter(|&at| at >= end).collect();
    assert!(!stub.is_empty());
    for at in stub {
        world.jump(0);
        world.ctx.regs.rdi = at;
        if at >= 0xffff_8000_0000_0000 {
            continue;
        }
        assert_eq!(world.run(), Event::Syscall);
        assert_eq!(world.ctx.regs.syscall_nr(), 39);
        // Going on after it traps, like anywhere.
        let event = world.run();
        assert!(matches!(event, Event::Exception { signo: libc::SIGTRAP, .. }), "{event:?}");
    }
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
}
