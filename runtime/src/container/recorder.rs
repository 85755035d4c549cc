//! From a container in the background into its output file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::read;

use super::output::Output;

/// What is read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;

/// Records what comes from several descriptors in one file.
#[derive(Debug)]
pub struct Recorder {
    output: Output,
    sources: Vec<OwnedFd>,
    /// Bytes that the file system had no room for, since the last that it had.
    lost: usize,
}

impl Recorder {
    /// Records into `output` what `sources` give.
    ///
    /// # Errors
    ///
    /// None that the kernel documents for descriptors that are open.
    pub fn new(output: Output, sources: Vec<OwnedFd>) -> io::Result<Self> {
        for source in &sources {
            fcntl(source, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { output, sources, lost: 0 })
    }

    /// What to wait for; a source that has ended is not among them.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(AsFd::as_fd)
    }

    /// Records everything that can be read without waiting.
    pub fn record(&mut self) {
        let mut chunk = vec![0; CHUNK];
        let mut sources = std::mem::take(&mut self.sources);
        sources.retain(|source| {
            loop {
                match read(source, &mut chunk) {
                    Err(Errno::EAGAIN | Errno::EINTR) => return true,
                    // EIO is how a terminal ends whose last user has closed it.
                    Ok(0) | Err(_) => return false,
                    Ok(length) => self.write(chunk.get(..length).unwrap_or_default()),
                }
            }
        });
        self.sources = sources;
    }

    /// The container is not to wait for a file system that is full; what is lost
    /// is counted in its place.
    fn write(&mut self, text: &[u8]) {
        let mut gap = String::new();
        if self.lost > 0 {
            gap = format!("\nporthole: {} bytes are missing here, there was no room\n", self.lost);
        }
        let written = self.output.write(gap.as_bytes()).and_then(|()| self.output.write(text));
        self.lost = if written.is_ok() { 0 } else { self.lost.saturating_add(text.len()) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::unistd::{pipe, write};

    use super::*;

    #[test]
    fn several_sources_become_one_file_until_each_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let ((out, to_out), (err, to_err)) = (pipe().unwrap(), pipe().unwrap());
        let mut recorder = Recorder::new(Output::create(&path).unwrap(), vec![out, err]).unwrap();
        write(&to_out, b"out\n").unwrap();
        recorder.record();
        drop(to_out);
        write(&to_err, b"err\n").unwrap();
        recorder.record();
        assert_eq!(recorder.sources().count(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "out\nerr\n");
    }
}
