//! What the kernel is answered: the bytes of one message for `/dev/fuse`; pure.
//!
//! A thread keeps one [`Reply`] and fills it anew for each request, so that
//! answering allocates nothing once the largest answer has been seen.
//!
//! Kernel source of truth: `struct fuse_out_header` and the `fuse_*_out` that
//! follow it, in `include/uapi/linux/fuse.h`.

use std::time::Duration;

use fuser::FopenFlags;
use nix::errno::Errno;

/// Length of `struct fuse_out_header`.
const HEADER_LENGTH: usize = 16;

/// How long the kernel may remember attributes, and names that everybody finds.
/// They never change while the tree is mounted; a day keeps it out of sight without
/// being forever.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer under construction.
#[derive(Debug)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    /// A whole text, of which a part is the answer.
    text: Vec<u8>,
}

/// Who may be told a name without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Everybody.
    ToAll,
    /// Who has asked: the next one may find nothing, or something else.
    ToWhoAsks,
}

/// Attributes of a node; `struct fuse_attr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Number by which the kernel asks for it.
    pub(crate) number: u64,
    /// Inode number.
    pub(crate) inode: u64,
    /// Size as `stat(2)` tells it, in bytes: 0 in `/proc`, a page in `/sys`.
    pub(crate) size: u64,
    /// Type and permission bits.
    pub(crate) mode: u32,
    /// Number of names.
    pub(crate) links: u32,
    /// All three times, since 1970.
    pub(crate) time: Duration,
    /// What `stat(2)` recommends to read at once, in bytes.
    pub(crate) block_size: u32,
    /// How long the kernel may take them for true.
    pub(crate) valid: Duration,
}

impl Reply {
    /// An empty answer.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; HEADER_LENGTH], text: Vec::new() }
    }

    /// Forgets what was written, ready for the next request.
    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEADER_LENGTH);
    }

    /// The finished message: an answer to `unique`, or `error` without a body.
    pub(crate) fn finish(&mut self, unique: u64, result: Result<(), Errno>) -> &[u8] {
        let error = match result {
            Ok(()) => 0,
            Err(errno) => {
                self.clear();
                -(errno as i32)
            }
        };
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let header = length.to_ne_bytes().into_iter().chain(error.to_ne_bytes());
        let header = header.chain(unique.to_ne_bytes());
        for (place, byte) in self.bytes.iter_mut().zip(header) {
            *place = byte;
        }
        &self.bytes
    }

    /// Where the text of a file is appended.
    pub(crate) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The same, and room for a whole text, with whatever was written there last.
    pub(crate) fn body_and_text(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.bytes, &mut self.text)
    }

    /// A name was found; `struct fuse_entry_out`.
    pub(crate) fn entry(&mut self, attributes: &Attributes, known: Known) {
        let name_is_remembered = match known {
            Known::ToAll => REMEMBERED,
            Known::ToWhoAsks => Duration::ZERO,
        };
        self.u64(attributes.number);
        self.u64(0); // generation: numbers are never used for another file
        self.u64(name_is_remembered.as_secs());
        self.u64(attributes.valid.as_secs());
        self.u32(0);
        self.u32(attributes.valid.subsec_nanos());
        self.attributes(attributes);
    }

    /// Attributes; `struct fuse_attr_out`.
    pub(crate) fn attr(&mut self, attributes: &Attributes) {
        self.u64(attributes.valid.as_secs());
        self.u32(attributes.valid.subsec_nanos());
        self.u32(0);
        self.attributes(attributes);
    }

    /// A file or directory was opened; `struct fuse_open_out`.
    pub(crate) fn opened(&mut self, handle: u64, flags: FopenFlags) {
        self.u64(handle);
        self.u32(flags.bits());
        self.u32(0);
    }

    /// Sizes of the file system, all zero as in `/proc`; `struct fuse_kstatfs`.
    pub(crate) fn statfs(&mut self) {
        const BLOCK_SIZE: u32 = 4096;
        const NAME_MAX: u32 = 255;
        for _blocks_and_files in 0..5 {
            self.u64(0);
        }
        for field in [BLOCK_SIZE, NAME_MAX, BLOCK_SIZE, 0, 0, 0, 0, 0, 0, 0] {
            self.u32(field);
        }
    }

    /// The length that a list of extended attributes would have; `struct fuse_getxattr_out`.
    pub(crate) fn xattr_length(&mut self, length: u32) {
        self.u32(length);
        self.u32(0);
    }

    /// One name of a directory; `struct fuse_dirent`. False, and nothing
    /// written, when the answer would be longer than `size`.
    pub(crate) fn dirent(&mut self, size: u32, entry: &Dirent<'_>) -> bool {
        const FIXED: usize = 24;
        const ALIGNMENT: usize = 8;
        let padded = (FIXED + entry.name.len()).next_multiple_of(ALIGNMENT);
        let end = self.bytes.len() + padded;
        if end - HEADER_LENGTH > size as usize {
            return false;
        }
        self.u64(entry.inode);
        self.u64(entry.next);
        self.u32(u32::try_from(entry.name.len()).unwrap_or(0));
        self.u32(entry.mode >> 12); // DT_DIR, DT_REG: the type bits of the mode
        self.bytes.extend_from_slice(entry.name.as_bytes());
        self.bytes.resize(end, 0);
        true
    }

    fn attributes(&mut self, attributes: &Attributes) {
        let Attributes { inode, size, mode, links, time, block_size, .. } = *attributes;
        let (seconds, ns) = (time.as_secs(), time.subsec_nanos());
        for field in [inode, size, 0, seconds, seconds, seconds] {
            self.u64(field);
        }
        // Nanoseconds of the three times, mode, links, uid, gid, rdev, block size, flags.
        for field in [ns, ns, ns, mode, links, 0, 0, 0, block_size, 0] {
            self.u32(field);
        }
    }

    fn u32(&mut self, field: u32) {
        self.bytes.extend_from_slice(&field.to_ne_bytes());
    }

    fn u64(&mut self, field: u64) {
        self.bytes.extend_from_slice(&field.to_ne_bytes());
    }
}

/// One name of a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirent<'a> {
    /// Inode number.
    pub(crate) inode: u64,
    /// Where the listing goes on after this name.
    pub(crate) next: u64,
    /// Mode, of which the type bits are told.
    pub(crate) mode: u32,
    /// The name.
    pub(crate) name: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Attributes = Attributes {
        number: 7,
        inode: 7,
        size: 0,
        mode: 0o100_444,
        links: 1,
        time: Duration::from_secs(5),
        block_size: 1024,
        valid: REMEMBERED,
    };

    #[track_caller]
    fn check_length(write: impl FnOnce(&mut Reply), length: usize) {
        let mut reply = Reply::new();
        write(&mut reply);
        assert_eq!(reply.finish(1, Ok(())).len(), HEADER_LENGTH + length);
    }

    /// The kernel refuses an answer whose length is not the structure's.
    #[test]
    fn answers_have_the_length_of_the_kernels_structures() {
        check_length(|reply| reply.entry(&FILE, Known::ToAll), 128);
        check_length(|reply| reply.attr(&FILE), 104);
        check_length(|reply| reply.opened(1, FopenFlags::empty()), 16);
        check_length(Reply::statfs, 80);
        check_length(|reply| reply.xattr_length(0), 8);
    }

    #[test]
    fn what_one_is_told_is_not_remembered_for_the_next() {
        let seconds = |known| {
            let mut reply = Reply::new();
            reply.entry(&FILE, known);
            let fields = reply.finish(1, Ok(()))[HEADER_LENGTH..].to_vec();
            u64::from_ne_bytes(fields[16..24].try_into().unwrap())
        };
        assert_eq!(seconds(Known::ToAll), 86_400);
        assert_eq!(seconds(Known::ToWhoAsks), 0);
    }

    #[test]
    fn an_error_has_no_body() {
        let mut reply = Reply::new();
        reply.body().extend(b"half an answer");
        let expected = [16_u32.to_ne_bytes(), (-2_i32).to_ne_bytes()].concat();
        let message = reply.finish(9, Err(Errno::ENOENT));
        assert_eq!(message[..8], expected);
        assert_eq!(message[8..], 9_u64.to_ne_bytes());
    }

    #[test]
    fn a_listing_stops_at_the_size_asked_for() {
        let mut reply = Reply::new();
        let entry = Dirent { inode: 2, next: 1, mode: 0o040_555, name: "proc" };
        assert!(reply.dirent(32, &entry));
        assert!(!reply.dirent(32, &entry));
        assert_eq!(reply.finish(1, Ok(())).len(), HEADER_LENGTH + 32);
    }
}
