//! A directory of kernfs by its number; `open_by_handle_at(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `FILEID_KERNFS`: the handle is the inode number, 64 bits wide.
const FILEID_KERNFS: i32 = 0xfe;

/// `struct file_handle` with the eight bytes that kernfs has in it.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    number: [u8; 8],
}

/// Opens the directory with the inode number `number` on the file system of `mount`, a
/// control group hierarchy, by path alone; Linux 5.5.
///
/// # Errors
///
/// * `ESTALE`: there is none; or an older kernel, which has no handles of kernfs.
/// * `EPERM`: without CAP_DAC_READ_SEARCH.
/// * `EOPNOTSUPP`: another file system, which has no handles.
pub fn open_kernfs(mount: BorrowedFd<'_>, number: u64) -> io::Result<OwnedFd> {
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, number: number.to_ne_bytes() };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the kernel reads a `struct file_handle` of 8 + `bytes` bytes, which is what
    // `handle` is, from memory that lives until the call returns, and writes nothing there.
    let opened =
        unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags) };
    if opened == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor for us, and nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_no_group_has_no_such_handle() {
        let folder = std::fs::File::open(std::env::temp_dir()).unwrap();
        assert!(open_kernfs(folder.as_fd(), 1).is_err());
    }
}
