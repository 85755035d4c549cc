//! Names: what is in a directory, where a link leads, and what `stat` says.
//!
//! The tree is the same for everybody but for what is named after a CPU or a block
//! of memory, and for what not every CPU has. Those are looked up for the one who looks, and the
//! kernel is told not to remember the answer: the next one who walks there, in
//! another container, asks again. All else it may remember for long, because
//! what lies below a name follows from the name alone.
//!
//! What this module does not do: ask whose container it is, or what numbers mean
//! there (`serve`).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use fuser::FopenFlags;
use nix::errno::Errno;

use crate::fuse::filesystem::Filesystem;
use crate::fuse::open_files::UNRECORDED;
use crate::fuse::reply::{Attributes, Dirent, Known, Reply};
use crate::fuse::request::Request;
use crate::fuse::tree::Place;
use crate::serve::{Kind, Numbers};
use crate::shared::slots::Slot;

/// Bytes of a page of the kernel's files below `/sys`, which say that they have
/// as many.
const PAGE: u32 = 4096;

impl Filesystem {
    pub(super) fn lookup(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        name: &[u8],
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let directory = self.place(request.node)?;
        let found = self.tree.child(directory, name).ok_or(Errno::ENOENT)?;
        let known = if found.depends_on_who_looks() {
            let numbers = self.numbers_of(found, directory, request, slot);
            host_path(&numbers, found).filter(|path| is_there(path)).ok_or(Errno::ENOENT)?;
            Known::ToWhoAsks
        } else {
            Known::ToAll
        };
        reply.entry(&self.attributes(found), known);
        Ok(())
    }

    pub(super) fn getattr(&self, number: u64, reply: &mut Reply) -> Result<(), Errno> {
        reply.attr(&self.attributes(self.place(number)?));
        Ok(())
    }

    /// What the host's link says. The number of a CPU or block that it leads to is
    /// the reader's.
    pub(super) fn readlink(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let link = self.place(request.node)?;
        let numbers = self.numbers_of(link, link, request, slot);
        let path = host_path(&numbers, link).ok_or(Errno::ENOENT)?;
        let target = fs::read_link(path)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let target =
            if link.named().is_some() { target.with_file_name(link.name()) } else { target };
        reply.body().extend_from_slice(target.as_os_str().as_bytes());
        Ok(())
    }

    pub(super) fn opendir(&self, number: u64, reply: &mut Reply) -> Result<(), Errno> {
        match self.place(number)?.kind() {
            // The kernel keeps no listing: the next one who lists may see another.
            Kind::Directory => reply.opened(UNRECORDED, FopenFlags::empty()),
            Kind::File { .. } | Kind::Link => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    /// Lists from the offset that is first in `part`, as many bytes as are second.
    pub(super) fn readdir(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        part: (u64, u32),
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let (offset, size) = part;
        let directory = self.place(request.node)?;
        let parent = self.tree.parent(directory).ok_or(Errno::ESTALE)?;
        let dots = [(directory, ".".to_owned()), (parent, "..".to_owned())];
        let names = self.names_in(directory, request, slot);
        let names = dots.into_iter().map(Some).chain(names);
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, name) in (1..).zip(names).skip(skipped) {
            let Some((place, name)) = name else { continue };
            let (inode, mode) = (place.inode(), mode(place));
            if !reply.dirent(size, &Dirent { inode, next, mode, name: &name }) {
                break;
            }
        }
        Ok(())
    }

    /// The names in `directory`; `None` in the place of one that is not there for
    /// the one who looks. Those with numbers come last, so that a listing in several
    /// parts goes on where it was when there are more or fewer of them.
    fn names_in<'a>(
        &'a self,
        directory: Place<'a>,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Vec<Option<(Place<'a>, String)>> {
        let (numbered, others): (Vec<_>, Vec<_>) =
            self.tree.children(directory).partition(|child| child.named().is_some());
        let numbers = match others.iter().find(|child| child.depends_on_who_looks()) {
            Some(child) => self.numbers_of(*child, directory, request, slot),
            None => Numbers::Hosts,
        };
        let others = others.into_iter().map(|child| {
            let is_seen = !child.depends_on_who_looks()
                || host_path(&numbers, child).is_some_and(|path| is_there(&path));
            is_seen.then(|| (child, child.name()))
        });
        let path = Path::new("/").join(directory.path());
        let numbered = numbered.into_iter().flat_map(|child| {
            let numbers = self.numbers_of(child, directory, request, slot);
            let found = child.named().map(|numbered| numbers.in_directory(numbered, &path));
            found.into_iter().flatten().map(move |id| Place { which: Some(id), ..child })
        });
        others.chain(numbered.map(|place| Some((place, place.name())))).collect()
    }

    /// What the number of `place` means to whoever looks at or into `at`.
    fn numbers_of(
        &self,
        place: Place<'_>,
        at: Place<'_>,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Numbers {
        match place.numbered() {
            Some(numbered) => self.numbers(numbered, at, request, slot),
            None => Numbers::Hosts,
        }
    }

    fn attributes(&self, place: Place<'_>) -> Attributes {
        let (size, block_size) = sizes(place);
        Attributes {
            number: place.number(),
            inode: place.inode(),
            size,
            mode: mode(place),
            links: self.links(place),
            time: self.shared.header.mounted_at.load(SeqCst),
            block_size,
        }
    }

    fn links(&self, place: Place<'_>) -> u32 {
        let is_directory = |place: &Place<'_>| matches!(place.kind(), Kind::Directory);
        if !is_directory(&place) {
            return 1;
        }
        let inside = || self.tree.children(place).filter(is_directory);
        if inside().any(|place| place.named().is_some()) {
            // Remembered for everybody: the host's.
            let hosts = fs::metadata(Path::new("/").join(place.path()));
            return hosts.map_or(2, |hosts| u32::try_from(hosts.nlink()).unwrap_or(u32::MAX));
        }
        // ".", its name above, and ".." of each directory in it
        inside().fold(2, |links, _directory| links + 1)
    }
}

/// Where the host has what `place` is for somebody with these `numbers`.
fn host_path(numbers: &Numbers, place: Place<'_>) -> Option<String> {
    numbers.path(place.path(), place.which).map(|path| format!("/{path}"))
}

fn is_there(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Type and permission bits, as the kernel's own file has them, but that nobody
/// may write.
fn mode(place: Place<'_>) -> u32 {
    match place.kind() {
        Kind::Directory => libc::S_IFDIR | 0o555,
        Kind::File { entry, .. } => libc::S_IFREG | u32::from(entry.mode),
        Kind::Link => libc::S_IFLNK | 0o777,
    }
}

/// Size and recommended read, in bytes.
///
/// A file that says 0 is one that `sendfile(2)` finds at its end: busybox `cat`
/// would print nothing. So ours say what those of `/sys` do: more than there is, and
/// not more than is read at once, by which programs know that a size is none.
fn sizes(place: Place<'_>) -> (u64, u32) {
    const PROC_BLOCK: u32 = 1024;
    let size = match place.kind() {
        Kind::File { size: Some(size), .. } => rounded(size),
        Kind::File { size: None, .. } => {
            // At least twice the length of the host's text: there are programs that
            // read no more than the size, and a text grows with its numbers.
            let text = fs::read(Path::new("/").join(place.path()));
            rounded(text.map_or(0, |text| text.len() as u64 * 2))
        }
        Kind::Directory | Kind::Link => return (0, PROC_BLOCK),
    };
    (u64::from(size), size)
}

/// A power of two, because the kernel rounds the recommended read down to one, and
/// then it would be less than the size.
fn rounded(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX / 2).min(u32::MAX / 2).next_power_of_two().max(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_and_a_page_or_more() {
        for (size, expected) in [(0, 4096), (4096, 4096), (28_672, 32_768), (u64::MAX, 1 << 31)] {
            assert_eq!(rounded(size), expected, "{size}");
        }
    }
}
