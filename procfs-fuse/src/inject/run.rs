//! `portholefs inject`: one namespace after the other.
//!
//! In each: enter and read the table of mounts; go home and ask which of ours
//! are dead; decide; copy the live files, which can be done only at home; enter
//! again and act. One thread does it all, because a thread that shares its root
//! directory with another cannot enter a mount namespace.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::Pid;

use crate::hint::one_line;
use crate::host::mountinfo::{Device, MountTable};
use crate::inject::home::Home;
use crate::inject::namespaces::{self, Namespace};
use crate::inject::plan::{self, Bases, Decision, Devices};
use crate::inject::report::{NamespaceReport, Report};
use crate::inject::{InjectError, act, place, probe};
use crate::serve;

/// How often all processes are looked at anew: a process may copy a namespace
/// with dead mounts in it before they are replaced.
const PASSES: usize = 3;

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
    let mut injector = Injector {
        home: Home::here(mount_point)?,
        is_dead: HashMap::new(),
        report: Report::default(),
    };
    match order {
        Order::Heal => injector.heal_all()?,
        Order::Fill(pid) => injector.fill_container_of(*pid)?,
    }
    Ok(injector.report)
}

struct Injector {
    home: Home,
    /// What is known of other file systems of ours.
    is_dead: HashMap<Device, bool>,
    report: Report,
}

impl Injector {
    fn heal_all(&mut self) -> Result<(), InjectError> {
        for _pass in 0..PASSES {
            let before = self.report.changes();
            self.visit_others(plan::heal)?;
            if self.report.changes() == before {
                break;
            }
        }
        Ok(())
    }

    fn fill_container_of(&mut self, pid: Pid) -> Result<(), InjectError> {
        let bases = self.bases_of(pid)?;
        let files = serve::entries(Path::new("/"));
        self.visit_others(|table, devices| match bases.are_in(table) {
            true => plan::fill(table, &bases, devices, &files),
            false => Vec::new(),
        })
    }

    /// Where the container of `pid` has its proc and sysfs.
    fn bases_of(&self, pid: Pid) -> Result<Bases, InjectError> {
        let inode =
            namespaces::inode_of(pid).map_err(|source| of_process(pid, "ns/mnt", source))?;
        if namespaces::of_the_host().map_err(list_failed)?.contains(&inode) {
            return Err(InjectError::Host(pid));
        }
        let text = fs::read(format!("/proc/{pid}/mountinfo"))
            .map_err(|source| of_process(pid, "mountinfo", source))?;
        let process = MountTable::parse(&String::from_utf8_lossy(&text));
        let namespace = Namespace { inode, processes: vec![pid] };
        let namespace = namespace.open().ok_or(InjectError::NoProcess(pid))?;
        let namespace = self.home.inside(&namespace, || self.home.table())??;
        Bases::find(&process, &namespace).ok_or(InjectError::NoProc(pid))
    }

    /// Does what `decide` says in every namespace that is not the host's.
    fn visit_others(
        &mut self,
        decide: impl Fn(&MountTable, &Devices) -> Vec<Decision>,
    ) -> Result<(), InjectError> {
        let of_the_host = namespaces::of_the_host().map_err(list_failed)?;
        let found = namespaces::all().map_err(list_failed)?;
        let others: Vec<_> = found
            .namespaces
            .into_iter()
            .filter(|namespace| !of_the_host.contains(&namespace.inode))
            .collect();
        (self.report.looked_at, self.report.refused) = (others.len(), found.refused);
        for namespace in &others {
            let mut report = self.visit(namespace, &decide).unwrap_or_else(|error| {
                NamespaceReport { error: Some(one_line(&error)), ..NamespaceReport::default() }
            });
            report.namespace = namespace.inode;
            report.pid = namespace.first_process().map_or(0, Pid::as_raw);
            self.report.add(report);
        }
        Ok(())
    }

    fn visit(
        &mut self,
        namespace: &Namespace,
        decide: impl Fn(&MountTable, &Devices) -> Vec<Decision>,
    ) -> Result<NamespaceReport, InjectError> {
        let Some(namespace) = namespace.open() else { return Ok(NamespaceReport::default()) };
        let (table, unknown) = self.home.inside(&namespace, || self.look())??;
        self.learn(&unknown)?;
        let decisions = decide(&table, &self.devices());
        if decisions.is_empty() {
            return Ok(NamespaceReport::default());
        }
        let prepared = act::prepare(&self.home, decisions);
        self.home.inside(&namespace, || act::carry_out(&self.home, &table, prepared))
    }

    /// The mounts of the namespace that this process is in, and a file on each
    /// file system of ours of which nothing is known yet.
    fn look(&self) -> Result<(MountTable, Vec<(Device, OwnedFd)>), InjectError> {
        let table = self.home.table()?;
        let mut unknown: HashMap<Device, OwnedFd> = HashMap::new();
        for mount in plan::ours(&table) {
            let is_known = mount.device == self.home.live
                || self.is_dead.contains_key(&mount.device)
                || unknown.contains_key(&mount.device);
            if is_known {
                continue;
            }
            // Whatever cannot be opened cannot be replaced either.
            if let Ok(Some(file)) = place::find(&self.home, &table, &mount.point, &[mount.id]) {
                unknown.insert(mount.device, file);
            }
        }
        Ok((table, unknown.into_iter().collect()))
    }

    /// Finds out which of `unknown` are dead.
    fn learn(&mut self, unknown: &[(Device, OwnedFd)]) -> Result<(), InjectError> {
        let dead = probe::dead(unknown).map_err(InjectError::Probe)?;
        self.is_dead.extend(unknown.iter().map(|(device, _)| (*device, dead.contains(device))));
        Ok(())
    }

    fn devices(&self) -> Devices {
        let dead: HashSet<_> =
            self.is_dead.iter().filter(|(_, dead)| **dead).map(|(device, _)| *device).collect();
        Devices { live: self.home.live, dead }
    }
}

fn of_process(pid: Pid, file: &str, source: io::Error) -> InjectError {
    match source.kind() {
        io::ErrorKind::NotFound => InjectError::NoProcess(pid),
        _other => InjectError::Open { path: format!("/proc/{pid}/{file}").into(), source },
    }
}

fn list_failed(source: io::Error) -> InjectError {
    InjectError::Open { path: "/proc".into(), source }
}
