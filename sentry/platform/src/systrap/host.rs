//! The host calls of the systrap platform, and pages shared with stubs.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::arch::UserRegs;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether a memory file may be mapped for execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exec {
    /// It may.
    Allowed,
    /// Never.
    Sealed,
}

/// Makes a memory file of `len` bytes.
pub fn memfd(name: &std::ffi::CStr, len: u64, exec: Exec) -> io::Result<OwnedFd> {
    let base = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let kind = if exec == Exec::Allowed { libc::MFD_EXEC } else { libc::MFD_NOEXEC_SEAL };
    // SAFETY: the name is NUL terminated.
    let create = |flags| unsafe { libc::memfd_create(name.as_ptr(), flags) };
    // Linux before 6.3 knows neither flag.
    let fd = check(create(base | kind)).or_else(|_| check(create(base)))?;
    // SAFETY: the call just made the descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let len = i64::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: no pointers.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), len) })?;
    Ok(fd)
}

/// Forbids every later change of the file.
pub fn seal(fd: &OwnedFd) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// Writes all of `bytes` at `offset`.
pub fn write_at(fd: &OwnedFd, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::fs::File::from(fd.try_clone()?).write_all_at(bytes, offset)
}

/// Fills the pages of a file that are in memory with zeros: those of `part`, which lies at `offset`.
/// Cheaper than [`punch`] where they are few and soon used again.
pub fn wipe(fd: &OwnedFd, offset: u64, part: &Part) -> io::Result<()> {
    const PAGE: usize = 0x1000;
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let len = usize::try_from(part.len).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut resident = [0_u8; 16];
    let resident = resident.get_mut(..len.div_ceil(PAGE)).ok_or(io::ErrorKind::InvalidInput)?;
    let at = part.base.as_ptr().cast();
    // SAFETY: the part is mapped, and there is a byte for each of its pages.
    check(unsafe { libc::mincore(at, len, resident.as_mut_ptr()) })?;
    for (i, _) in resident.iter().enumerate().filter(|(_, page)| **page & 1 != 0) {
        let at = offset.cast_signed() + i64::try_from(i * PAGE).map_err(io::Error::other)?;
        // SAFETY: a page of zeros.
        let written = unsafe { libc::pwrite(fd.as_raw_fd(), ZEROS.as_ptr().cast(), PAGE, at) };
        if usize::try_from(written) != Ok(PAGE) {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives the pages of a range back; they read as zeros afterwards.
///
/// # Errors
/// The host's: the bytes are still those of a dead guest.
pub fn punch(fd: &OwnedFd, offset: u64, len: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let (offset, len) = (offset.cast_signed(), len.cast_signed());
    // SAFETY: no pointers.
    check(unsafe { libc::fallocate(fd.as_raw_fd(), mode, offset, len) }).map(drop)
}

/// A shared mapping of a whole memory file, for the life of the platform.
#[derive(Debug)]
pub struct Window {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process; access goes through atomics and volatile copies.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Maps `len` bytes of `fd`, with `prot` (`PROT_*`).
    pub fn map(fd: &OwnedFd, len: u64, prot: i32) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the host's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// The part of `len` bytes at `offset`.
    pub fn part(&self, offset: u64, len: u64) -> Part {
        let end = offset.checked_add(len).and_then(|end| usize::try_from(end).ok());
        assert!(end.is_some_and(|end| end <= self.len), "a part lies in its window");
        let offset = usize::try_from(offset).expect("checked above");
        // SAFETY: the offset is inside the mapping.
        Part { base: unsafe { self.base.add(offset) }, len }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's; its parts do not outlive the platform that owns it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Some pages of a [`Window`]. The platform keeps the window alive as long as any part is used.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    base: NonNull<u8>,
    len: u64,
}

// SAFETY: see Window.
unsafe impl Send for Part {}
// SAFETY: see Window.
unsafe impl Sync for Part {}

impl Part {
    #[inline]
    fn at<T>(&self, offset: u64, len: usize) -> *mut T {
        let aligned = offset.is_multiple_of(align_of::<T>() as u64);
        assert!(aligned && offset + len as u64 <= self.len, "an access lies in its part");
        let offset = usize::try_from(offset).expect("within a mapping");
        // SAFETY: within the part, as asserted.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }

    /// The 32-bit word at `offset`. Stored to only where the window is writable.
    #[inline]
    pub fn u32(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: in bounds and aligned (asserted); mapped as long as the platform lives; all access
        // to shared words is atomic.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4)) }
    }

    /// The 64-bit word at `offset`.
    #[inline]
    pub fn u64(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: as for `u32`.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8)) }
    }

    /// Copies registers out, each word once.
    #[inline]
    pub fn read_regs(&self, offset: u64) -> UserRegs {
        // SAFETY: in bounds and aligned; any bits are valid words; volatile, since a guest may write
        // at the same time.
        unsafe { self.at::<UserRegs>(offset, size_of::<UserRegs>()).read_volatile() }
    }

    /// Copies registers in.
    #[inline]
    pub fn write_regs(&self, offset: u64, regs: &UserRegs) {
        // SAFETY: in bounds and aligned, in a writable window.
        unsafe { self.at::<UserRegs>(offset, size_of::<UserRegs>()).write_volatile(*regs) }
    }

    /// Copies bytes out. They may change meanwhile; the copy does not.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        let from = self.at::<u8>(offset, bytes.len());
        // SAFETY: in bounds; the source is shared memory of plain bytes.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) }
    }

    /// Clears bytes.
    pub fn clear(&self, offset: u64, len: u64) {
        let len = usize::try_from(len).expect("within a mapping");
        // SAFETY: in bounds (asserted), in a writable window.
        unsafe { std::ptr::write_bytes(self.at::<u8>(offset, len), 0, len) }
    }

    /// Copies bytes in.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let to = self.at::<u8>(offset, bytes.len());
        // SAFETY: in bounds, in a writable window.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    }
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Waits while `word` holds `value`, at most `timeout_ns`. May wake early.
pub fn futex_wait(word: &AtomicU32, value: u32, timeout_ns: Option<u64>) {
    let timeout = timeout_ns.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the timeout live through the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, timeout) };
}

/// Wakes all that wait for `word`.
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word lives through the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// How many wait for `word`, which holds `value`: 0, 1, or 2 for more. Nobody is woken.
pub fn futex_waiters(word: &AtomicU32, value: u32) -> usize {
    // To the queue they are in already, two at most; tells how many.
    let (op, at) = (libc::FUTEX_CMP_REQUEUE, word.as_ptr());
    // SAFETY: the word lives through the call.
    let count = unsafe { libc::syscall(libc::SYS_futex, at, op, 0, 2_usize, at, value) };
    usize::try_from(count).unwrap_or(0)
}

/// Sleeps for so many nanoseconds, or less.
pub fn sleep(ns: u64) {
    futex_wait(&AtomicU32::new(0), 0, Some(ns));
}

/// Makes an eventfd that never blocks a reader.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the call just made the descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes an eventfd whose readers wait.
pub fn waiting_eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
    // SAFETY: the call just made the descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes what was added to an eventfd; `false` if nothing was.
pub fn eventfd_take(fd: RawFd) -> bool {
    let mut count = 0_u64;
    // SAFETY: eight bytes to a live word.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) == 8 }
}

/// Adds one to an eventfd.
pub fn eventfd_write(fd: RawFd) {
    let one = 1_u64;
    // SAFETY: eight bytes from a live word.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// Waits until an eventfd was written, at most `timeout_ms`. Tells whether it was.
pub fn eventfd_poll(fd: RawFd, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}

/// SIGKILL to a child that was not reaped yet.
pub fn kill(pid: i32) {
    // SAFETY: no pointers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Sends a signal to one thread of a child that was not reaped yet; 0 only looks whether it is one.
pub fn tgkill(pid: i32, tid: i32, signal: i32) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) == 0 }
}

/// Which children to wait for.
#[derive(Clone, Copy, Debug)]
pub enum Children {
    /// All of a process group.
    Group(i32),
    /// One.
    One(i32),
}

/// Waits for a child's end and tells its pid. `flags`: `WNOWAIT`, `WNOHANG`.
pub fn wait(children: Children, flags: i32) -> io::Result<Option<i32>> {
    let (kind, id) = match children {
        Children::Group(group) => (libc::P_PGID, group),
        Children::One(pid) => (libc::P_PID, pid),
    };
    // SAFETY: all zeros is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // The stubs have no exit signal, and so are found with __WALL only.
    let flags = flags | libc::WEXITED | libc::__WALL;
    loop {
        // SAFETY: a live siginfo_t.
        let result = unsafe { libc::waitid(kind, id.cast_unsigned(), &raw mut info, flags) };
        if result == 0 {
            // SAFETY: waitid filled the fields of a child's siginfo, or left zeros.
            let pid = unsafe { info.si_pid() };
            return Ok((pid != 0).then_some(pid));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn clock(id: i32) -> u64 {
    let mut time = timespec(0);
    // SAFETY: a live timespec, left alone when the clock is unknown.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    nanoseconds(&time)
}

/// CPU time of a whole child process, nanoseconds; 0 when it is gone.
pub fn cpu_time_ns(pid: i32) -> u64 {
    // linux/posix-timers.h: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
    clock((!pid << 3) | 2)
}

/// Host `CLOCK_MONOTONIC`, nanoseconds.
pub fn now_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Fills `bytes` with random ones.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    // SAFETY: a live buffer of that length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) == Ok(bytes.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the host has Syscall User Dispatch: it is on for nobody, so asking to switch it off works.
pub fn has_user_dispatch() -> bool {
    const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
    const PR_SYS_DISPATCH_OFF: i32 = 0;
    // SAFETY: no pointers.
    unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0) == 0 }
}

/// Whether this is the thread whose end counts as the process's (PDEATHSIG).
pub fn is_main_thread() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::getpid() == libc::gettid() }
}

/// The C library's thread pointer.
pub fn thread_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: the x86-64 ABI keeps the thread pointer at %fs:0.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    }
    pointer
}

/// Forks a child that shares this process's descriptors and tells its parent nothing when it ends.
///
/// # Safety
/// The child of a process with several threads may only make host calls.
pub unsafe fn fork_sharing_files() -> io::Result<i32> {
    // SAFETY: no stack is given: the child goes on with a copy of this one.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES, 0, 0, 0, 0) };
    check(i32::try_from(pid).map_err(io::Error::other)?)
}

/// Maps a file at exactly `addr`.
///
/// # Safety
/// Nothing that is used lies there.
pub unsafe fn map_at(addr: u64, len: u64, prot: i32, fd: RawFd, offset: u64) -> bool {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: the caller's promise. A raw call: no library state is touched.
    let at = unsafe { libc::syscall(libc::SYS_mmap, addr, len, prot, flags, fd, offset) };
    at.cast_unsigned() == addr
}

/// Ends a forked child without running anything of the parent's.
pub fn exit_now() -> ! {
    // SAFETY: no pointers.
    unsafe { libc::_exit(127) }
}

/// Whether the host has `mseal` (Linux 6.10).
pub fn can_seal() -> bool {
    // SAFETY: an empty range seals nothing.
    unsafe { libc::syscall(libc::SYS_mseal, 0, 0, 0) == 0 }
}

/// Whether user code may set its FS and GS bases.
pub fn has_fsgsbase() -> bool {
    const HWCAP2_FSGSBASE: u64 = 2;
    // SAFETY: no pointers.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & HWCAP2_FSGSBASE != 0 }
}

/// The processors this process may run on.
pub struct Cpus {
    set: libc::cpu_set_t,
    numbers: Vec<usize>,
}

impl std::fmt::Debug for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cpus({})", self.count())
    }
}

const CPU_SET_LEN: usize = size_of::<libc::cpu_set_t>();

impl Cpus {
    /// Reads the calling thread's.
    pub fn current() -> io::Result<Self> {
        // SAFETY: all zeros is an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set of that length.
        check(unsafe { libc::sched_getaffinity(0, CPU_SET_LEN, &raw mut set) })?;
        // SAFETY: a live set, and numbers within it.
        let has = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
        let numbers = (0..8 * CPU_SET_LEN).filter(has).collect();
        Ok(Self { set, numbers })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers.len().max(1)
    }

    /// Their numbers, in ascending order.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// Which of them, counted from 0, the host's processor `cpu` is.
    pub fn rank(&self, cpu: usize) -> Option<usize> {
        self.numbers.binary_search(&cpu).ok()
    }

    /// Lets a thread run on all of them again.
    pub fn unpin(&self, tid: i32) {
        set_affinity(tid, &self.set);
    }

    /// Keeps a thread off one of several.
    pub fn keep_off(&self, tid: i32, cpu: usize) {
        if cpu >= 8 * CPU_SET_LEN || self.count() < 2 {
            return;
        }
        let mut set = self.set;
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_CLR(cpu, &mut set) };
        set_affinity(tid, &set);
    }
}

/// Keeps a thread (0: the caller) on one processor. A refusal is only slower.
pub fn pin(tid: i32, cpu: usize) {
    if cpu >= 8 * CPU_SET_LEN {
        return;
    }
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is within the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    set_affinity(tid, &set);
}

fn set_affinity(tid: i32, set: &libc::cpu_set_t) {
    // SAFETY: a live set of that length.
    unsafe { libc::sched_setaffinity(tid, CPU_SET_LEN, set) };
}

/// The processor the caller runs on.
pub fn current_cpu() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

/// The host's vDSO in this process.
pub fn own_vdso(len: u64) -> Option<&'static [u8]> {
    // SAFETY: no pointers.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let len = usize::try_from(len).ok()?;
    // SAFETY: the kernel mapped that image for the life of the process; it never changes.
    (start != 0).then(|| unsafe { std::slice::from_raw_parts(start as *const u8, len) })
}
