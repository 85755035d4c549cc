//! What is counted for whoever watches the daemon: words that only ever grow, and
//! outlive the worker that counted.
//!
//! Counting is what a read pays for being watched, so it takes no lock and allocates
//! nothing: each thread of a worker has a [lane](use_lane) of its own, and its
//! words are in cache lines that no other thread writes. Whoever asks adds the
//! lanes up.
//!
//! What this module does not do: know what the numbers are called
//! ([`metrics`](crate::metrics)).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::shared::calls::Calls;
use crate::shared::slots::{Realm, SLOTS};

/// Rows of the catalogue that can be told apart; more than it has.
pub const ROWS: usize = 64;

/// The longest time that each bucket of a histogram counts, in nanoseconds: steps of 1, 2
/// and 5 from 5 us, which no answer is quicker than, to 500 ms, when a worker is nearly
/// taken for hung. What takes longer is in one more bucket.
pub const BOUNDS_NS: [u64; 16] = [
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
];

/// Buckets of a histogram: one for each bound, and one for what is beyond the last.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Makes an enum whose values are the values of a label.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$meaning])* $value,)+ }

        impl $name {
            /// All of them, in the order of their places.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// As the label says it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }
        }
    };
}

label! {
    /// What a read of a file was answered with.
    Outcome {
        /// The container's numbers.
        Container = "container",
        /// The host's text, for a reader of the host.
        Host = "host",
        /// The host's text, for a reader that may be in a container: something failed,
        /// or is in quarantine.
        Fallback = "fallback",
        /// More of a text that was made for an earlier read, or its end.
        Rest = "rest",
        /// An error: the host's own file cannot be read either.
        Error = "error",
    }
}

label! {
    /// Why the host's text was shown to who may be in a container.
    Reason {
        /// FUSE could not name the reader.
        Unseen = "unseen",
        /// The reader could not be looked at, or has ended.
        Caller = "caller",
        /// Its groups could not be found.
        Place = "place",
        /// The container was removed while one of its files was open.
        Gone = "gone",
        /// A file of its control group could not be read.
        Reading = "reading",
        /// What is mounted could not be read.
        Mounts = "mounts",
        /// There was no time.
        Clock = "clock",
    }
}

label! {
    /// What the kernel asked for.
    Asked {
        /// Finding a name in a directory.
        Lookup = "lookup",
        /// Attributes of a file.
        Getattr = "getattr",
        /// Opening a file.
        Open = "open",
        /// Reading from one.
        Read = "read",
        /// Closing one.
        Release = "release",
        /// Listing a directory.
        Readdir = "readdir",
        /// Anything else.
        Other = "other",
    }
}

pub(super) use label;

/// A number that grows.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

/// Everything that is counted.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Counters {
    /// Which catalogue the rows of the lanes are of.
    catalog: AtomicU64,
    /// Mounts of a dead daemon's files that were replaced in running containers.
    pub healed_mounts: Counter,
    /// Pairs of container and file that killed workers too often.
    pub quarantines: Counter,
    /// Containers that the worker knows; set and not counted.
    pub containers: Counter,
    /// System calls that were answered.
    pub calls: Calls,
    /// Requests of each realm that wait for their turn, and those of them that are being
    /// answered; set and not counted.
    pub waiting: [Counter; Realm::ALL.len()],
    lanes: [Lane; SLOTS],
}

/// What one thread of a worker counts.
#[derive(Debug)]
#[repr(C, align(4096))]
struct Lane {
    requests: [Counter; Asked::ALL.len()],
    fallbacks: [Counter; Reason::ALL.len()],
    waited: Counter,
    reads: [Reads; ROWS],
}

/// Reads of one file.
#[derive(Debug)]
#[repr(C, align(64))]
struct Reads {
    outcomes: [Counter; Outcome::ALL.len()],
    duration_ns: Counter,
    durations: [Counter; BUCKETS],
}

/// What was counted about reads of one file, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileReads {
    /// By outcome.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// How long they took together, in nanoseconds.
    pub duration_ns: u64,
    /// How many took so long, by bucket.
    pub durations: [u64; BUCKETS],
}

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(0) };
}

/// Has the calling thread count in the lane of this number from now on. A thread that
/// never says so counts in the first, where it may meet another.
pub fn use_lane(number: usize) {
    LANE.set(number % SLOTS);
}

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts `number` more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    /// Says how many there are, of what can become fewer.
    pub fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// Nothing counted yet.
    #[expect(clippy::new_without_default, reason = "statics need a const fn")]
    pub const fn new() -> Self {
        Self {
            catalog: AtomicU64::new(0),
            healed_mounts: Counter::new(),
            quarantines: Counter::new(),
            containers: Counter::new(),
            calls: Calls::new(),
            waiting: [const { Counter::new() }; Realm::ALL.len()],
            lanes: [const { Lane::new() }; SLOTS],
        }
    }

    /// A worker begins that knows no container, has no request wait, and has the catalogue
    /// with this number.
    /// Reads of another catalogue's files are forgotten: its rows are other files.
    pub fn begin(&self, catalog: u64) {
        self.containers.set(0);
        self.waiting.iter().for_each(|waiting| waiting.set(0));
        if self.catalog.swap(catalog, Relaxed) != catalog {
            self.lanes.iter().flat_map(|lane| &lane.reads).for_each(Reads::clear);
        }
    }

    /// Counts a request.
    pub fn request(&self, asked: Asked) {
        add(&self.lane().requests, asked as usize, 1);
    }

    /// Counts a request that waits for its turn.
    pub fn waited(&self) {
        self.lane().waited.add(1);
    }

    /// Counts a reader that was shown the host's text.
    pub fn fallback(&self, reason: Reason) {
        add(&self.lane().fallbacks, reason as usize, 1);
    }

    /// Counts a read of the file in this row of the catalogue.
    pub fn read(&self, row: usize, outcome: Outcome, duration: Duration) {
        let Some(reads) = self.lane().reads.get(row) else { return };
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        add(&reads.outcomes, outcome as usize, 1);
        reads.duration_ns.add(ns);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound);
        add(&reads.durations, bucket.unwrap_or(BOUNDS_NS.len()), 1);
    }

    /// Requests so far.
    pub fn requests(&self, asked: Asked) -> u64 {
        self.sum(|lane| lane.requests.get(asked as usize))
    }

    /// Requests that have waited for their turn so far.
    pub fn all_waited(&self) -> u64 {
        self.sum(|lane| Some(&lane.waited))
    }

    /// Readers that were shown the host's text so far.
    pub fn fallbacks(&self, reason: Reason) -> u64 {
        self.sum(|lane| lane.fallbacks.get(reason as usize))
    }

    /// Reads of the file in this row of the catalogue so far.
    pub fn reads(&self, row: usize) -> FileReads {
        let reads = || self.lanes.iter().filter_map(move |lane| lane.reads.get(row));
        let mut all = FileReads::default();
        for reads in reads() {
            sum_up(&mut all.outcomes, &reads.outcomes);
            sum_up(&mut all.durations, &reads.durations);
            all.duration_ns = all.duration_ns.saturating_add(reads.duration_ns.get());
        }
        all
    }

    fn lane(&self) -> &Lane {
        let [first, ..] = &self.lanes;
        self.lanes.get(LANE.get()).unwrap_or(first)
    }

    fn sum<'a>(&'a self, of: impl Fn(&'a Lane) -> Option<&'a Counter>) -> u64 {
        self.lanes.iter().filter_map(of).map(Counter::get).sum()
    }
}

impl Lane {
    const fn new() -> Self {
        Self {
            requests: [const { Counter::new() }; Asked::ALL.len()],
            fallbacks: [const { Counter::new() }; Reason::ALL.len()],
            waited: Counter::new(),
            reads: [const { Reads::new() }; ROWS],
        }
    }
}

impl Reads {
    const fn new() -> Self {
        Self {
            outcomes: [const { Counter::new() }; Outcome::ALL.len()],
            duration_ns: Counter::new(),
            durations: [const { Counter::new() }; BUCKETS],
        }
    }

    fn clear(&self) {
        let words = self.outcomes.iter().chain([&self.duration_ns]).chain(&self.durations);
        words.for_each(|word| word.set(0));
    }
}

fn add(counters: &[Counter], place: usize, number: u64) {
    if let Some(counter) = counters.get(place) {
        counter.add(number);
    }
}

fn sum_up(sums: &mut [u64], counters: &[Counter]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum = sum.saturating_add(counter.get());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn lanes_are_added_up() {
        static COUNTERS: Counters = Counters::new();
        let counted = |lane| {
            use_lane(lane);
            COUNTERS.request(Asked::Open);
            COUNTERS.fallback(Reason::Gone);
            COUNTERS.waited();
            COUNTERS.read(7, Outcome::Container, Duration::from_micros(30));
        };
        let threads = (0..SLOTS + 1).map(|lane| thread::spawn(move || counted(lane)));
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        let all = SLOTS as u64 + 1;
        assert_eq!(COUNTERS.requests(Asked::Open), all);
        assert_eq!(COUNTERS.requests(Asked::Read), 0);
        assert_eq!(COUNTERS.fallbacks(Reason::Gone), all);
        assert_eq!(COUNTERS.all_waited(), all);
        let reads = COUNTERS.reads(7);
        assert_eq!(reads.outcomes, [all, 0, 0, 0, 0]);
        assert_eq!(reads.duration_ns, all * 30_000);
        assert_eq!(COUNTERS.reads(8), FileReads::default());
    }

    #[track_caller]
    fn check_bucket(duration: Duration, bucket: usize) {
        let counters = Counters::new();
        counters.read(0, Outcome::Host, duration);
        let found = counters.reads(0).durations.iter().position(|count| *count == 1);
        assert_eq!(found, Some(bucket), "{duration:?}");
    }

    #[test]
    fn a_bucket_has_what_took_at_most_its_bound() {
        check_bucket(Duration::ZERO, 0);
        check_bucket(Duration::from_nanos(5_000), 0);
        check_bucket(Duration::from_nanos(5_001), 1);
        check_bucket(Duration::from_millis(500), BUCKETS - 2);
        check_bucket(Duration::from_secs(9), BUCKETS - 1);
    }

    #[test]
    fn the_next_worker_goes_on_counting_unless_its_rows_are_other_files() {
        let counters = Counters::new();
        counters.begin(1);
        counters.containers.set(3);
        counters.waiting[1].set(2);
        counters.healed_mounts.add(2);
        counters.read(0, Outcome::Host, Duration::ZERO);
        counters.begin(1);
        assert_eq!((counters.containers.get(), counters.reads(0).outcomes[1]), (0, 1));
        assert_eq!(counters.waiting[1].get(), 0);
        counters.begin(2);
        assert_eq!((counters.healed_mounts.get(), counters.reads(0).outcomes[1]), (2, 0));
    }

    #[test]
    fn a_row_beyond_the_last_is_not_counted() {
        Counters::new().read(ROWS, Outcome::Host, Duration::ZERO);
    }
}
