//! What each request is answered.
//!
//! Opening decides for whom a file is, reading continues what was opened;
//! everything else is answered from the fixed tree. Every answer can be given
//! twice: a successor answers again what its predecessor may have answered.
//!
//! Permissions are the kernel's business (`default_permissions`), and so are
//! writes (the mount is `ro`): neither arrives here.

use std::sync::atomic::Ordering::SeqCst;

use fuser::FopenFlags;
use nix::errno::Errno;

use crate::catalog::Entry;
use crate::fuse::open_files::{OpenFiles, Range, UNRECORDED};
use crate::fuse::reply::{Attributes, Dirent, Reply};
use crate::fuse::request::{Operation, Request};
use crate::fuse::source::Source;
use crate::fuse::tree::{Kind, Node, Tree};
use crate::log::limited;
use crate::serve::OPENING_WORDS;
use crate::shared::Shared;
use crate::shared::slots::Slot;
use crate::sys::clock;

const DIRECTORY: u32 = libc::S_IFDIR;
const REGULAR: u32 = libc::S_IFREG;

/// Everything needed to answer requests; shared by all threads.
#[derive(Debug)]
pub struct Filesystem {
    tree: Tree,
    source: Source,
    shared: &'static Shared,
    open_files: OpenFiles,
}

/// No answer is due, the answer is in the reply, or this error is the answer.
pub(crate) type Answer = Option<Result<(), Errno>>;

impl Filesystem {
    /// A file system that continues what earlier workers left in `shared`.
    pub fn take_over(tree: Tree, source: Source, shared: &'static Shared) -> Self {
        Self { tree, source, shared, open_files: OpenFiles::take_over(shared) }
    }

    /// The requests of earlier workers were answered: forgets what they were
    /// in the middle of.
    pub(crate) fn sweep(&self) {
        self.open_files.sweep();
    }

    /// Answers the request in `slot` into `reply`, which is empty.
    pub(crate) fn answer(&self, request: &Request<'_>, slot: &Slot, reply: &mut Reply) -> Answer {
        let node = request.node;
        Some(match request.operation {
            Operation::Lookup { name } => self.lookup(node, name, reply),
            Operation::Getattr => self.getattr(node, reply),
            Operation::Open => self.open(request, slot, reply),
            Operation::Read { handle, offset, size } => {
                let range = Range { unique: request.unique, offset, size };
                self.read(request, slot, handle, range, reply)
            }
            // The page cache is shared by all containers, so nothing of one of them may
            // go there. The caller of sendfile(2) sees EINVAL, and reads.
            Operation::FillPageCache => Err(Errno::EINVAL),
            Operation::Release { handle } => {
                self.open_files.close(handle);
                Ok(())
            }
            Operation::Opendir => self.opendir(node, reply),
            Operation::Readdir { offset, size } => self.readdir(node, offset, size, reply),
            Operation::Releasedir | Operation::Flush => Ok(()),
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

    fn lookup(&self, parent: u64, name: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        let node = self.tree.child(parent, name).ok_or(Errno::ENOENT)?;
        reply.entry(&self.attributes(node));
        Ok(())
    }

    fn getattr(&self, number: u64, reply: &mut Reply) -> Result<(), Errno> {
        reply.attr(&self.attributes(self.tree.node(number).ok_or(Errno::ESTALE)?));
        Ok(())
    }

    fn open(&self, request: &Request<'_>, slot: &Slot, reply: &mut Reply) -> Result<(), Errno> {
        let entry = self.file(request.node)?;
        let opening = self.identify(entry, request, slot);
        let share = opening.as_ref().map_or(0, hash);
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
        let entry = self.file(request.node)?;
        let read = match self.open_files.find(handle) {
            Some(file) => {
                let record = file.record();
                let opening = if record.identified.load(SeqCst) == 1 {
                    Some(record.opening())
                } else {
                    // Opened while nobody could decide: decided now.
                    self.identify(entry, request, slot).inspect(|words| record.set_opening(words))
                };
                file.read(range, reply.body(), |out| self.text(entry, opening, slot, out))
            }
            None => {
                let opening = self.identify(entry, request, slot);
                let mut text = Vec::new();
                self.text(entry, opening, slot, &mut text).map(|()| {
                    let (start, end) = range.within(text.len());
                    reply.body().extend_from_slice(text.get(start..end).unwrap_or_default());
                })
            }
        };
        read.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// For whom a file is; `None` when that cannot be said, or when saying it
    /// has killed workers.
    fn identify(
        &self,
        entry: &Entry,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Option<[u64; OPENING_WORDS]> {
        let pair = hash(&[request.node, u64::from(request.tid)]);
        if self.is_quarantined(pair, slot, entry) {
            None
        } else {
            self.source.open(entry, request.tid)
        }
    }

    fn text(
        &self,
        entry: &Entry,
        opening: Option<[u64; OPENING_WORDS]>,
        slot: &Slot,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let opening = opening.filter(|words| {
            let pair = hash(&[hash(words), hash_of_bytes(entry.path.as_bytes())]);
            !self.is_quarantined(pair, slot, entry)
        });
        self.source.text(entry, opening.as_ref(), out)
    }

    /// Notes in `slot` what is about to be tried, for the successor's judgement,
    /// and says whether it has failed too often.
    fn is_quarantined(&self, pair: u64, slot: &Slot, entry: &Entry) -> bool {
        slot.pair.store(pair, SeqCst);
        let quarantined = self.shared.quarantine.holds(pair, clock::boottime_ns());
        if quarantined {
            self.shared.header.quarantined_answers.fetch_add(1, SeqCst);
            limited!(
                error,
                file = entry.path,
                "this killed two workers: the host's file is shown for a minute"
            );
        }
        quarantined
    }

    fn opendir(&self, number: u64, reply: &mut Reply) -> Result<(), Errno> {
        let _listed_by_readdir = self.tree.children(number).ok_or(Errno::ENOTDIR)?;
        reply.opened(UNRECORDED, FopenFlags::empty());
        Ok(())
    }

    /// Lists from `offset`: 0 is ".", 1 is "..", the rest is in the catalogue's order.
    fn readdir(&self, number: u64, offset: u64, size: u32, reply: &mut Reply) -> Result<(), Errno> {
        let directory = self.tree.node(number).ok_or(Errno::ESTALE)?;
        let children = self.tree.children(number).ok_or(Errno::ENOTDIR)?;
        let dots = [(directory.number, DIRECTORY, "."), (directory.parent, DIRECTORY, "..")];
        let names =
            dots.into_iter().chain(children.map(|node| (node.number, mode(node), node.name)));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (number, mode, name)) in (1..).zip(names).skip(skipped) {
            if !reply.dirent(size, &Dirent { number, next, mode, name }) {
                break;
            }
        }
        Ok(())
    }

    fn file(&self, number: u64) -> Result<&'static Entry, Errno> {
        match self.tree.node(number).ok_or(Errno::ESTALE)?.kind {
            Kind::File(entry) => Ok(entry),
            Kind::Directory(_) => Err(Errno::EISDIR),
        }
    }

    fn attributes(&self, node: &Node) -> Attributes {
        let (size, block_size) = sizes(node);
        let links = match &node.kind {
            Kind::File(_) => 1,
            // ".", its name above, and ".." of each directory in it
            Kind::Directory(children) => children
                .iter()
                .filter(|child| self.tree.children(**child).is_some())
                .fold(2, |links, _directory| links + 1),
        };
        let time = self.shared.header.mounted_at.load(SeqCst);
        Attributes { number: node.number, size, mode: mode(node), links, time, block_size }
    }
}

/// Type and permission bits, as the kernel's own file has them.
fn mode(node: &Node) -> u32 {
    match node.kind {
        Kind::Directory(_) => DIRECTORY | 0o555,
        Kind::File(entry) => REGULAR | u32::from(entry.mode),
    }
}

/// Size and recommended read, in bytes.
///
/// A file that says 0 is one that `sendfile(2)` finds at its end: busybox `cat`
/// would print nothing. So ours say what those of `/sys` do: more than there is, and
/// not more than is read at once, by which programs know that a size is none.
fn sizes(node: &Node) -> (u64, u32) {
    const PROC_BLOCK: u32 = 1024;
    match node.kind {
        Kind::File(entry) => {
            let size = notional_size(entry);
            (u64::from(size), size)
        }
        Kind::Directory(_) => (0, PROC_BLOCK),
    }
}

/// At least twice the length of the host's text: there are programs that read no
/// more than the size, and a text grows with its numbers. A power of two, because
/// the kernel rounds the recommended read down to one, and then it would be less
/// than the size.
fn notional_size(entry: &Entry) -> u32 {
    const PAGE: u32 = 4096;
    let text = std::fs::read(std::path::Path::new("/").join(entry.path));
    let twice = text.map_or(0, |text| text.len().saturating_mul(2));
    u32::try_from(twice).unwrap_or(u32::MAX / 2).next_power_of_two().max(PAGE)
}

/// A number that stands for `words`; equal ones have equal numbers, in every
/// process of this version.
fn hash<'a>(words: impl IntoIterator<Item = &'a u64>) -> u64 {
    words.into_iter().flat_map(|word| word.to_ne_bytes()).fold(FNV_BASIS, fnv)
}

fn hash_of_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().copied().fold(FNV_BASIS, fnv)
}

/// The offset basis of 64-bit FNV-1a.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}
