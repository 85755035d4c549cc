//! CPU time as a container's `/proc/stat` has shown it so far.
//!
//! A cgroup knows how much CPU time was used, not on which of the CPUs that the
//! container believes in. So each reading adds the time used since the one
//! before, in equal shares, to the CPUs that are visible *now*; what is left of
//! the time that passed is idle. Nothing that was shown is ever computed anew,
//! so no counter can step back, whatever happens to N.
//!
//! All CPUs that were visible at the same readings have the same numbers. They
//! are kept as *bands* of CPUs, split where N has been, so that the size does
//! not depend on the machine's: N = 4, then 2, then 8 makes
//!
//! ```text
//!   CPU   0  1 | 2  3 | 4  5  6  7        ends: 2, 4, 8
//! ```
//!
//! A CPU that is taken away keeps its numbers, and the sum keeps counting it, as
//! the kernel's does for CPUs that were unplugged.
//!
//! Limit: [`BANDS`] different N per container. One more joins the two last
//! bands, whose CPUs then step forward to the larger of their numbers.

/// How many bands are remembered; a container is rarely given more sizes than
/// this in its life, and a memory of 16 fits in a page with everything else.
pub const BANDS: usize = 16;

/// How far used time may run ahead of passed time and be taken out of the idle
/// time that follows.
///
/// A group runs ahead for a moment when a quota is used up at once on more CPUs
/// than it averages to: one default period. More than that comes from an N that
/// shrank between two readings, and holding it against the idle time would make
/// the CPU look busy long after.
const MAX_AHEAD_NS: i64 = 100_000_000;

/// How old a container is at least, as far as its idle time goes.
///
/// A CPU with nothing but zeros is no CPU: `mpstat` leaves it out as offline. So
/// at the first reading there is a clock tick (10 ms) in one column at least,
/// however the time is split over the three.
const AGE_NS: u64 = 30_000_000;

/// CPU time of one CPU, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Times {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Not used by the container.
    pub idle_ns: u64,
}

/// CPUs with the same numbers: from the end of the band before to `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Band {
    /// The first CPU after the band.
    pub end: u64,
    /// The numbers of each of its CPUs.
    pub each: Times,
}

/// A reading to step forward to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When it was taken; nanoseconds of `CLOCK_BOOTTIME`.
    pub now_ns: u64,
    /// When the container began, on the same clock.
    pub started_ns: u64,
    /// User time of the container since its group was made, in nanoseconds.
    pub user_ns: u64,
    /// Likewise the time in the kernel.
    pub system_ns: u64,
    /// How many CPUs are visible now; at least 1.
    pub cpus: u32,
}

/// CPU time shown so far; see the [module](self).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuTime {
    /// When the last reading was taken; 0 when there was none.
    last_ns: u64,
    /// The part of the container's user time that the bands have been given.
    given_user_ns: u64,
    /// Likewise the time in the kernel.
    given_system_ns: u64,
    /// Passed minus used time of each visible CPU that has not become idle time;
    /// only ever kept when negative.
    ahead_ns: i64,
    /// How many of `bands` are in use.
    band_count: u64,
    /// In ascending order of `end`.
    bands: [Band; BANDS],
}

impl CpuTime {
    /// Adds what happened up to `reading`.
    ///
    /// The first reading gives the container's whole life: all time used, and
    /// idle time since it began. A reading older than the last adds nothing.
    pub fn advance(&mut self, reading: &Reading) {
        let first = self.last_ns == 0;
        if first {
            let began_ns = reading.started_ns.min(reading.now_ns.saturating_sub(AGE_NS));
            *self = Self { last_ns: began_ns, ..Self::default() };
        }
        self.forget_if_reset(reading);
        let used = self.share_of_used(reading);
        let idle_ns = self.idle_after(used, reading.now_ns);
        if first {
            // Time used before the container began (its group is older) is no debt.
            self.ahead_ns = 0;
        }
        self.last_ns = self.last_ns.max(reading.now_ns);
        self.give(u64::from(reading.cpus.max(1)), Times { idle_ns, ..used });
    }

    /// The bands in ascending order of CPUs, those not visible now included.
    pub fn bands(&self) -> &[Band] {
        self.bands.get(..self.band_count()).unwrap_or_default()
    }

    /// What has been shown for the visible CPU `number`.
    pub fn cpu(&self, number: u32) -> Times {
        let band = self.bands().iter().find(|band| u64::from(number) < band.end);
        band.map_or_else(Times::default, |band| band.each)
    }

    /// Idle time of all CPUs together, in nanoseconds.
    pub fn idle_ns(&self) -> u64 {
        widths(self.bands())
            .map(|(width, band)| width.saturating_mul(band.each.idle_ns))
            .fold(0, u64::saturating_add)
    }

    fn band_count(&self) -> usize {
        usize::try_from(self.band_count).unwrap_or(BANDS).min(BANDS)
    }

    /// A newer reading with less time used means that the kernel's counter was
    /// set back (`cpuacct.usage` can be written): count on from there.
    fn forget_if_reset(&mut self, reading: &Reading) {
        let given = self.given_user_ns.saturating_add(self.given_system_ns);
        let used = reading.user_ns.saturating_add(reading.system_ns);
        if reading.now_ns > self.last_ns && used < given {
            self.given_user_ns = reading.user_ns;
            self.given_system_ns = reading.system_ns;
        }
    }

    /// What each visible CPU gets of the time used since the last reading. What
    /// does not divide by their number waits for the next one.
    fn share_of_used(&mut self, reading: &Reading) -> Times {
        let cpus = u64::from(reading.cpus.max(1));
        // The kernel's split of user and system time may move back; the sum does not.
        let user_ns = reading.user_ns.saturating_sub(self.given_user_ns) / cpus;
        let system_ns = reading.system_ns.saturating_sub(self.given_system_ns) / cpus;
        self.given_user_ns = self.given_user_ns.saturating_add(user_ns.saturating_mul(cpus));
        self.given_system_ns = self.given_system_ns.saturating_add(system_ns.saturating_mul(cpus));
        Times { user_ns, system_ns, idle_ns: 0 }
    }

    /// What is left of the time since the last reading.
    fn idle_after(&mut self, used: Times, now_ns: u64) -> u64 {
        let passed = i128::from(now_ns.saturating_sub(self.last_ns)) + i128::from(self.ahead_ns);
        let left = passed - i128::from(used.user_ns) - i128::from(used.system_ns);
        let ahead = left.clamp(i128::from(-MAX_AHEAD_NS), 0);
        self.ahead_ns = i64::try_from(ahead).unwrap_or(0);
        u64::try_from(left.max(0)).unwrap_or(0)
    }

    /// Adds `share` to each of the first `cpus` CPUs.
    fn give(&mut self, cpus: u64, share: Times) {
        self.split_at(cpus);
        let count = self.band_count();
        for band in self.bands.iter_mut().take(count).take_while(|band| band.end <= cpus) {
            band.each = band.each.plus(share);
        }
    }

    /// Makes `end` the end of a band.
    fn split_at(&mut self, end: u64) {
        if self.bands().iter().any(|band| band.end == end) {
            return;
        }
        if self.band_count() == BANDS {
            self.join_last_two();
        }
        let count = self.band_count();
        let at = self.bands().partition_point(|band| band.end < end);
        let each = self.bands().get(at).map_or_else(Times::default, |band| band.each);
        if let Some(tail) = self.bands.get_mut(at..=count) {
            // The unused place behind the bands comes to the front.
            tail.rotate_right(1);
            if let Some(place) = tail.first_mut() {
                *place = Band { end, each };
            }
            self.band_count = self.band_count.saturating_add(1);
        }
    }

    fn join_last_two(&mut self) {
        if let [.., one, other] = self.bands.as_mut_slice() {
            *one = Band { end: other.end, each: one.each.larger(other.each) };
            *other = Band::default();
            self.band_count = self.band_count.saturating_sub(1);
        }
    }
}

impl Times {
    fn plus(self, other: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_add(other.user_ns),
            system_ns: self.system_ns.saturating_add(other.system_ns),
            idle_ns: self.idle_ns.saturating_add(other.idle_ns),
        }
    }

    fn larger(self, other: Self) -> Self {
        Self {
            user_ns: self.user_ns.max(other.user_ns),
            system_ns: self.system_ns.max(other.system_ns),
            idle_ns: self.idle_ns.max(other.idle_ns),
        }
    }
}

/// Each band with the number of its CPUs.
pub fn widths(bands: &[Band]) -> impl Iterator<Item = (u64, &Band)> {
    let starts = std::iter::once(0).chain(bands.iter().map(|band| band.end));
    bands.iter().zip(starts).map(|(band, start)| (band.end.saturating_sub(start), band))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Numbers;

    const SECOND: u64 = 1_000_000_000;

    fn reading(now_s: u64, cpus: u32, user_s: u64, system_s: u64) -> Reading {
        Reading {
            now_ns: now_s * SECOND,
            started_ns: 100 * SECOND,
            user_ns: user_s * SECOND,
            system_ns: system_s * SECOND,
            cpus,
        }
    }

    fn seconds(user: u64, system: u64, idle: u64) -> Times {
        Times { user_ns: user * SECOND, system_ns: system * SECOND, idle_ns: idle * SECOND }
    }

    /// lxcfs: the first read of a container shows all zeros.
    #[test]
    fn the_first_reading_is_the_containers_whole_life() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 2, 30, 10));
        assert_eq!(time.cpu(0), seconds(15, 5, 80));
        assert_eq!(time.cpu(1), seconds(15, 5, 80));
        assert_eq!(time.idle_ns(), 160 * SECOND);
    }

    #[test]
    fn a_container_that_has_just_begun_has_cpus() {
        let mut time = CpuTime::default();
        time.advance(&reading(100, 2, 0, 0));
        assert_eq!(time.cpu(1), Times { idle_ns: AGE_NS, ..Times::default() });
        let mut busy = CpuTime::default();
        let used = Reading { user_ns: 18_000_000, system_ns: 18_000_000, ..reading(100, 2, 0, 0) };
        busy.advance(&used);
        let Times { user_ns, system_ns, idle_ns } = busy.cpu(0);
        assert_eq!((user_ns, system_ns, idle_ns), (9_000_000, 9_000_000, 12_000_000));
    }

    #[test]
    fn time_used_before_the_container_began_is_not_held_against_it() {
        let mut time = CpuTime::default();
        time.advance(&reading(110, 1, 500, 0));
        assert_eq!(time.cpu(0), seconds(500, 0, 0));
        time.advance(&reading(120, 1, 500, 0));
        assert_eq!(time.cpu(0), seconds(500, 0, 10));
    }

    #[test]
    fn only_the_change_is_spread_when_n_changes() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 2, 20, 0));
        time.advance(&reading(210, 4, 24, 0));
        assert_eq!(time.cpu(0), seconds(11, 0, 99));
        assert_eq!(time.cpu(3), seconds(1, 0, 9));
        time.advance(&reading(220, 1, 30, 0));
        assert_eq!(time.cpu(0), seconds(17, 0, 103));
        assert_eq!(time.cpu(1), seconds(11, 0, 99), "kept while it is away");
        time.advance(&reading(230, 2, 30, 0));
        assert_eq!(time.cpu(1), seconds(11, 0, 109), "and counts on when it is back");
    }

    #[test]
    fn a_burst_is_taken_out_of_the_idle_time_that_follows() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 1, 0, 0));
        let mut burst = reading(201, 1, 1, 0);
        burst.user_ns += 50_000_000;
        time.advance(&burst);
        assert_eq!(time.cpu(0).idle_ns, 100 * SECOND);
        burst.now_ns += SECOND;
        time.advance(&burst);
        assert_eq!(time.cpu(0).idle_ns, 101 * SECOND - 50_000_000);
    }

    #[test]
    fn a_large_excess_is_forgiven() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 8, 0, 0));
        time.advance(&reading(210, 1, 80, 0));
        time.advance(&reading(220, 1, 80, 0));
        let ahead = u64::try_from(MAX_AHEAD_NS).unwrap();
        assert_eq!(time.cpu(0).idle_ns, 110 * SECOND - ahead);
    }

    /// lxcfs #554: counters ran backwards.
    #[test]
    fn a_counter_set_back_counts_on() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 1, 50, 0));
        time.advance(&reading(210, 1, 0, 0));
        assert_eq!(time.cpu(0), seconds(50, 0, 60));
        time.advance(&reading(220, 1, 4, 0));
        assert_eq!(time.cpu(0), seconds(54, 0, 66));
    }

    #[test]
    fn an_older_reading_changes_nothing() {
        let mut time = CpuTime::default();
        time.advance(&reading(200, 2, 50, 0));
        let before = time;
        time.advance(&reading(190, 2, 40, 0));
        assert_eq!(time, before);
    }

    #[test]
    fn any_bits_are_a_history() {
        let mut time = CpuTime { band_count: u64::MAX, last_ns: u64::MAX, ..CpuTime::default() };
        time.ahead_ns = i64::MIN;
        time.given_user_ns = u64::MAX;
        time.bands = [Band { end: u64::MAX, each: seconds(1, 1, 1) }; BANDS];
        for cpus in 1..40 {
            time.advance(&reading(300, cpus, 1, 1));
        }
        assert!(time.bands().len() <= BANDS);
    }

    #[test]
    fn no_counter_steps_back_whatever_n_and_usage_do() {
        for seed in 1..50 {
            let mut numbers = Numbers::new(seed);
            let mut time = CpuTime::default();
            let mut reading = reading(150, 1, 0, 0);
            let mut before = time;
            for step in 0..200 {
                reading.now_ns += numbers.below(3 * SECOND);
                // Twice as much as there is room for, on average: bursts and races.
                reading.user_ns += numbers.below(4 * SECOND);
                reading.system_ns += numbers.below(SECOND);
                if numbers.below(4) == 0 {
                    reading.cpus = u32::try_from(1 + numbers.below(64)).unwrap();
                }
                time.advance(&reading);
                assert_forward(&before, &time, &format!("seed {seed}, step {step}"));
                before = time;
            }
        }
    }

    #[track_caller]
    fn assert_forward(before: &CpuTime, after: &CpuTime, place: &str) {
        for number in 0..70 {
            let (old, new) = (before.cpu(number), after.cpu(number));
            assert_eq!(new.larger(old), new, "{place}: cpu{number} stepped back");
        }
        assert!(after.idle_ns() >= before.idle_ns(), "{place}: idle stepped back");
        let ends: Vec<_> = after.bands().iter().map(|band| band.end).collect();
        assert!(ends.is_sorted_by(|one, other| one < other), "{place}: {ends:?}");
    }

    #[test]
    fn all_time_used_is_shown_and_no_more() {
        let mut numbers = Numbers::new(7);
        let mut time = CpuTime::default();
        let mut reading = reading(100, 1, 0, 0);
        for _ in 0..1000 {
            reading.now_ns += SECOND;
            reading.user_ns += numbers.below(SECOND);
            reading.system_ns += numbers.below(SECOND / 10);
            reading.cpus = u32::try_from(1 + numbers.below(8)).unwrap();
            time.advance(&reading);
            let used = reading.user_ns + reading.system_ns;
            let shown: u64 = widths(time.bands())
                .map(|(width, band)| width * (band.each.user_ns + band.each.system_ns))
                .sum();
            assert!((used - 16..=used).contains(&shown), "used {used}, shown {shown}");
        }
    }
}
