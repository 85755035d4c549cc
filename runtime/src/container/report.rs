//! What a monitor and the command that started it say to each other.
//!
//! Messages of JSON on a socket pair that keeps their borders. The monitor
//! reports; the command gives orders. When the command's end closes, the command
//! has died.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sys::fd_passing;

/// Room for one message; a longer one is an error of its sender.
const LONGEST: usize = 64 << 10;

/// From the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The command runs. Comes with the host's end of its terminal, if it has
    /// one and the container is in the foreground.
    Started {
        /// What is less than was asked for, one line each.
        warnings: Vec<String>,
    },
    /// The container could not be made; nothing of it is left.
    Failed {
        /// Why, and the way out, on one line.
        message: String,
        /// What `porthole` exits with: 125, 126 or 127.
        code: u8,
    },
    /// The command has ended, and nothing of the container runs any more.
    Ended {
        /// Exit code of the command, or 128 + the signal that ended it.
        code: u8,
        /// What could not be removed, one line each.
        warnings: Vec<String>,
    },
}

/// To the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Send this signal to the container's first process.
    Signal(i32),
}

/// One end of the conversation.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two ends.
    ///
    /// # Errors
    ///
    /// When the process has no room for two more descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self(one), Self(other)))
    }

    /// Sends a message, with a copy of `fd`.
    ///
    /// # Errors
    ///
    /// `EPIPE` when the other end is gone.
    pub fn send(&self, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        Ok(fd_passing::send(self.0.as_fd(), &text, fd)?)
    }

    /// The next message and its descriptor; `None` when the other end is gone.
    ///
    /// # Errors
    ///
    /// When the text is no message.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut text = vec![0; LONGEST];
        let (length, fd) = match fd_passing::receive(self.0.as_fd(), &mut text) {
            // A socket pair says so when there were messages nobody read.
            Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
            other => other?,
        };
        text.truncate(length);
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&text)?, fd)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_with_their_descriptor() {
        let (ours, theirs) = Channel::pair().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        let started = Report::Started { warnings: vec!["one".to_owned()] };
        ours.send(&started, Some(write.as_fd())).unwrap();
        ours.send(&Report::Ended { code: 3, warnings: vec![] }, None).unwrap();
        let (report, fd) = theirs.receive::<Report>().unwrap().unwrap();
        assert_eq!(report, started);
        nix::unistd::write(fd.unwrap(), b"x").unwrap();
        assert_eq!(nix::unistd::read(&read, &mut [0; 4]), Ok(1));
        let (report, fd) = theirs.receive::<Report>().unwrap().unwrap();
        assert_eq!(report, Report::Ended { code: 3, warnings: vec![] });
        assert!(fd.is_none());
    }

    #[test]
    fn an_end_that_is_gone_is_no_message() {
        let (ours, theirs) = Channel::pair().unwrap();
        ours.send(&Order::Signal(15), None).unwrap();
        drop(theirs);
        assert!(ours.receive::<Report>().unwrap().is_none());
    }
}
