//! Which CPUs a thread may run on, as the kernel itself writes it: masks of any length.
//!
//! nix has masks of 1024 CPUs, and not the kernel's word on how long its own are.

use std::io;

/// Bytes of the longest mask: 8192 CPUs are the most that Linux is built for.
pub const LONGEST: usize = 1024;

/// The CPUs of `thread`, 0 for the calling one: as many bytes as the kernel's masks have.
///
/// # Errors
///
/// `ESRCH`: no such thread any more.
pub fn mask_of(thread: libc::pid_t) -> io::Result<Vec<u8>> {
    let mut mask = vec![0_u8; LONGEST];
    // SAFETY: the kernel writes no more bytes than it is told there are, and `mask`
    // has as many.
    let length = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, thread, mask.len(), mask.as_mut_ptr())
    };
    let length = usize::try_from(length).map_err(|_negative| io::Error::last_os_error())?;
    mask.truncate(length);
    Ok(mask)
}

/// Lets `thread` run on the CPUs of `mask` alone, as far as its cpuset does.
///
/// # Errors
///
/// * `ESRCH`: no such thread any more.
/// * `EINVAL`: its cpuset has none of these CPUs, or it is the kernel's.
/// * `EPERM`: somebody else's, and we have no CAP_SYS_NICE.
pub fn set_mask_of(thread: libc::pid_t, mask: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads no more bytes than it is told there are.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, thread, mask.len(), mask.as_ptr()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_put_where_it_is() {
        let mask = mask_of(0).unwrap();
        assert!(mask.len().is_multiple_of(8) && mask.iter().any(|byte| *byte != 0));
        set_mask_of(0, &mask).unwrap();
        assert_eq!(mask_of(0).unwrap(), mask);
    }

    #[test]
    fn nobody_is_nowhere() {
        assert_eq!(mask_of(-1).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
