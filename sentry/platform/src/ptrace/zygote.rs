//! The first stub process: forked from the sentry without execve (which would unshare the
//! descriptor table), then emptied. All other stubs are forked from it.

use std::io;
use std::os::fd::RawFd;

use bevor_confine::tables::{Features, Role, rows};
use bevor_confine::{BpfProgram, Options, Values, compile};

use crate::PlatformError;
use crate::arch::ptrace::{
    CALL_IP, FILTER, GUEST_END, ORDERS, PAGE, PAGE_LEN, REST, STUB, StubPages, call_regs,
    call_result,
};
use crate::ptrace::host::{self, Tid};

/// `RSEQ_FLAG_UNREGISTER` (`linux/rseq.h`).
const RSEQ_UNREGISTER: u64 = 1;

/// Makes the zygote. The calling thread becomes the tracer of all stubs, and their parent. `key`: see
/// [`call_regs`].
pub fn make(orders: RawFd, key: u64) -> Result<Tid, PlatformError> {
    let pages = stub_pages(orders, key)?;
    let parent = std::process::id().cast_signed();
    // SAFETY: without CLONE_VM the child has its own copy of this thread's memory; it makes host
    // calls only and never returns.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            i64::from(libc::CLONE_FILES | libc::SIGCHLD),
            0_u64,
            0_u64,
            0_u64,
            0_u64,
        )
    };
    if pid == 0 {
        child(&pages, parent);
    }
    let pid = Tid::try_from(pid).unwrap_or(-1);
    if pid < 0 {
        return Err(failed("clone of the first stub process"));
    }
    let ready = prepare(pid, key);
    if ready.is_err() {
        host::tgkill(pid, pid, libc::SIGKILL);
        while host::wait_for(pid).is_ok_and(|status| libc::WIFSTOPPED(status)) {}
    }
    ready.map(|()| pid)
}

fn failed(what: &'static str) -> PlatformError {
    PlatformError::Host { what, source: io::Error::last_os_error() }
}

fn stub_pages(orders: RawFd, key: u64) -> Result<StubPages, PlatformError> {
    let features = Features { ptrace: true, ..Features::default() };
    let values = Values::new()
        .with("guest_end", GUEST_END)
        .with("orders", ORDERS)
        .with("orders_fd", u64::from(orders.cast_unsigned()))
        .with("key", key);
    let options = Options { ip: Some(CALL_IP..CALL_IP + 1), ..Options::default() };
    let failed = |source| PlatformError::Host { what: "filter of stub processes", source };
    let program = compile(rows(Role::Agent, features), &values, &options)
        .map_err(|e| failed(io::Error::other(e)))?;
    StubPages::new(&encode(&program))
        .ok_or_else(|| failed(io::Error::from_raw_os_error(libc::E2BIG)))
}

fn encode(program: &BpfProgram) -> Vec<[u8; 8]> {
    let instruction = |i: &bevor_confine::sock_filter| {
        let [c0, c1] = i.code.to_le_bytes();
        let [k0, k1, k2, k3] = i.k.to_le_bytes();
        [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
    };
    program.iter().map(instruction).collect()
}

/// Everything the new process does with the sentry's code. The last exit code names the step that
/// failed.
fn child(pages: &StubPages, parent: Tid) -> ! {
    let failed = child_steps(pages, parent);
    // SAFETY: ends this process.
    unsafe { libc::_exit(failed) }
}

/// What the exit codes of [`child`] mean.
const STEPS: [&str; 7] = [
    "the first stub process ended",
    "PTRACE_TRACEME of the first stub process (does kernel.yama.ptrace_scope forbid it?)",
    "PR_SET_PDEATHSIG of the first stub process",
    "PR_SET_NO_NEW_PRIVS of the first stub process",
    "capset of the first stub process",
    "setrlimit of the first stub process",
    "mapping the stub page",
];

/// Does the steps in order; the number of the one that failed.
fn child_steps(pages: &StubPages, parent: Tid) -> i32 {
    const PTRACE_TRACEME: i64 = 0;
    const SYS_MSEAL: i64 = 462;
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const CAP_VERSION: u32 = 0x2008_0522;
    let stub = usize::try_from(STUB.start).unwrap_or(0) as *mut libc::c_void;
    // SAFETY: plain host calls on memory of this single-threaded process; the stub page's address
    // is above all mappings the host makes on its own.
    unsafe {
        if libc::syscall(libc::SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) != 0 {
            return 1;
        }
        // A sentry that ended in between leaves nobody to trace this process.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::getppid() != parent {
            return 2;
        }
        let none = 0_u64;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0, 8);
        for signal in 1..=64 {
            // struct kernel_sigaction: SIG_DFL, no flags, no restorer, empty mask.
            let default = [0_u64; 4];
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, 0, 8);
        }
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"bevor-stub".as_ptr());
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return 3;
        }
        let header = [CAP_VERSION, 0];
        let no_caps = [0_u32; 6];
        if libc::syscall(libc::SYS_capset, &raw const header, &raw const no_caps) != 0 {
            return 4;
        }
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) != 0 {
            return 5;
        }
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        if libc::mmap(stub, 2 * PAGE_LEN, prot, flags, -1, 0) != stub {
            return 6;
        }
        let filter = stub.cast::<u8>().add(PAGE_LEN);
        std::ptr::copy_nonoverlapping(pages.code.as_ptr(), stub.cast(), PAGE_LEN);
        std::ptr::copy_nonoverlapping(pages.filter.as_ptr(), filter, PAGE_LEN);
        if libc::mprotect(stub, PAGE_LEN, libc::PROT_READ | libc::PROT_EXEC) != 0 {
            return 6;
        }
        // Hosts before 6.10 cannot seal; no order reaches the page anyway.
        libc::syscall(SYS_MSEAL, stub, PAGE_LEN, 0);
        libc::kill(libc::getpid(), libc::SIGSTOP);
    }
    0
}

/// Empties the stopped child, makes it traceable and puts the filter of all stub threads on it.
fn prepare(pid: Tid, key: u64) -> Result<(), PlatformError> {
    let host = |what| move |source| PlatformError::Host { what, source };
    let status = host::wait_for(pid).map_err(host("waiting for the first stub process"))?;
    if !libc::WIFSTOPPED(status) {
        let step = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 0 };
        let what = usize::try_from(step).ok().and_then(|s| STEPS.get(s)).unwrap_or(&STEPS[0]);
        return Err(PlatformError::Host { what, source: io::ErrorKind::PermissionDenied.into() });
    }
    host::set_options(pid).map_err(host("PTRACE_SETOPTIONS"))?;

    // A host without restartable sequences fails the question.
    if let Ok(rseq) = host::rseq(pid)
        && rseq.addr != 0
    {
        let args =
            [rseq.addr, u64::from(rseq.len), RSEQ_UNREGISTER, u64::from(rseq.signature), 0, 0];
        call(pid, libc::SYS_rseq, args, 0).map_err(host("rseq of the first stub process"))?;
    }
    for range in REST {
        unmap(pid, range.start, range.end).map_err(host("emptying the first stub process"))?;
    }
    // The tracer reads guest instructions; the host allows that for dumpable processes only. Nothing
    // of the sentry is left to read.
    let args = [i64::from(libc::PR_SET_DUMPABLE).cast_unsigned(), 1, 0, 0, 0, 0];
    call(pid, libc::SYS_prctl, args, 0).map_err(host("PR_SET_DUMPABLE"))?;
    let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
    call(pid, libc::SYS_seccomp, [mode, 0, FILTER, 0, 0, 0], 0)
        .map_err(host("filter of the first stub process"))?;
    // The key is in it.
    call(pid, libc::SYS_munmap, [FILTER, PAGE, 0, 0, 0, 0], key)
        .map_err(host("unmapping the filter of the first stub process"))?;
    Ok(())
}

/// Unmaps a range, around mappings the host has sealed (its vDSO, on some hosts).
fn unmap(pid: Tid, start: u64, end: u64) -> io::Result<()> {
    match call(pid, libc::SYS_munmap, [start, end - start, 0, 0, 0, 0], 0) {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
            let half = start + (((end - start) / 2) & !(PAGE - 1));
            if half == start {
                return Ok(());
            }
            unmap(pid, start, half)?;
            unmap(pid, half, end)
        }
        other => other.map(|_| ()),
    }
}

/// One injected call, waited for.
fn call(pid: Tid, nr: i64, args: [u64; 6], key: u64) -> io::Result<u64> {
    host::set_regs(pid, &call_regs(nr, args, key))?;
    loop {
        host::cont(pid)?;
        let status = host::wait_for(pid)?;
        if !libc::WIFSTOPPED(status) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => {
                return match call_result(&host::get_regs(pid)?) {
                    Some(Ok(value)) => Ok(value),
                    Some(Err(code)) => Err(io::Error::from_raw_os_error(code)),
                    None => Err(io::Error::from_raw_os_error(libc::EIO)),
                };
            }
            libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGSYS => {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
            // Some process's signal.
            _ => {}
        }
    }
}
