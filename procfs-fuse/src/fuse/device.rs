//! The loop on `/dev/fuse`: read one request, answer it, again.
//!
//! The loop is our own and not `fuser`'s because the buffer that `read(2)` fills
//! must be one that outlives this process (docs/decisions/own-device-loop.md).
//!
//! A request must be answered on the descriptor that it was read from.
//!
//! Kernel source of truth: `fuse_dev_do_read()` and `fuse_dev_do_write()` in
//! `fs/fuse/dev.c`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd;

use crate::fuse::filesystem::Filesystem;
use crate::fuse::reply::Reply;
use crate::fuse::request::Request;
use crate::log::limited;

/// Longest request: the kernel insists on room for 8 KiB, and sends no more
/// while at most 4 KiB may be written at once (`session` negotiates that).
pub(crate) const REQUEST_LENGTH: usize = 8192;

/// Serves requests from `device` until the file system is unmounted.
///
/// # Errors
///
/// When the kernel no longer takes or gives messages for another reason.
pub fn serve(device: impl AsFd, filesystem: &Filesystem) -> io::Result<()> {
    let device = device.as_fd();
    let mut buffer = [0; REQUEST_LENGTH];
    let mut reply = Reply::new();
    while let Some(length) = receive(device, &mut buffer)? {
        let message = buffer.get(..length).unwrap_or_default();
        match Request::parse(message) {
            Some(request) => answer(device, filesystem, &request, &mut reply)?,
            None => limited!(warn, length, "a request is cut short; nobody can be answered"),
        }
    }
    Ok(())
}

/// Waits for a request and returns its length; `None` once unmounted.
fn receive(device: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match unistd::read(device, buffer) {
            Ok(length) => return Ok(Some(length)),
            // ENOENT: the caller was killed while its request was being copied.
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOENT) => {}
            Err(Errno::ENODEV) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn answer(
    device: BorrowedFd<'_>,
    filesystem: &Filesystem,
    request: &Request<'_>,
    reply: &mut Reply,
) -> io::Result<()> {
    reply.clear();
    let Some(result) = filesystem.answer(request, reply) else { return Ok(()) };
    match unistd::write(device, reply.finish(request.unique, result)) {
        // ENOENT: the caller no longer waits. ENODEV: unmounted meanwhile; the
        // next read says so too.
        Ok(_) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
        // The kernel refused this answer, and its reader waits: an error at
        // least lets it go on.
        Err(Errno::EINVAL) => {
            limited!(error, operation = ?request.operation, "the kernel refused an answer");
            unistd::write(device, reply.finish(request.unique, Err(Errno::EIO)))?;
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}
