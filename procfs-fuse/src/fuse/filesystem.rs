//! What each request is answered.
//!
//! Opening decides for whom a file is (`serve`), reading continues what was
//! opened; everything else is answered from the fixed tree. Nothing here waits
//! for anything but the files that `serve` reads.
//!
//! Permissions are the kernel's business (`default_permissions`), and so are
//! writes (the mount is `ro`): neither arrives here.

use fuser::FopenFlags;
use nix::errno::Errno;

use crate::catalog::Entry;
use crate::fuse::open_files::{OpenFiles, Text};
use crate::fuse::reply::{Attributes, Dirent, Reply};
use crate::fuse::request::{Operation, Request};
use crate::fuse::tree::{Kind, Node, Tree};
use crate::serve::Server;

const DIRECTORY: u32 = libc::S_IFDIR;
const REGULAR: u32 = libc::S_IFREG;

/// Everything needed to answer requests; shared by all threads.
#[derive(Debug)]
pub struct Filesystem {
    tree: Tree,
    server: Server,
    open_files: OpenFiles,
    /// Times of all files, in seconds since 1970.
    mounted_at: u64,
}

/// No answer is due, the answer is in the reply, or this error is the answer.
pub(crate) type Answer = Option<Result<(), Errno>>;

impl Filesystem {
    /// A file system with the files of `tree`, answered by `server`.
    ///
    /// `mounted_at` is shown as the time of every file, in seconds since 1970.
    pub fn new(tree: Tree, server: Server, mounted_at: u64) -> Self {
        Self { tree, server, open_files: OpenFiles::default(), mounted_at }
    }

    /// Answers one request into `reply`, which is empty.
    pub(crate) fn answer(&self, request: &Request<'_>, reply: &mut Reply) -> Answer {
        let node = request.node;
        Some(match request.operation {
            Operation::Lookup { name } => self.lookup(node, name, reply),
            Operation::Getattr => self.getattr(node, reply),
            Operation::Open => self.open(node, request.tid, reply),
            Operation::Read { handle, offset, size } => {
                self.read(request, handle, &Range { offset, size }, reply)
            }
            // The page cache is shared by all containers, so nothing of one of them may
            // go there. The caller of sendfile(2) sees EINVAL, and reads.
            Operation::FillPageCache => Err(Errno::EINVAL),
            Operation::Release { handle } => {
                self.open_files.remove(handle);
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

    fn open(&self, number: u64, tid: u32, reply: &mut Reply) -> Result<(), Errno> {
        let entry = self.file(number)?;
        let handle = self.open_files.insert(entry, self.server.open(entry, tid));
        reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
        Ok(())
    }

    fn read(
        &self,
        request: &Request<'_>,
        handle: u64,
        range: &Range,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        match self.open_files.find(handle) {
            Some(file) => {
                let text = &mut *file.text.lock();
                let generate = |out: &mut Vec<u8>| self.server.text(file.entry, &file.opening, out);
                range.read(text, reply, generate)
            }
            // Opened while the table was full: answered for whoever reads.
            None => {
                let entry = self.file(request.node)?;
                let opening = self.server.open(entry, request.tid);
                let generate = |out: &mut Vec<u8>| self.server.text(entry, &opening, out);
                range.read(&mut Text::Unread, reply, generate)
            }
        }
    }

    fn opendir(&self, number: u64, reply: &mut Reply) -> Result<(), Errno> {
        let _listed_by_readdir = self.tree.children(number).ok_or(Errno::ENOTDIR)?;
        reply.opened(0, FopenFlags::empty());
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
        let (number, mode, time) = (node.number, mode(node), self.mounted_at);
        Attributes { number, size, mode, links, time, block_size }
    }
}

/// Which bytes of a file are asked for.
struct Range {
    offset: u64,
    size: u32,
}

impl Range {
    fn read(
        &self,
        text: &mut Text,
        reply: &mut Reply,
        generate: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<(), Errno> {
        let read = text.read(self.offset, self.size, reply.body(), generate);
        read.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
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

/// Whole pages, at least twice the length of the host's text: there are programs
/// that read no more than the size, and a text grows with its numbers.
fn notional_size(entry: &Entry) -> u32 {
    const PAGE: u32 = 4096;
    let text = std::fs::read(std::path::Path::new("/").join(entry.path));
    let twice = text.map_or(0, |text| text.len().saturating_mul(2));
    u32::try_from(twice).unwrap_or(u32::MAX / 2).next_multiple_of(PAGE).max(PAGE)
}
