//! Requests that killed a worker: a pair of container and file that did it twice
//! is answered with the host's file for a minute, and nobody else notices.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Pairs remembered at once. More of them failing within a minute is a defect of
/// the whole daemon, which the fallback worker is for.
const PAIRS: usize = 64;

/// Crashes after which a pair is quarantined: one may have been bad luck.
const STRIKES: u64 = 2;

/// How long a crash counts, and how long a quarantine lasts: 60 seconds.
const PERIOD_NS: u64 = 60_000_000_000;

/// Pairs that killed workers lately.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Quarantine {
    /// When the last strike was; 0 when there was none.
    last_ns: AtomicU64,
    entries: [Entry; PAIRS],
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    pair: AtomicU64,
    strikes: AtomicU64,
    last_ns: AtomicU64,
}

impl Quarantine {
    /// Notes that a request about `pair` killed a worker at `now_ns`; true when it has
    /// done so too often from now on.
    pub fn strike(&self, pair: u64, now_ns: u64) -> bool {
        let known = self.entries.iter().find(|entry| entry.pair.load(SeqCst) == pair);
        let oldest = || self.entries.iter().min_by_key(|entry| entry.last_ns.load(SeqCst));
        let Some(entry) = known.or_else(oldest) else { return false };
        let fresh = entry.pair.swap(pair, SeqCst) != pair || entry.is_over(now_ns);
        let strikes = if fresh { 1 } else { entry.strikes.load(SeqCst).saturating_add(1) };
        entry.strikes.store(strikes, SeqCst);
        entry.last_ns.store(now_ns, SeqCst);
        self.last_ns.store(now_ns, SeqCst);
        strikes == STRIKES
    }

    /// How many pairs are answered with the host's file.
    pub fn held(&self, now_ns: u64) -> u64 {
        self.entries.iter().filter(|entry| entry.holds(now_ns)).count() as u64
    }

    /// True while `pair` is answered with the host's file.
    pub fn holds(&self, pair: u64, now_ns: u64) -> bool {
        let last_ns = self.last_ns.load(SeqCst);
        if last_ns == 0 || now_ns.saturating_sub(last_ns) > PERIOD_NS {
            return false; // the way of every request of a healthy daemon
        }
        self.entries.iter().any(|entry| entry.pair.load(SeqCst) == pair && entry.holds(now_ns))
    }
}

impl Entry {
    fn holds(&self, now_ns: u64) -> bool {
        self.strikes.load(SeqCst) >= STRIKES && !self.is_over(now_ns)
    }

    fn is_over(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns.load(SeqCst)) > PERIOD_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn empty() -> Quarantine {
        let entry = || Entry {
            pair: AtomicU64::new(0),
            strikes: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        };
        Quarantine { last_ns: AtomicU64::new(0), entries: std::array::from_fn(|_index| entry()) }
    }

    #[test]
    fn the_second_strike_within_a_minute_counts() {
        let quarantine = empty();
        assert!(!quarantine.strike(7, 100 * SECOND));
        assert!(!quarantine.holds(7, 100 * SECOND));
        assert!(quarantine.strike(7, 150 * SECOND));
        assert!(quarantine.holds(7, 150 * SECOND));
        assert_eq!(quarantine.held(150 * SECOND), 1);
        assert!(!quarantine.strike(7, 150 * SECOND), "it is told once");
        assert!(quarantine.holds(7, 210 * SECOND));
        assert!(!quarantine.holds(7, 211 * SECOND));
        assert!(!quarantine.holds(8, 150 * SECOND));
    }

    #[test]
    fn strikes_far_apart_are_bad_luck() {
        let quarantine = empty();
        quarantine.strike(7, 100 * SECOND);
        quarantine.strike(7, 161 * SECOND);
        assert!(!quarantine.holds(7, 161 * SECOND));
    }

    #[test]
    fn the_oldest_pair_makes_room() {
        let quarantine = empty();
        for _strike in 0..STRIKES {
            for pair in 1..=PAIRS as u64 {
                quarantine.strike(pair, pair * SECOND / 10);
            }
        }
        quarantine.strike(1000, 8 * SECOND);
        assert!(!quarantine.holds(1, 8 * SECOND));
        assert!(quarantine.holds(2, 8 * SECOND));
    }
}
