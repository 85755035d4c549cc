//! Giving up capabilities, all but a few; `capset(2)`.

use std::io;

/// `CAP_DAC_OVERRIDE`: files of other users may be opened.
pub const DAC_OVERRIDE: u32 = 1;
/// `CAP_SYS_PTRACE`: processes of other users may be looked into.
pub const SYS_PTRACE: u32 = 19;
/// `CAP_SYS_NICE`: threads of other users may be pinned.
pub const SYS_NICE: u32 = 23;

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Leaves the calling thread, and those it starts from then on, with `kept` and no way
/// to get more.
///
/// # Errors
///
/// `EPERM`: it does not have all of `kept`.
pub fn keep(kept: &[u32]) -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let header = Header { version: VERSION, pid: 0 };
    let half = |first: u32| {
        let bits = kept.iter().filter(|one| (first..first + 32).contains(one));
        let set = bits.fold(0, |set, one| set | 1 << (one - first));
        Half { effective: set, permitted: set, inheritable: 0 }
    };
    let halves = [half(0), half(32)];
    // SAFETY: the kernel reads one header and two halves, as version 3 has them, and
    // both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
