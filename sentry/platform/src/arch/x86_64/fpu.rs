//! The extended state: its size on this host, its initial value, what of it may be loaded.

use std::sync::LazyLock;

use crate::arch::FpState;

/// Offset of MXCSR in the legacy area.
const MXCSR: usize = 24;
/// Offset of the mask of valid MXCSR bits in the legacy area.
const MXCSR_MASK: usize = 28;
/// Offset of the header: XSTATE_BV, XCOMP_BV, reserved words.
const HEADER: usize = 512;
const HEADER_END: usize = 576;

/// What the host's processor and kernel offer.
#[derive(Clone, Copy, Debug)]
pub struct Xsave {
    /// Length of an image in the standard format, bytes.
    pub len: usize,
    /// XCR0: the enabled features.
    pub features: u64,
    /// MXCSR bits that may be set.
    pub mxcsr_mask: u32,
}

/// The host's, found once.
pub static XSAVE: LazyLock<Xsave> = LazyLock::new(Xsave::detect);

impl Xsave {
    fn detect() -> Self {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        if __cpuid(1).ecx & (1 << 27) == 0 {
            return Self { len: 0, features: 0, mxcsr_mask: 0 };
        }
        let len = __cpuid_count(0xd, 0).ebx as usize;
        let (low, high): (u32, u32);
        // SAFETY: OSXSAVE is set, so xgetbv exists; it reads XCR0 and nothing else.
        unsafe {
            std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high,
                options(nomem, nostack, preserves_flags));
        }
        #[repr(align(16))]
        struct Legacy([u8; 512]);
        let mut legacy = Legacy([0; 512]);
        // SAFETY: fxsave writes the 512 bytes of the aligned buffer.
        unsafe {
            std::arch::asm!("fxsave64 [{}]", in(reg) legacy.0.as_mut_ptr(),
                options(nostack, preserves_flags));
        }
        let mask = word(&legacy.0, MXCSR_MASK);
        Self {
            len,
            features: u64::from(high) << 32 | u64::from(low),
            mxcsr_mask: if mask == 0 { 0xffbf } else { mask },
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The image of the state `execve` starts a program with (its legacy area and header).
pub const fn initial() -> [u8; HEADER_END] {
    let mut image = [0; HEADER_END];
    [image[0], image[1]] = 0x037f_u16.to_le_bytes(); // x87 control word
    [image[MXCSR], image[MXCSR + 1]] = 0x1f80_u16.to_le_bytes();
    image
}

/// Where the kernel tells tracers of the enabled features, in the legacy area.
const SW_FEATURES: usize = 464;
/// Tile configuration and data: never enabled for guests.
const AMX: u64 = 0b11 << 17;

impl FpState {
    /// The image with the features the guest has at the place where tracers look for them (gdb).
    #[must_use]
    pub fn named(mut self) -> Vec<u8> {
        let features = XSAVE.features & !AMX;
        if let Some(place) = self.xsave.get_mut(SW_FEATURES..SW_FEATURES + 8) {
            place.copy_from_slice(&features.to_le_bytes());
        }
        self.xsave
    }

    /// Whether a tracer may set this image: known features only, nothing reserved.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let Some(header) = self.xsave.get(HEADER..HEADER_END) else { return false };
        let (present, rest) = header.split_at(8);
        let present = present.try_into().map_or(0, u64::from_le_bytes);
        let mxcsr = word(&self.xsave, MXCSR);
        present & !XSAVE.features == 0
            && rest.iter().all(|&byte| byte == 0)
            && mxcsr & !XSAVE.mxcsr_mask == 0
    }
}

/// An image of the host's length that XRSTOR accepts, whatever a guest made of `state`.
pub fn loadable(state: &FpState) -> Vec<u8> {
    let host = *XSAVE;
    let mut image = vec![0; host.len.max(HEADER_END)];
    if state.xsave.len() < HEADER_END {
        image[..HEADER_END].copy_from_slice(&initial());
        return image;
    }
    let len = state.xsave.len().min(image.len());
    image[..len].copy_from_slice(&state.xsave[..len]);
    let mxcsr = word(&image, MXCSR) & host.mxcsr_mask;
    image[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
    let mut present = [0; 8];
    present.copy_from_slice(&image[HEADER..HEADER + 8]);
    // A feature whose part of the image is missing stays in its initial state.
    let known = if len == image.len() { host.features } else { host.features & 3 };
    let present = u64::from_le_bytes(present) & known;
    image[HEADER..HEADER_END].fill(0);
    image[HEADER..HEADER + 8].copy_from_slice(&present.to_le_bytes());
    image
}
