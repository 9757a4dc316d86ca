//! Where the stub region lies: a window of 4 GiB above the guest's last address.

use std::io;
use std::ops::Range;

use crate::systrap::host;
pub use crate::systrap::layout::GUEST_END;
use crate::systrap::layout::{
    AGENT_DOWN, AGENT_UP, AREA, CONFIG, HOST_VDSO, HOST_VDSO_MAX, IMAGE_MIN, IMAGE_SPAN, MAX_AREAS,
    config,
};

/// Size and alignment of the window.
pub const WINDOW: u64 = 1 << 32;
/// End of user addresses with four-level page tables, which is what every guest gets.
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;
const PAGE: u64 = 0x1000;

/// Addresses in every stub process.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Start of the window, and of the thread areas.
    pub window: u64,
    /// Where the stub's code lies.
    pub image: u64,
}

/// A mapping of this process, from `/proc/self/maps`.
#[derive(Debug)]
pub struct Mapping {
    /// Addresses.
    pub range: Range<u64>,
    /// `[vdso]`, `[vvar]`, …, or a path, or nothing.
    pub name: String,
}

impl Mapping {
    /// Whether it is the host's vDSO or its data.
    pub fn is_host_vdso(&self) -> bool {
        self.name.starts_with("[vvar") || self.name == "[vdso]"
    }
}

/// Reads the mappings of this process from its `/proc/self/maps`, opened before it was confined.
pub fn own_mappings(mut maps: impl io::Read) -> io::Result<Vec<Mapping>> {
    let mut text = String::new();
    maps.read_to_string(&mut text)?;
    let parse = |line: &str| {
        let (addresses, rest) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
        let name = rest.split_whitespace().nth(4).unwrap_or_default().to_owned();
        Some(Mapping { range, name })
    };
    Ok(text.lines().filter_map(parse).collect())
}

impl Region {
    /// Chooses a window that overlaps none of `taken`, and a page in it, at random.
    pub fn choose(taken: &[Mapping]) -> io::Result<Self> {
        let first = GUEST_END.next_multiple_of(WINDOW);
        let count = (TASK_SIZE - first) / WINDOW;
        let mut random = [0; 16];
        host::random(&mut random)?;
        let (a, b) = (u64::from_le_bytes(half(&random, 0)), u64::from_le_bytes(half(&random, 8)));
        let window = (0..count)
            .map(|i| first + (a.wrapping_add(i) % count) * WINDOW)
            .find(|&window| {
                taken.iter().all(|m| m.range.end <= window || m.range.start >= window + WINDOW)
            })
            .ok_or_else(|| io::Error::other("no room for the stub above the guest's addresses"))?;
        let pages = (WINDOW - IMAGE_MIN - IMAGE_SPAN) / PAGE;
        Ok(Self { window, image: window + IMAGE_MIN + (b % pages) * PAGE })
    }

    /// Addresses of all thread areas.
    pub const fn areas(&self) -> Range<u64> {
        self.window..self.window + MAX_AREAS * AREA
    }

    /// Address of a thread area.
    pub const fn area(&self, index: u64) -> u64 {
        self.window + index * AREA
    }

    /// Address of something in the config pages.
    pub const fn config(&self, offset: u64) -> u64 {
        self.image + CONFIG + offset
    }

    /// Address of a doorbell.
    pub const fn bell(&self, index: u64) -> u64 {
        self.config(config::BELLS) + index * super::layout::BELL_STRIDE
    }

    /// Address of the agent's orders.
    pub const fn agent_down(&self) -> u64 {
        self.image + AGENT_DOWN
    }

    /// Address of the agent's results.
    pub const fn agent_up(&self) -> u64 {
        self.image + AGENT_UP
    }

    /// Addresses the host's vDSO is moved to.
    pub const fn host_vdso(&self) -> Range<u64> {
        self.image + HOST_VDSO..self.image + HOST_VDSO + HOST_VDSO_MAX
    }
}

fn half(bytes: &[u8; 16], at: usize) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[at..at + 8]);
    half
}
