//! The zygote: the process all stubs are forked from.
//!
//! It is a fork of the sentry that shares its descriptors, has thrown everything else away and runs
//! the stub's code only. See docs/decisions/zygote.md for why it is not started with `execve`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use bevor_confine::sock_filter;
use bevor_confine::tables::{agent as agent_table, guest as guest_table};
use bevor_confine::{Values, compile_sites};

use crate::arch::fpu;
use crate::arch::systrap::{enter_zygote, has_rdpid};
use crate::systrap::agent::{Agent, Call};
use crate::systrap::host::{self, Children, Exec, Part, Window};
use crate::systrap::image::Image;
use crate::systrap::layout::{
    AGENT_DOWN, AGENT_UP, CONFIG, CONFIG_LEN, FILTER, FILTER_LEN, FILTER_PROGRAM, NR_BELLS,
    SLOT_LEN, agent_down, agent_up, config,
};
use crate::systrap::region::{GUEST_END, Mapping, Region, TASK_SIZE, WINDOW};
use crate::systrap::{HANDLED_SIGNALS, PAGE};

const SIG_SETMASK: u64 = 2;
const SIGSET_LEN: u64 = 8;
const SA_RESTORER: u64 = 0x0400_0000;
const SA_FLAGS: u64 =
    SA_RESTORER | (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER).cast_unsigned() as u64;
const RSEQ_FLAG_UNREGISTER: u64 = 1;
/// glibc's signature on x86-64 (`sys/rseq.h`).
const RSEQ_SIG: u64 = 0x5305_3053;

unsafe extern "C" {
    /// glibc: where the thread's rseq area lies, from the thread pointer.
    static __rseq_offset: isize;
}

/// Descriptors of the files the stubs map.
#[derive(Debug)]
pub struct Files {
    /// The stub's code, sealed.
    pub image: OwnedFd,
    /// Configuration: filters, doorbells.
    pub config: OwnedFd,
    /// Pages the sentry writes.
    pub down: OwnedFd,
    /// Pages guests write.
    pub up: OwnedFd,
    /// Signal stacks of guest threads.
    pub stacks: OwnedFd,
    /// Trampolines of rewritten call sites.
    pub trampolines: OwnedFd,
}

/// Writes the config pages.
pub fn write_config(page: &Part, image: &Image, region: &Region) {
    let put = |at: u64, value: u64| page.write(at, &value.to_le_bytes());
    put(config::ONE, 1);
    put(config::SUD, u64::from(host::has_user_dispatch()));
    put(config::SIGACTION, region.image + image.known("signal_handler"));
    put(config::SIGACTION + 8, SA_FLAGS);
    put(config::SIGACTION + 16, region.image + image.known("no_restorer"));
    put(config::SIGACTION + 24, 0);
    let handled = HANDLED_SIGNALS.iter().fold(0_u64, |set, signal| set | 1 << (signal - 1));
    put(config::SIGMASK, !handled);
    put(config::SIGMASK_AGENT, u64::MAX);
    put(config::NO_STACK, 0);
    put(config::NO_STACK + 8, libc::SS_DISABLE.cast_unsigned().into());
    put(config::NO_STACK + 16, 0);
    put(config::RDPID, u64::from(has_rdpid()));
    page.write(config::XSAVE_INIT, &fpu::initial());
}

/// Writes the filter of all stub threads, with its `sock_fprog`, to pages of their own: `key` is in it.
fn write_filter(page: &Part, image: &Image, region: &Region, key: u64) -> io::Result<()> {
    let areas = region.areas();
    let values = Values::new()
        .with("guest_end", GUEST_END)
        .with("areas", areas.start)
        .with("areas_end", areas.end)
        .with("bells", region.bell(0))
        .with("bells_end", region.bell(NR_BELLS))
        .with("image", region.image)
        .with("filter", region.image + FILTER)
        .with("key", key)
        .with("sigmask", region.config(config::SIGMASK))
        .with("one", region.config(config::ONE))
        .with("agent_go", region.agent_down() + agent_down::GO)
        .with("agent_up", region.agent_up());
    let address = |symbol: &str| image.symbol(symbol).map(|at| region.image + at);
    let sites = guest_table::SITES.iter().chain(agent_table::SITES);
    let program = compile_sites(sites, address, &values).map_err(io::Error::other)?;
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    if FILTER_PROGRAM + 8 * u64::from(len) > FILTER_LEN {
        return Err(io::Error::other("the filter is too long"));
    }
    page.write(0, &len.to_le_bytes());
    page.write(8, &(region.image + FILTER + FILTER_PROGRAM).to_le_bytes());
    let mut at = FILTER_PROGRAM;
    for sock_filter { code, jt, jf, k } in program {
        page.write(at, &code.to_le_bytes());
        page.write(at + 2, &[jt, jf]);
        page.write(at + 4, &k.to_le_bytes());
        at += 8;
    }
    Ok(())
}

/// The zygote's first batch: from a copy of the sentry to a stub. `true` beside an order: it may fail.
fn first_batch(image: &Image, region: &Region, own: &[Mapping]) -> Vec<(Call, bool)> {
    let mut batch = Vec::new();
    let mut must = |nr, args| batch.push((Call::new(nr, args), false));
    must(
        libc::SYS_rt_sigprocmask,
        [SIG_SETMASK, region.config(config::SIGMASK_AGENT), 0, SIGSET_LEN, 0, 0],
    );
    let mut to = region.host_vdso().start;
    for part in own.iter().filter(|m| m.is_host_vdso()) {
        let len = part.range.end - part.range.start;
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED).cast_unsigned().into();
        must(libc::SYS_mremap, [part.range.start, len, len, flags, to, 0]);
        to += len;
    }
    must(libc::SYS_munmap, [0, region.window, 0, 0, 0, 0]);
    let above = region.window + WINDOW;
    must(libc::SYS_munmap, [above, TASK_SIZE - above, 0, 0, 0, 0]);
    must(libc::SYS_sigaltstack, [region.config(config::NO_STACK), 0, 0, 0, 0, 0]);
    for signal in HANDLED_SIGNALS {
        let action = region.config(config::SIGACTION);
        must(libc::SYS_rt_sigaction, [signal.into(), action, 0, SIGSET_LEN, 0, 0]);
    }
    must(libc::SYS_setpgid, [0; 6]);
    let prctl = |option: i32, value| [option.cast_unsigned().into(), value, 0, 0, 0, 0];
    must(libc::SYS_prctl, prctl(libc::PR_SET_NO_NEW_PRIVS, 1));
    must(libc::SYS_prctl, prctl(libc::PR_SET_DUMPABLE, 0));
    if host::is_main_thread() {
        let sigkill = libc::SIGKILL.cast_unsigned().into();
        must(libc::SYS_prctl, prctl(libc::PR_SET_PDEATHSIG, sigkill));
    }
    let code_end = region.image + image.known("stub_end");
    let code = region.image + image.known("agent_page");
    let mut may = |nr, args| batch.push((Call::new(nr, args), true));
    for (start, end) in [
        (code, code_end),
        (region.config(0), region.config(CONFIG_LEN)),
        (region.host_vdso().start, to),
    ] {
        may(libc::SYS_mseal, [start, end - start, 0, 0, 0, 0]);
    }
    let filter = region.image + FILTER;
    let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
    batch.push((Call::new(libc::SYS_seccomp, [mode, 0, filter, 0, 0, 0]), false));
    // The key is in it, and no process that runs guest code may have it in its memory.
    batch.push((Call::new(libc::SYS_munmap, [filter, FILTER_LEN, 0, 0, 0, 0]), false));
    batch
}

/// Order to forget the rseq area that glibc registered for the calling thread.
fn forget_rseq(len: u64) -> Call {
    let thread_pointer = host::thread_pointer();
    // SAFETY: a constant of the C library, set before main.
    let offset = unsafe { __rseq_offset };
    let area = thread_pointer.wrapping_add_signed(offset as i64);
    Call::new(libc::SYS_rseq, [area, len, RSEQ_FLAG_UNREGISTER, RSEQ_SIG, 0, 0])
}

/// Forks the zygote and waits until its first batch is done. Returns its pid.
pub fn start(
    files: &Files,
    agent: &Agent,
    slot: u64,
    results: &Part,
    image: &Image,
    region: &Region,
    own: &[Mapping],
) -> io::Result<i32> {
    let done = host::eventfd()?;
    // glibc has registered 32 bytes; newer ones register what the host's rseq has.
    let mut batch: Vec<_> = [32, 33, 48, 64].map(|len| (forget_rseq(len), true)).into();
    batch.extend(first_batch(image, region, own));
    let calls: Vec<Call> = batch.iter().map(|(call, _)| *call).collect();
    agent.preload(&calls, done.as_raw_fd());

    let filter = host::memfd(c"bevor-filter", FILTER_LEN, Exec::Sealed)?;
    let mut key = [0; 8];
    host::random(&mut key)?;
    let key = u64::from_ne_bytes(key);
    let both = libc::PROT_READ | libc::PROT_WRITE;
    write_filter(&Window::map(&filter, FILTER_LEN, both)?.part(0, FILTER_LEN), image, region, key)?;

    let code_len = image.code.len() as u64;
    let read = libc::PROT_READ;
    let at = slot * SLOT_LEN;
    let mappings = [
        (region.image, code_len, read | libc::PROT_EXEC, &files.image, 0),
        (region.image + CONFIG, CONFIG_LEN, read, &files.config, 0),
        (region.image + AGENT_DOWN, SLOT_LEN, read, &files.down, at),
        (region.image + AGENT_UP, SLOT_LEN, both, &files.up, at),
        (region.image + FILTER, FILTER_LEN, read, &filter, 0),
    ];
    // SAFETY: the child maps the stub and jumps into it, touching nothing that a lock protects.
    let pid = unsafe { host::fork_sharing_files() }?;
    if pid == 0 {
        for (addr, len, prot, fd, offset) in mappings {
            // SAFETY: the window was chosen free of mappings; this is a copy of the sentry.
            if !unsafe { host::map_at(addr, len, prot, fd.as_raw_fd(), offset) } {
                host::exit_now();
            }
        }
        // SAFETY: the entry was just mapped.
        unsafe { enter_zygote(region.image + image.known("zygote_start"), key) }
    }

    let started = Instant::now();
    while !host::eventfd_take(done.as_raw_fd()) {
        let dead = host::wait(Children::One(pid), libc::WNOHANG)?.is_some();
        if dead || started.elapsed() > Duration::from_secs(5) {
            host::kill(pid);
            return Err(io::Error::other("the first stub process died while it was set up"));
        }
        host::eventfd_poll(done.as_raw_fd(), 1);
    }
    for (i, (call, may_fail)) in (0..).zip(&batch) {
        let result = results.u64(agent_up::RESULTS + 8 * i);
        let result = result.load(std::sync::atomic::Ordering::Acquire).cast_signed();
        if result < 0 && !may_fail {
            host::kill(pid);
            drop(host::wait(Children::One(pid), 0));
            let error = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(0));
            return Err(io::Error::new(
                error.kind(),
                format!("setting up the first stub process: host call {}: {error}", call.nr),
            ));
        }
    }
    debug_assert_eq!(PAGE, image.known("agent_page"));
    Ok(pid)
}
