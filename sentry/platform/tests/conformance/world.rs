//! One guest with a page of code, some data and one thread; the stage of most tests.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevor_platform::{Context, Event, Order, Platform, Port, Prot, Space, Thread, UserRegs, Wake};

/// Size of a page, bytes.
pub const PAGE: u64 = 4096;
/// Guest address of the code, mapped read-execute.
pub const CODE: u64 = 0x40_0000;
/// Guest address of the data, mapped read-write.
pub const DATA: u64 = 0x50_0000;
/// Length of the data mapping.
pub const DATA_LEN: u64 = 16 * PAGE;
/// Initial stack pointer: the end of the data.
pub const STACK: u64 = DATA + DATA_LEN;
/// Offset of the data in the file.
const DATA_OFFSET: u64 = 16 * PAGE;
const TOKEN: u64 = 0x5eed;

pub const R: Prot = Prot { read: true, write: false, exec: false };
pub const RW: Prot = Prot { read: true, write: true, exec: false };
pub const RX: Prot = Prot { read: true, write: false, exec: true };
pub const NONE: Prot = Prot { read: false, write: false, exec: false };

/// Assembles guest code: `guest_code!(name, "line", …)` defines a function that gives the bytes.
/// Label `99` is the first of them.
macro_rules! guest_code {
    ($name:ident, $($line:literal),+ $(,)?) => {
        fn $name() -> &'static [u8] {
            mod code {
                std::arch::global_asm!(
                    ".pushsection .rodata.guest, \"a\", @progbits",
                    concat!(".globl \"", module_path!(), stringify!($name), "_begin\""),
                    concat!(".globl \"", module_path!(), stringify!($name), "_end\""),
                    concat!("\"", module_path!(), stringify!($name), "_begin\":"),
                    "99:",
                    $($line,)+
                    concat!("\"", module_path!(), stringify!($name), "_end\":"),
                    ".popsection",
                );
                unsafe extern "C" {
                    #[link_name = concat!(module_path!(), stringify!($name), "_begin")]
                    pub static BEGIN: u8;
                    #[link_name = concat!(module_path!(), stringify!($name), "_end")]
                    pub static END: u8;
                }
            }
            let begin = &raw const code::BEGIN;
            // SAFETY: both symbols mark the bytes between them, assembled into read-only data.
            unsafe {
                let len = (&raw const code::END).offset_from(begin);
                std::slice::from_raw_parts(begin, usize::try_from(len).expect("end is after begin"))
            }
        }
    };
}
pub(crate) use guest_code;

/// A memory file.
pub fn memory_file(len: u64) -> File {
    // SAFETY: the name is a C string; the descriptor returned is owned by nobody else.
    let file = unsafe {
        let fd = libc::memfd_create(c"bevor-test".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        File::from_raw_fd(fd)
    };
    file.set_len(len).expect("a memory file can grow");
    file
}

/// A guest and everything needed to run it.
pub struct World {
    pub space: Arc<dyn Space>,
    pub thread: Box<dyn Thread>,
    pub port: Box<dyn Port>,
    pub ctx: Context,
    pub file: File,
}

impl World {
    /// A fresh address space whose one thread will start at the code's first byte.
    pub fn new(platform: &dyn Platform, code: &[u8]) -> Self {
        let file = memory_file(DATA_OFFSET + DATA_LEN);
        file.write_all_at(code, 0).expect("a memory file can be written");
        let space = platform.new_space().expect("a new space");
        let fd = file.as_raw_fd();
        let orders = [map(CODE, 4 * PAGE, RX, fd, 0), map(DATA, DATA_LEN, RW, fd, DATA_OFFSET)];
        space.apply(&orders).expect("code and data can be mapped");
        let thread = space.clone().new_thread().expect("a new thread");
        let port = platform.new_port().expect("a new port");
        Self { space, thread, port, ctx: Context { regs: start_regs(), full: true }, file }
    }

    /// Runs the guest to its next event. Spurious stops are passed over.
    pub fn run(&mut self) -> Event {
        loop {
            match self.run_once() {
                Event::Interrupted => {}
                event => return event,
            }
        }
    }

    /// Runs the guest to its next stop of any kind.
    pub fn run_once(&mut self) -> Event {
        self.resume();
        self.wait()
    }

    /// Resumes it without waiting.
    pub fn resume(&mut self) {
        self.port.resume(TOKEN, self.thread.as_mut(), &self.ctx).expect("a parked thread runs");
    }

    /// Waits for the event of a resumed guest.
    pub fn wait(&mut self) -> Event {
        let wake = self.port.next(Some(now_ns() + 30_000_000_000));
        assert_eq!(wake, Wake::Event(TOKEN), "the guest stops within half a minute");
        self.thread.take_event(&mut self.ctx)
    }

    /// Runs it to its next system call and gives the number.
    pub fn run_to_syscall(&mut self) -> u64 {
        assert_eq!(self.run(), Event::Syscall, "at {:#x?}", self.ctx.regs);
        self.ctx.regs.syscall_nr()
    }

    /// Lets the next run return `value` from a system call.
    pub fn answer(&mut self, value: u64) {
        self.ctx.regs.rax = value;
    }

    /// Moves the guest to `offset` in its code.
    pub fn jump(&mut self, offset: u64) {
        self.ctx.regs.rip = CODE + offset;
        self.ctx.full = true;
    }

    /// Reads a word of the data.
    pub fn word(&self, offset: u64) -> u64 {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, DATA_OFFSET + offset).expect("data can be read");
        u64::from_le_bytes(word)
    }

    /// Reads bytes of the data.
    pub fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, DATA_OFFSET + offset).expect("data can be read");
        bytes
    }

    /// Writes a word of the data.
    pub fn set_word(&self, offset: u64, word: u64) {
        self.file
            .write_all_at(&word.to_le_bytes(), DATA_OFFSET + offset)
            .expect("data is writable");
    }

    /// Another thread of the same space, starting at the code's first byte.
    pub fn another_thread(&self) -> (Box<dyn Thread>, Context) {
        let thread = self.space.clone().new_thread().expect("a new thread");
        (thread, Context { regs: start_regs(), full: true })
    }

    /// The order that maps the data's page `index` elsewhere.
    pub fn alias(&self, addr: u64, index: u64, prot: Prot) -> Order {
        map(addr, PAGE, prot, self.file.as_raw_fd(), DATA_OFFSET + index * PAGE)
    }

    /// The host process behind the space: the one that maps this world's file.
    pub fn stub(&self) -> Stub {
        let inode = self.file.metadata().expect("a memory file has an inode").ino().to_string();
        let me = std::process::id();
        for entry in std::fs::read_dir("/proc").expect("/proc is mounted").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let maps = std::fs::read_to_string(entry.path().join("maps")).unwrap_or_default();
            let ours = |line: &str| {
                line.contains("memfd:bevor-test")
                    && line.split_whitespace().nth(4) == Some(inode.as_str())
            };
            if pid != me && maps.lines().any(ours) {
                return Stub { pid };
            }
        }
        panic!("no process maps the guest's memory");
    }
}

/// A host process as `/proc` shows it.
pub struct Stub {
    pub pid: u32,
}

impl Stub {
    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: takes numbers only.
        let answer = unsafe { libc::kill(self.pid.cast_signed(), signal) };
        assert_eq!(answer, 0, "kill: {}", std::io::Error::last_os_error());
    }

    /// Its threads, and how many descriptors each has.
    pub fn threads(&self) -> Vec<(u32, usize)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).expect("it is alive");
        tasks
            .flatten()
            .filter_map(|task| {
                let tid = task.file_name().to_str()?.parse().ok()?;
                let fds = std::fs::read_dir(task.path().join("fd")).ok()?.count();
                Some((tid, fds))
            })
            .collect()
    }
}

/// An order that maps part of a file.
pub fn map(addr: u64, len: u64, prot: Prot, fd: i32, offset: u64) -> Order {
    Order::Map { addr, len, prot, fd, offset, populate: false }
}

/// Registers a program starts with here.
pub fn start_regs() -> UserRegs {
    UserRegs {
        rip: CODE,
        rsp: STACK,
        eflags: 0x202,
        cs: 0x33,
        ss: 0x2b,
        orig_rax: u64::MAX,
        ..UserRegs::default()
    }
}

/// `CLOCK_MONOTONIC`, nanoseconds.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    u64::try_from(time.tv_sec).expect("after boot") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("a clock's nanoseconds are positive")
}

/// Waits until `done`, for half a minute at most.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
