//! The loopback interface: `netdevice(7)`.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Brings `lo` of this network namespace up; `SIOCSIFFLAGS`. The kernel gives it
/// its addresses.
///
/// # Errors
///
/// `ENODEV`: the kernel was built without a network.
pub(crate) fn bring_up() -> nix::Result<()> {
    // Any socket takes this ioctl; one of this family needs no network.
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::c_short::try_from(libc::IFF_UP).map_err(|_too_big| Errno::ERANGE)?,
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::try_from(*from).map_err(|_not_ascii| Errno::EINVAL)?;
    }
    // SAFETY: SIOCSIFFLAGS reads one ifreq through its argument, which points to
    // one whose name and flags are set.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    Errno::result(ret).map(drop)
}
