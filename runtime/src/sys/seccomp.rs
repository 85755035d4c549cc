//! Filters on system calls: `seccomp(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::returned::new_fd;

/// One instruction of a filter.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Instruction(libc::sock_filter);

impl Instruction {
    /// The instruction whose memory is `bytes`; `struct sock_filter` of
    /// `include/uapi/linux/filter.h`.
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        let [code_0, code_1, jt, jf, k @ ..] = bytes;
        let code = u16::from_ne_bytes([code_0, code_1]);
        Self(libc::sock_filter { code, jt, jf, k: u32::from_ne_bytes(k) })
    }

    /// Loads the number of the call; `struct seccomp_data` begins with it.
    pub(crate) const fn load_number() -> Self {
        Self::plain(LOAD, 0)
    }

    /// Loads the architecture of the call, which is next.
    pub(crate) const fn load_architecture() -> Self {
        Self::plain(LOAD, 4)
    }

    /// Keeps these bits of what was loaded.
    pub(crate) const fn and(bits: u32) -> Self {
        Self::plain(AND, bits)
    }

    /// Passes over `jt` instructions if `k` was loaded, else over `jf`.
    pub(crate) const fn jump_if(k: u32, jt: u8, jf: u8) -> Self {
        Self(libc::sock_filter { code: JUMP_IF_EQUAL, jt, jf, k })
    }

    /// Ends with this answer, `SECCOMP_RET_*`.
    pub(crate) const fn answer(answer: u32) -> Self {
        Self::plain(RETURN, answer)
    }

    const fn plain(code: u16, k: u32) -> Self {
        Self(libc::sock_filter { code, jt: 0, jf: 0, k })
    }

    /// The four fields, in order.
    #[cfg(test)]
    pub(crate) fn parts(self) -> (u16, u8, u8, u32) {
        (self.0.code, self.0.jt, self.0.jf, self.0.k)
    }
}

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// Puts `program` in force for this thread and what it starts;
/// `SECCOMP_SET_MODE_FILTER`, Linux 3.17.
///
/// # Errors
///
/// * `EACCES`: the thread can still gain privileges and may not administer the
///   machine.
/// * `EINVAL`: the program is not one.
/// * `ENOMEM`: the filters of the process are too long together.
pub(crate) fn load(program: &[Instruction]) -> nix::Result<()> {
    const NO_FLAGS: libc::c_ulong = 0;
    load_as(program, NO_FLAGS).map(drop)
}

/// The same for a program that has somebody asked: who holds what is returned is, and a
/// caller whose call was taken can be killed but not disturbed by other signals, where
/// the kernel can do that; Linux 5.0, and 5.19.
///
/// # Errors
///
/// As [`load`], and
/// * `EBUSY`: the process has such a filter already.
/// * `EINVAL`: also when the kernel is older.
pub(crate) fn load_with_listener(program: &[Instruction]) -> nix::Result<OwnedFd> {
    const LISTENER: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    const UNDISTURBED: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let ret = match load_as(program, LISTENER | UNDISTURBED) {
        Err(Errno::EINVAL) => load_as(program, LISTENER),
        loaded => loaded,
    };
    // SAFETY: with this flag the kernel returns a descriptor that it has just made.
    unsafe { new_fd(ret?) }
}

/// Takes the next call from `listener` and has the kernel carry it out as if nobody had
/// been asked; Linux 5.5. Waits until there is one.
///
/// # Errors
///
/// `ENOENT`: its caller was killed.
pub(crate) fn leave_next_to_kernel(listener: BorrowedFd<'_>) -> nix::Result<()> {
    let mut call = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
    };
    // SAFETY: the kernel writes one `struct seccomp_notif` through the pointer, which
    // points to one, all zero as it wants it.
    let ret =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    Errno::result(ret)?;
    leave_to_kernel(listener, call.id)
}

/// True when no process is left that could make a call; Linux 5.9. An older kernel never
/// says so.
///
/// # Errors
///
/// `EINTR`: a signal came first.
pub(crate) fn nobody_can_call(listener: BorrowedFd<'_>) -> nix::Result<bool> {
    let mut fds = [PollFd::new(listener, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO)?;
    let [listener] = fds;
    Ok(listener.revents().is_some_and(|happened| happened.contains(PollFlags::POLLHUP)))
}

/// Has the kernel carry out the call `id`, which somebody has taken.
///
/// # Errors
///
/// `ENOENT`: nobody waits for it here.
pub(crate) fn leave_to_kernel(listener: BorrowedFd<'_>, id: u64) -> nix::Result<()> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, which libc has as a number too wide.
    const CONTINUE: u32 = 1;
    let response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: CONTINUE };
    // SAFETY: the kernel reads one `struct seccomp_notif_resp` through the pointer,
    // which outlives the call.
    let ret = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    };
    Errno::result(ret).map(drop)
}

fn load_as(program: &[Instruction], flags: libc::c_ulong) -> nix::Result<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_too_long| Errno::EINVAL)?;
    // The kernel only reads; the C type has no way to say so.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: length, filter };
    // SAFETY: the kernel reads one sock_fprog, which points to as many
    // instructions as it says, all of which outlive the call; `Instruction` has
    // the layout of sock_filter.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    Errno::result(ret)
}
