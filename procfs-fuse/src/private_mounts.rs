//! A mount namespace of our own with nothing in it but private trees.
//!
//! What is mounted in there is on nobody's path: not below another mount that is handed
//! to a container as a whole, not in a directory that root may enter. It lasts for as
//! long as somebody holds the namespace, and leaves nothing behind.
//!
//! What this module does not do: say what is mounted (`fuse::session`), or who gets a
//! copy (`fuse::door`).

use std::fs::{self, File};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, pivot_root};
use rustix::mount::{OpenTreeFlags, open_tree};

/// Where each of the two realms is mounted, in the namespace.
const PLACES: [&str; 2] = ["/tree", "/fresh"];

/// A directory that every machine has; what is mounted on it in the namespace is not seen outside.
const STAGE: &str = "/sys";

/// Makes the namespace, in which `mount_at` mounts at two places, and returns it with
/// what that gave.
///
/// # Errors
///
/// `EPERM`: not allowed to make namespaces.
pub fn with_mounts<T: Send>(
    mount_at: impl FnOnce([&Path; 2]) -> io::Result<T> + Send,
) -> io::Result<(OwnedFd, T)> {
    in_a_thread(|| {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
        let namespace = File::open("/proc/thread-self/ns/mnt")?;
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
        let hidden = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("portholefs"), STAGE, Some("tmpfs"), hidden, Some("mode=0700"))?;
        let places = PLACES.map(|place| Path::new(STAGE).join(place.trim_start_matches('/')));
        places.iter().try_for_each(fs::create_dir)?;
        let [tree, fresh] = &places;
        let given = mount_at([tree, fresh])?;
        chdir(STAGE)?;
        leave_the_host()?;
        Ok((namespace.into(), given))
    })
}

/// Makes the working directory, a mount, the root of the namespace, and lets go of all
/// others in it: a disk that is unmounted on the host must not be held in here.
fn leave_the_host() -> io::Result<()> {
    match pivot_root(".", ".") {
        // The host runs from its initramfs, which cannot be left behind; nor can it be
        // seen below what lies on it.
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_MOVE;
            Ok(mount(Some("."), "/", None::<&str>, flags, None::<&str>)?)
        }
        pivoted => Ok(pivoted.and_then(|()| umount2(".", MntFlags::MNT_DETACH))?),
    }
}

/// Copies of what is mounted in `namespace`, attached nowhere.
///
/// # Errors
///
/// `ENOSYS`: the kernel is older than 5.2.
pub fn copies(namespace: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    in_a_thread(|| {
        unshare(CloneFlags::CLONE_FS)?;
        setns(namespace, CloneFlags::CLONE_NEWNS)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let copy = |place: &&str| Ok(open_tree(rustix::fs::CWD, *place, flags)?);
        PLACES.iter().map(copy).collect()
    })
}

/// Runs `inside` in a thread that is not used for anything else.
fn in_a_thread<T: Send>(inside: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let panicked = |_panic| io::Error::other("the thread panicked");
    thread::scope(|scope| scope.spawn(inside).join().map_err(panicked)?)
}
