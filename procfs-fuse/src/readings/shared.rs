//! One reading that answers for everybody who asks within a short while.
//!
//! What many containers ask at once is read once; who comes while it is being
//! read waits for it instead of reading the same again. It is also what bounds
//! the cost of dear readings: a reading that took long answers for longer.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A reading may cost one part in so many of a CPU, however often it is asked for.
const COST_SHARE: u32 = 20;

/// The last reading of something and how long it still answers.
#[derive(Debug)]
pub struct Shared<T> {
    window: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Shared<T> {
    /// Readings answer for `window`, or for 20 times as long as they took.
    pub fn new(window: Duration) -> Self {
        Self { window, last: Mutex::new(None) }
    }

    /// The last reading if it still answers, else a new one by `read`.
    ///
    /// # Errors
    ///
    /// Those of `read`; they answer for nobody else.
    pub fn get<E>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut last = self.last.lock();
        let began = Instant::now();
        if let Some((until, value)) = &*last
            && began < *until
        {
            return Ok(value.clone());
        }
        let value = read()?;
        let window = self.window.max(began.elapsed().saturating_mul(COST_SHARE));
        *last = Some((began + window, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(window: Duration, readings: &[Result<u32, ()>], answers: &[Result<u32, ()>]) {
        let shared = Shared::new(window);
        let mut readings = readings.iter().copied();
        let given: Vec<_> =
            answers.iter().map(|_| shared.get(|| readings.next().unwrap())).collect();
        assert_eq!(given, answers);
    }

    #[test]
    fn within_the_window_the_first_reading_answers() {
        check(Duration::from_secs(600), &[Ok(1), Ok(2)], &[Ok(1), Ok(1), Ok(1)]);
    }

    #[test]
    fn a_failure_answers_for_nobody_else() {
        check(Duration::from_secs(600), &[Err(()), Ok(2)], &[Err(()), Ok(2), Ok(2)]);
    }

    #[test]
    fn a_reading_that_took_long_answers_for_longer() {
        let shared = Shared::new(Duration::ZERO);
        let slow = || {
            std::thread::sleep(Duration::from_millis(50));
            Ok::<_, ()>(1)
        };
        assert_eq!(shared.get(slow), Ok(1));
        assert_eq!(shared.get(|| Err(())), Ok(1));
    }
}
