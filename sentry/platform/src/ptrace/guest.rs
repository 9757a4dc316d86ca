//! A guest thread as the tracer sees it: how it is made ready, resumed, and what its stops mean.

use std::io;
use std::sync::Arc;

use bevor_confine::tables::ptrace::CLONE_THREAD_FLAGS;

use crate::arch::UserRegs;
use crate::arch::access::{MAX_INSTRUCTION, data_access};
use crate::arch::ptrace as arch;
use crate::arch::ptrace::{Call, PAGE, trap};
use crate::arch::xsave::XsaveLayout;
use crate::mappings::Mappings;
use crate::ptrace::host::{self, KICK, SigInfo};
use crate::ptrace::link::Promise;
use crate::ptrace::port::PortShared;
use crate::ptrace::thread::ThreadShared;
use crate::{Access, Event, PlatformError, Token};

const _: () = assert!(CLONE_THREAD_FLAGS & libc::CLONE_FILES != 0, "the preparation unshares them");

/// Stop signal of a system call with `PTRACE_O_TRACESYSGOOD`.
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// `CLOSE_RANGE_UNSHARE` (`linux/close_range.h`).
const CLOSE_RANGE_UNSHARE: u64 = 2;

/// `si_code`s of signals the host raises (`asm-generic/siginfo.h`).
mod code {
    pub const SI_KERNEL: i32 = 0x80;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const SEGV_BNDERR: i32 = 3;
    pub const SEGV_PKUERR: i32 = 4;
    pub const SEGV_CPERR: i32 = 10;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_MCEERR_AO: i32 = 5;
    pub const FPE_FLTDIV: i32 = 3;
    pub const SYS_SECCOMP: i32 = 1;
}

/// A guest thread.
pub struct Guest {
    pub shared: Arc<ThreadShared>,
    pub state: GuestState,
    /// Registers of the host thread while it is stopped.
    regs: UserRegs,
    last_fault: LastFault,
    /// Nobody holds it any more; it becomes a spare when it stops.
    pub released: bool,
}

/// What a guest thread is doing.
pub enum GuestState {
    /// Being prepared: it gives up its descriptors.
    Closing(Promise<Arc<ThreadShared>>),
    /// Stopped.
    Parked,
    /// Resumed.
    Running(Token, Arc<PortShared>),
}

/// What a stop of a running guest is.
pub enum Stop {
    /// To be reported.
    Event(Event),
    /// None of the kernel's business: it goes on.
    Ignore,
    /// Something no guest can do: the process must die.
    Broken(&'static str),
}

/// The fault reported last, to notice one that is reported over and over.
#[derive(Default)]
struct LastFault {
    rip: u64,
    addr: u64,
    times: u32,
}

impl Guest {
    /// Takes a thread that has stopped for the first time, and begins to prepare it.
    pub fn prepare(
        shared: Arc<ThreadShared>,
        promise: Promise<Arc<ThreadShared>>,
        key: u64,
    ) -> Self {
        let close = [0, u64::from(u32::MAX), CLOSE_RANGE_UNSHARE, 0, 0, 0];
        let regs = arch::call_regs(libc::SYS_close_range, close, key);
        // A thread that cannot run is dying: its exit ends the preparation.
        let _ = host::set_regs(shared.tid, &regs).and_then(|()| host::cont(shared.tid));
        Self {
            shared,
            state: GuestState::Closing(promise),
            regs: UserRegs::default(),
            last_fault: LastFault::default(),
            released: false,
        }
    }

    /// Whether it is being prepared.
    pub fn is_preparing(&self) -> bool {
        matches!(self.state, GuestState::Closing(_))
    }

    /// Handles a stop during preparation.
    pub fn prepare_stopped(&mut self, signal: i32, initial_fp: &[u8]) -> Result<(), &'static str> {
        let tid = self.shared.tid;
        if signal == libc::SIGSYS {
            return Err("the host filter refused a call that prepares a guest thread");
        }
        if signal != libc::SIGTRAP {
            // Some process's signal; a thread that cannot go on is dying.
            let _ = host::cont(tid);
            return Ok(());
        }
        let Ok(regs) = host::get_regs(tid) else { return Ok(()) };
        if arch::call_result(&regs) != Some(Ok(0)) {
            return Err("a guest thread could not be prepared");
        }
        self.state = match std::mem::replace(&mut self.state, GuestState::Parked) {
            GuestState::Closing(promise) => {
                self.regs = regs;
                let shared = self.shared.clone();
                promise.keep(host::set_xsave(tid, initial_fp).map(|()| shared).map_err(gone));
                GuestState::Parked
            }
            other => other,
        };
        Ok(())
    }

    /// Gives the host thread to a new guest thread.
    pub fn reuse(&mut self, initial_fp: &[u8], promise: Promise<Arc<ThreadShared>>) {
        let old = &self.shared;
        self.shared = Arc::new(ThreadShared::new(old.space.clone(), old.tid));
        self.last_fault = LastFault::default();
        self.released = false;
        let shared = self.shared.clone();
        promise.keep(host::set_xsave(shared.tid, initial_fp).map(|()| shared).map_err(gone));
    }

    /// Lets it run from the registers in its slot. A thread that cannot run is dying: its exit is
    /// reported in place of an event.
    pub fn resume(&mut self, token: Token, port: Arc<PortShared>) {
        let regs = arch::resume_regs(&self.shared.slot.lock().regs);
        self.state = GuestState::Running(token, port);
        let tid = self.shared.tid;
        let result = host::set_regs(tid, &regs).or_else(|e| {
            if e.raw_os_error() != Some(libc::EIO) {
                return Err(e);
            }
            // The host does not set the bases a guest may load with wrfsbase and wrgsbase. Those it
            // loaded itself are still there.
            let mut regs = regs;
            if arch::same_segments(&regs, &self.regs) {
                return host::set_regs_but_segments(tid, &regs);
            }
            arch::drop_segment_bases(&mut regs);
            host::set_regs(tid, &regs)
        });
        self.shared.begin_run();
        let result = result.and_then(|()| host::sysemu(tid));
        if result.is_err_and(|e| e.raw_os_error() != Some(libc::ESRCH)) {
            self.shared.space.kill();
        }
    }

    /// Lets it go on from where it is.
    pub fn go_on(&self) {
        let _ = host::sysemu(self.shared.tid);
    }

    /// Hands an event over to the port that resumed the thread, and parks it.
    pub fn report(&mut self, event: Event) {
        let GuestState::Running(token, port) =
            std::mem::replace(&mut self.state, GuestState::Parked)
        else {
            return;
        };
        self.shared.end_run();
        {
            let mut slot = self.shared.slot.lock();
            slot.regs = self.regs;
            slot.event = Some(event);
        }
        self.shared.set_running(false);
        port.push(token);
    }

    /// Finds out what a stop of the running guest is.
    pub fn stopped(&mut self, signal: i32, mappings: &Mappings) -> Stop {
        let tid = self.shared.tid;
        let info = match signal {
            SYSCALL_STOP | KICK => None,
            _ => match host::get_siginfo(tid) {
                // Signals other processes send mean nothing to the guest.
                Ok(info) if info.code <= 0 => return Stop::Ignore,
                Ok(info) => Some(info),
                // Dying: the exit comes next.
                Err(_) => return Stop::Ignore,
            },
        };
        self.regs = match host::get_regs(tid) {
            Ok(regs) => regs,
            Err(_) => return Stop::Ignore,
        };
        let Some(info) = info else {
            if signal == KICK {
                return Stop::Event(Event::Interrupted);
            }
            self.last_fault = LastFault::default();
            return Stop::Event(self.syscall());
        };
        self.signal(info, mappings)
    }

    fn syscall(&mut self) -> Event {
        let call = match arch::classify_call(&mut self.regs) {
            Call::Unsure
                if host::syscall_arch(self.shared.tid).is_ok_and(|a| a == arch::AUDIT_ARCH) =>
            {
                arch::native_call(&mut self.regs)
            }
            call => call,
        };
        match call {
            Call::Native => Event::Syscall,
            Call::X32(nr) => Event::ForeignSyscall { nr },
            Call::Unsure => {
                let gate = arch::refuse_foreign_call(&mut self.regs);
                Event::Exception {
                    signo: libc::SIGSEGV,
                    code: code::SI_KERNEL,
                    addr: 0,
                    trapno: gate.trapno,
                    error_code: gate.error_code,
                }
            }
        }
    }

    fn signal(&mut self, info: SigInfo, mappings: &Mappings) -> Stop {
        let exception = |trapno| {
            Stop::Event(Event::Exception {
                signo: info.signo,
                code: info.code,
                addr: info.addr,
                trapno,
                error_code: 0,
            })
        };
        match (info.signo, info.code) {
            (libc::SIGSEGV, code::SEGV_MAPERR | code::SEGV_ACCERR) => self.fault(info, mappings),
            (libc::SIGSEGV, code::SEGV_BNDERR) => exception(trap::BOUNDS),
            (libc::SIGSEGV, code::SEGV_PKUERR) => exception(trap::PAGE),
            (libc::SIGSEGV, code::SEGV_CPERR) => exception(trap::CONTROL),
            (libc::SIGSEGV, _) => {
                // The host does not tell the error code; that of an `int` follows from its number.
                let mut code = [0; 2];
                let read =
                    host::peek(self.shared.tid, arch::instruction_pointer(&self.regs), &mut code);
                let error_code = if read == code.len() { arch::protection_error(code) } else { 0 };
                Stop::Event(Event::Exception {
                    signo: info.signo,
                    code: info.code,
                    addr: info.addr,
                    trapno: trap::GP,
                    error_code,
                })
            }
            (libc::SIGBUS, code::BUS_ADRALN) => exception(trap::ALIGNMENT),
            (libc::SIGBUS, code::SI_KERNEL) => exception(trap::STACK),
            // A machine check the guest has not run into.
            (libc::SIGBUS, code::BUS_MCEERR_AO) => Stop::Ignore,
            (libc::SIGBUS, _) => self.fault(info, mappings),
            (libc::SIGILL, _) => exception(trap::INVALID),
            (libc::SIGFPE, code::FPE_FLTDIV..) => exception(self.float_trap()),
            (libc::SIGFPE, _) => exception(trap::DIVIDE),
            (libc::SIGTRAP, code::SI_KERNEL) => exception(trap::BREAKPOINT),
            (libc::SIGTRAP, _) => exception(trap::DEBUG),
            (libc::SIGSYS, code::SYS_SECCOMP) if arch::is_vsyscall(info.addr) => {
                arch::vsyscall_regs(&mut self.regs, info.syscall);
                Stop::Event(Event::Syscall)
            }
            (libc::SIGSYS, _) => Stop::Broken("a guest thread made a host call"),
            _ => Stop::Ignore,
        }
    }

    fn float_trap(&self) -> u64 {
        let simd =
            host::get_xsave(self.shared.tid).is_ok_and(|image| XsaveLayout::simd_exception(&image));
        if simd { trap::SIMD } else { trap::X87 }
    }

    fn fault(&mut self, info: SigInfo, mappings: &Mappings) -> Stop {
        let access = self.access(info.addr, mappings);
        Stop::Event(Event::PageFault {
            addr: info.addr,
            access,
            code: info.code,
            bus: info.signo == libc::SIGBUS,
        })
    }

    /// What the guest tried at `addr`. The host does not hand the error code of a page fault to a
    /// tracer, so the instruction must tell.
    fn access(&mut self, addr: u64, mappings: &Mappings) -> Access {
        let rip = self.regs.rip;
        let again = self.last_fault.rip == rip && self.last_fault.addr == addr;
        let times = if again { self.last_fault.times.saturating_add(1) } else { 0 };
        self.last_fault = LastFault { rip, addr, times };

        let right = |addr: u64| mappings.prot(addr).unwrap_or_default();
        // An instruction is fetched before its operands are touched.
        if addr == rip && !right(addr).exec {
            return Access::Exec;
        }
        let mut code = [0; MAX_INSTRUCTION];
        let mut len = host::peek(self.shared.tid, rip, &mut code);
        let left = PAGE - rip % PAGE;
        if (len as u64) > left && !right(rip.wrapping_add(left)).exec {
            // The host lets a tracer read what the guest cannot fetch.
            len = usize::try_from(left).unwrap_or(len).min(len);
        }
        if len == 0 {
            return if addr == rip { Access::Exec } else { Access::Read };
        }
        match data_access(&code[..len], &self.regs, addr) {
            // A load from a page that can be read does not fault three times over: the code was
            // changed under us, or stores in a way the decoder does not know.
            Some(Access::Read) if times >= 2 && right(addr).read => Access::Write,
            Some(access) => access,
            // "Read" costs a second fault when it was a write; "write" could be a false accusation.
            None if right(addr).read => Access::Write,
            None => Access::Read,
        }
    }
}

/// A stopped thread that refuses a request is dying.
pub fn gone(_: io::Error) -> PlatformError {
    PlatformError::Gone
}
