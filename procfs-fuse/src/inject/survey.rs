//! A look into every mount namespace but the host's, before anything is done.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use crate::hint::one_line;
use crate::host::mountinfo::{Device, Mount, MountTable};
use crate::inject::InjectError;
use crate::inject::home::Home;
use crate::inject::namespaces::{self, Namespace};
use crate::inject::report::NamespaceReport;
use crate::inject::{place, plan};

/// A mount namespace and what is mounted in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) namespace: Namespace,
    pub(crate) table: MountTable,
}

/// What there is on this machine.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Namespaces that were looked at.
    pub(crate) looked_at: usize,
    /// Processes whose namespace this process may not see.
    pub(crate) refused: usize,
    /// Namespaces that are concerned.
    pub(crate) places: Vec<Place>,
    /// File systems of ours of which nothing is known, each with a file on it.
    pub(crate) unknown: HashMap<Device, OwnedFd>,
    /// Namespaces that could not be looked into.
    pub(crate) failed: Vec<NamespaceReport>,
}

/// Looks into every namespace. Only those are kept whose table `concerns` the
/// order; of mounts that are `known` no file is opened. Both are asked at home.
///
/// # Errors
///
/// When `/proc` cannot be listed.
pub(crate) fn all(
    home: &Home,
    concerns: impl Fn(&MountTable) -> bool,
    known: impl Fn(&Mount) -> bool,
) -> Result<Survey, InjectError> {
    let of_the_host = namespaces::of_the_host().map_err(list_failed)?;
    let found = namespaces::all().map_err(list_failed)?;
    let mut survey = Survey { refused: found.refused, ..Survey::default() };
    for namespace in found.namespaces {
        if of_the_host.contains(&namespace.inode) {
            continue;
        }
        survey.looked_at += 1;
        match survey.look(home, &namespace, &concerns, &known) {
            Ok(Some(table)) => survey.places.push(Place { namespace, table }),
            Ok(None) => {}
            Err(error) => survey.failed.push(NamespaceReport {
                error: Some(one_line(&error)),
                ..NamespaceReport::of(&namespace)
            }),
        }
    }
    Ok(survey)
}

impl Survey {
    /// The table of `namespace`; `None` when it does not concern us, or has ended.
    fn look(
        &mut self,
        home: &Home,
        namespace: &Namespace,
        concerns: impl Fn(&MountTable) -> bool,
        known: impl Fn(&Mount) -> bool,
    ) -> Result<Option<MountTable>, InjectError> {
        let Some(entrance) = namespace.open() else { return Ok(None) };
        let table = home.inside(&entrance, || home.table())??;
        if !concerns(&table) {
            return Ok(None);
        }
        let unknown: Vec<_> = plan::ours(&table).filter(|mount| !known(mount)).collect();
        if !unknown.is_empty() {
            home.inside(&entrance, || self.open(home, &table, &unknown))?;
        }
        Ok(Some(table))
    }

    /// Opens a file on each file system of `mounts` of which there is none yet.
    fn open(&mut self, home: &Home, table: &MountTable, mounts: &[&Mount]) {
        for mount in mounts {
            if self.unknown.contains_key(&mount.device) {
                continue;
            }
            // What cannot be opened cannot be replaced either.
            if let Ok(Some(file)) = place::find(home, table, &mount.point, &[mount.id]) {
                self.unknown.insert(mount.device, file);
            }
        }
    }
}

fn list_failed(source: io::Error) -> InjectError {
    InjectError::Open { path: "/proc".into(), source }
}
