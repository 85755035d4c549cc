//! The mount namespaces of this machine, found through the processes in them.
//!
//! What this module does not find: a namespace that no process is in (one that
//! is kept by a bind mount or a descriptor), and one that a single thread has
//! made for itself. A process that ends while it is looked at is not an error.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Pid;

/// The first process of the machine; it is in the host's mount namespace.
pub(crate) const FIRST: Pid = Pid::from_raw(1);

/// A mount namespace with processes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// Inode number by which the kernel names it: `mnt:[4026532501]`.
    pub(crate) inode: u64,
    /// The processes in it, lowest number first; at least one.
    pub(crate) processes: Vec<Pid>,
}

/// All namespaces that were found, and how much could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each namespace once.
    pub(crate) namespaces: Vec<Namespace>,
    /// Processes whose namespace this process may not see; needs CAP_SYS_PTRACE.
    pub(crate) refused: usize,
}

impl Namespace {
    /// Opens it through any of its processes; `None` when all of them have ended
    /// or moved on.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        self.processes.iter().find_map(|pid| {
            let file = File::open(link(*pid)).ok()?;
            // The number of a process that has ended may be another's by now.
            (file.metadata().ok()?.ino() == self.inode).then(|| file.into())
        })
    }

    /// The lowest process number in it: for a container its first process.
    pub(crate) fn first_process(&self) -> Option<Pid> {
        self.processes.first().copied()
    }
}

/// Looks at every process once.
///
/// # Errors
///
/// When `/proc` cannot be listed.
pub(crate) fn all() -> io::Result<Found> {
    let mut by_inode: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
    let mut refused = 0;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let pid = Pid::from_raw(pid);
        match inode_of(pid) {
            Ok(inode) => by_inode.entry(inode).or_default().push(pid),
            // The first process is in the host's namespace, and some machines
            // hide it even from root.
            Err(_hidden) if pid == FIRST => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
            Err(_ended) => {}
        }
    }
    let namespaces = by_inode.into_iter().map(|(inode, mut processes)| {
        processes.sort_unstable();
        Namespace { inode, processes }
    });
    Ok(Found { namespaces: namespaces.collect(), refused })
}

/// The mount namespace of `pid`.
///
/// # Errors
///
/// * `NotFound`: there is no such process, or it has ended.
/// * `PermissionDenied`: CAP_SYS_PTRACE is missing.
pub(crate) fn inode_of(pid: Pid) -> io::Result<u64> {
    let link = unless_ending(|| fs::read_link(link(pid)))?;
    parse_link(&link).ok_or_else(|| io::Error::other(format!("{} names none", link.display())))
}

/// What `look` finds, and a second time when it is refused.
///
/// A process that ends while it is looked at is refused once (`EACCES`), as if
/// it were hidden; from then on it is not there.
fn unless_ending<T>(mut look: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match look() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => look(),
        found => found,
    }
}

/// The namespaces that are the host's: this process's own and, seen from the
/// host's pid namespace, the first process's.
pub(crate) fn of_the_host() -> io::Result<Vec<u64>> {
    let first = inode_of(FIRST).ok();
    Ok(first.into_iter().chain([inode_of(Pid::this())?]).collect())
}

fn link(pid: Pid) -> String {
    format!("/proc/{pid}/ns/mnt")
}

fn parse_link(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_link_names_the_namespace() {
        assert_eq!(parse_link(Path::new("mnt:[4026531841]")), Some(4_026_531_841));
        for text in ["", "mnt:[]", "net:[4026531841]", "mnt:[4026531841", "/etc"] {
            assert_eq!(parse_link(Path::new(text)), None, "{text}");
        }
    }

    /// Seen: one process in some thousands that end.
    #[test]
    fn a_process_that_ends_meanwhile_is_not_hidden() {
        let mut answers = [Errno::EACCES, Errno::ENOENT].into_iter();
        let look = || Err::<u64, _>(answers.next().unwrap().into());
        assert_eq!(unless_ending(look).unwrap_err().kind(), io::ErrorKind::NotFound);
        let hidden = || Err::<u64, _>(Errno::EACCES.into());
        assert_eq!(unless_ending(hidden).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn this_process_is_found_in_its_namespace() {
        let own = inode_of(Pid::this()).unwrap();
        let found = all().unwrap();
        let namespace = found.namespaces.iter().find(|found| found.inode == own).unwrap();
        assert!(namespace.processes.contains(&Pid::this()));
        assert!(namespace.open().is_some());
        assert!(of_the_host().unwrap().contains(&own));
    }

    #[test]
    fn a_namespace_whose_processes_have_ended_cannot_be_opened() {
        let ended = Namespace { inode: 1, processes: vec![Pid::this()] };
        assert!(ended.open().is_none());
    }
}
