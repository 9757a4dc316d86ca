//! The host calls of the tracer, each as a small safe function.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

use crate::arch::UserRegs;
use crate::arch::ptrace::{PAGE_LEN, REGS_WITHOUT_SEGMENTS};

/// Number of a host thread.
pub type Tid = i32;

/// The signal that interrupts guest threads and wakes the tracer. Ignored by default, so that one
/// too many harms nobody.
pub const KICK: i32 = libc::SIGURG;

const PTRACE_PEEKDATA: i64 = 2;
const PTRACE_CONT: i64 = 7;
const PTRACE_GETREGS: i64 = 12;
const PTRACE_SETREGS: i64 = 13;
const PTRACE_SYSEMU: i64 = 31;
const PTRACE_SETOPTIONS: i64 = 0x4200;
const PTRACE_GETSIGINFO: i64 = 0x4202;
const PTRACE_GETREGSET: i64 = 0x4204;
const PTRACE_SETREGSET: i64 = 0x4205;
const PTRACE_GET_SYSCALL_INFO: i64 = 0x420e;
const PTRACE_GET_RSEQ_CONFIGURATION: i64 = 0x420f;
const NT_PRSTATUS: usize = 1;
const NT_X86_XSTATE: usize = 0x202;
const PTRACE_O_TRACESYSGOOD: usize = 1;
const PTRACE_O_EXITKILL: usize = 1 << 20;
/// Longest XSAVE area asked for, bytes; the host says how long it is.
const XSAVE_MAX: usize = 4 * PAGE_LEN;

/// Makes a raw `ptrace` call whose result is only success or failure.
///
/// # Safety
/// `data` (and `addr`, where the request says so) points to what the request reads or writes.
unsafe fn ptrace(request: i64, tid: Tid, addr: usize, data: usize) -> io::Result<usize> {
    // SAFETY: the caller vouches for the pointers.
    let answer = unsafe { libc::syscall(libc::SYS_ptrace, request, i64::from(tid), addr, data) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Ends all tracees with the tracer, and marks system-call stops.
pub fn set_options(tid: Tid) -> io::Result<()> {
    // SAFETY: the request takes its options by value.
    unsafe { ptrace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) }?;
    Ok(())
}

/// Lets a stopped thread run until it stops by itself. Its pending signal is dropped.
pub fn cont(tid: Tid) -> io::Result<()> {
    // SAFETY: the request takes a signal number by value.
    unsafe { ptrace(PTRACE_CONT, tid, 0, 0) }?;
    Ok(())
}

/// Lets a stopped thread run until its next system call, which the host does not carry out.
pub fn sysemu(tid: Tid) -> io::Result<()> {
    // SAFETY: the request takes a signal number by value.
    unsafe { ptrace(PTRACE_SYSEMU, tid, 0, 0) }?;
    Ok(())
}

/// Reads the general registers of a stopped thread. Not `PTRACE_GETREGSET`, whose format depends on
/// the code segment the guest has jumped to.
pub fn get_regs(tid: Tid) -> io::Result<UserRegs> {
    let mut regs = UserRegs::default();
    // SAFETY: UserRegs is struct user_regs_struct, plain numbers, and outlives the call.
    unsafe { ptrace(PTRACE_GETREGS, tid, 0, (&raw mut regs) as usize) }?;
    Ok(regs)
}

/// Replaces the general registers of a stopped thread.
pub fn set_regs(tid: Tid, regs: &UserRegs) -> io::Result<()> {
    // SAFETY: the host only reads one struct user_regs_struct.
    unsafe { ptrace(PTRACE_SETREGS, tid, 0, (&raw const *regs) as usize) }?;
    Ok(())
}

/// Replaces the general registers but for segment bases and selectors.
pub fn set_regs_but_segments(tid: Tid, regs: &UserRegs) -> io::Result<()> {
    let base = (&raw const *regs).cast_mut().cast();
    let mut iov = libc::iovec { iov_base: base, iov_len: REGS_WITHOUT_SEGMENTS };
    // SAFETY: the vector names the first part of `regs`, which the host only reads.
    unsafe { ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, (&raw mut iov) as usize) }?;
    Ok(())
}

/// Reads the XSAVE area of a stopped thread, in the host's full length.
pub fn get_xsave(tid: Tid) -> io::Result<Vec<u8>> {
    let mut image = vec![0_u8; XSAVE_MAX];
    let mut iov = libc::iovec { iov_base: image.as_mut_ptr().cast(), iov_len: image.len() };
    // SAFETY: the vector names `image`, which outlives the call.
    unsafe { ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, (&raw mut iov) as usize) }?;
    image.truncate(iov.iov_len);
    Ok(image)
}

/// Replaces the XSAVE area of a stopped thread.
pub fn set_xsave(tid: Tid, image: &[u8]) -> io::Result<()> {
    let mut iov = libc::iovec { iov_base: image.as_ptr().cast_mut().cast(), iov_len: image.len() };
    // SAFETY: the vector names `image`, which the host only reads.
    unsafe { ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, (&raw mut iov) as usize) }?;
    Ok(())
}

/// What a signal stop is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigInfo {
    /// `si_signo`.
    pub signo: i32,
    /// `si_code`: positive when the host raised the signal, not some process.
    pub code: i32,
    /// `si_addr`, `si_call_addr`.
    pub addr: u64,
    /// `si_syscall` of a `SIGSYS`.
    pub syscall: i32,
}

/// Reads the siginfo of a thread in a signal stop.
pub fn get_siginfo(tid: Tid) -> io::Result<SigInfo> {
    let mut raw = [0_u8; 128];
    // SAFETY: the host writes sizeof(siginfo_t) = 128 bytes.
    unsafe { ptrace(PTRACE_GETSIGINFO, tid, 0, raw.as_mut_ptr() as usize) }?;
    let int = |at: usize| i32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let mut addr = [0; 8];
    addr.copy_from_slice(&raw[16..24]);
    Ok(SigInfo { signo: int(0), code: int(8), addr: u64::from_le_bytes(addr), syscall: int(24) })
}

/// Reads up to `buf.len()` bytes of a stopped thread's memory, whatever its rights. Returns how many
/// could be read.
pub fn peek(tid: Tid, addr: u64, buf: &mut [u8]) -> usize {
    let mut done = 0;
    while done < buf.len() {
        let at = addr.wrapping_add(done as u64);
        // A word never crosses into a page that may be missing.
        let skip = usize::try_from(at % 8).unwrap_or(0);
        let Ok(aligned) = usize::try_from(at - skip as u64) else { break };
        let mut word = 0_u64;
        // SAFETY: the raw request stores one word at `data`.
        if unsafe { ptrace(PTRACE_PEEKDATA, tid, aligned, (&raw mut word) as usize) }.is_err() {
            break;
        }
        let bytes = word.to_le_bytes();
        let len = (8 - skip).min(buf.len() - done);
        buf[done..done + len].copy_from_slice(&bytes[skip..skip + len]);
        done += len;
    }
    done
}

/// The architecture (`AUDIT_ARCH_*`) of the call a thread is stopped at.
pub fn syscall_arch(tid: Tid) -> io::Result<u32> {
    // struct ptrace_syscall_info: u8 op, u8 pad[3], u32 arch, …
    let mut info = [0_u8; 88];
    // SAFETY: the host writes at most the length given in `addr`.
    unsafe { ptrace(PTRACE_GET_SYSCALL_INFO, tid, info.len(), info.as_mut_ptr() as usize) }?;
    Ok(u32::from_le_bytes([info[4], info[5], info[6], info[7]]))
}

/// A registration for restartable sequences, as the `rseq` call takes it.
pub struct Rseq {
    /// Address of `struct rseq`; zero when there is none.
    pub addr: u64,
    /// Its length.
    pub len: u32,
    /// The signature before abort handlers.
    pub signature: u32,
}

/// The registration a stopped thread has inherited.
pub fn rseq(tid: Tid) -> io::Result<Rseq> {
    // struct ptrace_rseq_configuration { u64 pointer; u32 size; u32 signature; u32 flags; u32 pad }
    let mut raw = [0_u8; 24];
    // SAFETY: the host writes at most the length given in `addr`.
    unsafe { ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, raw.len(), raw.as_mut_ptr() as usize) }?;
    let word = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    Ok(Rseq {
        addr: u64::from(word(0)) | u64::from(word(4)) << 32,
        len: word(8),
        signature: word(12),
    })
}

/// Sends a signal to one thread of one process; a thread that is gone is no error.
pub fn tgkill(tgid: Tid, tid: Tid, signal: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, signal) };
}

/// Waits for one child to change state: its status.
pub fn wait_for(tid: Tid) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        let answer = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        if answer == tid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// An empty memory file.
pub fn memory_file(name: &std::ffi::CStr) -> io::Result<File> {
    // SAFETY: the name is a C string; nobody else owns the descriptor.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(fd))
    }
}

/// Number of the calling thread.
pub fn gettid() -> Tid {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// Nanoseconds of a clock; 0 if the host does not know it.
fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// `CLOCK_MONOTONIC`, nanoseconds.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CPU time of another process, nanoseconds; 0 once it is gone.
pub fn process_cpu_ns(pid: Tid) -> u64 {
    // MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED), linux/posix-timers_types.h
    clock_ns((!pid << 3) | 2)
}

/// Installs the handler of [`KICK`], which only makes the tracer's wait return.
pub fn handle_kicks() -> io::Result<()> {
    extern "C" fn on_kick(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the host passes the handler its context.
        unsafe { crate::arch::wait::skip_wait(context) };
    }
    // SAFETY: all-zero is a valid sigaction; the handler touches nothing but its context.
    let answer = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_kick as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(KICK, &raw const action, std::ptr::null_mut())
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the calling thread take [`KICK`].
pub fn unblock_kicks() -> io::Result<()> {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    let answer = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, KICK);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut())
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}

/// A random number.
pub fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    // SAFETY: a live buffer of that length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 { Ok(u64::from_ne_bytes(bytes)) } else { Err(io::Error::last_os_error()) }
}
