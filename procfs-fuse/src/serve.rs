//! The story of one read: who asks, whose limits count, what the kernel says,
//! what the container shall see, as bytes.
//!
//! The promise kept here is *never worse than the host's file*: whatever goes
//! wrong on the way, the answer is the host's own text, counted and logged. Only
//! when the host's own file cannot be read either does a read fail, with the
//! error that the host's file gave.

use std::fs;
use std::io;
use std::path::Path;

use crate::catalog::Entry;
use crate::config::Settings;

/// Answers opens and reads for every container; one per process, shared by all
/// threads.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
}

/// What was decided when a file was opened, for the life of the descriptor.
///
/// Plain data: a worker that never saw the open can serve reads from a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {}

/// Words of 64 bits that an [`Opening`] fits in.
pub const OPENING_WORDS: usize = 24;

impl Opening {
    /// The decision as plain words, for the table of open files, which outlives
    /// this process.
    pub fn to_words(&self) -> [u64; OPENING_WORDS] {
        [0; OPENING_WORDS]
    }

    /// The decision that [`to_words`](Self::to_words) wrote, maybe in another process.
    pub fn from_words(_words: &[u64; OPENING_WORDS]) -> Self {
        Self {}
    }
}

impl Server {
    /// A server for the machine below `settings.root`.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Decides for whom a file is opened; `thread` is the thread id that FUSE
    /// reports, 0 when it is outside our pid namespace.
    ///
    /// Never fails: who cannot be identified is shown the host's file.
    pub fn open(&self, _entry: &Entry, _thread: u32) -> Opening {
        Opening {}
    }

    /// Replaces `out` by the text of the file as it is now.
    ///
    /// # Errors
    ///
    /// Only when the host's own file cannot be read: its error, to hand on.
    pub fn text(&self, entry: &Entry, _opening: &Opening, out: &mut Vec<u8>) -> io::Result<()> {
        *out = fs::read(Path::new(&self.settings.root).join(entry.path))?;
        Ok(())
    }
}
