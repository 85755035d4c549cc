//! Session keyrings: `keyctl(2)`.

use std::ptr;

use nix::errno::Errno;

/// Gives this process a new, empty session keyring; `KEYCTL_JOIN_SESSION_KEYRING`.
///
/// # Errors
///
/// * `ENOSYS`: the kernel was built without keys, so there is nothing to leave.
/// * `EDQUOT`: the user has too many.
pub(crate) fn join_new() -> nix::Result<()> {
    let anonymous: *const libc::c_char = ptr::null();
    // SAFETY: with this command keyctl takes one name, which may be null.
    let ret =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    Errno::result(ret).map(drop)
}
