//! A container's load averages, and how many of its threads run.

use crate::readings::Sample;

/// The numbers of `/proc/loadavg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadAverage {
    /// Over 1, 5 and 15 minutes, in the kernel's fixed point: 2048 is a load of one.
    pub averages: [u64; 3],
    /// Threads that run or wait for a CPU; at least 1, the reader itself.
    pub running: u64,
    /// All threads; never below `running`.
    pub total: u64,
    /// The largest process id in use, as the container numbers it.
    pub last_pid: u64,
}

/// The container's load; `None` when its threads or averages are not known.
pub fn load_average(sample: &Sample) -> Option<LoadAverage> {
    let tasks = sample.container.tasks?;
    let running = tasks.running.max(1);
    Some(LoadAverage {
        averages: sample.container.load?.averages,
        running,
        total: tasks.total.max(running),
        last_pid: tasks.last_pid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::{Load, Tasks};
    use crate::view::samples;

    #[test]
    fn the_reader_itself_runs() {
        let mut sample = samples::sample("");
        sample.container.load = Some(Load { averages: [1, 2, 3] });
        assert_eq!(load_average(&sample), None);
        sample.container.tasks = Some(Tasks::default());
        let expected = LoadAverage { averages: [1, 2, 3], running: 1, total: 1, last_pid: 0 };
        assert_eq!(load_average(&sample), Some(expected));
    }
}
