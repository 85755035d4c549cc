//! The process that starts a container: one thread, one plan, one exit code.
//!
//! The test binary runs itself with a plan as JSON, since `launch` asks for a
//! process with one thread and a test harness has many.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::wait::{WaitStatus, waitpid};
use porthole::plan::Plan;
use porthole::process::{Stdio, launch};

/// Starts the container of the plan `text`, waits for it, and returns its exit
/// code; what failed goes to standard error.
pub fn main(text: &str) -> i32 {
    let plan: Plan = serde_json::from_str(text).expect("a plan as JSON");
    let stdio = Stdio::Inherit {
        stdin: duplicate(io::stdin().as_fd()),
        stdout: duplicate(io::stdout().as_fd()),
        stderr: duplicate(io::stderr().as_fd()),
    };
    match launch(&plan, stdio, &mut |_pid| Ok(())) {
        Ok(launched) => {
            for note in &launched.notes {
                eprintln!("note: {note:?}");
            }
            match waitpid(launched.pid, None).expect("the container's process is our child") {
                WaitStatus::Exited(_, code) => code,
                WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
                other => panic!("not an end: {other:?}"),
            }
        }
        Err(error) => {
            eprintln!("{error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            error.exit_code().into()
        }
    }
}

fn duplicate(fd: std::os::fd::BorrowedFd<'_>) -> OwnedFd {
    fd.try_clone_to_owned().expect("a standard descriptor is open")
}
