//! Process ids of one pid namespace as another one numbers them; ioctl(2) on
//! `/proc/PID/ns/pid`, see ioctl_nsfs(2).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

/// Which process has the id `pid` in the pid namespace `namespace`, as our own
/// pid namespace numbers it; `NS_GET_TGID_FROM_PIDNS`, Linux 6.11.
///
/// # Errors
///
/// * `ENOTTY`: the kernel is older. Callers look for the process in `/proc`.
/// * `ESRCH`: no such process there, or it is outside of our pid namespace.
pub fn process_in(namespace: &File, pid: libc::pid_t) -> io::Result<u32> {
    // SAFETY: the request takes an integer, not a pointer, and touches no memory
    // of ours; the descriptor is open for as long as `namespace` is borrowed.
    let found = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_TGID_FROM_PIDNS, pid) };
    match u32::try_from(found) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        Ok(pid) => Ok(pid),
        Err(_negative) => Err(io::Error::last_os_error()),
    }
}

/// Which thread has the id `pid` in the pid namespace `namespace`, as our own pid
/// namespace numbers it; `NS_GET_PID_FROM_PIDNS`, Linux 6.11.
///
/// # Errors
///
/// As [`process_in`].
pub fn thread_in(namespace: &File, pid: libc::pid_t) -> io::Result<u32> {
    // SAFETY: the request takes an integer, not a pointer, and touches no memory
    // of ours; the descriptor is open for as long as `namespace` is borrowed.
    let found = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_PID_FROM_PIDNS, pid) };
    match u32::try_from(found) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        Ok(pid) => Ok(pid),
        Err(_negative) => Err(io::Error::last_os_error()),
    }
}

/// The pid namespace in which `namespace` was made; `NS_GET_PARENT`, Linux 4.9.
///
/// # Errors
///
/// * `EPERM`: it is our own, or outside of it.
/// * `ENOTTY`: it is no namespace.
pub fn parent_of(namespace: &File) -> io::Result<File> {
    // SAFETY: the request takes no argument and touches no memory of ours; the descriptor is
    // open for as long as `namespace` is borrowed.
    let parent = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_PARENT) };
    if parent == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made `parent` for us, and nothing else holds it.
    Ok(unsafe { File::from_raw_fd(parent) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_has_no_parent_that_we_see() {
        let error = parent_of(&File::open("/proc/self/ns/pid").unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let error = parent_of(&File::open("/proc/self/stat").unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn our_own_namespace_numbers_us_as_we_do() {
        let namespace = File::open("/proc/self/ns/pid").unwrap();
        let own = std::process::id();
        match process_in(&namespace, own.try_into().unwrap()) {
            Ok(found) => assert_eq!(found, own),
            // What callers rely on where the kernel is older than 6.11.
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOTTY)),
        }
    }
}
