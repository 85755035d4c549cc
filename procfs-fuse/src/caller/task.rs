//! One task of the machine: its files below `/proc/TID`.
//!
//! `/proc/TID` answers for any thread, not only for the first of its process,
//! which is what FUSE reports. Everything read here may vanish at any moment;
//! that is the caller being gone, not a fault.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cgroupfs::format::FormatError;
use cgroupfs::interface::read_from_start;
use cgroupfs::membership::{self, Membership};

use super::task_files;

/// Something that could not be learned about a task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The task ended.
    #[error("{} is gone: the task has ended", path.display())]
    Gone {
        /// The file below `/proc/TID`.
        path: PathBuf,
    },
    /// The first process of its pid namespace has ended, or is hidden from us.
    #[error("the pid namespace {} has no first process that we can see", path.display())]
    NoInit {
        /// The file of the namespace, below `/proc/TID`.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file below `/proc/TID`.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The text is not in the documented format.
    #[error("{} is not in the format this version knows", path.display())]
    Format {
        /// The file below `/proc/TID`.
        path: PathBuf,
        /// What was expected and what was there.
        source: FormatError,
    },
}

impl TaskError {
    /// The error `source` about the file at `path`.
    pub fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let gone =
            source.kind() == ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH);
        if gone { Self::Gone { path } } else { Self::Io { path, source } }
    }
}

/// A task by its thread id.
#[derive(Debug, Clone)]
pub struct Task {
    dir: PathBuf,
}

impl Task {
    /// The task `id` of the machine whose proc is at `proc`; nothing is read yet.
    pub fn new(proc: &Path, id: u32) -> Self {
        Self::named(proc, &id.to_string())
    }

    /// The task that goes by `name` below `proc`: `self`, or an id.
    pub fn named(proc: &Path, name: &str) -> Self {
        Self { dir: proc.join(name) }
    }

    /// The path of its file `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Its file `name`, open.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task is gone or the kernel refuses.
    pub fn open(&self, name: &str) -> Result<File, TaskError> {
        let path = self.path(name);
        File::open(&path).map_err(|source| TaskError::new(&path, source))
    }

    /// The text of its file `name`; bytes of program names that are not UTF-8
    /// are replaced.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task is gone or the kernel refuses.
    pub fn text(&self, name: &str) -> Result<String, TaskError> {
        read_from_start(&self.open(name)?)
            .map_err(|source| TaskError::new(&self.path(name), source))
    }

    /// What `parse` makes of its file `name`.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task is gone, the kernel refuses or `parse` does.
    pub fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, FormatError>,
    ) -> Result<T, TaskError> {
        let text = self.text(name)?;
        parse(&text).map_err(|source| TaskError::Format { path: self.path(name), source })
    }

    /// The number of its namespace of the kind `kind`: `pid`, `time`, ...;
    /// `None` when the kernel has no such kind.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task is gone or the kernel refuses.
    pub fn namespace(&self, kind: &str) -> Result<Option<u64>, TaskError> {
        let path = self.dir.join("ns").join(kind);
        match fs::read_link(&path) {
            Ok(link) => Ok(task_files::namespace_number(&link.to_string_lossy())),
            Err(error) if error.kind() == ErrorKind::NotFound && self.dir.is_dir() => Ok(None),
            Err(source) => Err(TaskError::new(&path, source)),
        }
    }

    /// The groups that it is in.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task is gone or the kernel refuses.
    pub fn membership(&self) -> Result<Membership, TaskError> {
        self.read("cgroup", membership::parse)
    }
}
