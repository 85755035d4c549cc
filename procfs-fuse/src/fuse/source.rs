//! Where texts come from: the server, or, when no worker with a server can
//! live, the host's own files as they are.

use std::fs;
use std::io;
use std::path::Path;

use crate::catalog::Entry;
use crate::fuse::rehearsal::Rehearsal;
use crate::serve::{OPENING_WORDS, Opening, Server};

/// Where texts come from.
#[derive(Debug)]
pub enum Source {
    /// The server decides for each container; it may be told to fail.
    Server(Box<Server>, Vec<Rehearsal>),
    /// Every reader gets the host's file. Nothing is decided, so that a server
    /// can decide later, when it is there again.
    Host,
}

impl Source {
    /// Decides for whom `entry` is opened, where that can be decided.
    pub(crate) fn open(&self, entry: &Entry, tid: u32) -> Option<[u64; OPENING_WORDS]> {
        match self {
            Self::Server(server, _rehearsals) => Some(server.open(entry, tid).to_words()),
            Self::Host => None,
        }
    }

    /// Writes the text of `entry` for what was decided, or the host's.
    ///
    /// # Errors
    ///
    /// Only when the host's own file cannot be read.
    pub(crate) fn text(
        &self,
        entry: &Entry,
        opening: Option<&[u64; OPENING_WORDS]>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match (self, opening) {
            (Self::Server(server, rehearsals), Some(words)) => {
                let opening = Opening::from_words(words);
                if !opening.groups.is_empty() {
                    rehearsals.iter().for_each(|rehearsal| rehearsal.before_text(entry.path));
                }
                server.text(entry, &opening, out)
            }
            _host_or_undecided => {
                *out = fs::read(Path::new("/").join(entry.path))?;
                Ok(())
            }
        }
    }
}
