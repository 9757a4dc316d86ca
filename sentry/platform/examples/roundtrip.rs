//! Measures the hand-overs of a platform: system-call round trip, fault, orders, making threads and
//! address spaces. `cargo run --profile fast -p bevor-platform --example roundtrip [ptrace]`

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use bevor_platform::{
    Context, Event, Order, Platform, Port, Prot, Ptrace, PtraceConfig, Space, Thread, UserRegs,
    Wake,
};

const PAGE: u64 = 4096;
const CODE: u64 = 0x40_0000;
const DATA: u64 = 0x50_0000;
const HOLE: u64 = 0x60_0000;
/// `1: mov eax, 39; syscall; jmp 1b`
const CALLS: [u8; 9] = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
/// At 64: `1: mov [rdi], rax; jmp 1b`
const STORES: [u8; 5] = [0x48, 0x89, 0x07, 0xeb, 0xfb];

struct Guest {
    space: Arc<dyn Space>,
    thread: Box<dyn Thread>,
    port: Box<dyn Port>,
    ctx: Context,
}

impl Guest {
    fn new(platform: &dyn Platform, file: &File) -> Self {
        let space = platform.new_space().expect("a new space");
        let rx = Prot { read: true, write: false, exec: true };
        space.apply(&[map(file, CODE, rx, 0), map(file, DATA, RW, PAGE)]).expect("mappings");
        let thread = space.clone().new_thread().expect("a new thread");
        let port = platform.new_port().expect("a new port");
        let regs = UserRegs {
            rip: CODE,
            eflags: 0x202,
            cs: 0x33,
            ss: 0x2b,
            orig_rax: u64::MAX,
            ..UserRegs::default()
        };
        Self { space, thread, port, ctx: Context { regs, full: true } }
    }

    fn run(&mut self) -> Event {
        loop {
            self.port.resume(0, self.thread.as_mut(), &self.ctx).expect("a parked thread");
            assert_eq!(self.port.next(None), Wake::Event(0));
            match self.thread.take_event(&mut self.ctx) {
                Event::Interrupted => {}
                event => return event,
            }
        }
    }
}

const RW: Prot = Prot { read: true, write: true, exec: false };

fn map(file: &File, addr: u64, prot: Prot, offset: u64) -> Order {
    Order::Map { addr, len: PAGE, prot, fd: file.as_raw_fd(), offset, populate: false }
}

/// Times `work` a few times and prints the median of the per-round times.
fn measure(what: &str, rounds: u32, mut work: impl FnMut()) {
    let mut samples: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..rounds {
                work();
            }
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    println!("{what:<44} {:>9.2} µs   (min {:.2}, max {:.2})", samples[3], samples[0], samples[6]);
}

fn main() {
    let begin = Instant::now();
    let platform = Ptrace::new(PtraceConfig::from_host()).expect("this host allows tracing");
    println!("{}: started in {} µs", platform.name(), begin.elapsed().as_micros());
    // SAFETY: the name is a C string; nobody else owns the descriptor.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"bench".as_ptr(), 0)) };
    file.set_len(16 * PAGE).expect("a memory file can grow");
    file.write_all_at(&CALLS, 0).expect("a memory file can be written");
    file.write_all_at(&STORES, 64).expect("a memory file can be written");

    let mut guest = Guest::new(&platform, &file);
    measure("system call, answered with rax", 20_000, || {
        assert_eq!(guest.run(), Event::Syscall);
        guest.ctx.regs.rax = 1;
    });
    measure("system call, all registers changed", 20_000, || {
        assert_eq!(guest.run(), Event::Syscall);
        guest.ctx.full = true;
    });
    measure("one order (map a page)", 2000, || {
        guest.space.apply(&[map(&file, HOLE, RW, PAGE)]).expect("a page");
    });
    let batch: Vec<Order> =
        (0..16).map(|i| map(&file, HOLE + i * PAGE, RW, (i % 2) * PAGE)).collect();
    measure("a batch of 16 orders", 500, || guest.space.apply(&batch).expect("pages"));
    guest.ctx.regs.rip = CODE + 64;
    guest.ctx.regs.rdi = HOLE;
    measure("fault, map, go on to the next fault", 2000, || {
        let all = Order::Unmap { addr: HOLE, len: 16 * PAGE };
        guest.space.apply(&[all]).expect("unmapping");
        assert!(matches!(guest.run(), Event::PageFault { .. }));
    });
    measure("extended state, read", 2000, || drop(guest.thread.fp_state().expect("parked")));
    measure("thread, made and dropped (a spare one)", 1000, || {
        drop(guest.space.clone().new_thread().expect("a new thread"));
    });
    let mut kept = Vec::new();
    measure("thread, made", 20, || {
        kept.push(guest.space.clone().new_thread().expect("a new thread"));
    });
    measure("space, made and dropped", 100, || drop(platform.new_space().expect("a new space")));
    measure("space with a thread and two mappings", 100, || drop(Guest::new(&platform, &file)));
}
