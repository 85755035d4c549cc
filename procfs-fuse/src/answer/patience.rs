//! Tells an answerer that hangs from one that is only slow; pure.
//!
//! The one idea: time that a process was not given a CPU in is nobody's fault. So no clock
//! decides. The holder looks a few times a second, asks for a sign of life where a call is
//! the same as at its last look, and counts those looks at which there was one: a thread
//! that does not get on while its process does is waiting for something. On a machine that
//! is so busy that nobody answers for seconds, callers wait for seconds, as they do for
//! everything else there.
//!
//! What this module does not do: look at the clock or the notes, or end anybody
//! ([`holder`](super::holder)).

use super::notes::THREADS;

/// Looks at which an answerer lived and a call of its did not get on, until it counts as
/// hung: with [`WATCH_INTERVAL`](super::answerer::WATCH_INTERVAL) between them, about a
/// second. A call takes microseconds.
const MOST_STUCK: u32 = 3;

/// Looks without a sign of life, until it counts as hung: 10 seconds. Giving one, and
/// beginning, take milliseconds of CPU.
const MOST_SILENT: u32 = 40;

/// What a look finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// For each thread, when it began with the call that it has: a number that no two
    /// calls of a thread share; 0 while it has none.
    pub(super) calls: [u64; THREADS],
    /// Signs of life, counted.
    pub(super) beats: u32,
    /// Nobody answers yet.
    pub(super) starts: bool,
}

/// What to make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing to look at any more.
    Rests,
    /// It works.
    Works,
    /// It may hang: it is to give a sign of life before the next look.
    MayHang,
    /// It hangs.
    Hangs,
}

/// What was found so far, of one answerer.
#[derive(Debug, Default)]
pub(super) struct Patience {
    calls: [Stuck; THREADS],
    beats: u32,
    silent: u32,
}

/// A call that was there before.
#[derive(Debug, Clone, Copy, Default)]
struct Stuck {
    call: u64,
    /// Looks at which its answerer lived, and it was still there.
    looks: u32,
}

impl Patience {
    /// Judges by one more look.
    pub(super) fn look(&mut self, look: &Look) -> Verdict {
        let lives = self.beats != look.beats;
        self.beats = look.beats;
        let mut waits = look.starts;
        for (stuck, call) in self.calls.iter_mut().zip(look.calls) {
            let is_same = call != 0 && stuck.call == call;
            let looks = if is_same { stuck.looks + u32::from(lives) } else { 0 };
            *stuck = Stuck { call, looks };
            waits |= is_same;
        }
        self.silent = if waits && !lives { self.silent + 1 } else { 0 };
        if self.silent >= MOST_SILENT || self.calls.iter().any(Stuck::hangs) {
            Verdict::Hangs
        } else if waits {
            Verdict::MayHang
        } else if look.calls == [0; THREADS] {
            Verdict::Rests
        } else {
            Verdict::Works
        }
    }

    /// Whether each thread hangs over its call, and not with its whole process.
    pub(super) fn hanging(&self) -> [bool; THREADS] {
        self.calls.each_ref().map(Stuck::hangs)
    }
}

impl Stuck {
    fn hangs(&self) -> bool {
        self.looks >= MOST_STUCK
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Hangs, MayHang, Rests, Works};
    use super::*;

    /// The verdicts of looks in a row, each of the first two threads' calls and of all
    /// signs of life so far.
    #[track_caller]
    fn check(looks: &[(u64, u64, u32)], expected: &[Verdict]) -> Patience {
        let mut patience = Patience::default();
        let verdicts: Vec<Verdict> = looks
            .iter()
            .map(|&(first, second, beats)| Look {
                calls: [first, second, 0, 0],
                beats,
                starts: false,
            })
            .map(|look| patience.look(&look))
            .collect();
        assert_eq!(verdicts, expected, "looks: {looks:?}");
        patience
    }

    #[test]
    fn calls_that_come_and_go_are_work() {
        check(&[(1, 0, 0), (2, 3, 0), (0, 4, 0), (0, 0, 0)], &[Works, Works, Works, Rests]);
    }

    #[test]
    fn a_call_that_stays_while_others_go_hangs() {
        let looks = [(1, 9, 0), (2, 9, 0), (3, 9, 1), (4, 9, 2), (5, 9, 3)];
        let patience = check(&looks, &[Works, MayHang, MayHang, MayHang, Hangs]);
        assert_eq!(patience.hanging(), [false, true, false, false]);
    }

    #[test]
    fn who_is_given_no_cpu_is_waited_for() {
        let looks = [(9, 0, 0), (9, 0, 0), (9, 0, 1), (9, 0, 1), (9, 0, 1), (9, 0, 1), (8, 0, 1)];
        check(&looks, &[Works, MayHang, MayHang, MayHang, MayHang, MayHang, Works]);
    }

    #[test]
    fn who_gives_no_sign_of_life_hangs_in_the_end() {
        let mut patience = Patience::default();
        let look = Look { calls: [9, 0, 0, 0], beats: 7, starts: false };
        assert_eq!(patience.look(&look), Works);
        let silent = (1..MOST_SILENT).map(|_look| patience.look(&look));
        assert!(silent.into_iter().all(|verdict| verdict == MayHang));
        assert_eq!((patience.look(&look), patience.hanging()), (Hangs, [false; THREADS]));
    }

    #[test]
    fn who_never_begins_hangs_in_the_end() {
        let mut patience = Patience::default();
        let look = Look { calls: [0; THREADS], beats: 0, starts: true };
        let verdicts: Vec<Verdict> = (0..MOST_SILENT).map(|_look| patience.look(&look)).collect();
        assert_eq!(verdicts.split_last().map(|(last, _before)| *last), Some(Hangs));
        assert!(verdicts.iter().rev().skip(1).all(|verdict| *verdict == MayHang));
    }
}
