//! Numbers that look random, for tests of sequences that nobody thought of.
//!
//! Each run draws another seed; a failure names it, and `PORTHOLE_TESTS_SEED` has
//! it drawn again.

use std::time::SystemTime;

/// The variable that sets the seed.
const SEED: &str = "PORTHOLE_TESTS_SEED";

/// A generator (xorshift64).
#[derive(Debug)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// With the seed of [`SEED`], or else a new one.
    pub fn new() -> Self {
        let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        Self::seeded(given.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(1, |since| since.subsec_nanos().into())
        }))
    }

    fn seeded(seed: u64) -> Self {
        // Nothing comes of 0.
        Self { seed, state: seed | 1 << 63 }
    }

    /// The next number, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound.max(1)
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(clippy::indexing_slicing, reason = "a test without choices has a mistake")]
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        &choices[index]
    }

    /// How to draw the same numbers again.
    pub fn again(&self) -> String {
        format!("{SEED}={}", self.seed)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers() {
        let draw = |seed| {
            let mut random = Random::seeded(seed);
            [random.below(1000), random.below(1000), *random.one_of(&[1, 2, 3])]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
