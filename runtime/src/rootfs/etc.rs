//! The `/etc` of a container that borrows the host's programs.
//!
//! Fresh, but for what programs in `/usr` lead to: alternatives, the linker's
//! cache, certificates, the time zone. Nothing that names the host's users, its
//! network or its secrets.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::unistd::symlinkat;

use super::inside::Inside;
use super::mounting::attach;
use crate::plan::{Network, Plan};
use crate::report::{Fault, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes, copy_mount};

/// Directories of the host's `/etc` that are mounted, read-only, where they are.
const DIRECTORIES: [&str; 6] = [
    "alternatives",
    "crypto-policies",
    "ld.so.conf.d",
    "pki/ca-trust",
    "pki/tls/certs",
    "ssl/certs",
];

/// Directories that carry a version in their name begin like this: `java-17-openjdk`.
const VERSIONED_DIRECTORIES: &str = "java-";

/// Files that are copied. A link among them is copied as a link.
const FILES: [&str; 9] = [
    "debian_version",
    "ld.so.cache",
    "ld.so.conf",
    "localtime",
    "nsswitch.conf",
    "os-release",
    "protocols",
    "services",
    "ssl/openssl.cnf",
];

/// Two users, as programs expect them: the container's own, and nobody.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";

/// Their groups, and that of terminals, which devpts gives them to.
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/// Parts of the host's `/etc`, opened or read.
#[derive(Debug)]
pub(crate) struct HostEtc {
    directories: Vec<(PathBuf, OwnedFd)>,
    files: Vec<(&'static str, Vec<u8>)>,
    links: Vec<(&'static str, PathBuf)>,
}

impl HostEtc {
    /// Opens what there is; a host need not have any of it.
    pub(crate) fn open() -> Result<Self, Fault> {
        let host = Path::new("/etc");
        let mut etc = Self { directories: Vec::new(), files: Vec::new(), links: Vec::new() };
        for name in directories(host).of("/etc")? {
            let path = host.join(&name);
            if path.is_dir() {
                let mount = copy_mount(AT_FDCWD, &path, Depth::One).of(path.display())?;
                etc.directories.push((name, mount));
            }
        }
        for name in FILES {
            let path = host.join(name);
            if let Ok(target) = fs::read_link(&path) {
                etc.links.push((name, target));
            } else if let Some(text) = if_there(fs::read(&path)).of(path.display())? {
                etc.files.push((name, text));
            }
        }
        Ok(etc)
    }

    /// Fills `/etc` of `root`, which has none.
    pub(crate) fn fill(&self, root: &Inside) -> Result<(), Fault> {
        let etc = Path::new("/etc");
        for (name, text) in &self.files {
            root.write(&etc.join(name), text)?;
        }
        for (name, target) in &self.links {
            link(root, &etc.join(name), target)?;
        }
        for (name, mount) in &self.directories {
            let place = etc.join(name);
            let target = root.directory(&place)?;
            attach(mount, &target, &place.to_string_lossy())?;
            add_attributes(mount.as_fd(), Attributes::READ_ONLY, Depth::One).of(place.display())?;
        }
        root.write(&etc.join("passwd"), PASSWD.as_bytes())?;
        root.write(&etc.join("group"), GROUP.as_bytes())?;
        link(root, &etc.join("mtab"), Path::new("../proc/self/mounts"))
    }
}

/// Writes the files that say who this container is and how it finds others; for
/// any root. The host's resolvers are of use only in the host's network.
pub(crate) fn write_names(root: &Inside, plan: &Plan, resolvers: &[u8]) -> Result<(), Fault> {
    let resolvers = match plan.network {
        Network::Host => resolvers,
        Network::None => b"",
    };
    root.write(Path::new("/etc/hostname"), format!("{}\n", plan.hostname).as_bytes())?;
    root.write(Path::new("/etc/hosts"), hosts(&plan.hostname).as_bytes())?;
    root.write(Path::new("/etc/resolv.conf"), resolvers)
}

/// The text of the host's `/etc/resolv.conf`; empty when it has none.
pub(crate) fn host_resolvers() -> Result<Vec<u8>, Fault> {
    let path = "/etc/resolv.conf";
    Ok(if_there(fs::read(path)).of(path)?.unwrap_or_default())
}

/// The text of `/etc/hosts`: loopback, by the names it has everywhere and by the
/// container's own.
fn hosts(hostname: &str) -> String {
    format!(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         127.0.1.1\t{hostname}\n"
    )
}

/// A symbolic link at `path` in `root`.
pub(crate) fn link(root: &Inside, path: &Path, target: &Path) -> Result<(), Fault> {
    let (parent, name) = root.parent(path)?;
    symlinkat(target, &parent, name).of(path.display())
}

/// The names below `host` of directories that programs lead to.
fn directories(host: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
    for entry in if_there(fs::read_dir(host))?.into_iter().flatten() {
        let name = entry?.file_name();
        if name.as_encoded_bytes().starts_with(VERSIONED_DIRECTORIES.as_bytes()) {
            names.push(PathBuf::from(name));
        }
    }
    Ok(names)
}

/// What was read, or `None` where there was nothing to read.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_knows_itself_by_its_host_name() {
        assert!(hosts("web").ends_with("127.0.1.1\tweb\n"));
    }

    #[test]
    fn versioned_directories_are_found() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir(host.path().join("java-17-openjdk")).unwrap();
        fs::create_dir(host.path().join("shadow")).unwrap();
        let names = directories(host.path()).unwrap();
        assert!(names.contains(&PathBuf::from("java-17-openjdk")));
        assert!(!names.contains(&PathBuf::from("shadow")));
    }
}
