//! Random numbers that can be had again.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// splitmix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub fn half(&mut self) -> u32 {
        u32::try_from(self.word() >> 32).unwrap()
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.word() % u64::try_from(end).unwrap()).unwrap()
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word().to_ne_bytes()[0]).collect()
    }
}

/// How long a random test goes on: `rounds` rounds of fixed seeds, or as long as
/// `BEVOR_TEST_SECONDS` says with seeds of the moment.
pub struct Rounds {
    seed: u64,
    rounds: u64,
    until: Option<Instant>,
}

impl Rounds {
    pub fn new(rounds: u64) -> Self {
        let seconds = std::env::var("BEVOR_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = seconds.map_or(0, |_: u64| now.as_secs() << 20);
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self { seed, rounds, until }
    }
}

impl Iterator for Rounds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match self.until {
            Some(until) if Instant::now() > until => return None,
            None if self.rounds == 0 => return None,
            _ => {}
        }
        self.rounds = self.rounds.saturating_sub(1);
        self.seed += 1;
        Some(self.seed)
    }
}
