//! Why a reading failed.

use std::io;
use std::path::{Path, PathBuf};

use cgroupfs::format::FormatError;
use cgroupfs::interface::ReadError;

/// A file of the host or of a container's groups that could not be read or
/// understood.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// An interface file of a cgroup.
    #[error(transparent)]
    Cgroup(#[from] ReadError),
    /// The list of a container's tasks.
    #[error("cannot list the container's tasks")]
    Tasks(#[source] io::Error),
    /// A file of the host.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file of the host in another format.
    #[error("{} is not in the format this version knows", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what was there.
        source: FormatError,
    },
}

impl ReadingError {
    /// The kernel's `source` about the host's file at `path`.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// True when the container's group was removed, as far as one can tell; a
    /// group of the same name may be there again.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Cgroup(error) => matches!(error, ReadError::Gone { .. }),
            Self::Tasks(source) => {
                source.kind() == io::ErrorKind::NotFound
                    || source.raw_os_error() == Some(libc::ENODEV)
            }
            Self::Io { .. } | Self::Format { .. } => false,
        }
    }
}
