//! A small kernel for tests: maps code and data, runs a guest to its next event.

use std::any::Any;
use std::arch::global_asm;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, LazyLock};

use crate::systrap::host::{self, Exec};
use crate::systrap::space::SystrapSpace;
use crate::{Context, Event, Order, Platform, Port, Prot, Space, Thread, Token, UserRegs, Wake};
use crate::{Systrap, SystrapConfig};

global_asm!(include_str!("guest.s"));

/// Where the guest's code lies.
pub const CODE: u64 = 0x40_0000;
/// Where its data lies: two pages, the stack's end at `DATA_END`.
pub const DATA: u64 = 0x80_0000;
pub const DATA_LEN: u64 = 0x2000;
pub const DATA_END: u64 = DATA + DATA_LEN;

pub const READ: Prot = Prot { read: true, write: false, exec: false };
pub const WRITE: Prot = Prot { read: true, write: true, exec: false };
pub const EXEC: Prot = Prot { read: true, write: false, exec: true };

/// A symbol of `guest.s`.
macro_rules! guest {
    ($name:ident) => {{
        unsafe extern "C" {
            static $name: u8;
        }
        &raw const $name as usize
    }};
}
pub(crate) use guest;

pub static PLATFORM: LazyLock<Systrap> = LazyLock::new(|| {
    extern "C" fn end_stubs() {
        PLATFORM.kill_everything();
    }
    // SAFETY: the function lives as long as the process and ends before its statics do.
    unsafe { libc::atexit(end_stubs) };
    let config = SystrapConfig { rewrite_calls: true, ..SystrapConfig::from_host() };
    Systrap::on_host(config).expect("this host runs systrap")
});

/// Code and data of one guest process.
pub struct Memory {
    pub code: OwnedFd,
    pub data: OwnedFd,
}

impl Memory {
    pub fn new() -> Self {
        let start = guest!(test_guests);
        let len = guest!(test_guests_end) - start;
        // SAFETY: the bytes between the two symbols are guest.s.
        let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, len) };
        let code = host::memfd(c"code", 0x1000, Exec::Allowed).expect("memfd");
        host::write_at(&code, bytes, 0).expect("write");
        Self { code, data: host::memfd(c"data", DATA_LEN, Exec::Allowed).expect("memfd") }
    }

    pub fn orders(&self) -> [Order; 2] {
        [map(CODE, 0x1000, EXEC, &self.code, 0), map(DATA, DATA_LEN, WRITE, &self.data, 0)]
    }

    pub fn read<const N: usize>(&self, offset: u64) -> [u8; N] {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; N];
        let file = std::fs::File::from(self.data.try_clone().expect("dup"));
        file.read_exact_at(&mut bytes, offset).expect("read");
        bytes
    }
}

pub fn map(addr: u64, len: u64, prot: Prot, fd: &OwnedFd, offset: u64) -> Order {
    Order::Map { addr, len, prot, fd: fd.as_raw_fd(), offset, populate: false }
}

/// Where a symbol of `guest.s` lies in the guest.
pub fn at(symbol: usize) -> u64 {
    CODE + (symbol - guest!(test_guests)) as u64
}

/// Registers to enter the guest with.
pub fn enter(symbol: usize, rdi: u64) -> Context {
    let regs = UserRegs { rip: at(symbol), rsp: DATA_END, rdi, ..UserRegs::default() };
    Context { regs, full: true }
}

/// A process with one thread and a port.
pub struct Guest {
    pub memory: Memory,
    pub space: Arc<dyn Space>,
    pub thread: Box<dyn Thread>,
    pub port: Box<dyn Port>,
    pub ctx: Context,
}

impl Guest {
    pub fn new(symbol: usize, rdi: u64) -> Self {
        let memory = Memory::new();
        let space = PLATFORM.new_space().expect("a space");
        space.apply(&memory.orders()).expect("orders");
        let thread = space.clone().new_thread().expect("a thread");
        let port = PLATFORM.new_port().expect("a port");
        Self { memory, space, thread, port, ctx: enter(symbol, rdi) }
    }

    pub fn resume(&mut self) {
        self.port.resume(1, &mut *self.thread, &self.ctx).expect("resumes");
    }

    pub fn wait(&mut self) -> Event {
        assert_eq!(self.port.next(soon()), Wake::Event(1 as Token));
        self.thread.take_event(&mut self.ctx)
    }

    /// Its host process.
    pub fn stub_pid(&self) -> i32 {
        let space: &dyn Any = &*self.space;
        space.downcast_ref::<SystrapSpace>().expect("a systrap space").stub.pid
    }

    /// Runs to the next event.
    pub fn run(&mut self) -> Event {
        self.resume();
        self.wait()
    }

    /// Answers the system call and runs to the next event.
    pub fn answer(&mut self, result: u64) -> Event {
        self.ctx.regs.rax = result;
        self.run()
    }
}

/// A deadline that only a hang reaches.
pub fn soon() -> Option<u64> {
    Some(host::now_ns() + 20_000_000_000)
}
