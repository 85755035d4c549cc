//! Starting, watching and replacing processes without allocating.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{ForkResult, Pid, fork};

/// Arguments and environment of a program, ready for execve(2).
#[derive(Debug)]
pub struct CommandLine {
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// Owns what the pointers point to.
    _texts: Vec<CString>,
}

impl CommandLine {
    /// Copies `args` and `environment` (`NAME=value`).
    pub fn new(args: Vec<CString>, environment: Vec<CString>) -> Self {
        let pointers = |texts: &[CString]| {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (argv, envp) = (pointers(&args), pointers(&environment));
        Self { argv, envp, _texts: args.into_iter().chain(environment).collect() }
    }
}

/// Starts `program` as a child that has the signals of `blocked` blocked, and no others.
/// The caller must have one thread only.
///
/// # Errors
///
/// * `EAGAIN`, `ENOMEM`: no more processes. A program that cannot be executed is
///   no error here: its child ends with code 127.
pub fn spawn(program: BorrowedFd<'_>, command: &CommandLine, blocked: &SigSet) -> io::Result<Pid> {
    // SAFETY: this process has one thread, so the child may run any code; it
    // goes straight on to exec.
    match unsafe { fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let _unchanged = sigprocmask(SigmaskHow::SIG_SETMASK, Some(blocked), None);
            let _cannot_be_executed = execute(program, command);
            // SAFETY: ends the process without running anything of the parent's.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Becomes `program`; returns only when that fails.
pub fn execute(program: BorrowedFd<'_>, command: &CommandLine) -> io::Error {
    let (argv, envp) = (command.argv.as_ptr(), command.envp.as_ptr());
    const THE_DESCRIPTOR_ITSELF: &CStr = c"";
    // SAFETY: the path ends with a zero byte; both arrays end with a null
    // pointer, and `command` owns every text they point to.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            THE_DESCRIPTOR_ITSELF.as_ptr(),
            argv,
            envp,
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Opens a descriptor that becomes readable when `pid` ends; pidfd_open(2), Linux 5.3.
///
/// # Errors
///
/// * `ESRCH`: no such process any more.
/// * `EMFILE`, `ENFILE`: out of descriptors.
pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), NO_FLAGS) };
    owned(fd)
}

/// Waits for a child's death, but leaves it to be buried; false when it takes longer.
pub fn ends_within(pid: Pid, limit_ms: u16) -> bool {
    let Ok(pidfd) = pidfd_open(pid) else {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        return !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive));
    };
    let mut waiting = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::from(limit_ms)).is_ok_and(|ready| ready > 0)
}

/// Copies descriptor `number` out of the process behind `pidfd`;
/// pidfd_getfd(2), Linux 5.6.
///
/// # Errors
///
/// * `EBADF`: it has no such descriptor.
/// * `EPERM`: we may not trace it.
/// * `ESRCH`: it has ended.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: RawFd) -> io::Result<OwnedFd> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: pidfd_getfd takes three integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, NO_FLAGS) };
    owned(fd)
}

/// The descriptor in the result of a system call.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made `fd` for us, and nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
