//! The process that starts a container: one thread, one plan, one exit code.
//!
//! The test binary runs itself with a plan as JSON, since `launch` asks for a
//! process with one thread and a test harness has many.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use porthole::plan::{Plan, Process};
use porthole::process::{LaunchError, Launched, Stdio, Target, enter, launch};
use serde::{Deserialize, Serialize};

/// What the launcher does, as JSON on its command line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The container to start.
    pub(crate) plan: Plan,
    /// A process to start in it; its exit code is then the launcher's.
    pub(crate) later: Option<Process>,
}

/// Starts the container of the order, waits for it, and returns its exit code;
/// what failed goes to standard error.
pub(crate) fn main(order: &str) -> i32 {
    let order: Order = serde_json::from_str(order).expect("an order as JSON");
    // What an engine may leave open by mistake: it must not reach the container.
    let _leak = host_directory();
    match carry_out(&order) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            error.exit_code().into()
        }
    }
}

fn carry_out(order: &Order) -> Result<i32, LaunchError> {
    let first = launch(&order.plan, None, own_stdio(), &mut |_pid| Ok(()))?;
    for note in &first.notes {
        eprintln!("note: {note:?}");
    }
    let Some(later) = &order.later else { return Ok(wait_for(&first)) };
    let target = Target { init: first.pidfd.try_clone().expect("a pidfd can be copied") };
    let entered = enter(&target, &order.plan, later, None, own_stdio(), &mut |_pid| Ok(()));
    let code = entered.map(|later| wait_for(&later));
    kill(first.pid, Signal::SIGKILL).expect("the container is our child");
    wait_for(&first);
    code
}

fn wait_for(launched: &Launched) -> i32 {
    match waitpid(launched.pid, None).expect("the container's process is our child") {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => panic!("not an end: {other:?}"),
    }
}

fn own_stdio() -> Stdio {
    Stdio::Inherit {
        stdin: copy(io::stdin().as_fd()),
        stdout: copy(io::stdout().as_fd()),
        stderr: copy(io::stderr().as_fd()),
    }
}

fn copy(fd: BorrowedFd<'_>) -> OwnedFd {
    fd.try_clone_to_owned().expect("a standard descriptor is open")
}

/// The host's root directory, open across an exec.
fn host_directory() -> File {
    let directory = File::open("/").expect("the host has a root directory");
    fcntl(&directory, FcntlArg::F_SETFD(FdFlag::empty())).expect("it is open");
    directory
}
