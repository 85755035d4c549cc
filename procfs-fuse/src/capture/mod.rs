//! A machine in a folder: what was read for one reader, kept so that it can be
//! rendered again, elsewhere and later.
//!
//! A capture is how a user's machine becomes a test. It is rendered by the same
//! code that serves a mount, with another root:
//!
//! ```text
//!   reader           process id of the reader
//!   host/            the files of the machine: proc/, sys/ with its control groups
//!   expected/        in the project's fixtures: what the reader shall see
//! ```
//!
//! What is in it: the host's copies of the files of the catalogue, the reader's
//! control groups and their ancestors, and of every process that shares its pid
//! namespace or its groups what tells it apart (`cgroup`, `stat`, `status`, the
//! names of its namespaces). Nothing else of any process: no command line, no
//! environment, no memory.

mod take;

pub use take::take;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cgroupfs::format::FormatError;
use cgroupfs::layout::PlaceError;

use crate::caller::TaskError;
use crate::catalog::Entry;
use crate::config::Settings;
use crate::history::History;
use crate::serve::{self, Listed, Memory, Server, Shown};

/// The file that says who reads.
const READER: &str = "reader";

/// The folder that stands for `/`.
const HOST: &str = "host";

/// A capture that could not be taken or rendered.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A file or folder that could not be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The folder is no capture.
    #[error("{} is no process id, so {} is no capture", text.trim_end(), dir.display())]
    NoReader {
        /// The folder.
        dir: PathBuf,
        /// What its `reader` says.
        text: String,
    },
    /// There is no process of that number.
    #[error("there is no process {pid}")]
    NoProcess {
        /// The number.
        pid: u32,
    },
    /// The file is not served.
    #[error("{path} is not served, or not in this capture")]
    NotServed {
        /// The path asked for.
        path: String,
    },
    /// The reader could not be identified.
    #[error("cannot tell who reads")]
    Reader(#[from] TaskError),
    /// The mounts are not in the format this version knows.
    #[error("cannot tell where cgroups are mounted")]
    Mounts(#[from] FormatError),
    /// The reader's groups could not be found.
    #[error("cannot find the reader's cgroup")]
    Place(#[from] PlaceError),
}

impl CaptureError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, path } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some(format!("a folder that is not there yet, such as {}.2", path.display()))
            }
            Self::NoReader { .. } => Some("portholefs capture DIR makes one".to_owned()),
            Self::NotServed { .. } => Some("portholefs render --from DIR lists them".to_owned()),
            Self::NoProcess { .. } => Some(
                "docker inspect -f '{{.State.Pid}}' NAME; inside a container processes have other numbers"
                    .to_owned(),
            ),
            Self::Place(error) => Some(error.hint().to_owned()),
            Self::Reader(TaskError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("run it as root, with CAP_SYS_PTRACE".to_owned())
            }
            Self::Io { .. } | Self::Reader(_) | Self::Mounts(_) => None,
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// The text of the file `path` (as in the catalogue, with or without a leading
/// slash) as the reader of the capture in `dir` sees it.
///
/// # Errors
///
/// [`CaptureError`] when `dir` is no capture, or has no such file.
pub fn render(dir: &Path, path: &str) -> Result<String, CaptureError> {
    look(dir, path).map(|rendered| rendered.text)
}

/// The same with how it came about.
///
/// # Errors
///
/// As [`render`].
pub fn look(dir: &Path, path: &str) -> Result<Rendered, CaptureError> {
    let wanted = path.trim_start_matches('/');
    let files = served(dir);
    let file = files.iter().find_map(|listed| listed.file_at(wanted));
    let file = file.ok_or_else(|| CaptureError::NotServed { path: path.to_owned() })?;
    let remembered = Arc::new(Remembered::default());
    let reader = reader(dir)?;
    let server = server(dir)?.with_memory(Box::new(Arc::clone(&remembered)));
    let opening = server.open(Some(file), reader);
    let mut text = Vec::new();
    let shown = server
        .text(file, &opening, &mut text)
        .map_err(CaptureError::io(&dir.join(HOST).join(wanted)))?;
    Ok(Rendered {
        text: String::from_utf8_lossy(&text).into_owned(),
        shown,
        entry: file.entry,
        remembers: remembered.0.load(Relaxed),
        read: open_below(&machine(dir)).map_err(CaptureError::io(dir))?,
    })
}

/// A file as the reader of a capture sees it, and how that came about.
#[derive(Debug)]
pub struct Rendered {
    /// What the reader sees.
    pub text: String,
    /// Whose numbers it has.
    pub shown: Shown,
    /// Its row in the catalogue.
    pub entry: &'static Entry,
    /// Something was remembered for the next read.
    pub remembers: bool,
    /// The files that were read, by their paths on the machine; those that are not kept open
    /// are left out.
    pub read: Vec<PathBuf>,
}

/// Whether something was remembered.
#[derive(Debug, Default)]
struct Remembered(AtomicBool);

impl Memory for Arc<Remembered> {
    fn recall(&self, _container: u64) -> Option<History> {
        None
    }

    fn remember(&self, _container: u64, _history: &History) {
        self.0.store(true, Relaxed);
    }
}

/// The folder that stands for `/` in the capture in `dir`.
pub fn machine(dir: &Path) -> PathBuf {
    dir.join(HOST)
}

/// What this process has open in `folder`, by the paths below it: what is read is kept open.
fn open_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = folder.canonicalize()?;
    let open = fs::read_dir("/proc/self/fd")?.filter_map(|entry| {
        // The directory that is being read is among them, and gone.
        let path = fs::read_link(entry.ok()?.path()).ok()?;
        Some(Path::new("/").join(path.strip_prefix(&folder).ok()?))
    });
    let mut open: Vec<_> =
        open.filter(|path| folder.join(path.strip_prefix("/").unwrap_or(path)).is_file()).collect();
    open.sort();
    open.dedup();
    Ok(open)
}

/// The paths that the capture in `dir` can render, in the catalogue's order, as its
/// reader sees them.
///
/// # Errors
///
/// [`CaptureError`] when `dir` is no capture.
pub fn files(dir: &Path) -> Result<Vec<String>, CaptureError> {
    let (reader, server) = (reader(dir)?, server(dir)?);
    let opening = server.open(None, reader);
    let numbers = |numbered| server.numbers(numbered, &opening);
    let host = dir.join(HOST);
    Ok(served(dir).iter().flat_map(|listed| listed.files(&host, numbers)).collect())
}

fn served(dir: &Path) -> Vec<Listed> {
    serve::list(&dir.join(HOST))
}

fn server(dir: &Path) -> Result<Server, CaptureError> {
    let settings = Settings { root: dir.join(HOST), ..Settings::default() };
    Ok(Server::new(settings)?)
}

fn reader(dir: &Path) -> Result<u32, CaptureError> {
    let path = dir.join(READER);
    let text = fs::read_to_string(&path).map_err(CaptureError::io(&path))?;
    let id = text.trim_end().parse();
    id.map_err(|_not_a_number| CaptureError::NoReader { dir: dir.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_capture_is_rendered() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("host/proc")).unwrap();
        fs::write(dir.path().join("host/proc/meminfo"), "").unwrap();
        let error = render(dir.path(), "proc/meminfo").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use {}/reader", dir.path().display()));
        fs::write(dir.path().join(READER), "me\n").unwrap();
        let error = render(dir.path(), "/proc/meminfo").unwrap_err();
        let expected = format!("me is no process id, so {} is no capture", dir.path().display());
        assert_eq!(error.to_string(), expected);
        let error = render(dir.path(), "proc/kcore").unwrap_err();
        assert_eq!(error.to_string(), "proc/kcore is not served, or not in this capture");
    }
}
