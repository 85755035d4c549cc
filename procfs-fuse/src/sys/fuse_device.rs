//! `/dev/fuse` beyond read(2) and write(2).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::shared::slots::{Buffer, REQUEST_LENGTH};

/// Opens another descriptor of the session behind `session`, with a list of
/// requests in flight of its own; `FUSE_DEV_IOC_CLONE`, Linux 4.2.
///
/// A request must be answered on the clone that it was read from.
///
/// # Errors
///
/// * `ENOENT`, `ENODEV`: no `/dev/fuse`.
/// * `EINVAL`: `session` is not a FUSE session.
pub fn clone_of(session: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// `_IOR(229, 0, uint32_t)`.
    const FUSE_DEV_IOC_CLONE: libc::Ioctl = 0x8004_e500_u32 as libc::Ioctl;
    let clone: OwnedFd = OpenOptions::new().read(true).write(true).open("/dev/fuse")?.into();
    let number = session.as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the call reads one u32 through the pointer, which outlives it.
    let result = unsafe { libc::ioctl(clone.as_raw_fd(), FUSE_DEV_IOC_CLONE, &raw const number) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(clone) }
}

/// Reads one request into `buffer` and returns its length.
///
/// # Errors
///
/// * `EINTR`, `EAGAIN`, `ENOENT`: no request this time.
/// * `ENODEV`: the file system is unmounted.
pub fn read_request(device: BorrowedFd<'_>, buffer: &Buffer) -> io::Result<usize> {
    let start = buffer.0.as_ptr().cast_mut().cast();
    // SAFETY: `start` is the first of as many atomic bytes as the call may
    // write; atomics may be written through a shared reference, and the kernel
    // is just another party that writes them.
    let length = unsafe { libc::read(device.as_raw_fd(), start, buffer.0.len()) };
    usize::try_from(length).map_err(|_negative| io::Error::last_os_error())
}

/// The same into memory of this process, and from there into `buffer`: what this
/// program never does but to show what happens then.
///
/// # Errors
///
/// As [`read_request`].
pub fn read_and_note(device: BorrowedFd<'_>, buffer: &Buffer) -> io::Result<usize> {
    let mut private = [0; REQUEST_LENGTH];
    let length = nix::unistd::read(device, &mut private)?;
    buffer.copy_in(private.get(..length).unwrap_or_default());
    Ok(length)
}

/// Has the kernel hand out again what was read from any descriptor of the
/// session and not answered; `FUSE_NOTIFY_RESEND`, Linux 6.9.
///
/// # Errors
///
/// `EINVAL`: an older kernel.
pub fn resend(device: BorrowedFd<'_>) -> io::Result<()> {
    /// `struct fuse_out_header`: length 16, code `FUSE_NOTIFY_RESEND`, no request.
    const MESSAGE: [u32; 4] = [16, 7, 0, 0];
    let bytes: Vec<u8> = MESSAGE.into_iter().flat_map(u32::to_ne_bytes).collect();
    nix::unistd::write(device, &bytes)?;
    Ok(())
}

/// Has the kernel forget `name` in the directory `parent`, and all that is below it;
/// `FUSE_NOTIFY_INVAL_ENTRY`, Linux 2.6.31.
///
/// # Errors
///
/// `ENOENT`: it knows no such name.
pub fn forget_name(device: BorrowedFd<'_>, parent: u64, name: &str) -> io::Result<()> {
    /// Length of `struct fuse_out_header` and `struct fuse_notify_inval_entry_out`.
    const FIXED: usize = 16 + 16;
    const FUSE_NOTIFY_INVAL_ENTRY: u32 = 3;
    let lengths = [FIXED + name.len() + 1, name.len()].map(u32::try_from);
    let [Ok(length), Ok(name_length)] = lengths else { return Ok(()) };
    let mut message = Vec::new();
    message.extend([length, FUSE_NOTIFY_INVAL_ENTRY, 0, 0].map(u32::to_ne_bytes).concat());
    message.extend(parent.to_ne_bytes());
    message.extend([name_length, 0].map(u32::to_ne_bytes).concat());
    message.extend(name.bytes().chain([0]));
    nix::unistd::write(device, &message)?;
    Ok(())
}
