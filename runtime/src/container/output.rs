//! What a container in the background prints, kept in a file.
//!
//! The state directory is in memory, so the file is bounded: when it has
//! [`LIMIT`] bytes it becomes `output.old` and a new one begins. `porthole logs`
//! prints both, so at least the last [`LIMIT`] bytes are there.
//!
//! Standard output and standard error go to the same file, in the order in which
//! they were read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Size at which a file is put aside, in bytes.
pub const LIMIT: u64 = 8 << 20;

/// The file that is being written.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Output {
    /// Begins a file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: new_file(path)?, size: 0, limit })
    }

    /// Adds `text`.
    ///
    /// # Errors
    ///
    /// When the file system is full.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.size >= self.limit {
            fs::rename(&self.path, old(&self.path))?;
            self.file = new_file(&self.path)?;
            self.size = 0;
        }
        self.file.write_all(text)?;
        self.size = self.size.saturating_add(text.len() as u64);
        Ok(())
    }
}

/// Where a file at `path` is put aside.
pub fn old(path: &Path) -> PathBuf {
    path.with_extension("old")
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_put_aside_when_it_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let mut output = Output::with_limit(&path, 4).unwrap();
        for text in ["one\n", "two\n", "3\n"] {
            output.write(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(old(&path)).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    }
}
