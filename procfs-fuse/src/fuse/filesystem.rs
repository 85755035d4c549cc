//! What each request is answered.
//!
//! Opening decides for whom a file is, reading continues what was opened; names
//! are answered in [`names`](super::names). Every answer can be given twice: a
//! successor answers again what its predecessor may have answered.
//!
//! Permissions are the kernel's business (`default_permissions`), and so are
//! writes (the mount is `ro`): neither arrives here.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fuser::FopenFlags;
use nix::errno::Errno;
use parking_lot::Mutex;

use crate::fuse::latest::{Latest, Subject};
use crate::fuse::open_files::{OpenFiles, Range, UNRECORDED};
use crate::fuse::private::PrivateNames;
use crate::fuse::private_trees::Sweeps;
use crate::fuse::reply::Reply;
use crate::fuse::request::{Operation, Request};
use crate::fuse::source::Source;
use crate::fuse::tree::{Place, Tree};
use crate::fuse::turns::{Askers, lower_half};
use crate::log::limited;
use crate::moment::Waited;
use crate::serve::{Asker, File, Kind, Numbered, Numbers, OPENING_WORDS, Opening, Shown};
use crate::shared::Shared;
use crate::shared::counters::Outcome;
use crate::shared::slots::{Realm, Slot};
use crate::sys::clock;

/// Everything needed to answer requests; shared by all threads.
#[derive(Debug)]
pub struct Filesystem {
    pub(super) tree: Tree,
    pub(super) private: PrivateNames,
    pub(super) source: Source,
    pub(super) shared: &'static Shared,
    open_files: OpenFiles,
    askers: Askers,
    /// What was read last while requests waited.
    pub(super) latest: Latest,
    /// How long the kernel may keep a text of the fresh realm.
    pub(super) fresh: Duration,
    pub(super) sweeps: Sweeps,
    /// What files without a size of their own say; a look at some takes a millisecond,
    /// and each private tree is asked.
    pub(super) sizes_of_texts: Mutex<HashMap<&'static str, u32>>,
}

/// No answer is due, the answer is in the reply, or this error is the answer.
pub(crate) type Answer = Option<Result<(), Errno>>;

impl Filesystem {
    /// A file system that continues what earlier workers left in `shared`.
    pub fn take_over(tree: Tree, source: Source, shared: &'static Shared, fresh: Duration) -> Self {
        let private = PrivateNames::take_over(&shared.private_trees);
        let open_files = OpenFiles::take_over(shared);
        Self {
            tree,
            private,
            source,
            shared,
            open_files,
            askers: Askers::new(),
            latest: Latest::default(),
            fresh,
            sweeps: Sweeps::default(),
            sizes_of_texts: Mutex::default(),
        }
    }

    /// Closes what nobody uses any more, for as long as the process lives; returns where
    /// nothing is kept open.
    pub(crate) fn give_back(&self) {
        if let Source::Server(server, _rehearsals) = &self.source {
            server.give_back();
        }
    }

    /// The requests of earlier workers were answered: forgets what they were
    /// in the middle of.
    pub(crate) fn sweep(&self) {
        self.open_files.sweep();
    }

    /// What an answer to `request` counts against: its container as far as that is known
    /// without asking, 0 for everybody else.
    pub(crate) fn share(&self, realm: Realm, request: &Request<'_>) -> u64 {
        match (realm, &request.operation) {
            (Realm::Private | Realm::Fresh, _) => request.node >> 32,
            (Realm::Shared, Operation::Read { handle, .. }) => {
                lower_half(self.open_files.share(*handle))
            }
            (Realm::Shared, _by_path) => self.askers.share_of(request.tid),
        }
    }

    /// Answers the request in `slot`, which came through `realm`, into `reply`, which is
    /// empty.
    pub(crate) fn answer(
        &self,
        realm: Realm,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Answer {
        match realm {
            Realm::Shared => self.answer_below(request, slot, reply),
            Realm::Private | Realm::Fresh => self.answer_private(realm, request, slot, reply),
        }
    }

    /// Answers what is about a file or directory of the tree, whosever it is.
    pub(super) fn answer_below(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Answer {
        let node = request.node;
        Some(match request.operation {
            Operation::Lookup { name } => self.lookup(request, slot, name, reply),
            Operation::Getattr => self.getattr(request, slot, reply),
            Operation::Readlink => self.readlink(request, slot, reply),
            Operation::Open => self.open(request, slot, reply),
            Operation::Read { handle, offset, size } => {
                let range = Range { unique: request.unique, offset, size };
                self.read(request, slot, handle, range, reply)
            }
            // The page cache is shared by all containers, so nothing of one of them may
            // go there. The caller of sendfile(2) sees EINVAL, and reads.
            Operation::FillPageCache { .. } => Err(Errno::EINVAL),
            Operation::Release { handle } => {
                self.open_files.close(handle);
                Ok(())
            }
            Operation::Opendir => self.opendir(node, reply),
            Operation::Readdir { offset, size } => {
                self.readdir(request, slot, (offset, size), reply)
            }
            Operation::Releasedir => Ok(()),
            // Never ask again: a file that is opened without a word is closed without one.
            Operation::Flush => Err(Errno::ENOSYS),
            Operation::Statfs => {
                reply.statfs();
                Ok(())
            }
            Operation::Listxattr { size } => {
                if size == 0 {
                    reply.xattr_length(0);
                }
                Ok(())
            }
            Operation::Unanswered | Operation::Destroy => return None,
            Operation::Other(_number) => Err(Errno::ENOSYS),
        })
    }

    fn open(&self, request: &Request<'_>, slot: &Slot, reply: &mut Reply) -> Result<(), Errno> {
        let place = self.place(request.node)?;
        place.file().ok_or(not_a_file(place))?;
        let opening = self.identify(place, request, slot);
        let share = opening.as_ref().map_or(0, share_of);
        self.askers.note(request.tid, share);
        let handle = self.open_files.open(slot, request.unique, share, |record| {
            record.node.store(request.node, SeqCst);
            match &opening {
                Some(words) => record.set_opening(words),
                None => record.identified.store(0, SeqCst),
            }
        });
        if handle == UNRECORDED {
            limited!(
                warn,
                tid = request.tid,
                "too many open files: one is answered for whoever reads it"
            );
        }
        reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
        Ok(())
    }

    fn read(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        handle: u64,
        range: Range,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let place = self.place(request.node)?;
        let file = place.file().ok_or(not_a_file(place))?;
        let mut outcome = Outcome::Rest;
        let mut text = |opening, out: &mut Vec<u8>| -> io::Result<()> {
            outcome = outcome_of(self.text(file, opening, (request, slot), out)?);
            Ok(())
        };
        let read = match self.open_files.find(handle) {
            Some(open) => {
                let record = open.record();
                let opening = if record.identified.load(SeqCst) == 1 {
                    Some(record.opening())
                } else {
                    // Opened while nobody could decide: decided now.
                    self.identify(place, request, slot).inspect(|words| record.set_opening(words))
                };
                open.read(range, reply.body_and_text(), |out| text(opening, out))
            }
            None => {
                let opening = self.identify(place, request, slot);
                let (body, whole) = reply.body_and_text();
                text(opening, whole).map(|()| {
                    let (start, end) = range.within(whole.len());
                    body.extend_from_slice(whole.get(start..end).unwrap_or_default());
                })
            }
        };
        let outcome = if read.is_ok() { outcome } else { Outcome::Error };
        self.count(file, outcome, slot);
        read.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// Counts a read that is about to be answered.
    pub(super) fn count(&self, file: File<'_>, outcome: Outcome, slot: &Slot) {
        let ns = clock::boottime_ns().saturating_sub(slot.busy_since.load(SeqCst));
        self.shared.counters.read(file.entry.row, outcome, Duration::from_nanos(ns));
    }

    /// For whom a file is, or who looks at something else; `None` when that cannot
    /// be said, or when saying it has killed workers.
    pub(super) fn identify(
        &self,
        place: Place,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Option<[u64; OPENING_WORDS]> {
        if let Some(through) = request.through {
            return Some(self.opening_of(through));
        }
        let pair = hash(&[request.node, u64::from(request.tid)]);
        if self.is_quarantined(pair, slot, place.path()) {
            None
        } else {
            let waited = |since| Waited { since, until: self.latest.moment() };
            let asker = Asker { thread: request.tid, waited: request.since.map(waited) };
            self.source.open(place.file(), asker)
        }
    }

    /// What numbers of these mean to whoever looks at `place`.
    pub(super) fn numbers(
        &self,
        numbered: Numbered,
        place: Place,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Numbers {
        let opening = self.identify(place, request, slot);
        let opening = self.unless_quarantined(opening, place.path(), slot);
        self.source.numbers(numbered, place.path(), opening.as_ref())
    }

    /// Replaces `out` by the text of `file` for what was decided, and says whose it is. A
    /// container's is that of the moment or, for a request that has waited, of one since.
    pub(super) fn text(
        &self,
        file: File<'_>,
        opening: Option<[u64; OPENING_WORDS]>,
        (request, slot): (&Request<'_>, &Slot),
        out: &mut Vec<u8>,
    ) -> io::Result<Shown> {
        let opening = self.unless_quarantined(opening, file.path, slot);
        let (Some(since), Some(words)) = (request.since, opening) else {
            return self.source.text(file, opening.as_ref(), out);
        };
        let subject = Subject { node: request.node, opening: words };
        if self.latest.find(&subject, since, out) {
            return Ok(Shown::Container);
        }
        let began = self.latest.moment();
        let shown = self.source.text(file, Some(&words), out)?;
        if shown == Shown::Container {
            self.latest.keep(&subject, began, out);
        }
        Ok(shown)
    }

    /// `opening`, unless answering at `path` for it has killed workers.
    fn unless_quarantined(
        &self,
        opening: Option<[u64; OPENING_WORDS]>,
        path: &str,
        slot: &Slot,
    ) -> Option<[u64; OPENING_WORDS]> {
        opening.filter(|words| {
            let pair = hash(&[hash(words), hash_of_bytes(path.as_bytes())]);
            !self.is_quarantined(pair, slot, path)
        })
    }

    /// Notes in `slot` what is about to be tried, for the successor's judgement,
    /// and says whether it has failed too often.
    fn is_quarantined(&self, pair: u64, slot: &Slot, path: &str) -> bool {
        slot.pair.store(pair, SeqCst);
        let quarantined = self.shared.quarantine.holds(pair, clock::boottime_ns());
        if quarantined {
            self.shared.header.quarantined_answers.fetch_add(1, SeqCst);
            limited!(
                error,
                file = path,
                "this killed two workers: the host's file is shown for a minute"
            );
        }
        quarantined
    }

    pub(super) fn place(&self, number: u64) -> Result<Place, Errno> {
        self.tree.place(number).ok_or(Errno::ESTALE)
    }
}

/// As what a new text is counted.
pub(super) fn outcome_of(shown: Shown) -> Outcome {
    match shown {
        Shown::Container => Outcome::Container,
        Shown::Host => Outcome::Host,
        Shown::HostInstead => Outcome::Fallback,
    }
}

/// Why something cannot be opened and read.
pub(super) fn not_a_file(place: Place) -> Errno {
    match place.kind() {
        Kind::Directory { .. } => Errno::EISDIR,
        Kind::File { .. } | Kind::Link => Errno::EINVAL,
    }
}

/// Whose share of what is limited a file counts against that was opened with `words`:
/// its container's, whichever namespaces the opener is in.
fn share_of(words: &[u64; OPENING_WORDS]) -> u64 {
    Opening::from_words(words).groups.name()
}

/// A number that stands for `words`; equal ones have equal numbers, in every
/// process of this version.
fn hash<'a>(words: impl IntoIterator<Item = &'a u64>) -> u64 {
    words.into_iter().fold(FNV_BASIS, |hash, word| {
        // A product moves bits up only: what is above comes down for the next word.
        let mixed = (hash ^ word).wrapping_mul(FNV_PRIME);
        mixed ^ mixed >> 32
    })
}

fn hash_of_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// The offset basis of 64-bit FNV-1a.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Its prime.
const FNV_PRIME: u64 = 0x0100_0000_01b3;
