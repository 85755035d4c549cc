//! What a new process and its parent tell each other until the command runs.
//!
//! One socket, closed by the kernel when the command is executed: that, after
//! [`Message::Ready`], is success. Anything else that ends the conversation is a
//! process that died on the way. The other direction carries one byte: the gate
//! is open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};

use crate::report::{LaunchError, Note};
use crate::sys::fd_passing;

/// No message is longer: an error names one path, which has at most 4096 bytes,
/// each of which JSON may write as six.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// A word of the new process to its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Something was done otherwise than planned.
    Note(Note),
    /// The host's end of the terminal comes with this message.
    Terminal,
    /// The listener for system calls that are answered comes with this message.
    Listener,
    /// Everything is done; the next thing is the command.
    Ready,
    /// A step failed; the process ends.
    Failed(LaunchError),
}

/// The end of the process that launches.
#[derive(Debug)]
pub(super) struct ParentEnd(OwnedFd);

/// The end of the process that is launched.
#[derive(Debug)]
pub(super) struct ChildEnd(OwnedFd);

/// Both ends of a new conversation.
pub(super) fn pair() -> nix::Result<(ParentEnd, ChildEnd)> {
    let close_on_exec = SockFlag::SOCK_CLOEXEC;
    let (parent, child) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, close_on_exec)?;
    Ok((ParentEnd(parent), ChildEnd(child)))
}

impl ParentEnd {
    /// Lets the child go on: it is in its cgroups.
    pub(super) fn open_gate(&self) -> nix::Result<()> {
        fd_passing::send(self.0.as_fd(), b"g", None)
    }

    /// The child's next message, with its descriptor; `None` when it has closed
    /// its end, by executing the command or by ending.
    pub(super) fn receive(&self) -> nix::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut text = vec![0; LONGEST_MESSAGE];
        let (length, fd) = loop {
            match fd_passing::receive(self.0.as_fd(), &mut text) {
                // The child ended with our gate byte unread: that is said first,
                // and what it had to say comes after.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                received => break received?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let text = text.get(..length).ok_or(Errno::EMSGSIZE)?;
        let message = serde_json::from_slice(text).map_err(|_not_ours| Errno::EBADMSG)?;
        Ok(Some((message, fd)))
    }
}

impl ChildEnd {
    /// Waits until the parent has put this process into its cgroups.
    ///
    /// # Errors
    ///
    /// `EPIPE`: the parent is gone, or gave up.
    pub(super) fn wait_for_gate(&self) -> nix::Result<()> {
        let mut byte = [0];
        match fd_passing::receive(self.0.as_fd(), &mut byte)? {
            (0, _) => Err(Errno::EPIPE),
            _ => Ok(()),
        }
    }

    /// Tells the parent something.
    ///
    /// # Errors
    ///
    /// `EPIPE`: the parent is gone.
    pub(super) fn send(&self, message: &Message) -> nix::Result<()> {
        self.send_with(message, None)
    }

    /// Hands the parent the host's end of the terminal.
    pub(super) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> nix::Result<()> {
        self.send_with(&Message::Terminal, Some(terminal))
    }

    /// Hands the parent the listener for system calls that are answered.
    pub(super) fn send_listener(&self, listener: BorrowedFd<'_>) -> nix::Result<()> {
        self.send_with(&Message::Listener, Some(listener))
    }

    fn send_with(&self, message: &Message, fd: Option<BorrowedFd<'_>>) -> nix::Result<()> {
        let text = serde_json::to_vec(message).map_err(|_unwritable| Errno::EBADMSG)?;
        fd_passing::send(self.0.as_fd(), &text, fd)
    }
}

impl AsFd for ChildEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
