//! The processor's caches, as it tells itself (`CPUID`).

use std::arch::x86_64::{__cpuid, __cpuid_count};

/// What a cache holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheKind {
    /// Data only.
    Data,
    /// Instructions only.
    Instruction,
    /// Both.
    Unified,
}

/// One cache of a processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// What it holds.
    pub kind: CacheKind,
    /// Its level, from 1.
    pub level: u32,
    /// Bytes of a line.
    pub line_bytes: u32,
    /// Lines per tag.
    pub partitions: u32,
    /// Ways of associativity.
    pub ways: u32,
    /// Number of sets.
    pub sets: u32,
}

impl Cache {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = [self.line_bytes, self.partitions, self.ways, self.sets];
        bytes.into_iter().map(u64::from).product()
    }
}

/// Most caches a processor is believed to have.
const MOST: u32 = 16;

/// The caches, in the processor's order.
#[must_use]
pub fn caches() -> Vec<Cache> {
    let leaf = match __cpuid(0x8000_0000).eax {
        0x8000_001d.. if __cpuid(0x8000_0001).ecx & 1 << 22 != 0 => 0x8000_001d,
        _ if __cpuid(0).eax >= 4 => 4,
        _ => return Vec::new(),
    };
    let mut caches = Vec::new();
    for index in 0..MOST {
        let told = __cpuid_count(leaf, index);
        let kind = match told.eax & 0x1f {
            1 => CacheKind::Data,
            2 => CacheKind::Instruction,
            3 => CacheKind::Unified,
            _ => break,
        };
        caches.push(Cache {
            kind,
            level: told.eax >> 5 & 7,
            line_bytes: (told.ebx & 0xfff) + 1,
            partitions: (told.ebx >> 12 & 0x3ff) + 1,
            ways: (told.ebx >> 22) + 1,
            sets: told.ecx.saturating_add(1),
        });
    }
    caches
}
