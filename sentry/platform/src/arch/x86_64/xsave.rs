//! The XSAVE area in its standard format: what a host has, the initial state, what a guest may load.

use std::arch::x86_64::__cpuid_count;

use crate::arch::FpState;

const LEGACY: usize = 512;
const HEADER: usize = 64;
const FCW: usize = 0;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
/// Where the host writes the components it offers (`XSTATE_FX_SW`, `asm/user_64.h`).
const SW_FEATURES: usize = 464;
const XSTATE_BV: usize = LEGACY;
const X87_AND_SSE: u64 = 0b11;
/// Tile configuration and data: never enabled for guests.
const AMX: u64 = 0b11 << 17;

/// The host's XSAVE areas, as learned from one `NT_X86_XSTATE` read.
#[derive(Clone, Debug)]
pub struct XsaveLayout {
    /// Length the host reads and writes, bytes.
    host_len: usize,
    /// Length guests see: without components they cannot have.
    len: usize,
    features: u64,
    mxcsr_mask: u32,
}

impl XsaveLayout {
    /// Reads the layout from an image the host gave. `None` when the host has no XSAVE.
    pub fn from_image(image: &[u8]) -> Option<Self> {
        let features = u64_at(image, SW_FEATURES)? & !AMX;
        if image.len() < LEGACY + HEADER || features & X87_AND_SSE != X87_AND_SSE {
            return None;
        }
        let mask = u32_at(image, MXCSR_MASK)?;
        Some(Self {
            host_len: image.len(),
            len: area_len(features).min(image.len()),
            features,
            mxcsr_mask: if mask == 0 { 0xffbf } else { mask },
        })
    }

    /// What the guest's image is, from what the host read.
    pub fn read(&self, mut image: Vec<u8>) -> FpState {
        image.truncate(self.len);
        FpState { xsave: image }
    }

    /// An image the host accepts: unknown components, reserved bits and excess bytes of a guest's
    /// image are dropped, a legacy image counts as x87 and SSE. `None` if it is shorter than that.
    pub fn write(&self, state: &FpState) -> Option<Vec<u8>> {
        let mut image = vec![0; self.host_len];
        if state.xsave.is_empty() {
            image[FCW..FCW + 2].copy_from_slice(&0x37f_u16.to_le_bytes());
            image[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
            image[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&X87_AND_SSE.to_le_bytes());
            return Some(image);
        }
        if state.xsave.len() < LEGACY {
            return None;
        }
        let len = state.xsave.len().min(self.len);
        image[..len].copy_from_slice(&state.xsave[..len]);
        let features = if len < LEGACY + HEADER {
            X87_AND_SSE
        } else {
            u64_at(&image, XSTATE_BV)? & self.features
        };
        image[XSTATE_BV..XSTATE_BV + HEADER].fill(0);
        image[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&features.to_le_bytes());
        let mxcsr = u32_at(&image, MXCSR)? & self.mxcsr_mask;
        image[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        Some(image)
    }

    /// Whether an unmasked SSE exception is pending in `state` (`#XM`, not `#MF`).
    pub fn simd_exception(state: &[u8]) -> bool {
        u32_at(state, MXCSR).is_some_and(|mxcsr| mxcsr & 0x3f & !(mxcsr >> 7) != 0)
    }
}

/// Length of a standard area that holds these components (Intel SDM vol. 1, 13.2).
fn area_len(features: u64) -> usize {
    (2..63)
        .filter(|i| features & (1 << i) != 0)
        .map(|i| {
            let leaf = __cpuid_count(0xd, i);
            leaf.eax as usize + leaf.ebx as usize
        })
        .fold(LEGACY + HEADER, usize::max)
}

fn u64_at(image: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(image.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(image: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> XsaveLayout {
        XsaveLayout { host_len: 1088, len: 832, features: 0b111, mxcsr_mask: 0xffff }
    }

    #[test]
    fn the_initial_state_is_the_one_of_execve() {
        let image = layout().write(&FpState::default()).expect("always possible");
        assert_eq!(image.len(), 1088);
        assert_eq!(image[..2], [0x7f, 0x03]);
        assert_eq!(u32_at(&image, MXCSR), Some(0x1f80));
    }

    #[test]
    fn a_hostile_image_is_trimmed() {
        let image = layout().write(&FpState { xsave: vec![0xff; 4096] }).expect("long enough");
        assert_eq!(u64_at(&image, XSTATE_BV), Some(0b111));
        assert!(image[XSTATE_BV + 8..XSTATE_BV + HEADER].iter().all(|&b| b == 0));
        assert_eq!(u32_at(&image, MXCSR), Some(0xffff));
        assert!(image[832..].iter().all(|&b| b == 0));
        assert_eq!(layout().write(&FpState { xsave: vec![0; 511] }), None);
    }

    proptest::proptest! {
        /// Whatever a guest puts into a signal frame, the host gets an image of its own length with
        /// known components only.
        #[test]
        fn any_image_is_trimmed(
            xsave in proptest::collection::vec(proptest::num::u8::ANY, 0..2000),
        ) {
            let empty = xsave.is_empty();
            let image = layout().write(&FpState { xsave: xsave.clone() });
            proptest::prop_assert_eq!(image.is_some(), empty || xsave.len() >= LEGACY);
            if let Some(image) = image {
                proptest::prop_assert_eq!(image.len(), 1088);
                proptest::prop_assert_eq!(u64_at(&image, XSTATE_BV).map(|bv| bv & !0b111), Some(0));
                proptest::prop_assert!(image[XSTATE_BV + 8..XSTATE_BV + HEADER].iter().all(|&b| b == 0));
            }
        }
    }
}
