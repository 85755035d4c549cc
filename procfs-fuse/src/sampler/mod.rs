//! Load averages: the one thing that must be watched rather than read.
//!
//! One thread samples the containers whose averages somebody reads, every five
//! seconds as the kernel does. Sampling begins with the first read and stops 15
//! minutes after the last; while nothing is sampled the thread sleeps for good,
//! and it is not started before it is needed.
//!
//! What a container's load is before it was ever sampled is seeded (see
//! [`average::seed`]): a first read tells something true, not zero.

pub mod average;
mod load_average;

pub use load_average::LoadAverage;
use load_average::Next;

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::history::LoadShown;
use crate::readings::{ActivityFiles, Clock, Load, ReadingError};

/// Watches containers whose load averages are read.
#[derive(Debug)]
pub struct Sampler {
    clock: Clock,
    watched: Arc<Watched>,
    thread: OnceLock<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Watched {
    containers: Mutex<Containers>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Containers {
    sampled: Vec<Sampled>,
    stopped: bool,
}

#[derive(Debug, Clone)]
struct Sampled {
    average: Arc<LoadAverage>,
    files: Arc<ActivityFiles>,
}

impl Sampler {
    /// A sampler that goes by `clock` and watches nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, watched: Arc::default(), thread: OnceLock::new() }
    }

    /// The load averages of a container now; it is watched from here on. They go on
    /// from what was `shown` last, and are noted there.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the container's files cannot be read.
    pub fn load(
        &self,
        average: &Arc<LoadAverage>,
        files: &Arc<ActivityFiles>,
        now_ns: u64,
        started_ns: Option<u64>,
        shown: &mut LoadShown,
        cpus: u64,
    ) -> Result<Load, ReadingError> {
        let (load, begin) = average.read(files, now_ns, started_ns, shown, cpus)?;
        if begin && self.clock == Clock::Running {
            self.watch(Sampled { average: Arc::clone(average), files: Arc::clone(files) });
        }
        Ok(load)
    }

    fn watch(&self, container: Sampled) {
        let mut containers = self.watched.containers.lock();
        containers.sampled.push(container);
        // Who watches others comes to it by itself.
        let is_alone = containers.sampled.len() == 1;
        drop(containers);
        if is_alone {
            self.watched.changed.notify_one();
        }
        self.thread.get_or_init(|| {
            let (watched, clock) = (Arc::clone(&self.watched), self.clock.clone());
            thread::spawn(move || watched.run(&clock))
        });
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.watched.containers.lock().stopped = true;
        self.watched.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the load average thread panicked");
        }
    }
}

impl Watched {
    fn run(&self, clock: &Clock) {
        while let Some(due) = self.wait_for_due() {
            let Ok(now_ns) = clock.now_ns() else { continue };
            let ended: Vec<_> = due.into_iter().filter(|due| due.has_ended(now_ns)).collect();
            self.containers.lock().sampled.retain(|sampled| {
                !ended.iter().any(|ended| Arc::ptr_eq(&ended.average, &sampled.average))
            });
        }
    }

    /// Those to sample after one period; `None` when the sampler is dropped.
    fn wait_for_due(&self) -> Option<Vec<Sampled>> {
        const PERIOD: Duration = Duration::from_nanos(average::PERIOD_NS);
        let mut containers = self.containers.lock();
        while containers.sampled.is_empty() && !containers.stopped {
            self.changed.wait(&mut containers);
        }
        let end = std::time::Instant::now() + PERIOD;
        // A container that is added later waits with the others, and does not put them off.
        while !containers.stopped && !self.changed.wait_until(&mut containers, end).timed_out() {}
        (!containers.stopped).then(|| containers.sampled.clone())
    }
}

impl Sampled {
    fn has_ended(&self, now_ns: u64) -> bool {
        match self.average.sample(&self.files, now_ns) {
            Ok(next) => next == Next::Stop,
            Err(error) => {
                if !error.is_gone() {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "load average is no longer sampled"
                    );
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_that_watches_nothing_has_no_thread() {
        let sampler = Sampler::new(Clock::Running);
        assert!(sampler.thread.get().is_none());
    }

    #[test]
    fn a_sampler_ends_with_its_server() {
        let sampler = Sampler::new(Clock::Running);
        let files = ActivityFiles::new(std::path::Path::new("/proc"), &Default::default());
        let average = Arc::default();
        sampler.load(&average, &Arc::new(files), 1, None, &mut LoadShown::default(), 1).unwrap();
        assert!(sampler.thread.get().is_some());
        // Joins the thread: hangs if it were not told.
        drop(sampler);
    }
}
