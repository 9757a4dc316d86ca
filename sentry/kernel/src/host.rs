//! The few host calls of the kernel crate.
#![expect(unsafe_code, reason = "getauxval and getrandom are C functions")]

/// `AT_HWCAP`.
pub const AT_HWCAP: u64 = 16;
/// `AT_HWCAP2`.
pub const AT_HWCAP2: u64 = 26;
/// `AT_MINSIGSTKSZ`.
pub const AT_MINSIGSTKSZ: u64 = 51;

/// The host's auxiliary vector entry `key`, 0 if it has none.
#[must_use]
pub fn auxv(key: u64) -> u64 {
    // SAFETY: getauxval only reads the process's own auxiliary vector.
    unsafe { libc::getauxval(key) }
}

/// Fills `bytes` with random bytes of the host's generator.
pub fn random(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(256) {
        // SAFETY: the pointer and length describe `chunk`, which is writable. Requests of up to 256
        // bytes are never cut short once the generator is seeded (getrandom(2)).
        unsafe { libc::getrandom(chunk.as_mut_ptr().cast(), chunk.len(), 0) };
    }
}

/// Four random words.
#[must_use]
pub fn random_words() -> [u64; 4] {
    let mut bytes = [0; 32];
    random(&mut bytes);
    std::array::from_fn(|index| {
        let word = bytes.get(8 * index..8 * index + 8).and_then(|word| word.try_into().ok());
        word.map_or(0, u64::from_ne_bytes)
    })
}
