//! Code that runs inside the guest's address space, next to hostile code.
//!
//! It is all assembly: nothing here may touch extended registers (they hold the guest's values while
//! the sentry serves a call), have a stack, or believe anything but pages the guest cannot write.
//! Three parts, each on pages of its own so that filters can tell them apart by instruction pointer:
//! the zygote's, unmapped in every other process; the agent's; the guest threads'.
#![no_std]
#![no_main]

mod arch;
#[expect(dead_code, reason = "some of it is for the sentry's side")]
mod layout;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
