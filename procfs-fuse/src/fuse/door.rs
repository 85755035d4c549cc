//! Where private trees are asked for: a Unix socket beside the mount point.
//!
//! A line each way, written down in docs/PRIVATE-TREES.md. Who asks is root
//! (`SO_PEERCRED`); for whom, says a pidfd that comes with the line, or else it is for
//! who asks. What is handed out are mounts that are attached nowhere, of the roots of
//! both realms, and the name of a directory in them.
//!
//! The realms are mounted in a mount namespace of their own, where nobody finds them
//! ([`private_mounts`]). A copy can be made from inside of it alone, so
//! a thread goes there for each request, and never looks below the mounts: the
//! daemon must not wait for itself.
//!
//! One thread of the worker answers, one after the other, each with a time limit.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::fuse::device::Server;
use crate::fuse::private_trees::Made;
use crate::log::limited;
use crate::private_mounts;

/// How long whoever asks may take to say what, and to listen: 1 second for each.
const PATIENCE: Duration = Duration::from_secs(1);

/// The one question there is, with the version of the protocol.
const QUESTION: &[u8] = b"private 1\n";

/// The socket, and the namespace that the realms are mounted in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) socket: UnixListener,
    pub(crate) namespace: OwnedFd,
}

/// Why somebody is not given a tree.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("only root may ask")]
    NotRoot,
    #[error("the question is not understood")]
    Question,
    #[error("the process has ended")]
    Ended,
    #[error("{0}")]
    Tree(#[from] crate::fuse::private_trees::MakeError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Door {
    /// Answers for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When the kernel gives no more connections.
    pub(crate) fn answer(&self, server: &Server) -> io::Result<()> {
        loop {
            let (asker, _address) = match self.socket.accept() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                accepted => accepted?,
            };
            if let Err(error) = self.answer_one(&asker, server) {
                limited!(debug, %error, "who asked for a private tree did not listen");
            }
        }
    }

    fn answer_one(&self, asker: &UnixStream, server: &Server) -> io::Result<()> {
        asker.set_read_timeout(Some(PATIENCE))?;
        asker.set_write_timeout(Some(PATIENCE))?;
        match self.tree_for(asker, server) {
            Ok((made, mounts)) => {
                let mounts: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
                send(asker, &format!("ok 1 {}\n", made.name), &mounts)
            }
            Err(refusal) => {
                limited!(warn, %refusal, "a private tree was not made");
                send(asker, &format!("no 1 {refusal}\n"), &[])
            }
        }
    }

    fn tree_for(
        &self,
        asker: &UnixStream,
        server: &Server,
    ) -> Result<(Made, Vec<OwnedFd>), Refusal> {
        let peer = getsockopt(asker, PeerCredentials).map_err(io::Error::from)?;
        if peer.uid() != 0 {
            return Err(Refusal::NotRoot);
        }
        let process = match question(asker)? {
            Some(pidfd) => process_behind(&pidfd)?,
            None => Pid::from_raw(peer.pid()),
        };
        let process = u32::try_from(process.as_raw()).map_err(|_negative| Refusal::Ended)?;
        let made = server.filesystem.make_private_tree(process, &server.devices)?;
        // Had it ended meanwhile, another one could have its number.
        let mut mounts = private_mounts::copies(self.namespace.as_fd())?;
        if !made.has_fresh {
            mounts.truncate(1);
        }
        Ok((made, mounts))
    }
}

/// Hears the question, and the pidfd that came with it.
fn question(asker: &UnixStream) -> Result<Option<OwnedFd>, Refusal> {
    let mut text = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut text)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(asker, &mut parts, &mut control, flags).map_err(io::Error::from)?;
    let pidfd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _another => None,
    });
    if text.get(..received.bytes) == Some(QUESTION) { Ok(pidfd) } else { Err(Refusal::Question) }
}

/// The process that a pidfd stands for, as our pid namespace numbers it.
fn process_behind(pidfd: &OwnedFd) -> Result<Pid, Refusal> {
    use std::os::fd::AsRawFd;
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    // -1: it has ended; 0: we cannot see it.
    pid.filter(|pid| *pid > 0).map(Pid::from_raw).ok_or(Refusal::Ended)
}

fn send(asker: &UnixStream, line: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(asker, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
