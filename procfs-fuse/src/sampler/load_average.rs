//! The load averages of one container, from one sample to the next.

use parking_lot::Mutex;

use super::average;
use crate::readings::{ContainerFiles, Load, ReadingError};

/// Nanoseconds after the last read at which sampling stops.
const STOP_AFTER_NS: u64 = 15 * 60 * 1_000_000_000;

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
    /// While it is not sampled all that is known is the CPU time used since it
    /// last was, or since the container began at `started_ns`.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the container's files cannot be read.
    pub fn read(
        &self,
        files: &ContainerFiles,
        now_ns: u64,
        started_ns: Option<u64>,
    ) -> Result<(Load, bool), ReadingError> {
        let mut state = self.0.lock();
        if let Some(state) = state.as_mut().filter(|state| state.sampled) {
            state.last_read_ns = now_ns;
            return Ok((Load { averages: state.averages }, false));
        }
        let used_ns = used_ns(files)?;
        let running = files.tasks(0)?.map_or(0, |tasks| tasks.running);
        let since = state.map_or((started_ns.unwrap_or(now_ns), 0), |old| (old.at_ns, old.used_ns));
        let averages =
            average::seed(running, used_ns.saturating_sub(since.1), now_ns.saturating_sub(since.0));
        *state =
            Some(State { averages, sampled: true, at_ns: now_ns, used_ns, last_read_ns: now_ns });
        Ok((Load { averages }, true))
    }

    /// Takes the sample that is due at `now_ns`.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the container's files cannot be read; sampling has
    /// stopped then.
    pub fn sample(&self, files: &ContainerFiles, now_ns: u64) -> Result<Next, ReadingError> {
        // Not under the lock: readers shall not wait for the walk over all tasks.
        let sampled = used_ns(files).and_then(|used_ns| Ok((used_ns, files.tasks(0)?)));
        let mut state = self.0.lock();
        let Some(state) = state.as_mut() else { return Ok(Next::Stop) };
        state.sampled =
            sampled.is_ok() && now_ns.saturating_sub(state.last_read_ns) < STOP_AFTER_NS;
        let (used_ns, tasks) = sampled?;
        let active = tasks.map_or(0, |tasks| tasks.running + tasks.blocked);
        let periods = now_ns.saturating_sub(state.at_ns) / average::PERIOD_NS;
        state.averages = average::after(state.averages, periods, active);
        state.at_ns += periods * average::PERIOD_NS;
        state.used_ns = used_ns;
        Ok(if state.sampled { Next::Continue } else { Next::Stop })
    }
}

fn used_ns(files: &ContainerFiles) -> Result<u64, ReadingError> {
    Ok(files.cpu_usage()?.map_or(0, |usage| usage.total_ns()))
}
