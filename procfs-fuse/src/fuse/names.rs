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
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fuser::FopenFlags;
use nix::errno::Errno;

use crate::fuse::filesystem::Filesystem;
use crate::fuse::open_files::UNRECORDED;
use crate::fuse::private::is_in;
use crate::fuse::reply::{Attributes, Dirent, Known, REMEMBERED, Reply};
use crate::fuse::request::Request;
use crate::fuse::tree::Place;
use crate::serve::{Kind, Numbered, Numbers, path_of};
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
        let name = str::from_utf8(name).map_err(|_not_ours| Errno::ENOENT)?;
        let (path, which) = directory.below(name);
        let known = self.tree.node_at(&path).and_then(|node| Place::new(node, which));
        let (found, known) = match known.filter(|place| !self.tree.depends_on_who_looks(*place)) {
            Some(place) => (place, Known::ToAll),
            None => self.look_for(&path, which, directory, request, slot).ok_or(Errno::ENOENT)?,
        };
        if !is_in(found, request.through) {
            return Err(Errno::ENOENT);
        }
        let mut attributes = self.attributes(found);
        if let Some(through) = request.through {
            attributes.number = self.private.number(through, found).ok_or(Errno::ENOENT)?;
            self.refresh(&mut attributes, found, request, slot)?;
        }
        reply.entry(&attributes, known);
        Ok(())
    }

    /// What whoever looks into `directory` finds at `path`, and who else will.
    fn look_for(
        &self,
        path: &str,
        which: Option<u32>,
        directory: Place,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Option<(Place, Known)> {
        let numbers = self.numbers_in(path, directory, request, slot);
        let host = host_path(&numbers, path, which).filter(|host| is_there(host))?;
        let place = Place::new(self.tree.find(path, &host)?, which)?;
        let depends = self.tree.depends_on_who_looks(place);
        Some((place, if depends { Known::ToWhoAsks } else { Known::ToAll }))
    }

    pub(super) fn getattr(
        &self,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let place = self.place(request.node)?;
        let mut attributes = self.attributes(place);
        self.refresh(&mut attributes, place, request, slot)?;
        reply.attr(&attributes);
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
        let numbers = self.numbers_in(link.path(), link, request, slot);
        let path = host_path(&numbers, link.path(), link.which).ok_or(Errno::ENOENT)?;
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
            Kind::Directory { .. } => reply.opened(UNRECORDED, FopenFlags::empty()),
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
        let names = self.names_in(directory, request, slot).into_iter();
        let names = dots.into_iter().chain(names.map(|place| (place, place.name())));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (place, name)) in (1..).zip(names).skip(skipped) {
            let (inode, mode) = (place.inode(), mode(place));
            if !reply.dirent(size, &Dirent { inode, next, mode, name: &name }) {
                break;
            }
        }
        Ok(())
    }

    /// The names in `directory` for the one who looks. Those with numbers come last, so
    /// that a listing in several parts goes on where it was when there are more or
    /// fewer of them.
    fn names_in(&self, directory: Place, request: &Request<'_>, slot: &Slot) -> Vec<Place> {
        let numbers = self.numbers_in(directory.path(), directory, request, slot);
        let Some(host) = host_path(&numbers, directory.path(), directory.which) else {
            return Vec::new();
        };
        let (mut plain, mut numbered) = (Vec::new(), Vec::new());
        for name in self.tree.names.names_in(&host, directory.path()) {
            let (path, which) = directory.below(&name);
            match Numbered::named(&name).filter(|_numbered| which.is_none()) {
                None => {
                    let node = self.tree.find(&path, &host.join(&name));
                    plain.extend(node.and_then(|node| Place::new(node, which)));
                }
                Some(kind) => {
                    let numbers = self.numbers(kind, directory, request, slot);
                    numbered.extend(self.numbered_in(kind, &numbers, &path, &host));
                }
            }
        }
        plain.append(&mut numbered);
        plain.retain(|place| is_in(*place, request.through));
        plain
    }

    /// Those with these `numbers` that are at `path`, in the host's directory `host`.
    fn numbered_in(
        &self,
        numbered: Numbered,
        numbers: &Numbers,
        path: &str,
        host: &Path,
    ) -> Vec<Place> {
        let ids = numbers.in_directory(numbered, host).into_iter();
        let found = ids.filter_map(|id| {
            let example = host.join(path_of(numbered.any(), numbers.physical(id)?));
            Place::new(self.tree.find(path, &example)?, Some(id))
        });
        found.collect()
    }

    /// What the number in `path` means to whoever looks at or into `at`.
    fn numbers_in(&self, path: &str, at: Place, request: &Request<'_>, slot: &Slot) -> Numbers {
        match Numbered::in_path(path) {
            Some((numbered, _before)) => self.numbers(numbered, at, request, slot),
            None => Numbers::Hosts,
        }
    }

    pub(super) fn attributes(&self, place: Place) -> Attributes {
        let (size, block_size) = self.sizes(place);
        Attributes {
            number: place.number(),
            inode: place.inode(),
            size,
            mode: mode(place),
            links: links(place),
            time: Duration::from_secs(self.shared.header.mounted_at.load(SeqCst)),
            block_size,
            valid: REMEMBERED,
        }
    }

    /// Size and recommended read, in bytes.
    ///
    /// A file that says 0 is one that `sendfile(2)` finds at its end: busybox `cat`
    /// would print nothing. So ours say what those of `/sys` do: more than there is, and
    /// not more than is read at once, by which programs know that a size is none.
    fn sizes(&self, place: Place) -> (u64, u32) {
        const PROC_BLOCK: u32 = 1024;
        let size = match place.kind() {
            Kind::File { size: Some(size), .. } => rounded(size),
            Kind::File { size: None, .. } => {
                let mut sizes = self.sizes_of_texts.lock();
                *sizes.entry(place.path()).or_insert_with(|| size_of_text(place.path()))
            }
            Kind::Directory { .. } | Kind::Link => return (0, PROC_BLOCK),
        };
        (u64::from(size), size)
    }
}

/// Where the host has what is at `path` for somebody with these `numbers`.
fn host_path(numbers: &Numbers, path: &str, which: Option<u32>) -> Option<PathBuf> {
    numbers.path(path, which).map(|path| Path::new("/").join(path))
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn links(place: Place) -> u32 {
    match place.kind() {
        Kind::Directory { links } => links,
        Kind::File { .. } | Kind::Link => 1,
    }
}

/// Type and permission bits, as the kernel's own file has them, but that nobody
/// may write.
fn mode(place: Place) -> u32 {
    match place.kind() {
        Kind::Directory { .. } => libc::S_IFDIR | 0o555,
        Kind::File { entry, .. } => libc::S_IFREG | u32::from(entry.mode),
        Kind::Link => libc::S_IFLNK | 0o777,
    }
}

/// At least twice the length of the host's text: there are programs that read no more
/// than the size, and a text grows with its numbers.
fn size_of_text(path: &str) -> u32 {
    rounded(fs::read(Path::new("/").join(path)).map_or(0, |text| text.len() as u64 * 2))
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
