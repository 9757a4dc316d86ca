//! The systrap platform against the suite every platform must pass, and what is its own.

mod conformance;
mod reuse;
mod walls;

use std::fs::File;
use std::process::ExitCode;

use bevor_confine::tables::Features;
use bevor_platform::{Event, Platform, Systrap, SystrapConfig};
use conformance::case::Case;
use conformance::world::{DATA, World, guest_code, start_regs};

fn main() -> ExitCode {
    let facts = || (SystrapConfig::from_host(), File::open("/proc/self/maps").expect("/proc"));
    let make = |(config, maps): (SystrapConfig, File)| -> Box<dyn Platform> {
        let systrap = Systrap::new(config, maps).expect("this host runs systrap");
        systrap.start();
        Box::new(systrap)
    };
    if let Some(code) = walls::play_part(Features::default(), facts, make) {
        return code;
    }
    let platform = Systrap::on_host(SystrapConfig::from_host()).expect("this host runs systrap");
    let own = [
        Case { name: "systrap::the_stubs_calls_are_harmless", run: the_stubs_calls_are_harmless },
        Case { name: "systrap::no_agent_call_without_the_key", run: no_agent_call_without_the_key },
        Case { name: "systrap::nothing_else_is_mapped", run: nothing_else_is_mapped },
    ];
    conformance::main(&platform, &[&own, reuse::CASES, walls::CASES].concat())
}

guest_code!(jump, "mov r9, rbp", "jmp r12");

const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// A guest that jumps to any `syscall` instruction of the stub, for any call with any arguments, gets
/// nowhere: it goes on in the stub as a parked thread would, or its process ends. Nobody else notices.
fn the_stubs_calls_are_harmless(platform: &dyn Platform) {
    let mut neighbour = World::new(platform, jump());
    let world = World::new(platform, jump());
    let end = platform.guest_range().end;
    let sites = sites_above(&world, end);
    drop(world);
    let calls = [
        libc::SYS_getpid,
        libc::SYS_rt_sigreturn,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_clone,
        libc::SYS_execve,
        libc::SYS_kill,
        libc::SYS_write,
        libc::SYS_seccomp,
        libc::SYS_prctl,
        libc::SYS_sigaltstack,
        libc::SYS_exit_group,
        libc::SYS_ptrace,
        libc::SYS_openat,
    ];
    for site in sites {
        for nr in calls {
            let mut world = World::new(platform, jump());
            world.ctx.regs.r12 = site;
            world.ctx.regs.rax = nr.cast_unsigned();
            (world.ctx.regs.rdi, world.ctx.regs.rsi) = (0, u64::MAX);
            world.ctx.regs.rsp = 0x40_0800;
            let event = world.run();
            assert_eq!(event, Event::Gone, "{nr} at {site:x}");
        }
        neighbour.ctx.regs.r12 = 0x1000;
        neighbour.ctx.full = true;
        neighbour.ctx.regs.rip = world_code();
        assert!(matches!(neighbour.run(), Event::PageFault { addr: 0x1000, .. }));
    }
}

/// Calls with arguments that an agent could make, at every `syscall` instruction: none is carried out.
/// After an agent's call its code stores the result where the guest can see it. Mapping a descriptor is
/// allowed without the key, and finds none.
fn no_agent_call_without_the_key(platform: &dyn Platform) {
    const UNTOUCHED: u64 = 0x7e57;
    let page = DATA + 0x1000;
    let end = platform.guest_range().end;
    let sites = sites_above(&World::new(platform, jump()), end);
    let flag = |flag: i32| u64::from(flag.cast_unsigned());
    let map_flags = flag(libc::MAP_SHARED | libc::MAP_FIXED);
    let calls: [(i64, [u64; 5]); 8] = [
        (libc::SYS_munmap, [page, 0x1000, 0, 0, 0]),
        (libc::SYS_mprotect, [page, 0x1000, 7, 0, 0]),
        (libc::SYS_madvise, [page, 0x1000, flag(libc::MADV_DONTNEED), 0, 0]),
        (libc::SYS_membarrier, [flag(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0, 0, 0, 0]),
        (libc::SYS_clone, [flag(bevor_confine::tables::agent::THREAD_FLAGS), 0, 0, 0, 0]),
        (libc::SYS_clone, [flag(bevor_confine::tables::agent::SPACE_FLAGS), 0, 0, 0, 0]),
        (libc::SYS_close_range, [0, u64::from(u32::MAX), 2, 0, 0]),
        (libc::SYS_mmap, [page, 0x1000, 7, map_flags, 3]),
    ];
    for site in sites {
        for (nr, args) in calls {
            let mut world = World::new(platform, jump());
            world.set_word(0, UNTOUCHED);
            let regs = &mut world.ctx.regs;
            (regs.r12, regs.rax) = (site, nr.cast_unsigned());
            (regs.rdi, regs.rsi, regs.rdx, regs.r10) = (args[0], args[1], args[2], args[3]);
            regs.r8 = args[4];
            // Where agents put results; the guess of the key, too.
            (regs.rbp, regs.rsp, regs.r15) = (DATA, 0x40_0800, 1);
            assert_eq!(world.run(), Event::Gone, "{nr} at {site:x}");
            let result = world.word(0);
            let badf = i64::from(-libc::EBADF).cast_unsigned();
            let harmless = result == UNTOUCHED || (nr == libc::SYS_mmap && result == badf);
            assert!(harmless, "{nr} at {site:x}: {result:x}");
        }
    }
}

/// The addresses of the stub's `syscall` instructions.
fn sites_above(world: &World, end: u64) -> Vec<u64> {
    let text = text_above(world, end);
    let sites: Vec<u64> = text
        .iter()
        .flat_map(|(start, bytes)| {
            let at = bytes.windows(2).enumerate().filter(|(_, two)| *two == SYSCALL);
            at.map(|(i, _)| start + i as u64).collect::<Vec<_>>()
        })
        .collect();
    assert!(sites.len() > 8, "{sites:x?}");
    sites
}

fn world_code() -> u64 {
    start_regs().rip
}

/// The code above the guest's addresses, by start, the vsyscall page left out.
fn text_above(world: &World, end: u64) -> Vec<(u64, Vec<u8>)> {
    use std::os::unix::fs::FileExt;
    let pid = world.stub().pid;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("the stub is alive");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the stub is alive");
    let range = |line: &str| {
        let (addresses, rights) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        rights.starts_with("r-x").then_some(number(start)?..number(end)?)
    };
    maps.lines()
        .filter(|line| line.contains("bevor-stub"))
        .filter_map(range)
        .filter(|range| range.start >= end)
        .map(|range| {
            let len = usize::try_from(range.end - range.start).expect("a few pages");
            let mut bytes = vec![0; len];
            memory.read_exact_at(&mut bytes, range.start).expect("the stub's code is readable");
            (range.start, bytes)
        })
        .collect()
}

/// Nothing of the sentry is left in a stub: the guest's own mappings, and our files.
fn nothing_else_is_mapped(platform: &dyn Platform) {
    let world = World::new(platform, jump());
    let pid = world.stub().pid;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the stub is alive");
    let ours =
        ["bevor-test", "bevor-stub", "bevor-config", "bevor-up", "bevor-down", "bevor-stacks"];
    let host = ["[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"];
    let others: Vec<&str> = maps
        .lines()
        .filter(|line| !ours.iter().any(|name| line.contains(&format!("/memfd:{name} "))))
        .filter(|line| !host.iter().any(|name| line.ends_with(name)))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let writable_code = maps.lines().filter(|line| line.contains("rwx") && line.starts_with("7"));
    assert_eq!(writable_code.count(), 0, "{maps}");
}
