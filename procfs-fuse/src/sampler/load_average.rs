//! The load averages of one container, from one sample to the next.

use parking_lot::Mutex;

use super::average;
use crate::history::LoadShown;
use crate::readings::{ActivityFiles, Load, ReadingError};

/// Nanoseconds after the last read at which sampling stops.
const STOP_AFTER_NS: u64 = 15 * 60 * 1_000_000_000;

/// How long after they were shown averages are continued by a process that never
/// sampled them: 1 minute. Longer ago, what happened meanwhile counts for more.
const CONTINUE_WITHIN_NS: u64 = 60 * 1_000_000_000;

/// Load averages of a container; kept as long as the container is.
#[derive(Debug, Default)]
pub struct LoadAverage(Mutex<Option<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    averages: [u64; 3],
    sampled: bool,
    /// When the averages were last right, and the CPU time used until then.
    at_ns: u64,
    used_ns: u64,
    last_read_ns: u64,
}

/// What the sampler does next about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Samples it again after a period.
    Continue,
    /// Nobody has read it for long: leaves it alone until the next read.
    Stop,
}

impl LoadAverage {
    /// The averages at `now_ns`, and whether sampling has to be begun.
    ///
    /// What another process has `shown`, and was as far with, is shown again; one that takes
    /// over goes on from there. Else, while
    /// it is not sampled, all that is known is the CPU time used since it last was,
    /// or since the container began at `started_ns`, on the machine's `cpus`. What is
    /// shown now is noted.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the container's files cannot be read.
    pub fn read(
        &self,
        files: &ActivityFiles,
        now_ns: u64,
        started_ns: Option<u64>,
        shown: &mut LoadShown,
        cpus: u64,
    ) -> Result<(Load, bool), ReadingError> {
        let mut state = self.0.lock();
        if let Some(state) = state.as_mut().filter(|state| state.sampled) {
            state.last_read_ns = now_ns;
            state.follow(shown);
            *shown = state.shown();
            return Ok((Load { averages: state.averages }, false));
        }
        let running = files.tasks(0)?.map_or(0, |tasks| tasks.running);
        if state.is_none_or(|own| own.at_ns < shown.at_ns) && is_recent(shown, now_ns) {
            let continued = state.insert(State::continuing(shown, now_ns));
            continued.pass(now_ns, running);
            *shown = continued.shown();
            return Ok((Load { averages: shown.averages }, true));
        }
        let used_ns = used_ns(files)?;
        let since = state.map_or((started_ns.unwrap_or(now_ns), 0), |old| (old.at_ns, old.used_ns));
        let (used, elapsed) = (used_ns.saturating_sub(since.1), now_ns.saturating_sub(since.0));
        let averages = average::seed(running, used, elapsed, cpus);
        *shown = LoadShown { averages, at_ns: now_ns, used_ns };
        *state = Some(State::continuing(shown, now_ns));
        Ok((Load { averages }, true))
    }

    /// Takes the sample that is due at `now_ns`.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the container's files cannot be read; sampling has
    /// stopped then.
    pub fn sample(&self, files: &ActivityFiles, now_ns: u64) -> Result<Next, ReadingError> {
        // Not under the lock: readers shall not wait for the walk over all tasks.
        let sampled = used_ns(files).and_then(|used_ns| Ok((used_ns, files.tasks(0)?)));
        let mut state = self.0.lock();
        let Some(state) = state.as_mut() else { return Ok(Next::Stop) };
        state.sampled =
            sampled.is_ok() && now_ns.saturating_sub(state.last_read_ns) < STOP_AFTER_NS;
        let (used_ns, tasks) = sampled?;
        let active = tasks.map_or(0, |tasks| tasks.running + tasks.blocked);
        state.pass(now_ns, active);
        state.used_ns = used_ns;
        Ok(if state.sampled { Next::Continue } else { Next::Stop })
    }
}

impl State {
    fn continuing(shown: &LoadShown, now_ns: u64) -> Self {
        let LoadShown { averages, at_ns, used_ns } = *shown;
        Self { averages, sampled: true, at_ns, used_ns, last_read_ns: now_ns }
    }

    /// Goes on from what another process has `shown` since, or of the same instant.
    fn follow(&mut self, shown: &LoadShown) {
        if shown.at_ns >= self.at_ns {
            let LoadShown { averages, at_ns, used_ns } = *shown;
            *self = Self { averages, at_ns, used_ns, ..*self };
        }
    }

    /// Makes up for the periods until `now_ns`, in which `active` tasks ran or waited. One
    /// ends with the sample that is nearest to its end: all containers are sampled at once,
    /// whenever their own periods began.
    fn pass(&mut self, now_ns: u64, active: u64) {
        let elapsed = now_ns.saturating_sub(self.at_ns);
        let periods = (elapsed + average::PERIOD_NS / 2) / average::PERIOD_NS;
        self.averages = average::after(self.averages, periods, active);
        self.at_ns += periods * average::PERIOD_NS;
    }

    fn shown(&self) -> LoadShown {
        LoadShown { averages: self.averages, at_ns: self.at_ns, used_ns: self.used_ns }
    }
}

fn is_recent(shown: &LoadShown, now_ns: u64) -> bool {
    shown.at_ns != 0 && now_ns.saturating_sub(shown.at_ns) < CONTINUE_WITHIN_NS
}

fn used_ns(files: &ActivityFiles) -> Result<u64, ReadingError> {
    Ok(files.cpu_time_ns()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::time::Duration;

    use cgroupfs::controller::Controller;
    use cgroupfs::group::{Group, Version};

    use super::average::{FIXED_1, PERIOD_NS};
    use super::*;
    use crate::scope::Groups;

    const CPUS: u64 = 4;

    /// A container of two tasks, one of which runs; a directory plays the machine.
    struct Played {
        root: tempfile::TempDir,
        files: ActivityFiles,
        average: LoadAverage,
        shown: RefCell<LoadShown>,
    }

    impl Played {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let group = Group::new(Version::V2, root.path().join("cg"), "/box".to_owned());
            for (id, state) in [(10, 'R'), (11, 'S')] {
                let task = root.path().join(format!("{id}/task/{id}"));
                fs::create_dir_all(&task).unwrap();
                fs::write(task.join("stat"), format!("{id} (x) {state} 1")).unwrap();
            }
            fs::create_dir_all(group.dir()).unwrap();
            fs::write(group.dir().join("cgroup.threads"), "10\n11\n").unwrap();
            let groups = [Controller::Cpuacct, Controller::Pids].map(|of| (of, group.clone()));
            let files = ActivityFiles::new(root.path(), &Groups::from(groups));
            let (average, shown) = Default::default();
            let played = Self { root, files, average, shown };
            played.use_cpu(0);
            played
        }

        fn use_cpu(&self, total_ns: u64) {
            let usec = total_ns / 1000;
            let text = format!("usage_usec {usec}\nuser_usec {usec}\nsystem_usec 0\n");
            fs::write(self.root.path().join("cg/box/cpu.stat"), text).unwrap();
        }

        /// Averages at `now_ns` of a container that began at 0.
        fn read(&self, now_ns: u64) -> ([u64; 3], bool) {
            let shown = &mut self.shown.borrow_mut();
            let (load, begin) =
                self.average.read(&self.files, now_ns, Some(0), shown, CPUS).unwrap();
            (load.averages, begin)
        }

        fn sample(&self, now_ns: u64) -> Next {
            self.average.sample(&self.files, now_ns).unwrap()
        }
    }

    #[test]
    fn the_first_read_tells_of_the_containers_life() {
        let played = Played::new();
        played.use_cpu(30 * PERIOD_NS);
        // Three CPUs' worth over ten periods; one task runs now.
        assert_eq!(played.read(10 * PERIOD_NS), ([3 * FIXED_1; 3], true));
    }

    /// A group that is given to one container after the other has a past.
    #[test]
    fn no_more_was_used_than_the_machine_had() {
        let played = Played::new();
        played.use_cpu(1_000_000 * PERIOD_NS);
        assert_eq!(played.read(10 * PERIOD_NS).0, [CPUS * FIXED_1; 3]);
    }

    #[test]
    fn a_sample_moves_towards_what_runs() {
        let played = Played::new();
        played.use_cpu(30 * PERIOD_NS);
        let (seeded, _) = played.read(10 * PERIOD_NS);
        assert_eq!(played.sample(11 * PERIOD_NS), Next::Continue);
        let (averages, begin) = played.read(11 * PERIOD_NS);
        assert!(!begin);
        assert_eq!(averages, average::next(seeded, 1));
    }

    #[test]
    fn another_process_goes_on_from_what_was_shown() {
        let mut played = Played::new();
        played.use_cpu(30 * PERIOD_NS);
        let (seeded, _) = played.read(10 * PERIOD_NS);
        played.average = LoadAverage::default();
        played.use_cpu(0);
        assert_eq!(played.read(11 * PERIOD_NS), (average::after(seeded, 1, 1), true));
        played.sample(12 * PERIOD_NS);
        assert_eq!(played.read(12 * PERIOD_NS), (average::after(seeded, 2, 1), false));
        // After a minute that nobody looked, what was used meanwhile counts.
        played.average = LoadAverage::default();
        played.use_cpu(60 * PERIOD_NS);
        let (later, _) = played.read(42 * PERIOD_NS);
        assert_eq!(later, average::seed(1, 60 * PERIOD_NS, 42 * PERIOD_NS, CPUS));
    }

    /// One reads the file while the other asks by sysinfo(2).
    #[test]
    fn two_processes_show_the_same() {
        let mut played = Played::new();
        let (seeded, _) = played.read(10 * PERIOD_NS);
        let mut file = std::mem::take(&mut played.average);
        assert_eq!(played.read(11 * PERIOD_NS), (average::after(seeded, 1, 1), true));
        std::mem::swap(&mut played.average, &mut file);
        played.sample(12 * PERIOD_NS);
        // The other samples an instant later, when more is going on.
        fs::write(played.root.path().join("11/task/11/stat"), "11 (x) R 1").unwrap();
        std::mem::swap(&mut played.average, &mut file);
        played.sample(12 * PERIOD_NS);
        std::mem::swap(&mut played.average, &mut file);
        let (told, _) = played.read(12 * PERIOD_NS);
        assert_eq!(told, average::after(seeded, 2, 1));
        std::mem::swap(&mut played.average, &mut file);
        assert_eq!(played.read(12 * PERIOD_NS), (told, false));
    }

    #[test]
    fn periods_that_were_missed_are_made_up_for() {
        let played = Played::new();
        let (seeded, _) = played.read(10 * PERIOD_NS);
        played.sample(14 * PERIOD_NS + PERIOD_NS / 4);
        assert_eq!(played.read(15 * PERIOD_NS).0, average::after(seeded, 4, 1));
    }

    /// Samples of a container whose periods began when others were sampled already.
    #[test]
    fn a_sample_counts_for_the_period_that_ends_nearest() {
        for after_begin in [1, PERIOD_NS / 3, PERIOD_NS * 2 / 3, PERIOD_NS - 1] {
            let played = Played::new();
            let (seeded, _) = played.read(10 * PERIOD_NS);
            for number in 0..3 {
                let half_way = (10 + number) * PERIOD_NS + PERIOD_NS / 2;
                let sampled = (10 + number) * PERIOD_NS + after_begin;
                if sampled < half_way {
                    played.sample(sampled);
                }
                let (shown, _) = played.read(half_way);
                assert_eq!(shown, average::after(seeded, number, 1), "{after_begin} {number}");
                if sampled > half_way {
                    played.sample(sampled);
                }
            }
        }
    }

    #[test]
    fn without_readers_it_stops_and_begins_again_from_the_gap() {
        let played = Played::new();
        played.read(0);
        assert_eq!(played.sample(PERIOD_NS), Next::Continue);
        assert_eq!(played.sample(STOP_AFTER_NS), Next::Stop);
        played.use_cpu(2 * STOP_AFTER_NS);
        assert_eq!(played.read(2 * STOP_AFTER_NS), ([2 * FIXED_1; 3], true));
    }

    #[test]
    fn a_container_that_is_gone_is_sampled_no_more() {
        let played = Played::new();
        played.read(0);
        fs::remove_dir_all(played.root.path().join("cg")).unwrap();
        // Its open files speak on as real ones would not: the list of tasks does not.
        std::thread::sleep(Duration::from_millis(100));
        assert!(played.average.sample(&played.files, PERIOD_NS).unwrap_err().is_gone());
    }
}
