//! x86-64: where a trapped call's arguments are.

/// The six arguments of the call a `SIGSYS` stopped.
pub fn arguments(context: &libc::ucontext_t) -> [u64; 6] {
    [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8, libc::REG_R9]
        .map(|register| context.uc_mcontext.gregs[register.unsigned_abs() as usize].cast_unsigned())
}
