//! Putting a new root together from its sources.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use super::etc::{link, write_names};
use super::inside::Inside;
use super::layers::attach_writable;
use super::mounting::attach;
use super::sources::{HostSystem, RootParts};
use super::stage::Stage;
use crate::plan::Plan;
use crate::report::{Fault, Note, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes, copy_mount};

/// Directories of a fresh system that are not everybody's to read and nobody's
/// but root's to write, with their modes.
const FRESH_DIRECTORIES: [(&str, u32); 14] = [
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/run/lock", 0o1777),
    ("/srv", 0o755),
    ("/tmp", 0o1777),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// What older programs call `/run`.
const FRESH_LINKS: [(&str, &str); 2] = [("/var/run", "/run"), ("/var/lock", "/run/lock")];

/// A root file system in the making: attached, not yet entered.
#[derive(Debug)]
pub(crate) struct NewRoot {
    /// Its tree.
    pub(crate) inside: Inside,
    /// The mounts that `--read-only` is about: the root and its layers.
    layers: Vec<OwnedFd>,
    /// What was done otherwise than planned.
    pub(crate) notes: Vec<Note>,
}

impl NewRoot {
    /// Builds the root of `plan` on `stage`.
    pub(crate) fn build(
        stage: &Stage,
        parts: RootParts,
        resolvers: &[u8],
        plan: &Plan,
    ) -> Result<Self, Fault> {
        let root = match parts {
            RootParts::Directory(lower) => Self::from_directory(stage, lower)?,
            RootParts::HostSystem(system) => Self::from_host_system(stage, system)?,
        };
        write_names(&root.inside, plan, resolvers)?;
        Ok(root)
    }

    fn from_directory(stage: &Stage, lower: OwnedFd) -> Result<Self, Fault> {
        let target = stage.directory("root")?;
        let (mount, note) = attach_writable(stage, "root", lower, target.as_fd())?;
        let inside = Inside::new(mount.try_clone().of("/")?);
        Ok(Self { inside, layers: vec![mount], notes: note.into_iter().collect() })
    }

    fn from_host_system(stage: &Stage, system: HostSystem) -> Result<Self, Fault> {
        let target = stage.directory("root")?;
        let mount = copy_mount(target.as_fd(), "", Depth::One).of("/")?;
        attach(&mount, &target, "/")?;
        let inside = Inside::new(mount.try_clone().of("/")?);
        let mut root = Self { inside, layers: vec![mount], notes: Vec::new() };
        root.make_directories()?;
        for (name, target) in &system.links {
            link(&root.inside, &Path::new("/").join(name), target)?;
        }
        system.etc.fill(&root.inside)?;
        for (name, lower) in system.directories {
            let target = root.inside.directory(Path::new(name))?;
            let (layer, note) = attach_writable(stage, name, lower, target.as_fd())?;
            root.layers.push(layer);
            root.notes.extend(note);
        }
        Ok(root)
    }

    fn make_directories(&self) -> Result<(), Fault> {
        for (path, mode) in FRESH_DIRECTORIES {
            let (parent, name) = self.inside.parent(Path::new(path))?;
            self.inside.directory(Path::new(path))?;
            let mode = Mode::from_bits_truncate(mode);
            fchmodat(&parent, name, mode, FchmodatFlags::FollowSymlink).of(path)?;
        }
        for (path, target) in FRESH_LINKS {
            link(&self.inside, Path::new(path), Path::new(target))?;
        }
        Ok(())
    }

    /// Takes the writable layers away: `--read-only`. What is mounted below,
    /// volumes and `/dev` among it, stays as it is.
    pub(crate) fn make_read_only(&self) -> Result<(), Fault> {
        for layer in &self.layers {
            add_attributes(layer.as_fd(), Attributes::READ_ONLY, Depth::One)
                .of("/ as read-only")?;
        }
        Ok(())
    }
}
