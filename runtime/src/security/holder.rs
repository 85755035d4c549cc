//! A place with the process that holds listeners: `portholefs holder`.
//!
//! A filter that asks somebody cannot be taken back, and calls fail when there is nobody
//! to ask. So a place is reserved before the filter is loaded, and kept for as long as
//! the [`Reservation`] is.
//!
//! What is said is in `procfs-fuse/src/answer/connection.rs`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::standby::Source;
use crate::sys::fd_passing;

/// How long the holder may take to answer, in seconds. It takes microseconds.
const PATIENCE_S: i64 = 2;

/// A place that is kept for a listener.
#[derive(Debug)]
pub struct Reservation(OwnedFd);

/// A place, and where another one is to be had.
#[derive(Debug)]
pub struct Place {
    /// The place.
    pub reservation: Reservation,
    /// Should its holder be killed.
    pub source: Source,
}

/// What is left to whoever has handed a listener over, should its holder be killed.
#[derive(Debug)]
pub(crate) struct Held {
    /// The memory in which calls that are being answered are noted.
    pub(crate) memory: OwnedFd,
    /// A pipe that ends with the last process that could answer.
    pub(crate) life: OwnedFd,
}

impl Reservation {
    /// Asks the holder that listens at `path`.
    ///
    /// # Errors
    ///
    /// * `ENOENT`, `ECONNREFUSED`, `ECONNRESET`: there is none, or it has just ended.
    /// * `ENOSPC`: it has no place left, or is about to end.
    /// * `EAGAIN`: it does not answer.
    pub fn at(path: &Path) -> nix::Result<Self> {
        let close_on_exec = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, close_on_exec, None)?;
        let patience = TimeVal::seconds(PATIENCE_S);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        match hear(socket.as_fd())? {
            (b'y', _) => Ok(Self(socket)),
            _full => Err(Errno::ENOSPC),
        }
    }

    /// Hands over `listener`, which is held from then on.
    pub(crate) fn hand_over(&self, listener: BorrowedFd<'_>) -> nix::Result<Held> {
        fd_passing::send(self.0.as_fd(), b"l", Some(listener))?;
        Ok(Held { memory: self.kept()?, life: self.kept()? })
    }

    /// A descriptor that comes with the word that the listener is held.
    fn kept(&self) -> nix::Result<OwnedFd> {
        match hear(self.0.as_fd())? {
            (b'k', Some(fd)) => Ok(fd),
            _refused => Err(Errno::ECONNREFUSED),
        }
    }
}

impl AsFd for Reservation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The holder's next word, with what comes with it.
fn hear(socket: BorrowedFd<'_>) -> nix::Result<(u8, Option<OwnedFd>)> {
    let mut word = [0];
    match fd_passing::receive(socket, &mut word)? {
        (0, _) => Err(Errno::ECONNREFUSED),
        (_heard, fd) => Ok((word[0], fd)),
    }
}
