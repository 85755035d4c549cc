//! Interface files: opened once, then read again and again.
//!
//! The kernel makes the text anew for each read at offset 0, so a descriptor
//! that is kept open tells the present for a tenth of what opening costs. It
//! speaks for *its* group for ever: once that is removed it fails, also when
//! another group was made under the same name.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::format::FormatError;

/// Room for one reading; all but lists of very many CPUs fit.
const USUAL_SIZE: usize = 4096;

/// `ENODEV`, what reading a kept descriptor gives once the group is removed.
const ENODEV: i32 = 19;

/// A cgroup interface file that could not be read or understood.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The group is there, but not this file of it.
    #[error("{} is missing: the {controller} controller is not enabled here", path.display())]
    NotEnabled {
        /// The interface file.
        path: PathBuf,
        /// The controller it belongs to, by the prefix of its name.
        controller: String,
    },
    /// The group was removed.
    #[error("{} is gone: its cgroup was removed", path.display())]
    Gone {
        /// The interface file.
        path: PathBuf,
    },
    /// The text is not in the documented format.
    #[error("{} is not in the format this version knows", path.display())]
    Format {
        /// The interface file.
        path: PathBuf,
        /// What was expected and what was there.
        source: FormatError,
    },
    /// The kernel refused the read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The interface file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl ReadError {
    /// What the user can do about it, as a command or a place to look.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotEnabled { path, controller } => {
                let parent = path.parent()?.parent()?.display();
                Some(format!("echo +{controller} > {parent}/cgroup.subtree_control"))
            }
            Self::Gone { .. } | Self::Format { .. } | Self::Io { .. } => None,
        }
    }
}

/// One interface file; opened at its first reading.
///
/// A container has some thirty of them, so it knows where it is in few bytes: its directory
/// is told once for all files in it.
#[derive(Debug)]
pub struct InterfaceFile {
    dir: Arc<Path>,
    name: &'static str,
    file: OnceLock<File>,
}

impl InterfaceFile {
    /// The file `name` of the group at `dir`; nothing is opened yet.
    pub fn new(dir: &Arc<Path>, name: &'static str) -> Self {
        Self { dir: Arc::clone(dir), name, file: OnceLock::new() }
    }

    /// Reads the file and understands it by `parse`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: missing, gone, not understood, or refused by the kernel.
    pub fn read<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, FormatError>,
    ) -> Result<T, ReadError> {
        let parsed = self.with_text(parse).map_err(|error| self.failure(error))?;
        parsed.map_err(|source| ReadError::Format { path: self.path(), source })
    }

    /// As [`read`](Self::read), with `None` for a file that the group does not have.
    ///
    /// # Errors
    ///
    /// [`ReadError`] other than [`NotEnabled`](ReadError::NotEnabled).
    pub fn read_if_present<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, FormatError>,
    ) -> Result<Option<T>, ReadError> {
        match self.read(parse) {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::NotEnabled { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    fn with_text<T>(&self, look: impl FnOnce(&str) -> T) -> io::Result<T> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let opened = File::open(self.path())?;
                self.file.get_or_init(|| opened)
            }
        };
        with_text(file, look)
    }

    fn failure(&self, source: io::Error) -> ReadError {
        let path = self.path();
        match source.kind() {
            ErrorKind::NotFound if self.dir.is_dir() => {
                let controller = controller_of(self.name).to_owned();
                ReadError::NotEnabled { path, controller }
            }
            ErrorKind::NotFound => ReadError::Gone { path },
            _ if source.raw_os_error() == Some(ENODEV) => ReadError::Gone { path },
            _ => ReadError::Io { path, source },
        }
    }
}

/// Shows `look` the whole text of a file of the kernel, made at this moment.
///
/// For files of one record, as interface files and those of a task are; a list of
/// records such as `cgroup.procs` comes in pieces that do not fill the buffer.
/// Bytes that are not UTF-8 (any program may call itself by some) are replaced.
///
/// Allocates nothing but for a text of 4 KiB and more.
///
/// # Errors
///
/// What the kernel answers.
pub fn with_text<T>(file: &File, look: impl FnOnce(&str) -> T) -> io::Result<T> {
    // Not filled with zeros first: most texts are a few bytes long.
    let mut usual = [MaybeUninit::uninit(); USUAL_SIZE];
    let (filled, room) = rustix::io::pread(file, &mut usual[..], 0)?;
    // A record that is longer fills the buffer, so less is the end.
    if !room.is_empty() {
        return Ok(look(&String::from_utf8_lossy(filled)));
    }
    Ok(look(&String::from_utf8_lossy(&continued(file, filled.to_vec())?)))
}

/// As [`with_text`], as a text of its own.
///
/// # Errors
///
/// As [`with_text`].
pub fn read_from_start(file: &File) -> io::Result<String> {
    with_text(file, str::to_owned)
}

/// The whole text of `file`, of which `bytes` are the beginning.
fn continued(file: &File, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut filled = bytes.len();
    loop {
        bytes.resize(bytes.len() * 2, 0);
        let room = bytes.get_mut(filled..).unwrap_or_default();
        let wanted = room.len();
        let read = file.read_at(room, u64::try_from(filled).map_err(io::Error::other)?)?;
        filled += read;
        if read < wanted {
            break;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn controller_of(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::limit::{Limit, parse_v2};

    #[test]
    fn a_kept_file_tells_the_present() {
        let dir = tempfile::tempdir().unwrap();
        let file = InterfaceFile::new(&dir.path().into(), "memory.max");
        for (text, limit) in [("max\n", Limit::Unlimited), ("4096\n", Limit::AtMost(4096))] {
            fs::write(dir.path().join("memory.max"), text).unwrap();
            assert_eq!(file.read(parse_v2).unwrap(), limit);
        }
    }

    #[test]
    fn a_missing_file_names_the_controller_and_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("web");
        fs::create_dir(&group).unwrap();
        let file = InterfaceFile::new(&group.as_path().into(), "memory.max");
        let error = file.read(parse_v2).unwrap_err();
        let (group, root) = (group.display(), root.path().display());
        assert_eq!(
            error.to_string(),
            format!("{group}/memory.max is missing: the memory controller is not enabled here")
        );
        assert_eq!(error.hint(), Some(format!("echo +memory > {root}/cgroup.subtree_control")));
        assert_eq!(file.read_if_present(parse_v2).unwrap(), None);
    }

    #[test]
    fn a_file_that_appears_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = InterfaceFile::new(&dir.path().into(), "memory.swap.max");
        assert_eq!(file.read_if_present(parse_v2).unwrap(), None);
        fs::write(dir.path().join("memory.swap.max"), "0\n").unwrap();
        assert_eq!(file.read_if_present(parse_v2).unwrap(), Some(Limit::AtMost(0)));
    }

    #[test]
    fn a_removed_group_is_gone() {
        let file = InterfaceFile::new(&Path::new("/no/such/group").into(), "memory.max");
        let error = file.read_if_present(parse_v2).unwrap_err();
        assert_eq!(error.to_string(), "/no/such/group/memory.max is gone: its cgroup was removed");
    }

    #[test]
    fn text_in_another_format_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.max"), "12k\n").unwrap();
        let error =
            InterfaceFile::new(&dir.path().into(), "memory.max").read(parse_v2).unwrap_err();
        let ReadError::Format { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "expected a number or \"max\", found \"12k\"");
    }

    #[test]
    fn bytes_that_are_no_text_spoil_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("stat"), b"1 (\xff\xfe) S 0\n").unwrap();
        let text = read_from_start(&File::open(dir.path().join("stat")).unwrap()).unwrap();
        assert_eq!(text, "1 (\u{fffd}\u{fffd}) S 0\n");
    }

    #[test]
    fn text_longer_than_the_usual_room_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        for length in [USUAL_SIZE - 1, USUAL_SIZE, USUAL_SIZE + 1, 3 * USUAL_SIZE] {
            fs::write(dir.path().join("long"), "x".repeat(length)).unwrap();
            let text = read_from_start(&File::open(dir.path().join("long")).unwrap()).unwrap();
            assert_eq!(text.len(), length);
        }
    }
}
