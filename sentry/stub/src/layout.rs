//! Where things lie in the stub region and in the pages the stub shares with the sentry.
//!
//! Included by the stub and, as a module, by the platform crate: one source for both sides.
//!
//! The region is a window of 4 GiB, aligned to 4 GiB, above the guest's last address:
//! ```text
//! window + 0            thread areas, AREA bytes each, one per guest thread
//! window + 2 GiB ..     image (RX), config (R), agent pages; at a random page
//! ```
//! A thread area:
//! ```text
//! UP          written by the guest thread, read by the sentry: event, registers
//! UP_XSAVE    the same: extended state on request
//! DOWN        written by the sentry, read-only here: when and how to go on
//! DOWN_XSAVE  the same: extended state to load
//! (guard)
//! ALT_STACK   signal frames; the sentry never reads it
//! ```

/// End of guest addresses, equal on every host: TASK_SIZE − TASK_SIZE/128, rounded down to a page.
pub const GUEST_END: u64 = 0x7eff_ffff_f000;

/// Size and alignment of a thread area.
pub const AREA: u64 = 0x1_0000;
/// How many thread areas the window holds.
pub const MAX_AREAS: u64 = 0x8000;
/// Offset in the area of the page the guest thread writes.
pub const UP: u64 = 0;
/// Offset in the area of the XSAVE image the guest thread writes.
pub const UP_XSAVE: u64 = 0x1000;
/// Offset in the area of the page the sentry writes.
pub const DOWN: u64 = 0x4000;
/// Offset in the area of the XSAVE image the sentry writes.
pub const DOWN_XSAVE: u64 = 0x5000;
/// Offset in the area of the alternate signal stack.
pub const ALT_STACK: u64 = 0xa000;
/// Length of the alternate signal stack: room for three nested frames with AVX-512 state.
pub const ALT_STACK_LEN: u64 = AREA - ALT_STACK;
/// Length of `UP` with `UP_XSAVE`, and of `DOWN` with `DOWN_XSAVE`.
pub const SLOT_LEN: u64 = 0x4000;
/// Longest XSAVE image that fits.
pub const XSAVE_MAX: u64 = SLOT_LEN - UP_XSAVE;

/// Offsets in the `UP` page.
pub mod up {
    /// `u32`: number of the last run whose event is published.
    pub const DONE: u64 = 0x00;
    /// `u32`: non-zero while the thread sleeps on `down::GO`.
    pub const SLEEP: u64 = 0x04;
    /// `u32`: the host signal that brought the event, [`PATCHED`] for a patched call site.
    pub const SIG: u64 = 0x08;
    /// `i32`: `si_code`.
    pub const CODE: u64 = 0x0c;
    /// `u64`: time stamp when the thread saw the current run's number. A hint.
    pub const STARTED: u64 = 0x10;
    /// `u64`: time stamp just before the event was published. A hint.
    pub const STOPPED: u64 = 0x18;
    /// `UserRegs`.
    pub const REGS: u64 = 0x28;
    /// `u64`: `si_addr`.
    pub const ADDR: u64 = 0x100;
    /// `u64`: `trapno` of the machine context.
    pub const TRAPNO: u64 = 0x108;
    /// `u64`: `err` of the machine context.
    pub const ERR: u64 = 0x110;
    /// `u64`: `cr2` of the machine context.
    pub const CR2: u64 = 0x118;
    /// `u32`: `si_syscall`.
    pub const NR: u64 = 0x120;
    /// `u32`: `si_arch`.
    pub const ARCH: u64 = 0x124;
    /// `u64`: the trampoline's tail, after a patched call.
    pub const TAIL: u64 = 0x128;
    /// `u32`: the host's number of the processor, at a signal and at `getcpu`.
    pub const CPU: u64 = 0x130;
    /// End of a few words of scratch.
    pub const SCRATCH_END: u64 = 0x200;
    /// Value of [`SIG`] after a patched call.
    pub const PATCHED: u32 = 0;
    /// Value of [`SIG`] after `down::RESET`: no signal's number.
    pub const CLEAN: u32 = 0x100;
}

/// Offsets in the `DOWN` page.
pub mod down {
    /// `u32`: number of the current run; changing it lets the thread go on.
    pub const GO: u64 = 0x00;
    /// `u32`: number of the run that is to be interrupted.
    pub const KICK: u64 = 0x04;
    /// `u32`: [`FULL`], [`LOAD_FP`], [`SAVE_FP`].
    pub const FLAGS: u64 = 0x08;
    /// `u32`: how long to spin for `GO`, in time-stamp ticks, before sleeping.
    pub const SPIN: u64 = 0x0c;
    /// `u64`: `rax` when [`FULL`] is not set.
    pub const RAX: u64 = 0x10;
    /// `u64`: address in the stub of the doorbell to ring.
    pub const BELL: u64 = 0x18;
    /// `UserRegs`, when [`FULL`] is set.
    pub const REGS: u64 = 0x40;
    /// `stack_t` for `sigaltstack`.
    pub const STACK_T: u64 = 0x140;
    /// `u64`: address in the stub of `up::SCRATCH_END`.
    pub const SCRATCH: u64 = 0x20;
    /// `u32`: not zero if `getcpu` is answered.
    pub const GETCPU: u64 = 0x28;
    /// `u32` each: real, effective and saved user id, then the group ids.
    pub const IDS: u64 = 0x160;
    /// `struct utsname`.
    pub const NAMES: u64 = 0x200;
    /// Its length.
    pub const NAMES_LEN: u64 = 390;
    /// Calls answered without the sentry, a `u64` for each number: the result in the lower half,
    /// [`ANSWERED`] and perhaps [`SPECIAL`]; 0 for a call that is not.
    pub const ANSWERS: u64 = 0x400;
    /// How many numbers [`ANSWERS`] covers.
    pub const NR_ANSWERS: u64 = 192;
    /// The entry holds an answer.
    pub const ANSWERED: u64 = 1 << 32;
    /// Not just a number: one of the following, or without them a number that holds if the first
    /// argument is 0 (`getpgid`, `getsid`).
    pub const SPECIAL: u64 = 1 << 33;
    /// [`NAMES`] are written to the first argument's address.
    pub const NAMES_TO: u64 = 1 << 34;
    /// Three of [`IDS`], from the offset in the lower half, are written to three addresses.
    pub const IDS_TO: u64 = 1 << 35;
    /// The thread yields on the host.
    pub const YIELD: u64 = 1 << 36;
    /// The sandbox's number of each of the host's processors and one more, `u16` each; 0: ask the sentry.
    pub const CPUS: u64 = 0xa00;
    /// How many [`CPUS`] has.
    pub const NR_CPUS: u64 = 0x300;
    /// Flag: take all registers from `REGS`.
    pub const FULL: u32 = 1;
    /// Flag: load the extended state from `DOWN_XSAVE`.
    pub const LOAD_FP: u32 = 2;
    /// Flag: save the extended state to `UP_XSAVE` and park again; nothing runs.
    pub const SAVE_FP: u32 = 4;
    /// Flag: forget all a guest may have left in the CPU and park again; nothing runs.
    pub const RESET: u32 = 8;
}

/// Number of 8-byte words of `UserRegs`.
pub const NR_REGS: u64 = 27;

/// A trampoline: what a rewritten call site jumps to, in guest memory near it.
pub mod trampoline {
    /// Length of one.
    pub const LEN: u64 = 64;
    /// Offset of the entry: loads the tail's address into `r11`, jumps to the stub.
    pub const ENTRY: u64 = 0;
    /// Offset of the `u64` address of the stub's entry.
    pub const STUB: u64 = 16;
    /// Offset of the `u64` address after the original `syscall` instruction.
    pub const ORIGINAL: u64 = 24;
    /// Offset of a `syscall` instruction, for guests that own their GS base.
    pub const TRAP: u64 = 38;
    /// Offset of the instruction that followed, and a jump back.
    pub const TAIL: u64 = 40;
}

/// Offset from the image to the config pages (read-only here, the sentry writes them).
pub const CONFIG: u64 = 0x1_0000;
/// Length of the config pages.
pub const CONFIG_LEN: u64 = 0x6000;
/// Offset from the image to the agent's orders (read-only here, the sentry writes them).
pub const AGENT_DOWN: u64 = 0x2_0000;
/// Offset from the image to the agent's results.
pub const AGENT_UP: u64 = 0x2_8000;
/// Offset from the image to the filter, with the key in it: in the zygote only, and only until it is on.
pub const FILTER: u64 = 0x3_0000;
/// Length of the filter's pages.
pub const FILTER_LEN: u64 = 0x1_0000;
/// Offset in them of the program, after its `struct sock_fprog`.
pub const FILTER_PROGRAM: u64 = 0x10;
/// Offset from the image to where the host's vDSO is moved.
pub const HOST_VDSO: u64 = 0x4_0000;
/// Longest host vDSO with its data pages.
pub const HOST_VDSO_MAX: u64 = 0x10_0000;
/// Everything from the image to here belongs to the stub.
pub const IMAGE_SPAN: u64 = HOST_VDSO + HOST_VDSO_MAX;
/// Offset in the window of the lowest place of the image.
pub const IMAGE_MIN: u64 = 0x8000_0000;

/// Offsets in the config pages.
pub mod config {
    /// `u64`: the number one, written to eventfds.
    pub const ONE: u64 = 0x00;
    /// `u64`: whether to switch Syscall User Dispatch on.
    pub const SUD: u64 = 0x08;
    /// `struct kernel_sigaction` of all handled signals.
    pub const SIGACTION: u64 = 0x40;
    /// `sigset_t` of the signals guest threads block.
    pub const SIGMASK: u64 = 0x60;
    /// `sigset_t` of the signals agents block: all.
    pub const SIGMASK_AGENT: u64 = 0x68;
    /// `stack_t` that disables the alternate stack.
    pub const NO_STACK: u64 = 0x80;
    /// `u64`: whether the processor has `rdpid`.
    pub const RDPID: u64 = 0xa8;
    /// XSAVE image of the initial extended state; only its first 576 bytes count.
    pub const XSAVE_INIT: u64 = 0x1000;
    /// Doorbells, one per 64 bytes.
    pub const BELLS: u64 = 0x2000;
}

/// How many doorbells there are.
pub const NR_BELLS: u64 = 256;
/// Distance between doorbells.
pub const BELL_STRIDE: u64 = 64;
/// Value of a doorbell whose worker sleeps.
pub const BELL_SLEEPING: u32 = 1;

/// Offsets in the agent's pages of orders.
pub mod agent_down {
    /// `u32`: number of the current batch.
    pub const GO: u64 = 0x00;
    /// `u32`: how many orders it has.
    pub const COUNT: u64 = 0x04;
    /// `u32`: the sentry's eventfd that confirms completion.
    pub const EVENT_FD: u64 = 0x08;
    /// `u32`: ticks to spin before sleeping.
    pub const SPIN: u64 = 0x0c;
    /// For our vDSO: `u32`, not zero if the address space's clocks are not the host's.
    pub const CLOCKS_SHIFTED: u64 = 0x10;
    /// For our vDSO: `struct timespec` to add to `CLOCK_MONOTONIC` and its kin.
    pub const MONOTONIC: u64 = 0x18;
    /// For our vDSO: `struct timespec` to add to `CLOCK_BOOTTIME`.
    pub const BOOTTIME: u64 = 0x28;
    /// The orders, eight words each: kind, call number, six arguments.
    pub const ORDERS: u64 = 0x40;
    /// Kind of an order: an ordinary host call.
    pub const CALL: u64 = 0;
    /// Kind: `clone` of a guest thread.
    pub const CLONE_THREAD: u64 = 1;
    /// Kind (zygote): `clone` of an address space. The fifth argument is the offset of the child's
    /// agent pages, the third the descriptors of the `up` (low half) and `down` files.
    pub const CLONE_SPACE: u64 = 2;
}
/// Length of an order.
pub const ORDER_LEN: u64 = 64;
/// How many orders a batch may have.
pub const MAX_ORDERS: u64 = (SLOT_LEN - agent_down::ORDERS) / ORDER_LEN;

/// Offsets in the agent's page of results.
pub mod agent_up {
    /// `u32`: number of the last batch done. A hint: the eventfd is what counts.
    pub const DONE: u64 = 0x00;
    /// Results of the orders, `i64` each.
    pub const RESULTS: u64 = 0x40;
}
