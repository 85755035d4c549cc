//! The service manager: its socket (`NOTIFY_SOCKET`), as a descriptor, and the
//! descriptors that it keeps for the next start.
//!
//! The keeper tells readiness with one write, without allocating; the crate that
//! speaks this protocol looks the socket up for each message.
//!
//! Source of truth: sd_notify(3) and sd_listen_fds(3).

use std::collections::HashMap;
use std::env;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tracing::debug;

use crate::shared::descriptors::Stored;
use crate::sys::descriptor;

/// Gives the manager on `socket` a descriptor to keep, in the place of an earlier one
/// of that name. A manager that keeps none takes no notice.
///
/// It is not to watch it (`FDPOLL=0`): every request would wake it.
///
/// # Errors
///
/// When the manager does not listen.
pub fn keep(socket: BorrowedFd<'_>, stored: &Stored, fd: BorrowedFd<'_>) -> io::Result<()> {
    forget(socket, stored)?;
    let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", stored.name);
    send(socket, text.as_bytes(), &[ControlMessage::ScmRights(&[fd.as_raw_fd()])])
}

/// Has the manager on `socket` close what it keeps by this name.
///
/// # Errors
///
/// When the manager does not listen.
pub fn forget(socket: BorrowedFd<'_>, stored: &Stored) -> io::Result<()> {
    send(socket, stored.forget, &[])
}

fn send(socket: BorrowedFd<'_>, text: &[u8], control: &[ControlMessage<'_>]) -> io::Result<()> {
    let text = [IoSlice::new(text)];
    sendmsg::<()>(socket.as_raw_fd(), &text, control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// What the manager has kept for this process, by name. Ask once, and before anything is
/// opened: whatever else this process was started with is closed.
pub fn kept() -> HashMap<String, OwnedFd> {
    let names = names_of_kept();
    let beyond = RawFd::try_from(names.len()).map_or(RawFd::MAX, |count| descriptor::FIRST + count);
    let numbers = descriptor::FIRST..beyond;
    let opened = names.into_iter().zip(numbers);
    let opened =
        opened.filter_map(|(name, number)| Some((name, descriptor::inherited(number).ok()?)));
    let kept = opened.filter(|(_name, fd)| descriptor::set_inherited(fd, false).is_ok()).collect();
    if let Err(error) = descriptor::close_from(beyond) {
        debug!(%error, "what whoever started this had open stays open");
    }
    kept
}

/// What it calls them, in the order of their numbers.
fn names_of_kept() -> Vec<String> {
    let variable = |name: &str| env::var(name).ok();
    if variable("LISTEN_PID") != Some(std::process::id().to_string()) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let count = variable("LISTEN_FDS").and_then(|count| count.parse().ok()).unwrap_or(0);
    names.split(':').take(count).map(str::to_owned).collect()
}

/// The service manager's socket, connected; `None` when nobody manages us.
///
/// # Errors
///
/// When the socket that is named cannot be connected.
pub fn socket() -> io::Result<Option<OwnedFd>> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
    let address = match name.as_bytes().split_first() {
        Some((b'@', abstract_name)) => SocketAddr::from_abstract_name(abstract_name)?,
        _path => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(Some(socket.into()))
}
