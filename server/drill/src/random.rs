//! Random numbers from a seed: xorshift64* (Vigna, "An experimental exploration of Marsaglia's
//! xorshift generators, scrambled", 2016). It is fast, and nothing here is a secret.
//!
//! The same seed makes the same choices, but their effects depend on the machine's scheduling.

use std::time::Duration;

/// A random number generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Creates the generator for this seed.
    pub(crate) fn new(seed: u64) -> Self {
        // splitmix64's constant: similar seeds start far apart, and zero, which xorshift cannot
        // start from, is avoided.
        Self((seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Creates a separate generator for a part of the drill.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `bound`, which must be above zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of a product is uniform enough for such small bounds.
        let product = u128::from(self.next()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// Returns `true` with this probability in percent.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// Returns a duration between two bounds in milliseconds.
    pub(crate) fn millis(&mut self, least: usize, most: usize) -> Duration {
        let span = most.saturating_sub(least) + 1;
        Duration::from_millis((least + self.below(span)) as u64)
    }

    /// Returns one of these elements.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_their_bound_and_reach_every_value() {
        for seed in [0, 1, u64::MAX] {
            let mut random = Random::new(seed);
            let mut seen = [0_u32; 7];
            for _ in 0..7_000 {
                seen[random.below(7)] += 1;
            }
            assert!(seen.iter().all(|count| (700..1_300).contains(count)), "{seen:?}");
        }
    }

    #[test]
    fn same_seed_produces_the_same_stream_and_forks_differ() {
        let (mut one, mut two) = (Random::new(5), Random::new(5));
        let mut fork = one.fork();
        assert_eq!(two.fork().next(), fork.next());
        assert_ne!(fork.next(), one.next());
    }
}
