//! What is taken along into a container's mount namespace, and the way back.
//!
//! Inside a container no path of its is trusted: its `/proc` may be anything.
//! So the descriptors that are needed there are opened before, at home: this
//! process's own directory in the host's `/proc` and the live tree.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use crate::host::mountinfo::{MountId, MountTable};
use crate::inject::InjectError;
use crate::inject::owners::Owners;

/// What the kernel says of this thread: another thread may be in another mount
/// namespace.
const OWN_PROC: &str = "/proc/thread-self";

/// The mount namespace that the daemon mounts in, as one thread sees it.
#[derive(Debug)]
pub(crate) struct Home {
    namespace: OwnedFd,
    /// This thread's directory in the host's `/proc`.
    own_proc: OwnedFd,
    /// Root of the live tree.
    tree: OwnedFd,
    /// Whose other mounts are.
    pub(crate) owners: Owners,
}

impl Home {
    /// Opens everything, for this thread; `mount_point` is where the live tree is mounted.
    ///
    /// # Errors
    ///
    /// [`InjectError::NotMounted`] when it is not, and whatever the kernel says.
    pub(crate) fn here(mount_point: &Path) -> Result<Self, InjectError> {
        let failed = |path: &str| {
            let path = PathBuf::from(path);
            move |errno: nix::Error| InjectError::Open { path, source: errno.into() }
        };
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let own_proc = open(OWN_PROC, directory, Mode::empty()).map_err(failed(OWN_PROC))?;
        let namespace = openat(&own_proc, "ns/mnt", OFlag::O_CLOEXEC, Mode::empty())
            .map_err(failed("/proc/thread-self/ns/mnt"))?;
        let tree = open(mount_point, directory, Mode::empty())
            .map_err(failed(&mount_point.to_string_lossy()))?;
        let table = read_table(&own_proc)?;
        let owners = Owners::of(table, mount_point)
            .ok_or_else(|| InjectError::NotMounted(mount_point.to_owned()))?;
        Ok(Self { namespace, own_proc, tree, owners })
    }

    /// Does `work` inside `namespace`, where `/` is the root of its mounts, and
    /// comes back.
    ///
    /// # Errors
    ///
    /// [`InjectError::Enter`]: `EPERM` without CAP_SYS_ADMIN and CAP_SYS_CHROOT,
    /// `EINVAL` in a thread that shares its root directory with another.
    pub(crate) fn inside<T>(
        &self,
        namespace: &OwnedFd,
        work: impl FnOnce() -> T,
    ) -> Result<T, InjectError> {
        let enter = |namespace: &OwnedFd| {
            setns(namespace, CloneFlags::CLONE_NEWNS)
                .map_err(|errno| InjectError::Enter(errno.into()))
        };
        enter(namespace)?;
        let result = work();
        enter(&self.namespace)?;
        Ok(result)
    }

    /// The mounts of the namespace that this process is in.
    ///
    /// # Errors
    ///
    /// [`InjectError::Open`].
    pub(crate) fn table(&self) -> Result<MountTable, InjectError> {
        read_table(&self.own_proc)
    }

    /// Opens the file or directory `path` of the live tree, by path alone. The
    /// daemon is asked where it is.
    ///
    /// # Errors
    ///
    /// * `ENOENT`: the daemon does not serve it.
    /// * `ENOTCONN`: the daemon has died.
    pub(crate) fn live(&self, path: &Path) -> nix::Result<OwnedFd> {
        let below_root = path.strip_prefix("/").unwrap_or(path);
        let below_root = if below_root == Path::new("") { Path::new(".") } else { below_root };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV);
        openat2(&self.tree, below_root, how)
    }

    /// The number of the mount that `file` is on.
    ///
    /// Asks this process's own table of descriptors, never the file: the file may
    /// be on a mount that does not answer.
    ///
    /// # Errors
    ///
    /// When the kernel is older than 3.15, which said no such thing.
    pub(crate) fn mount_id(&self, file: impl AsFd) -> io::Result<MountId> {
        let path = format!("fdinfo/{}", file.as_fd().as_raw_fd());
        let text = read_at(&self.own_proc, &path)?;
        let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
        number
            .and_then(|number| number.trim().parse().ok())
            .ok_or_else(|| io::Error::other("/proc/thread-self/fdinfo names no mount"))
    }

    /// The directory in which each open file of this process has its number as
    /// its name. A file can be named by it to calls that take only a path,
    /// whatever the container did to the path it was found by.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub(crate) fn open_files(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(openat(&self.own_proc, "fd", flags, Mode::empty())?)
    }
}

fn read_table(own_proc: &OwnedFd) -> Result<MountTable, InjectError> {
    let text = read_at(own_proc, "mountinfo").map_err(|source| InjectError::Open {
        path: "/proc/thread-self/mountinfo".into(),
        source,
    })?;
    Ok(MountTable::parse(&text))
}

fn read_at(directory: &OwnedFd, path: &str) -> io::Result<String> {
    let file = openat(directory, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    // Paths in it may be in any encoding; ours are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
