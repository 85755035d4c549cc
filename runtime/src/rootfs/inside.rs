//! Looking up and making files inside a root that somebody else may have filled.
//!
//! The one idea: `openat2(2)` with `RESOLVE_IN_ROOT`. Symbolic links, absolute
//! ones and `..` included, are resolved as the container would, and cannot lead
//! out, whatever another process does to the tree meanwhile (CVE-2021-30465,
//! CVE-2024-45310).

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::report::{Fault, Object};

/// Directories that are made for mount points and volumes: as `mkdir` does for root.
const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);

/// Files that are made for mount points, and those of `/etc`.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);

/// Links that lead to links are followed this far, when directories are made.
const MOST_LINKS: u8 = 8;

/// `openat2` gives up with `EAGAIN` when something is renamed or mounted anywhere
/// while it goes through a `..`. Whoever loses that race so often is being attacked.
const MOST_TRIES: u8 = 128;

/// A directory that is, or will be, somebody's `/`.
#[derive(Debug)]
pub(crate) struct Inside {
    top: OwnedFd,
}

impl Inside {
    /// The tree below `top`.
    pub(crate) fn new(top: OwnedFd) -> Self {
        Self { top }
    }

    /// Opens `path` as a place only (`O_PATH`), following links inside.
    pub(crate) fn place(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.open(path, OFlag::O_PATH)
    }

    /// Opens `path` with `flags`, following links inside.
    pub(crate) fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        self.resolve(path, flags, resolve)
    }

    /// Opens `path` as a place only, where no part of it is a symbolic link.
    pub(crate) fn plain_place(&self, path: &Path) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        self.resolve(path, OFlag::O_PATH, resolve)
    }

    /// The directory `path`, which may not be or lie behind a symbolic link;
    /// made when it is missing.
    ///
    /// For `/proc`, `/sys` and `/dev`: an image in which they lead elsewhere
    /// would have us write kernel settings, or leave masks out, where it likes
    /// (CVE-2019-19921, CVE-2023-28642, CVE-2026-41579).
    pub(crate) fn plain_directory(&self, path: &Path) -> Result<OwnedFd, Fault> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
        match self.resolve(path, directory, resolve) {
            Err(Errno::ENOENT) => self.directory(path),
            Err(Errno::ELOOP) => Err(Fault::new(
                path.display(),
                "it is a symbolic link in the root file system, where it must be a directory",
            )),
            opened => opened.of(path.display()),
        }
    }

    /// The directory `path`; made, with its parents, when it is missing. What a
    /// link leads to is made where it leads, inside.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Fault> {
        self.directory_behind(path, MOST_LINKS)
    }

    fn directory_behind(&self, path: &Path, links_left: u8) -> Result<OwnedFd, Fault> {
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
        match self.open(path, directory) {
            Err(Errno::ENOENT) => {}
            opened => return opened.of(path.display()),
        }
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, DIRECTORY_MODE) {
            Err(Errno::EEXIST) if links_left > 0 => {
                // A link to what does not exist; or somebody was faster.
                match readlinkat(&parent, name) {
                    Ok(target) => {
                        let target = path.parent().unwrap_or(path).join(target);
                        return self.directory_behind(&target, links_left - 1);
                    }
                    Err(_not_a_link) => {}
                }
            }
            made => made.of(path.display())?,
        }
        self.open(path, directory).of(path.display())
    }

    /// The file `path`, as a place only; made empty, with its parents, when it
    /// is missing.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd, Fault> {
        match self.place(path) {
            Err(Errno::ENOENT) => {}
            opened => return opened.of(path.display()),
        }
        let (parent, name) = self.parent(path)?;
        create(parent.as_fd(), name).of(path.display())?;
        self.place(path).of(path.display())
    }

    /// Writes a new file `path`, in the place of whatever was there.
    pub(crate) fn write(&self, path: &Path, text: &[u8]) -> Result<(), Fault> {
        let (parent, name) = self.parent(path)?;
        match unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno).of(path.display()),
        }
        let file = create(parent.as_fd(), name).of(path.display())?;
        File::from(file).write_all(text).of(path.display())
    }

    /// The directory that `path` is or will be in, made when missing, and its name there.
    pub(crate) fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Fault> {
        let no_name = || Fault::new(path.display(), "it has no name in a directory");
        let name = path.file_name().ok_or_else(no_name)?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    fn resolve(&self, path: &Path, flags: OFlag, how: ResolveFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(how);
        let path = relative(path);
        for _ in 0..MOST_TRIES {
            match openat2(&self.top, &path, how) {
                Err(Errno::EAGAIN) => {}
                opened => return opened,
            }
        }
        Err(Errno::EAGAIN)
    }
}

impl AsFd for Inside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }
}

/// Makes the file `name` in `directory`, where nothing has that name.
fn create(directory: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name, flags, FILE_MODE)
}

/// Whether `place` is a directory.
pub(crate) fn is_directory(place: BorrowedFd<'_>) -> nix::Result<bool> {
    Ok(fstat(place)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// `path` without its leading slashes, `.` for the top: what `openat2` takes
/// when it may not start at `/`.
fn relative(path: &Path) -> PathBuf {
    let inner: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .collect();
    if inner.as_os_str().is_empty() { PathBuf::from(".") } else { inner }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::unistd::Pid;

    use super::*;

    fn inside(top: &Path) -> Inside {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Inside::new(nix::fcntl::open(top, flags, Mode::empty()).unwrap())
    }

    /// Where `place` is, by the kernel's word.
    fn path_of(place: &OwnedFd) -> PathBuf {
        use std::os::fd::AsRawFd;
        std::fs::read_link(format!("/proc/{}/fd/{}", Pid::this(), place.as_raw_fd())).unwrap()
    }

    #[test]
    fn cve_2021_30465_links_lead_nowhere_but_inside() {
        let top = tempfile::tempdir().unwrap();
        symlink("/etc", top.path().join("absolute")).unwrap();
        symlink("../../../../etc", top.path().join("climbing")).unwrap();
        symlink("/absolute", top.path().join("twice")).unwrap();
        let root = inside(top.path());
        for link in ["/absolute/made", "/climbing/made", "/twice/made"] {
            let place = root.directory(Path::new(link)).unwrap();
            assert_eq!(path_of(&place), top.path().join("etc/made"), "through {link}");
        }
    }

    #[test]
    fn links_in_a_circle_end() {
        let top = tempfile::tempdir().unwrap();
        symlink("b", top.path().join("a")).unwrap();
        symlink("a", top.path().join("b")).unwrap();
        let error = inside(top.path()).directory(Path::new("/a/x")).unwrap_err();
        assert_eq!(error.reason(), "too many symbolic links encountered");
    }

    #[test]
    fn cve_2023_28642_proc_may_not_be_a_link() {
        let top = tempfile::tempdir().unwrap();
        symlink("/tmp", top.path().join("proc")).unwrap();
        let error = inside(top.path()).plain_directory(Path::new("/proc")).unwrap_err();
        assert_eq!(
            error.at(crate::report::Step::MountKernelFiles).to_string(),
            "cannot mount /proc: it is a symbolic link in the root file system, where it must be \
             a directory"
        );
    }

    #[test]
    fn what_is_written_replaces_a_link_and_does_not_follow_it() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("victim"), "kept").unwrap();
        symlink("victim", top.path().join("hostname")).unwrap();
        inside(top.path()).write(Path::new("/hostname"), b"web\n").unwrap();
        assert_eq!(std::fs::read(top.path().join("victim")).unwrap(), b"kept");
        assert_eq!(std::fs::read(top.path().join("hostname")).unwrap(), b"web\n");
    }
}
