//! What a runtime and the holder say to each other; version 1.
//!
//! A `SOCK_SEQPACKET` socket beside the mount point, for root alone. Messages are one
//! byte each. For each container, and for each process that is brought into one later:
//!
//! ```text
//!  runtime                                holder
//!  connect
//!                                         'y' a place is kept for as long as you are
//!                                             connected, or 'n' there is none
//!  'l' with a listener of seccomp
//!                                         'k' it is held; with the memory in which calls
//!                                             that are being answered are noted
//!                                         'k' with a pipe that ends when nobody is left
//!                                             who could answer
//!  closes whenever it likes
//! ```
//!
//! The answer comes before the filter is loaded, because a filter cannot be taken back:
//! who is told 'n', or nothing, starts its container without one. `'e'` asks the holder
//! to end when it holds nothing any more, and to take nothing new; `'r'` to have the
//! installed version answer, beside the daemon that serves now.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt,
    sendmsg, socket,
};

use crate::sys::fd_passing;

/// What the holder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Word {
    /// A place is kept.
    Yes = b'y',
    /// The table is full, or the holder is about to end.
    No = b'n',
    /// The listener is held.
    Kept = b'k',
}

/// What somebody who is connected wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// Hold this listener.
    Hold(OwnedFd),
    /// End when nothing is held.
    End,
    /// Have another answerer go on.
    Renew,
    /// Nothing any more: it is gone.
    Gone,
    /// What it said has no meaning.
    Nonsense,
}

/// True for root of our user namespace.
pub(super) fn may_ask(socket: &OwnedFd) -> bool {
    getsockopt(socket, PeerCredentials).is_ok_and(|peer| peer.uid() == 0)
}

/// Says `word`. Who does not listen is gone, which the next wish tells.
pub(super) fn say(socket: &OwnedFd, word: Word) {
    say_with(socket, word, None);
}

/// Says that the listener is held, and hands over what is needed should we be killed:
/// the `memory` in which calls are noted, and the end of our `life`.
pub(super) fn say_kept(socket: &OwnedFd, memory: BorrowedFd<'_>, life: BorrowedFd<'_>) {
    say_with(socket, Word::Kept, Some(memory));
    say_with(socket, Word::Kept, Some(life));
}

fn say_with(socket: &OwnedFd, word: Word, fd: Option<BorrowedFd<'_>>) {
    let byte = [word as u8];
    let text = [IoSlice::new(&byte)];
    let fds = fd.map(|fd| [fd.as_raw_fd()]);
    let rights = fds.as_ref().map(|fds| [ControlMessage::ScmRights(fds)]);
    let control = rights.as_ref().map_or(&[][..], |rights| &rights[..]);
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let _gone = sendmsg::<()>(socket.as_raw_fd(), &text, control, flags, None);
}

/// Asks the holder that listens at `path`, if there is one, to end when it holds nothing.
///
/// # Errors
///
/// `ENOENT`, `ECONNREFUSED`: there is none.
pub fn ask_to_end(path: &Path) -> io::Result<()> {
    ask(path, b"e")
}

/// Asks the holder that listens at `path`, if there is one, to have the installed version
/// answer.
///
/// # Errors
///
/// As [`ask_to_end`].
pub fn ask_to_renew(path: &Path) -> io::Result<()> {
    ask(path, b"r")
}

fn ask(path: &Path, word: &[u8]) -> io::Result<()> {
    let socket = connected(path)?;
    let text = [IoSlice::new(word)];
    sendmsg::<()>(socket.as_raw_fd(), &text, &[], MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Finds out whether a holder listens at `path`.
pub(super) fn knock(path: &Path) -> io::Result<()> {
    connected(path).map(drop)
}

fn connected(path: &Path) -> io::Result<OwnedFd> {
    let close_on_exec = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, close_on_exec, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket)
}

/// Hears what somebody wants; `None` when it has not said it yet.
pub(super) fn hear(socket: &OwnedFd) -> Option<Wish> {
    match fd_passing::receive(socket.as_fd()) {
        Ok(Some((b'l', Some(listener)))) => Some(Wish::Hold(listener)),
        Ok(Some((b'e', None))) => Some(Wish::End),
        Ok(Some((b'r', None))) => Some(Wish::Renew),
        Ok(Some(_other)) => Some(Wish::Nonsense),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        // It has gone without reading our word, which the kernel tells once, and before
        // what it had said.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
        Ok(None) | Err(_) => Some(Wish::Gone),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::socketpair;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap()
    }

    /// What is heard in the end, of at most three looks.
    fn heard(socket: &OwnedFd) -> Option<Wish> {
        (0..3).find_map(|_look| hear(socket))
    }

    #[test]
    fn who_goes_without_reading_is_heard_all_the_same() {
        let (ours, theirs) = pair();
        say(&ours, Word::Yes);
        nix::unistd::write(&theirs, b"e").unwrap();
        drop(theirs);
        assert!(matches!(heard(&ours), Some(Wish::End)));
        assert!(matches!(heard(&ours), Some(Wish::Gone)));
    }

    #[test]
    fn who_says_nothing_is_not_gone() {
        let (ours, theirs) = pair();
        assert!(heard(&ours).is_none());
        nix::unistd::write(&theirs, b"x").unwrap();
        assert!(matches!(heard(&ours), Some(Wish::Nonsense)));
        drop(theirs);
        assert!(matches!(heard(&ours), Some(Wish::Gone)));
    }
}
