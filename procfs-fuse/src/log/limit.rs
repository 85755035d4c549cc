//! A limit on the lines that one place in the code may log.
//!
//! Each `limited!` has a [`Site`] of its own, so that a flood at one place
//! hides nothing at another. Lines that were held back are counted and the count
//! is a field of the next line that is written.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines that one site may write in one [`PERIOD`]: enough to see a pattern.
const LINES: u32 = 5;

/// Time after which a site may write again.
const PERIOD: Duration = Duration::from_secs(60);

/// What one place in the code has logged lately.
#[derive(Debug)]
pub struct Site(Mutex<Lately>);

#[derive(Debug)]
struct Lately {
    began: Option<Instant>,
    written: u32,
    held_back: u64,
}

impl Site {
    /// A site that has logged nothing.
    #[expect(clippy::new_without_default, reason = "statics need a const fn")]
    pub const fn new() -> Self {
        Self(Mutex::new(Lately { began: None, written: 0, held_back: 0 }))
    }

    /// Asks to write a line at `now`. `Some` with the number of lines held back
    /// since the last one when it may be written.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut lately = self.0.lock();
        let over = |began: Instant| now.saturating_duration_since(began) >= PERIOD;
        if lately.began.is_none_or(over) {
            lately.began = Some(now);
            lately.written = 0;
        }
        if lately.written == LINES {
            lately.held_back += 1;
            return None;
        }
        lately.written += 1;
        Some(std::mem::take(&mut lately.held_back))
    }
}

/// Logs like `tracing::warn!` and its sisters, but a few lines a minute at most:
/// `limited!(warn, field, "message")`.
macro_rules! limited {
    ($level:ident, $($rest:tt)+) => {{
        static SITE: $crate::log::limit::Site = $crate::log::limit::Site::new();
        if let Some(held_back) = SITE.admit(std::time::Instant::now()) {
            tracing::$level!(held_back, $($rest)+);
        }
    }};
}
pub(crate) use limited;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let site = Site::new();
        let start = Instant::now();
        for _line in 0..LINES {
            assert_eq!(site.admit(start), Some(0));
        }
        for _line in 0..100 {
            assert_eq!(site.admit(start + PERIOD / 2), None);
        }
        assert_eq!(site.admit(start + PERIOD), Some(100));
        assert_eq!(site.admit(start + PERIOD), Some(0));
    }
}
