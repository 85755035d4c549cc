//! The files that tell a container its size, mounted over the kernel's.
//!
//! The daemon's tree is the contract: whatever it has below `proc/` and `sys/`
//! is mounted on the file of the same name, and a directory that has everything
//! which the kernel's has is mounted as one. Both ends are descriptors: the
//! daemon's file is opened before anything of the container exists, and the
//! kernel's is found in the procfs and sysfs that we mounted ourselves, so an
//! image or a volume cannot redirect either (CVE-2019-16884, CVE-2025-52881).
//!
//! Where the kernel has a file with the container's own numbers in the same
//! format, that file is mounted instead: the pressure of its control group, with
//! triggers and poll(2) that are the kernel's and outlive any daemon.
//!
//! What this module does not do: start the daemon, or hide what the view shows
//! and a mask forbids; masks are mounted after it, over it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{Mode, fstatat};

use super::kernel_files::{HARMLESS, KernelFiles};
use super::mounting::attach;
use crate::report::{Fault, Note, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes, copy_mount};

/// The directories of the daemon's tree, named like those they are mounted in.
const TREES: [&str; 2] = ["proc", "sys"];

/// Directories whose names depend on who looks: mounted as one, with nothing
/// mounted inside, if the daemon serves all that is in them.
///
/// Each with a file that is always the host's, so that no daemon serves it but for
/// the directory's sake.
const WHOLE: [(&str, &CStr); 3] = [
    ("/sys/devices/system/cpu", c"possible"),
    ("/sys/devices/system/memory", c"block_size_bytes"),
    ("/sys/devices/system/node", c"possible"),
];

/// The files and whole directories of the daemon's tree, as detached mounts.
#[derive(Debug)]
pub(crate) struct ViewFiles(Vec<ViewFile>);

#[derive(Debug)]
struct ViewFile {
    /// Where it goes: `/proc/meminfo`.
    path: PathBuf,
    mount: OwnedFd,
    attributes: Attributes,
}

/// Nobody writes to what the daemon serves.
const SERVED: Attributes = HARMLESS.union(Attributes::READ_ONLY);

/// A trigger is set by writing, which the group's file leaves to root.
const OF_THE_KERNEL: Attributes = HARMLESS;

impl ViewFiles {
    /// Opens every file that the daemon mounted at `mount_point` serves.
    pub(crate) fn open(mount_point: &Path) -> Result<Self, Fault> {
        let mut files = Vec::new();
        for tree in TREES {
            let source = mount_point.join(tree);
            let directory = Dir::open(&source, directory_flags(), Mode::empty())
                .map_err(|errno| unserved(&source, errno))?;
            collect(directory, &Path::new("/").join(tree), &mut files)
                .map_err(|errno| unserved(&source, errno))?;
        }
        Ok(Self(files))
    }

    /// The same, with the files of `group`, the container's own in a cgroup2 tree,
    /// in the place of those of the daemon that say as much.
    pub(crate) fn with_pressure_of(mut self, group: &Path) -> Result<Self, Fault> {
        for file in &mut self.0 {
            let Ok(resource) = file.path.strip_prefix("/proc/pressure") else { continue };
            let own = group.join(format!("{}.pressure", resource.display()));
            match copy_mount(AT_FDCWD, &own, Depth::One) {
                // This kernel does not count it by group.
                Err(Errno::ENOENT) => {}
                copy => {
                    file.mount = copy.of(own.display())?;
                    file.attributes = OF_THE_KERNEL;
                }
            }
        }
        Ok(self)
    }

    /// Puts the files that are at `tree`, named as in the daemon's, in the place of those
    /// of the daemon.
    pub(crate) fn replace_by(&mut self, tree: &Path) -> Result<(), Fault> {
        for name in TREES {
            let source = tree.join(name);
            let mut files = Vec::new();
            match Dir::open(&source, directory_flags(), Mode::empty()) {
                // There may be files of the other alone.
                Err(Errno::ENOENT) => continue,
                opened => opened
                    .and_then(|directory| {
                        collect(directory, &Path::new("/").join(name), &mut files)
                    })
                    .of(source.display())?,
            }
            for own in files {
                let is_same = |file: &&mut ViewFile| file.path == own.path && file.is_served();
                if let Some(file) = self.0.iter_mut().find(is_same) {
                    *file = own;
                }
            }
        }
        Ok(())
    }

    /// None at all: `--no-view`.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Mounts them over the files of `kernel`, and tells which the kernel does
    /// not have.
    pub(crate) fn mount(self, kernel: &KernelFiles) -> Result<Vec<Note>, Fault> {
        let mut notes = Vec::new();
        for file in self.0 {
            let path = &file.path;
            if is_of_empty_device(kernel, path) {
                continue;
            }
            match kernel.place(path) {
                Err(Errno::ENOENT) => {
                    let text = format!("{} is not in this kernel, so not mounted", path.display());
                    notes.push(Note::LeftOut(text));
                }
                place => file.cover(place.of(path.display())?.as_fd())?,
            }
        }
        Ok(notes)
    }
}

impl ViewFile {
    /// True for a file of the daemon.
    fn is_served(&self) -> bool {
        self.attributes == SERVED
    }

    fn cover(&self, place: BorrowedFd<'_>) -> Result<(), Fault> {
        attach(&self.mount, place, &self.path.to_string_lossy())?;
        add_attributes(self.mount.as_fd(), self.attributes, Depth::One).of(self.path.display())
    }
}

/// Whether `path` is about a block device without a medium: nobody can have used it,
/// and there may be hundreds, such as loop devices.
fn is_of_empty_device(kernel: &KernelFiles, path: &Path) -> bool {
    path.ends_with("stat")
        && kernel.text(&path.with_file_name("size")).is_ok_and(|size| size == "0\n")
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Adds the files in and below `directory`, which is to be seen at `path`; itself
/// where it is to be mounted as a whole.
fn collect(mut directory: Dir, path: &Path, files: &mut Vec<ViewFile>) -> nix::Result<()> {
    let entries = directory.iter().collect::<nix::Result<Vec<_>>>()?;
    for entry in entries {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let path = path.join(Path::new(&*name.to_string_lossy()));
        let kind = match entry.file_type() {
            Some(kind) => kind,
            None => kind(&directory, name)?,
        };
        match kind {
            Type::Directory => {
                let inner = Dir::openat(&directory, name, directory_flags(), Mode::empty())?;
                if is_whole(&inner, &path)? {
                    let mount = copy_mount(inner.as_fd(), "", Depth::One)?;
                    files.push(ViewFile { path, mount, attributes: SERVED });
                } else {
                    collect(inner, &path, files)?;
                }
            }
            Type::File => {
                let mount = copy_mount(directory.as_fd(), name, Depth::One)?;
                files.push(ViewFile { path, mount, attributes: SERVED });
            }
            _ => {}
        }
    }
    Ok(())
}

/// True when `directory` stands for the whole of the kernel's directory `path`.
fn is_whole(directory: &Dir, path: &Path) -> nix::Result<bool> {
    let Some((_whole, sign)) = WHOLE.iter().find(|(whole, _)| path == Path::new(whole)) else {
        return Ok(false);
    };
    match fstatat(directory, *sign, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(false),
        status => status.map(|_there| true),
    }
}

/// The kind of an entry that the directory itself does not tell.
fn kind(directory: &Dir, name: &CStr) -> nix::Result<Type> {
    let status = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(match status.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Type::Directory,
        libc::S_IFREG => Type::File,
        _ => Type::Symlink,
    })
}

/// Why there are no files: most likely no daemon.
fn unserved(source: &Path, errno: Errno) -> Fault {
    let reason = match errno {
        Errno::ENOENT => "no portholefs is mounted there",
        Errno::ENOTCONN => "the portholefs that was mounted there is dead",
        errno => {
            let fault = Fault::new(source.display(), errno.desc().to_lowercase());
            return if errno == Errno::EMFILE { fault.with_hint("ulimit -n 1024") } else { fault };
        }
    };
    let mount_point = source.parent().unwrap_or(source).display();
    Fault::new(source.display(), reason)
        .with_hint(format!("portholefs serve {mount_point}, or porthole run --no-view"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    #[test]
    fn a_missing_daemon_is_named_with_its_cure() {
        let nowhere = tempfile::tempdir().unwrap();
        let error = ViewFiles::open(nowhere.path()).unwrap_err().at(Step::OpenSources);
        let mount_point = nowhere.path().display();
        let text = format!("cannot open {mount_point}/proc: no portholefs is mounted there");
        assert_eq!(error.to_string(), text);
        let hint = format!("portholefs serve {mount_point}, or porthole run --no-view");
        assert_eq!(error.hint(), Some(hint.as_str()));
    }

    #[test]
    fn too_few_descriptors_are_not_the_daemons_fault() {
        let error = unserved(Path::new("/fs/proc"), Errno::EMFILE).at(Step::OpenSources);
        assert_eq!(error.to_string(), "cannot open /fs/proc: too many open files");
        assert_eq!(error.hint(), Some("ulimit -n 1024"));
    }
}
