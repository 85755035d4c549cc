//! Whose turn it is: requests that wait are answered container by container.
//!
//! The kernel hands requests out in the order in which they came, so whoever asks with
//! many threads would have as many turns. Here requests wait in a queue for each asker,
//! and the queues take turns.
//!
//! Which container a request is of need not be right, only cheap: who is taken for
//! another one waits with that one. The answer never depends on it.
//!
//! What this module does not do: keep the requests themselves ([`waiting`](crate::shared::waiting)),
//! or answer them (`device`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use parking_lot::Mutex;

use crate::moment::Moment;
use crate::shared::counters::Counter;
use crate::shared::slots::Realm;
use crate::shared::waiting::PLACES;

/// The turns of one realm.
#[derive(Debug)]
pub(crate) struct Turns {
    waiting: AtomicUsize,
    queues: Mutex<Queues>,
    /// Places in use, for whoever watches.
    used: &'static Counter,
}

/// The turns of each realm: their requests do not wait for each other.
pub(crate) type TurnsOfRealms = [Turns; Realm::ALL.len()];

#[derive(Debug)]
struct Queues {
    free: Vec<u16>,
    /// Those who wait, whose turn it is first.
    askers: VecDeque<Asker>,
    /// What follows each place in its asker's queue.
    next: [u16; PLACES],
    /// When the request at each place was taken from the kernel.
    since: [Moment; PLACES],
}

/// A request whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Where it waits.
    pub(crate) place: usize,
    /// When it was taken from the kernel.
    pub(crate) since: Moment,
}

/// Where in its asker's queue a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Before the others. A file that is closed is forgotten first, so that who opens and
    /// closes without a pause waits, instead of having ever more of them to be closed.
    First,
    /// After the others.
    Last,
}

/// The queue of one asker, which is never empty.
#[derive(Debug, Clone, Copy)]
struct Asker {
    share: u64,
    first: u16,
    last: u16,
}

impl Turns {
    /// Nobody waits; it is told to `used` how many places are in use.
    pub(crate) fn new(used: &'static Counter) -> Self {
        // What is given out first is taken from the end: the lowest place, so that few
        // pages are used.
        let free = (0..=u16::MAX).take(PLACES).rev().collect();
        let (next, since) = ([0; PLACES], [Moment::default(); PLACES]);
        let queues = Queues { free, askers: VecDeque::with_capacity(PLACES), next, since };
        Self { waiting: AtomicUsize::new(0), queues: Mutex::new(queues), used }
    }

    /// True while requests wait.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Has one more request of `share`, taken from the kernel at `since`, wait, if there is a
    /// free place that `put` can put it into.
    pub(crate) fn wait(
        &self,
        (share, since): (u64, Moment),
        order: Order,
        put: impl FnOnce(usize) -> bool,
    ) -> bool {
        let mut queues = self.queues.lock();
        let Some(place) = queues.free.pop() else { return false };
        if !put(place.into()) {
            queues.free.push(place);
            return false;
        }
        queues.add(share, order, place);
        if let Some(noted) = queues.since.get_mut(usize::from(place)) {
            *noted = since;
        }
        self.used.set(queues.used());
        self.waiting.fetch_add(1, SeqCst);
        true
    }

    /// The request whose turn it is.
    pub(crate) fn next(&self) -> Option<Turn> {
        if !self.has_waiting() {
            return None;
        }
        let mut queues = self.queues.lock();
        let place = usize::from(queues.next_place()?);
        let since = queues.since.get(place).copied()?;
        self.waiting.fetch_sub(1, SeqCst);
        Some(Turn { place, since })
    }

    /// The request at `place` was answered.
    pub(crate) fn free(&self, place: usize) {
        if let Ok(place) = u16::try_from(place) {
            let mut queues = self.queues.lock();
            queues.free.push(place);
            self.used.set(queues.used());
        }
    }
}

impl Queues {
    fn used(&self) -> u64 {
        PLACES.saturating_sub(self.free.len()) as u64
    }

    fn add(&mut self, share: u64, order: Order, place: u16) {
        let Some(asker) = self.askers.iter_mut().find(|asker| asker.share == share) else {
            self.askers.push_back(Asker { share, first: place, last: place });
            return;
        };
        let (before, after) = match order {
            Order::First => (place, std::mem::replace(&mut asker.first, place)),
            Order::Last => (std::mem::replace(&mut asker.last, place), place),
        };
        if let Some(next) = self.next.get_mut(usize::from(before)) {
            *next = after;
        }
    }

    fn next_place(&mut self) -> Option<u16> {
        let asker = self.askers.pop_front()?;
        if asker.first != asker.last {
            let first = self.next.get(usize::from(asker.first)).copied()?;
            self.askers.push_back(Asker { first, ..asker });
        }
        Some(asker.first)
    }
}

/// Threads whose container is remembered at once. More of them are one asker together.
const THREADS: usize = 1024;

/// For whom threads have opened files lately, so that their next request is known to be of
/// the same container.
#[derive(Debug)]
pub(crate) struct Askers {
    /// The thread in the upper half, the lower half of its share in the lower.
    threads: Box<[AtomicU64]>,
}

impl Askers {
    /// Nobody is known.
    pub(crate) fn new() -> Self {
        Self { threads: (0..THREADS).map(|_place| AtomicU64::new(0)).collect() }
    }

    /// Thread `tid` has opened a file that counts against `share`.
    pub(crate) fn note(&self, tid: u32, share: u64) {
        if let Some(place) = self.threads.get(tid as usize % THREADS) {
            place.store(u64::from(tid) << 32 | lower_half(share), Relaxed);
        }
    }

    /// What the requests of thread `tid` count against, 0 when it is a stranger.
    pub(crate) fn share_of(&self, tid: u32) -> u64 {
        let known = self.threads.get(tid as usize % THREADS).map_or(0, |place| place.load(Relaxed));
        if known >> 32 == u64::from(tid) { lower_half(known) } else { 0 }
    }
}

/// The part of a share by which askers are told apart.
pub(crate) fn lower_half(share: u64) -> u64 {
    share & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::latest::Latest;

    /// Has one more request of `share` wait.
    fn ask(turns: &Turns, share: u64, order: Order) -> bool {
        turns.wait((share, Moment::default()), order, |_place| true)
    }

    fn next(turns: &Turns) -> Option<usize> {
        turns.next().map(|turn| turn.place)
    }

    static USED: Counter = Counter::new();

    /// Has requests of these shares wait, and tells in which order they are answered.
    #[track_caller]
    fn check(shares: &[u64], order: &[usize]) {
        let turns = Turns::new(&USED);
        for share in shares {
            assert!(ask(&turns, *share, Order::Last));
        }
        let answered: Vec<_> = std::iter::from_fn(|| next(&turns)).collect();
        assert_eq!(answered, order, "shares {shares:?}");
        assert!(!turns.has_waiting());
    }

    #[test]
    fn one_asker_is_answered_in_order() {
        check(&[], &[]);
        check(&[1, 1, 1], &[0, 1, 2]);
    }

    #[test]
    fn who_asks_once_does_not_wait_for_who_asks_often() {
        check(&[1, 1, 1, 1, 2], &[0, 4, 1, 2, 3]);
        check(&[1, 1, 2, 2, 3], &[0, 2, 4, 1, 3]);
    }

    #[test]
    fn who_asks_again_comes_after_the_others() {
        let turns = Turns::new(&USED);
        let ask = |share| assert!(ask(&turns, share, Order::Last));
        ask(1);
        ask(1);
        ask(2);
        assert_eq!(next(&turns), Some(0));
        turns.free(0);
        ask(1); // at place 0 again
        ask(3);
        assert_eq!([(); 4].map(|()| next(&turns)), [Some(2), Some(1), Some(3), Some(0)]);
    }

    #[test]
    fn who_is_first_is_so_among_its_own() {
        let turns = Turns::new(&USED);
        let ask = |share, order| assert!(ask(&turns, share, order));
        ask(1, Order::Last);
        ask(2, Order::First);
        ask(1, Order::First);
        ask(1, Order::Last);
        assert_eq!([(); 5].map(|()| next(&turns)), [Some(2), Some(1), Some(0), Some(3), None]);
    }

    #[test]
    fn when_a_request_was_taken_is_told_with_its_turn() {
        let (turns, latest) = (Turns::new(&USED), Latest::default());
        let moments = [(); 3].map(|()| latest.moment());
        for (share, since) in [1, 1, 2].into_iter().zip(moments) {
            assert!(turns.wait((share, since), Order::Last, |_place| true));
        }
        let told = [(); 3].map(|()| turns.next().unwrap().since);
        assert_eq!(told, [moments[0], moments[2], moments[1]]);
    }

    #[test]
    fn places_are_bounded_and_used_again() {
        let turns = Turns::new(&USED);
        for _request in 0..PLACES {
            assert!(ask(&turns, 1, Order::Last));
        }
        assert!(!ask(&turns, 2, Order::Last));
        let place = next(&turns).unwrap();
        assert!(!ask(&turns, 2, Order::Last));
        turns.free(place);
        assert!(!turns.wait((2, Moment::default()), Order::Last, |_too_long| false));
        assert!(turns.wait((2, Moment::default()), Order::Last, |again| again == place));
    }

    #[test]
    fn places_in_use_are_told() {
        static USED: Counter = Counter::new();
        let turns = Turns::new(&USED);
        for _request in 0..2 {
            assert!(ask(&turns, 1, Order::Last));
        }
        assert_eq!(USED.get(), 2);
        let place = next(&turns).unwrap();
        assert_eq!(USED.get(), 2, "one that is being answered is still there for a successor");
        turns.free(place);
        assert_eq!(USED.get(), 1);
    }

    #[test]
    fn who_has_opened_a_file_is_known() {
        let askers = Askers::new();
        assert_eq!(askers.share_of(0), 0);
        askers.note(7, 0xffff_0000_0001);
        assert_eq!(askers.share_of(7), lower_half(0xffff_0000_0001));
        askers.note(7 + 1024, 2);
        assert_eq!((askers.share_of(7), askers.share_of(7 + 1024)), (0, 2));
    }
}
