//! Several namespaces at once.
//!
//! Nearly all the time of a change goes by while the kernel waits until no CPU
//! looks at the old mounts any more, and who waits at the same time waits
//! together. A thread can enter a mount namespace of its own once it no longer
//! shares its root directory with the others.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::hint::one_line;
use crate::inject::InjectError;
use crate::inject::act::{self, LiveFiles};
use crate::inject::home::Home;
use crate::inject::plan::Decision;
use crate::inject::report::NamespaceReport;
use crate::inject::survey::Place;

/// Threads that wait at the same time; more of them gain nothing.
const MOST: usize = 8;

/// What is to be done in one namespace.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) decisions: Vec<Decision>,
}

impl Job {
    /// True when there is something to do or to say.
    pub(crate) fn is_needed(&self) -> bool {
        !self.decisions.is_empty() || !self.place.unopened.is_empty() || self.place.is_changing
    }
}

/// Carries out all `jobs` with `files`, which are of the tree at `mount_point`.
pub(crate) fn carry_out(
    mount_point: &Path,
    files: &LiveFiles,
    jobs: &[Job],
) -> Vec<NamespaceReport> {
    let next = AtomicUsize::new(0);
    let work = || {
        let home = home_of_this_thread(mount_point);
        let take = || jobs.get(next.fetch_add(1, Ordering::Relaxed));
        let reports = std::iter::from_fn(|| take().map(|job| report(&home, files, job)));
        reports.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.len().min(MOST)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    })
}

fn home_of_this_thread(mount_point: &Path) -> Result<Home, InjectError> {
    unshare(CloneFlags::CLONE_FS).map_err(|errno| InjectError::Enter(errno.into()))?;
    Home::here(mount_point)
}

fn report(home: &Result<Home, InjectError>, files: &LiveFiles, job: &Job) -> NamespaceReport {
    let done = match home {
        Ok(home) => carry_out_one(home, files, job).map_err(|error| one_line(&error)),
        Err(error) => Err(one_line(error)),
    };
    let of_this = NamespaceReport::of(&job.place.namespace);
    match done {
        Ok(done) => NamespaceReport { namespace: of_this.namespace, pid: of_this.pid, ..done },
        Err(error) => NamespaceReport { error: Some(error), ..of_this },
    }
}

fn carry_out_one(
    home: &Home,
    files: &LiveFiles,
    job: &Job,
) -> Result<NamespaceReport, InjectError> {
    let Place { namespace, table, unopened, is_changing } = &job.place;
    // A container that has ended meanwhile needs nothing.
    let Some(entrance) = namespace.open() else { return Ok(NamespaceReport::default()) };
    let prepared = act::prepare(files, &job.decisions);
    let mut done = home.inside(&entrance, || act::carry_out(home, table, prepared))?;
    done.failed.extend(unopened.iter().cloned());
    done.is_unsettled |= is_changing;
    Ok(done)
}
