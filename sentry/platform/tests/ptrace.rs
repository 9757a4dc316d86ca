//! The ptrace platform against the suite every platform must pass, and what is its own.

mod conformance;

use std::process::ExitCode;

use bevor_confine::tables::Features;
use bevor_platform::{Event, Platform, Ptrace, PtraceConfig};
use conformance::{Case, World, guest_code};

fn main() -> ExitCode {
    let own = [
        Case { name: "ptrace::the_stub_page_is_harmless", run: the_stub_page_is_harmless },
        Case { name: "ptrace::nothing_else_is_mapped", run: nothing_else_is_mapped },
    ];
    let make = || -> Box<dyn Platform> {
        Box::new(Ptrace::new(PtraceConfig::from_host()).expect("this host allows tracing"))
    };
    conformance::main(make, Features { ptrace: true, ..Features::default() }, &own)
}

guest_code!(jump, "mov eax, 39", "jmp rdi");

/// A guest that jumps to the `syscall` instruction of the stub page has made a system call.
fn the_stub_page_is_harmless(platform: &dyn Platform) {
    let mut world = World::new(platform, jump());
    let end = platform.guest_range().end;
    let stub: Vec<u64> = world.stub().executable().into_iter().filter(|&at| at >= end).collect();
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
