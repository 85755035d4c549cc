//! `portholefs inject`: look everywhere, ask, decide, act.
//!
//! All mount namespaces are looked at first; then those of our mounts that
//! nothing is known of are asked whether they are dead, all at once; then it is
//! decided; then several threads act, each in its own namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use rustix::process::setpriority_process;

use crate::host::mountinfo::{Mount, MountTable};
use crate::inject::InjectError;
use crate::inject::act::LiveFiles;
use crate::inject::home::Home;
use crate::inject::namespaces::{self, Namespace};
use crate::inject::plan::{self, Bases, Decision, Devices};
use crate::inject::probe::Probe;
use crate::inject::report::Report;
use crate::inject::survey;
use crate::inject::workers::{self, Job};
use crate::serve;

/// How often all processes are looked at anew: a process may copy a namespace
/// with dead mounts in it before they are replaced, two injectors may be in each
/// other's way, a machine may be too busy to answer in time, and of dead mounts
/// that lie on each other each is seen only when the one on it is gone.
const PASSES: usize = 5;

/// Processes of a namespace of which it is asked whose container they are in.
const MOST_ASKED: usize = 8;

/// The nice value that goes before all others.
const FIRST_IN_LINE: i32 = -20;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// In every container, replace dead files by live ones.
    Heal,
    /// Give the container of this process every file that it has not.
    Fill(Pid),
}

/// Carries out `order` with the files of the tree at `mount_point`, an absolute
/// path. The process must have one thread.
///
/// # Errors
///
/// Why nothing was done. What could not be done in some namespace is in the report.
pub fn run(order: &Order, mount_point: &Path) -> Result<Report, InjectError> {
    // Everything here waits for the kernel again and again, and each time for
    // its turn among the containers. Not being allowed to go first is no fault.
    let _best_effort = setpriority_process(None, FIRST_IN_LINE);
    let home = Home::here(mount_point)?;
    let task = match order {
        Order::Heal => Task::Heal,
        Order::Fill(pid) => Task::Fill(bases_of(&home, *pid)?, serve::mounts(Path::new("/"))),
    };
    let mut injector = Injector {
        mount_point: mount_point.to_owned(),
        home,
        task,
        probe: Probe::new(),
        report: Report::default(),
    };
    injector.run()?;
    Ok(injector.report)
}

struct Injector {
    mount_point: PathBuf,
    home: Home,
    task: Task,
    probe: Probe,
    report: Report,
}

/// An order for which everything is known.
enum Task {
    Heal,
    /// The container's proc and sysfs, and the files that this machine has.
    Fill(Bases, Vec<String>),
}

impl Task {
    /// True when there may be something to do in a namespace with this table.
    fn concerns(&self, table: &MountTable, home: &Home) -> bool {
        match self {
            Self::Heal => plan::ours(table).any(|mount| !home.owners.have(mount)),
            Self::Fill(bases, _files) => bases.are_in(table),
        }
    }

    fn decide(&self, table: &MountTable, devices: &Devices) -> Vec<Decision> {
        match self {
            Self::Heal => plan::heal(table, devices),
            Self::Fill(bases, files) => plan::fill(table, bases, devices, files),
        }
    }
}

impl Injector {
    /// Passes until one finds nothing to do.
    fn run(&mut self) -> Result<(), InjectError> {
        for _pass in 0..PASSES {
            let before = self.report.changes();
            self.pass()?;
            let is_settled = self.report.changes() == before && self.report.is_settled();
            if !self.probe.ask_again() && is_settled {
                break;
            }
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<(), InjectError> {
        let (home, probe, task) = (&self.home, &self.probe, &self.task);
        let known = |mount: &Mount| home.owners.have(mount) || probe.knows(mount.device);
        let survey = survey::all(home, |table| task.concerns(table, home), known)?;
        let unknown: Vec<_> = survey.unknown.into_iter().collect();
        self.probe.ask(&unknown).map_err(InjectError::Probe)?;
        let devices = Devices { live: self.home.owners.live(), dead: self.probe.dead() };
        let jobs = survey.places.into_iter().map(|place| {
            let mut decisions = self.task.decide(&place.table, &devices);
            prefer_own(&mut decisions, &place.namespace);
            Job { place, decisions }
        });
        let jobs: Vec<_> = jobs.filter(Job::is_needed).collect();
        let decisions = jobs.iter().flat_map(|job| &job.decisions);
        let files = LiveFiles::open(&self.home, decisions);
        let done = workers::carry_out(&self.mount_point, &files, &jobs);
        (self.report.looked_at, self.report.refused) = (survey.looked_at, survey.refused);
        self.report.follow(survey.failed.into_iter().chain(done));
        Ok(())
    }
}

/// Has the places of pressure given the files of the container's own control group. Who
/// cannot be identified gets ours, as every reader does.
fn prefer_own(decisions: &mut [Decision], namespace: &Namespace) {
    if !decisions.iter().any(|decision| decision.target.parent().is_some_and(is_of_pressure)) {
        return;
    }
    // The first may be one of the host's that has made the namespace.
    let processes = namespace.processes.iter().take(MOST_ASKED).map(|pid| pid.as_raw());
    let mut own = processes
        .filter_map(|process| serve::own_files(Path::new("/"), process.unsigned_abs()).ok());
    if let Some(own) = own.find(|own| !own.is_empty()) {
        decisions.iter_mut().for_each(|decision| decision.prefer(&own));
    }
}

fn is_of_pressure(dir: &Path) -> bool {
    dir.ends_with("pressure")
}

/// Where the container of `pid` has its proc and sysfs.
fn bases_of(home: &Home, pid: Pid) -> Result<Bases, InjectError> {
    let of_process = |file: &str, source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => InjectError::NoProcess(pid),
        _other => InjectError::Open { path: format!("/proc/{pid}/{file}").into(), source },
    };
    if pid == namespaces::FIRST {
        return Err(InjectError::Host(pid));
    }
    let inode = namespaces::inode_of(pid).map_err(|source| of_process("ns/mnt", source))?;
    let of_the_host = namespaces::of_the_host().map_err(|source| of_process("ns/mnt", source))?;
    if of_the_host.contains(&inode) {
        return Err(InjectError::Host(pid));
    }
    let text = fs::read(format!("/proc/{pid}/mountinfo"))
        .map_err(|source| of_process("mountinfo", source))?;
    let process = MountTable::parse(&String::from_utf8_lossy(&text));
    let namespace = Namespace { inode, processes: vec![pid] };
    let entrance = namespace.open().ok_or(InjectError::NoProcess(pid))?;
    let namespace = home.inside(&entrance, || home.table())??;
    Bases::find(&process, &namespace).ok_or(InjectError::NoProc(pid))
}
