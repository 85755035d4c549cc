//! Where texts come from: the server, or, when no worker with a server can
//! live, the host's own files as they are.

use std::fs;
use std::io;
use std::path::Path;

use crate::fuse::rehearsal::Rehearsal;
use crate::serve::{
    Asker, File, Numbered, Numbers, OPENING_WORDS, Opening, Server, Shown, path_of,
};

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
    /// Decides for whom `file` is opened, or who looks where there is none, if that
    /// can be decided.
    pub(crate) fn open(
        &self,
        file: Option<File<'_>>,
        asker: Asker,
    ) -> Option<[u64; OPENING_WORDS]> {
        match self {
            Self::Server(server, _rehearsals) => Some(server.open(file, asker).to_words()),
            Self::Host => None,
        }
    }

    /// What numbers of these mean in the directory or link `path` to whom was
    /// decided on; the host's to everybody else.
    pub(crate) fn numbers(
        &self,
        numbered: Numbered,
        path: &str,
        opening: Option<&[u64; OPENING_WORDS]>,
    ) -> Numbers {
        match (self, opening) {
            (Self::Server(server, rehearsals), Some(words)) => {
                let opening = Opening::from_words(words);
                rehearse(rehearsals, path, &opening);
                server.numbers(numbered, &opening)
            }
            _host_or_undecided => Numbers::Hosts,
        }
    }

    /// Writes the text of `file` for what was decided, or the host's, and says whose it is.
    ///
    /// # Errors
    ///
    /// Only when the host's own file cannot be read.
    pub(crate) fn text(
        &self,
        file: File<'_>,
        opening: Option<&[u64; OPENING_WORDS]>,
        out: &mut Vec<u8>,
    ) -> io::Result<Shown> {
        match (self, opening) {
            (Self::Server(server, rehearsals), Some(words)) => {
                let opening = Opening::from_words(words);
                rehearse(rehearsals, file.path, &opening);
                server.text(file, &opening, out)
            }
            _host_or_undecided => {
                let path = file.which.map(|which| path_of(file.path, which));
                *out = fs::read(Path::new("/").join(path.as_deref().unwrap_or(file.path)))?;
                Ok(Shown::HostInstead)
            }
        }
    }
}

/// Fails as told, unless it is for a reader on the host.
fn rehearse(rehearsals: &[Rehearsal], path: &str, opening: &Opening) {
    if !opening.groups.is_empty() {
        rehearsals.iter().for_each(|rehearsal| rehearsal.before_text(path));
    }
}
