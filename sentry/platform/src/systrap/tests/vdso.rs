//! Our vDSO, run in a guest.

use crate::systrap::host::{self, Exec};
use crate::systrap::tests::harness::{DATA, EXEC, Guest, PLATFORM, READ, WRITE, enter, guest, map};
use crate::{Answers, ClockOffsets, Event, Platform};

const BASE: u64 = 0x6000_0000;
/// Number with which the guest reports a function's result.
const REPORT: u64 = 1008;
const NS_PER_S: i64 = 1_000_000_000;

/// A guest with the vDSO mapped.
struct Caller(Guest);

impl Caller {
    fn new() -> Self {
        let vdso = PLATFORM.vdso().expect("systrap has one");
        let file = host::memfd(c"vdso", vdso.len() as u64, Exec::Allowed).expect("memfd");
        host::write_at(&file, vdso, 0).expect("writes");
        let g = Guest::new(guest!(guest_function), 0);
        g.space.apply(&[map(BASE, vdso.len() as u64, EXEC, &file, 0)]).expect("maps");
        Self(g)
    }

    fn start(&mut self, name: &str, args: [u64; 2]) {
        let elf =
            goblin::elf::Elf::parse(PLATFORM.vdso().expect("it has one")).expect("an ELF file");
        let mut symbols = elf.dynsyms.iter();
        let symbol = symbols.find(|s| elf.dynstrtab.get_at(s.st_name) == Some(name)).expect(name);
        self.0.ctx = enter(guest!(guest_function), args[0]);
        (self.0.ctx.regs.rsi, self.0.ctx.regs.r12) = (args[1], BASE + symbol.st_value);
        (self.0.ctx.regs.rbx, self.0.ctx.regs.rbp) = (1, 2);
    }

    /// Calls a function, which must not make a system call, and tells its result.
    fn call(&mut self, name: &str, args: [u64; 2]) -> u64 {
        self.start(name, args);
        assert_eq!(self.0.run(), Event::Syscall);
        let regs = &self.0.ctx.regs;
        assert_eq!((regs.syscall_nr(), regs.rbx, regs.rbp), (REPORT, 1, 2), "{name} {args:x?}");
        regs.rdi
    }

    /// Calls a function, which must make the system call.
    fn asks(&mut self, name: &str, args: [u64; 2], nr: i64) {
        self.start(name, args);
        assert_eq!(self.0.run(), Event::Syscall);
        assert_eq!(self.0.ctx.regs.syscall_nr(), nr.cast_unsigned(), "{name} {args:x?}");
        assert_eq!(self.0.ctx.regs.syscall_args()[..2], args);
    }

    fn clock(&mut self, id: i32) -> i64 {
        let id = id.cast_unsigned().into();
        assert_eq!(self.call("__vdso_clock_gettime", [id, DATA]), 0);
        let half = |at| i64::from_le_bytes(self.0.memory.read::<8>(at));
        let (seconds, ns) = (half(0), half(8));
        assert!((0..NS_PER_S).contains(&ns));
        seconds * NS_PER_S + ns
    }
}

fn host_clock(id: i32) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live timespec.
    assert_eq!(unsafe { libc::clock_gettime(id, &raw mut time) }, 0);
    time.tv_sec * NS_PER_S + time.tv_nsec
}

/// The clocks, by which offset they have.
const REAL: [i32; 3] = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI];
const MONOTONIC: [i32; 3] =
    [libc::CLOCK_MONOTONIC, libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_MONOTONIC_COARSE];
const BOOT: [i32; 1] = [libc::CLOCK_BOOTTIME];

#[test]
fn it_tells_the_hosts_time_without_a_call() {
    let mut caller = Caller::new();
    for id in [&REAL[..], &MONOTONIC, &BOOT].concat() {
        let before = host_clock(id);
        let told = caller.clock(id);
        assert!(before <= told && told <= host_clock(id), "clock {id}");
        let id = id.cast_unsigned().into();
        assert_eq!(caller.call("__vdso_clock_getres", [id, DATA]), 0);
    }
    assert_eq!(caller.call("__vdso_gettimeofday", [DATA, 0]), 0);
    assert!(caller.call("__vdso_time", [0, 0]) > 1_600_000_000);

    // Clocks that are the sentry's.
    for id in [libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_THREAD_CPUTIME_ID, 8, 9, 10, 12, 99, -6]
    {
        let id = id.cast_unsigned().into();
        caller.asks("__vdso_clock_gettime", [id, DATA], libc::SYS_clock_gettime);
        caller.asks("__vdso_clock_getres", [id, DATA], libc::SYS_clock_getres);
    }
}

#[test]
fn it_adds_the_offsets_of_the_address_space() {
    let mut caller = Caller::new();
    for (monotonic_ns, boottime_ns) in [
        (1_500_000_000, -1_999_999_999),
        (-1, 1),
        (86_400 * NS_PER_S, 0),
        (0, 999_999_999),
        (-host_clock(libc::CLOCK_MONOTONIC), i64::MAX / 2),
        (0, 0),
    ] {
        caller.0.space.set_clock_offsets(ClockOffsets { monotonic_ns, boottime_ns });
        for (ids, offset) in [(&REAL[..], 0), (&MONOTONIC, monotonic_ns), (&BOOT, boottime_ns)] {
            for &id in ids {
                let before = host_clock(id) + offset;
                let told = caller.clock(id);
                assert!(before <= told && told <= host_clock(id) + offset, "clock {id} {offset}");
            }
        }
    }
    // Another address space has none of it.
    caller.0.space.set_clock_offsets(ClockOffsets { monotonic_ns: NS_PER_S, boottime_ns: 0 });
    let told = Caller::new().clock(libc::CLOCK_MONOTONIC);
    assert!(told <= host_clock(libc::CLOCK_MONOTONIC));
}

#[test]
fn an_address_that_cannot_be_written_is_the_callers_fault() {
    let mut caller = Caller::new();
    let bad = 0x9000_0000;
    for offsets in [0, 5] {
        let offsets = ClockOffsets { monotonic_ns: offsets, boottime_ns: 0 };
        caller.0.space.set_clock_offsets(offsets);
        caller.start("__vdso_clock_gettime", [libc::CLOCK_MONOTONIC.cast_unsigned().into(), bad]);
        assert!(matches!(caller.0.run(), Event::PageFault { addr, .. } if addr & !0xfff == bad));
    }
}

#[test]
fn getcpu_is_the_sandboxs() {
    let mut caller = Caller::new();
    caller.asks("__vdso_getcpu", [DATA, DATA + 4], libc::SYS_getcpu);
    let answers = Answers { enabled: true, cpus: vec![u64::MAX; 16], ..Answers::default() };
    caller.0.thread.set_answers(&answers);
    let count = u32::try_from(PLATFORM.core.cpus.count()).expect("few");
    for args in [[DATA, DATA + 4], [DATA, 0], [0, DATA + 4], [0, 0]] {
        caller.0.space.apply(&[map(DATA, 0x1000, WRITE, &caller.0.memory.data, 0)]).expect("maps");
        assert_eq!(caller.call("__vdso_getcpu", args), 0);
        assert!(u32::from_le_bytes(caller.0.memory.read::<4>(0)) < count);
        assert_eq!(caller.0.memory.read::<4>(4), [0; 4]);
    }
    // A GS base of the guest's own, also one that could be taken for the stub's.
    let window = PLATFORM.core.region.window;
    for gs in [DATA, window + 0x1_0000 - 8, window + 8, window + (1 << 32)] {
        caller.start("__vdso_getcpu", [DATA, 0]);
        caller.0.ctx.regs.gs_base = gs;
        assert_eq!(caller.0.run(), Event::Syscall);
        assert_eq!(caller.0.ctx.regs.syscall_nr(), libc::SYS_getcpu.cast_unsigned());
    }
    caller.0.space.apply(&[map(DATA, 0x1000, READ, &caller.0.memory.data, 0)]).expect("maps");
    caller.start("__vdso_getcpu", [DATA, 0]);
    assert!(matches!(caller.0.run(), Event::PageFault { addr: DATA, .. }));
}
