//! What depends on the processor.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{
    bevor_cas_u32, bevor_copy, bevor_load_u32, bevor_store_u32, bevor_zero, recover,
};
