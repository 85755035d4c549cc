//! What a container gets from the host, opened before anything is changed.
//!
//! From here on the host's paths are not looked up again: what is mounted is
//! what was named when the container was made, and a mistake in a name is found
//! while nothing has been done yet.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::etc::{HostEtc, host_resolvers};
use crate::plan::{Plan, RootSource, Volume};
use crate::report::{Fault, Object};
use crate::sys::mount_api::{Depth, copy_mount};

/// The top-level directories that hold programs and libraries. Where `/usr` is
/// merged (Debian 12, Fedora), all but the first are links into it.
const SYSTEM_DIRECTORIES: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Detached copies of everything that is mounted from the host, and what is read of it.
#[derive(Debug)]
pub(crate) struct Sources {
    /// What becomes `/`.
    pub(crate) root: RootParts,
    /// Text of the host's `/etc/resolv.conf`.
    pub(crate) resolvers: Vec<u8>,
    /// One for each of the plan's volumes, in its order.
    pub(crate) volumes: Vec<OwnedFd>,
}

/// What becomes `/`.
#[derive(Debug)]
pub(crate) enum RootParts {
    /// All of it is in one directory.
    Directory(OwnedFd),
    /// Parts of the host's own system.
    HostSystem(HostSystem),
}

/// The parts of the host that make a system to run programs in.
#[derive(Debug)]
pub(crate) struct HostSystem {
    /// Directories, by name.
    pub(crate) directories: Vec<(&'static str, OwnedFd)>,
    /// Symbolic links, by name: their targets.
    pub(crate) links: Vec<(&'static str, PathBuf)>,
    /// What of `/etc` its programs cannot do without.
    pub(crate) etc: HostEtc,
}

impl Sources {
    /// Opens what `plan` names.
    pub(crate) fn open(plan: &Plan) -> Result<Self, Fault> {
        let root = match &plan.root.source {
            RootSource::HostSystem => RootParts::HostSystem(HostSystem::open()?),
            RootSource::Directory(path) => RootParts::Directory(directory(path)?),
        };
        let volumes = plan.volumes.iter().map(volume).collect::<Result<_, _>>()?;
        Ok(Self { root, resolvers: host_resolvers()?, volumes })
    }
}

impl HostSystem {
    fn open() -> Result<Self, Fault> {
        let mut system = Self { directories: Vec::new(), links: Vec::new(), etc: HostEtc::open()? };
        for name in SYSTEM_DIRECTORIES {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => system.links.push((name, target)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // readlink(2) of what is not a link.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    system.directories.push((name, directory(&path)?));
                }
                Err(error) => return Err(error).of(path.display()),
            }
        }
        Ok(system)
    }
}

fn directory(path: &Path) -> Result<OwnedFd, Fault> {
    if !fs::metadata(path).of(path.display())?.is_dir() {
        return Err(Errno::ENOTDIR).of(path.display());
    }
    copy_mount(AT_FDCWD, path, Depth::One).of(path.display())
}

fn volume(volume: &Volume) -> Result<OwnedFd, Fault> {
    let source = volume.source.display();
    copy_mount(AT_FDCWD, &volume.source, Depth::Recursive).map_err(|errno| match errno {
        Errno::ENOENT => Fault::new(format!("the volume's source {source}"), "it does not exist")
            .with_hint(format!("mkdir -p {source}")),
        errno => Fault::new(format!("the volume's source {source}"), errno.desc().to_lowercase()),
    })
}
