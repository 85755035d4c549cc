//! What the kernel asks: a message of `/dev/fuse` as a type; pure.
//!
//! Only what a read-only tree of small files is asked for is taken apart; every
//! other operation arrives as [`Operation::Other`] and is refused by number.
//!
//! Kernel source of truth: `struct fuse_in_header` and the `fuse_*_in` that
//! follow it, in `include/uapi/linux/fuse.h`.

use crate::moment::Moment;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// The id that the answer must carry; never used twice on a connection.
    pub(crate) unique: u64,
    /// The node it is about.
    pub(crate) node: u64,
    /// The *thread* that asks, in the pid namespace of whoever mounted; 0 when
    /// that namespace cannot see it, and on requests nobody waits for.
    pub(crate) tid: u32,
    /// The private tree through which it came; `None` through the shared one, where
    /// the asker matters.
    pub(crate) through: Option<Through>,
    /// When it was taken from the kernel, if it has waited since; `None` when it is answered
    /// at once.
    pub(crate) since: Option<Moment>,
    /// What is asked.
    pub(crate) operation: Operation<'a>,
}

/// A private tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Through {
    /// Which one.
    pub(crate) serial: u32,
    /// What is told here is kept by the kernel for a moment.
    pub(crate) fresh: bool,
}

/// What is asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// Find `name` in this directory.
    Lookup { name: &'a [u8] },
    /// Attributes.
    Getattr,
    /// What this symbolic link says.
    Readlink,
    /// Open this file.
    Open,
    /// Read from an open file.
    Read { handle: u64, offset: u64, size: u32 },
    /// Fill the page cache: a read on nobody's behalf. `read(2)` of our files goes
    /// around it but in the fresh realm, so elsewhere it is for `sendfile(2)`, `splice(2)`
    /// or a private mapping.
    FillPageCache { offset: u64, size: u32 },
    /// Close this open file; nobody waits for the answer.
    Release { handle: u64 },
    /// Open this directory.
    Opendir,
    /// List from an open directory.
    Readdir { offset: u64, size: u32 },
    /// Close this open directory.
    Releasedir,
    /// Sizes of the file system.
    Statfs,
    /// Names of extended attributes; `size` 0 asks for the length alone.
    Listxattr { size: u32 },
    /// `close(2)` of one descriptor; not sent of files that were opened with
    /// `FOPEN_NOFLUSH`, nor any more once `ENOSYS` was the answer.
    Flush,
    /// The kernel forgets nodes, or hints that a caller was interrupted. These
    /// have no answer.
    Unanswered,
    /// The file system was unmounted.
    Destroy,
    /// Something a read-only tree is not asked, by its number.
    Other(u32),
}

mod opcode {
    //! `enum fuse_opcode`.
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const READLINK: u32 = 5;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const LISTXATTR: u32 = 23;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const DESTROY: u32 = 38;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// The request names the process whose `read(2)` it is; in `read_flags`.
const FUSE_READ_LOCKOWNER: u32 = 1 << 1;

impl<'a> Request<'a> {
    /// Takes a message apart; `None` when it is shorter than its kind must be,
    /// which no kernel sends.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(message);
        let _length = fields.u32()?;
        let opcode = fields.u32()?;
        let unique = fields.u64()?;
        let node = fields.u64()?;
        let _uid = fields.u32()?;
        let _gid = fields.u32()?;
        let tid = fields.u32()?;
        let _extensions = fields.u32()?;
        let operation = Operation::parse(opcode, fields)?;
        Some(Self { unique, node, tid, through: None, since: None, operation })
    }
}

impl<'a> Operation<'a> {
    fn parse(opcode: u32, mut fields: Fields<'a>) -> Option<Self> {
        Some(match opcode {
            opcode::LOOKUP => Self::Lookup { name: fields.name()? },
            opcode::GETATTR => Self::Getattr,
            opcode::READLINK => Self::Readlink,
            opcode::OPEN => Self::Open,
            opcode::READ => {
                let (handle, offset, size) = fields.read_in()?;
                if fields.u32()? & FUSE_READ_LOCKOWNER == 0 {
                    return Some(Self::FillPageCache { offset, size });
                }
                Self::Read { handle, offset, size }
            }
            opcode::RELEASE => Self::Release { handle: fields.u64()? },
            opcode::OPENDIR => Self::Opendir,
            opcode::READDIR => {
                let (_handle, offset, size) = fields.read_in()?;
                Self::Readdir { offset, size }
            }
            opcode::RELEASEDIR => Self::Releasedir,
            opcode::STATFS => Self::Statfs,
            opcode::LISTXATTR => Self::Listxattr { size: fields.u32()? },
            opcode::FLUSH => Self::Flush,
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => Self::Unanswered,
            opcode::DESTROY => Self::Destroy,
            other => Self::Other(other),
        })
    }
}

/// What is left of a message, in the machine's byte order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*bytes))
    }

    /// A name, which ends with a zero byte.
    fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.0.get(..end)
    }

    /// The first three fields of `struct fuse_read_in`: handle, offset, size.
    fn read_in(&mut self) -> Option<(u64, u64, u32)> {
        Some((self.u64()?, self.u64()?, self.u32()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel writes it.
    fn message(opcode: u32, arguments: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        let length = u32::try_from(40 + arguments.len()).unwrap();
        message.extend(length.to_ne_bytes());
        message.extend(opcode.to_ne_bytes());
        message.extend(77_u64.to_ne_bytes()); // unique
        message.extend(5_u64.to_ne_bytes()); // node
        message.extend(1000_u32.to_ne_bytes()); // uid
        message.extend(1000_u32.to_ne_bytes()); // gid
        message.extend(4321_u32.to_ne_bytes()); // thread
        message.extend(0_u32.to_ne_bytes());
        message.extend(arguments);
        message
    }

    #[track_caller]
    fn check(opcode: u32, arguments: &[u8], operation: Operation<'_>) {
        let message = message(opcode, arguments);
        let (through, since) = (None, None);
        let expected = Request { unique: 77, node: 5, tid: 4321, through, since, operation };
        assert_eq!(Request::parse(&message), Some(expected), "opcode {opcode}");
    }

    #[test]
    fn requests_are_taken_apart() {
        let read = |flags: u32| -> Vec<u8> {
            let begin = [9_u64.to_ne_bytes(), 4096_u64.to_ne_bytes()].concat();
            let numbers = [512, flags, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
            [begin, numbers].concat()
        };
        check(1, b"meminfo\0", Operation::Lookup { name: b"meminfo" });
        check(3, &[0; 16], Operation::Getattr);
        check(5, &[], Operation::Readlink);
        check(14, &[0; 8], Operation::Open);
        check(15, &read(2), Operation::Read { handle: 9, offset: 4096, size: 512 });
        check(15, &read(0), Operation::FillPageCache { offset: 4096, size: 512 });
        check(18, &9_u64.to_ne_bytes(), Operation::Release { handle: 9 });
        check(28, &read(0), Operation::Readdir { offset: 4096, size: 512 });
        check(2, &[0; 8], Operation::Unanswered);
        check(16, &[0; 40], Operation::Other(16)); // FUSE_WRITE
    }

    #[test]
    fn what_is_cut_short_is_not_a_request() {
        for message in [&message(1, b"meminfo")[..], &message(15, &[0; 19]), &[0; 39], &[]] {
            assert_eq!(Request::parse(message), None, "{} bytes", message.len());
        }
    }
}
