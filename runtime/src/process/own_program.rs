//! Our own program, as what processes in containers may have as their
//! executable: read-only.
//!
//! An image may name `/proc/self/exe` as its program, or as the interpreter of
//! its script, and then the container runs ours. Through `/proc/PID/exe` its
//! other processes reach the file on the host, and once nobody executes it they
//! can write to it (CVE-2019-5736). So the process that makes containers
//! executes itself once more, from a read-only mount that is attached nowhere;
//! what comes of it inherits that, and the file cannot be written to by that way.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::execveat;

use crate::report::{AtStep, Fault, LaunchError, Object, Step};
use crate::sys::mount_api::{Attributes, Depth, add_attributes, copy_mount};

/// The kernel's name for the program of whoever asks.
const EXECUTED: &str = "/proc/self/exe";

/// Goes on as the same program, with the same arguments, executed from where it
/// cannot be written to. Comes back when that is so.
///
/// # Errors
///
/// [`LaunchError`] at [`Step::Execute`].
pub(crate) fn make_read_only() -> Result<(), LaunchError> {
    execute_read_only().at(Step::Execute)
}

fn execute_read_only() -> Result<(), Fault> {
    let program = open(EXECUTED, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).of(EXECUTED)?;
    if fstatvfs(&program).of(EXECUTED)?.flags().contains(FsFlags::ST_RDONLY) {
        // An execution by descriptor is called by the descriptor's number.
        return prctl::set_name(c"porthole").of("its name");
    }
    let copy = read_only_copy(&program).map_err(|errno| {
        let fault =
            Fault::new(format!("{EXECUTED} as a read-only mount"), errno.desc().to_lowercase());
        if errno == Errno::ENOSYS { fault.with_hint("porthole needs Linux 5.12") } else { fault }
    })?;
    match execute(&copy)? {}
}

/// Where our program is: beside it are its companions.
///
/// # Errors
///
/// Those of [`env::current_exe`].
pub(crate) fn path() -> io::Result<PathBuf> {
    let known = env::current_exe()?;
    if known.file_name().is_some() {
        return Ok(known);
    }
    // A mount that is attached nowhere has no path but "/", so it was passed on.
    Ok(env::args_os().next().map_or(known, PathBuf::from))
}

fn read_only_copy(program: &OwnedFd) -> nix::Result<OwnedFd> {
    let copy = copy_mount(program.as_fd(), c"", Depth::One)?;
    add_attributes(copy.as_fd(), Attributes::READ_ONLY, Depth::One)?;
    Ok(copy)
}

fn execute(copy: &OwnedFd) -> Result<Infallible, Fault> {
    let path = path().of(EXECUTED)?.into_os_string();
    let arguments = std::iter::once(path).chain(env::args_os().skip(1)).map(c_string);
    let variables = env::vars_os().map(|(name, value)| {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        c_string(variable)
    });
    let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
    let variables = variables.collect::<Result<Vec<_>, _>>()?;
    execveat(copy, c"", &arguments, &variables, AtFlags::AT_EMPTY_PATH).of(EXECUTED)
}

fn c_string(text: OsString) -> Result<CString, Fault> {
    CString::new(text.into_vec()).of("an argument")
}
