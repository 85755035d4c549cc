//! The socket of the service manager (`NOTIFY_SOCKET`), as a descriptor.
//!
//! The keeper tells readiness with one write, without allocating; the crate that
//! speaks this protocol looks the socket up for each message.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

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
