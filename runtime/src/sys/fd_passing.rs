//! Messages that may carry a descriptor: `sendmsg(2)` and `recvmsg(2)` with
//! `SCM_RIGHTS`.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Sends `text` as one message, with a copy of `fd` if there is one.
///
/// # Errors
///
/// * `EPIPE`: the other side is gone.
/// * `EMSGSIZE`: the text is longer than a socket buffer.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    text: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let fds: Vec<RawFd> = fd.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &control[..] };
    let text = [IoSlice::new(text)];
    sendmsg::<()>(socket.as_raw_fd(), &text, control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Receives one message into `text`: its length and the descriptor it carried.
///
/// A length of 0 means that the other side is gone.
///
/// # Errors
///
/// `EINTR`: a signal came first.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    text: &mut [u8],
) -> nix::Result<(usize, Option<OwnedFd>)> {
    let (length, fds) = receive_all(socket, text)?;
    Ok((length, fds.into_iter().next()))
}

/// The same with all descriptors that it carried, two at most.
///
/// # Errors
///
/// `EINTR`: a signal came first.
pub(crate) fn receive_all(
    socket: BorrowedFd<'_>,
    text: &mut [u8],
) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut control = cmsg_space!([RawFd; 2]);
    let mut text = [IoSliceMut::new(text)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut text,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut owned = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just installed these descriptors for us, and
            // nothing else holds them.
            owned.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, owned))
}
