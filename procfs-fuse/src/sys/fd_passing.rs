//! Messages that may carry a descriptor: recvmsg(2) with `SCM_RIGHTS`.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Receives one message of one byte, with the descriptor it carried, without waiting;
/// `None` when the other side is gone.
///
/// # Errors
///
/// * `EAGAIN`: no message.
/// * `ECONNRESET`: the other side went without reading what it was sent.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(u8, Option<OwnedFd>)>> {
    let mut control = cmsg_space!(RawFd);
    let mut byte = [0];
    let mut text = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut text, Some(&mut control), flags)?;
    let mut fd = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just installed this descriptor for us, and
            // nothing else holds it; space was given for no more than one.
            fd = fds.first().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) });
        }
    }
    let length = message.bytes;
    Ok((length > 0).then_some((byte[0], fd)))
}
