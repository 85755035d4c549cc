//! The order of all requests and readings of one process; pure but for one counter.
//!
//! Where many ask at once, requests wait for their turn. What was read *after* a request
//! had been taken from the kernel tells that asker a moment between question and answer, as
//! a reading of its own would. So nothing is older for it: nobody can tell, by whatever
//! means, that it was read for another. What only grows does not shrink either: whoever asks
//! again does so after this answer, and gets what was begun after that.
//!
//! Moments are counted, not timed: taking a request is one, and so is beginning a reading.
//! They are told apart on every machine, whatever its clocks do.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A place in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

/// Counts moments.
#[derive(Debug, Default)]
pub struct Moments(AtomicU64);

/// A request that has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// When it was taken from the kernel.
    pub since: Moment,
    /// When answering it began.
    pub until: Moment,
}

/// When something was last looked at that was as it had been.
#[derive(Debug, Default)]
pub struct Seen(AtomicU64);

impl Moments {
    /// This moment: after all those before, whichever thread's.
    pub fn now(&self) -> Moment {
        // The first is 1: nothing was seen before.
        Moment(self.0.fetch_add(1, SeqCst) + 1)
    }
}

impl Seen {
    /// Whether it is as it was: `look` says so, or has said so since the request was taken
    /// for which it is asked.
    pub fn or_look(&self, asked: Option<Waited>, look: impl FnOnce() -> bool) -> bool {
        let Some(Waited { since, until }) = asked else { return look() };
        if self.0.load(SeqCst) > since.0 {
            return true;
        }
        let is_as_it_was = look();
        if is_as_it_was {
            // Looked at after this.
            self.0.fetch_max(until.0, SeqCst);
        }
        is_as_it_was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a request, while it is as it was if `is_same`; returns the answer, and
    /// whether it was looked at.
    fn ask(seen: &Seen, asked: Option<Waited>, is_same: bool) -> (bool, bool) {
        let mut looked = false;
        let answer = seen.or_look(asked, || {
            looked = true;
            is_same
        });
        (answer, looked)
    }

    #[test]
    fn who_waited_while_it_was_looked_at_is_answered() {
        let (moments, seen) = (Moments::default(), Seen::default());
        let [first, second] = [(); 2].map(|()| moments.now());
        let at = |since| Some(Waited { since, until: moments.now() });
        assert_eq!(ask(&seen, at(first), true), (true, true));
        assert_eq!(ask(&seen, at(second), false), (true, false));
        let third = moments.now();
        assert_eq!(ask(&seen, at(third), false), (false, true));
    }

    #[test]
    fn who_has_not_waited_looks() {
        let (moments, seen) = (Moments::default(), Seen::default());
        let since = moments.now();
        assert_eq!(ask(&seen, None, true), (true, true));
        assert_eq!(ask(&seen, None, false), (false, true));
        let until = moments.now();
        assert_eq!(ask(&seen, Some(Waited { since, until }), true), (true, true));
    }

    #[test]
    fn another_look_that_failed_takes_nothing_from_who_waited_for_the_one_before() {
        let (moments, seen) = (Moments::default(), Seen::default());
        let [first, second] = [(); 2].map(|()| moments.now());
        let until = moments.now();
        assert_eq!(ask(&seen, Some(Waited { since: first, until }), true), (true, true));
        let (since, until) = (moments.now(), moments.now());
        assert_eq!(ask(&seen, Some(Waited { since, until }), false), (false, true));
        assert_eq!(ask(&seen, Some(Waited { since: second, until }), false), (true, false));
    }
}
