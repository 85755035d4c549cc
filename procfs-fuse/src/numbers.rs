//! Numbers that look random, for tests of properties.
//!
//! The same seed gives the same numbers, so that a failure that names its seed can
//! be run again.

/// A generator (xorshift64).
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// The generator of `seed`, which is not 0.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// The next number of any size: small ones are as likely as large ones.
    pub(crate) fn any(&mut self) -> u64 {
        let bits = self.below(64);
        self.below(u64::MAX) >> bits
    }

    /// Nothing one time in four, else a number of any size.
    pub(crate) fn maybe(&mut self) -> Option<u64> {
        (self.below(4) > 0).then(|| self.any())
    }
}
