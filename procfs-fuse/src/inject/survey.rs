//! A look into every mount namespace but the host's, before anything is done.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use crate::hint::one_line;
use crate::host::mountinfo::{Device, Mount, MountTable};
use crate::inject::InjectError;
use crate::inject::home::Home;
use crate::inject::namespaces::{self, Namespace};
use crate::inject::report::{NamespaceReport, Said};
use crate::inject::{place, plan};

/// A mount namespace and what is mounted in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) namespace: Namespace,
    pub(crate) table: MountTable,
    /// Mounts of ours that could not be opened, so that nobody knows whether they are dead.
    pub(crate) unopened: Vec<Said>,
    /// True when a mount was no longer there: worth another visit.
    pub(crate) is_changing: bool,
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
            Ok(Some(place)) => survey.places.push(place),
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
    /// What there is in `namespace`; `None` when it does not concern us, or has ended.
    fn look(
        &mut self,
        home: &Home,
        namespace: &Namespace,
        concerns: impl Fn(&MountTable) -> bool,
        known: impl Fn(&Mount) -> bool,
    ) -> Result<Option<Place>, InjectError> {
        let Some(entrance) = namespace.open() else { return Ok(None) };
        let table = home.inside(&entrance, || home.table())??;
        if !concerns(&table) {
            return Ok(None);
        }
        let namespace = namespace.clone();
        let mut place = Place { namespace, table, unopened: Vec::new(), is_changing: false };
        let unknown = plan::ours(&place.table).filter(|mount| !known(mount));
        let unknown: Vec<_> = unknown.cloned().collect();
        if !unknown.is_empty() {
            home.inside(&entrance, || self.open(home, &mut place, &unknown))?;
        }
        Ok(Some(place))
    }

    /// Opens a file on each file system of `mounts` of which there is none yet.
    fn open(&mut self, home: &Home, place: &mut Place, mounts: &[Mount]) {
        for mount in mounts {
            if self.unknown.contains_key(&mount.device) {
                continue;
            }
            match place::find(home, &place.table, &mount.point, &[mount.id]) {
                Ok(Some(file)) => drop(self.unknown.insert(mount.device, file)),
                Ok(None) => place.is_changing = true,
                // What it was mounted on is removed: nobody sees it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => place
                    .unopened
                    .push(Said { path: mount.point.clone(), reason: error.to_string() }),
            }
        }
    }
}

fn list_failed(source: io::Error) -> InjectError {
    InjectError::Open { path: "/proc".into(), source }
}
