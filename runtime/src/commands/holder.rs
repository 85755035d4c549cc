//! The process that holds listeners for system calls: found, or started.
//!
//! A container is not kept from starting by what concerns three system calls: whatever
//! is wrong is told in one line, and the kernel answers them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::daemon;
use crate::message::{Failure, tell};
use crate::plan::{Calls, Plan, View};
use crate::process::{Place, Reservation, Source};

/// A place for the listener of a process of `plan`, if its system calls are to be
/// answered; tells why there is none.
pub(super) fn reserve(plan: &Plan) -> Option<Place> {
    let (Calls::AsFiles, View::Mounted(mount_point)) = (plan.calls, &plan.view) else {
        return None;
    };
    match find_or_start(mount_point) {
        Ok(reservation) => {
            let source = Source { reserve: find_or_start, mount_point: mount_point.clone() };
            Some(Place { reservation, source })
        }
        Err(reason) => {
            tell(&format!("nproc, sysinfo(2) and the like tell the host's numbers: {reason}"));
            None
        }
    }
}

fn find_or_start(mount_point: &Path) -> Result<Reservation, String> {
    let path = socket(mount_point);
    let reserved = match Reservation::at(&path) {
        Err(Errno::ENOENT | Errno::ECONNREFUSED | Errno::ECONNRESET) => {
            start(mount_point)?;
            Reservation::at(&path)
        }
        reserved => reserved,
    };
    reserved.map_err(|errno| match errno {
        Errno::ENOSPC => format!("all places at {} are taken", path.display()),
        errno => format!("{}: {}", path.display(), errno.desc().to_lowercase()),
    })
}

/// Where the holder beside `mount_point` listens.
fn socket(mount_point: &Path) -> PathBuf {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    mount_point.with_file_name(format!(".{name}.calls"))
}

fn start(mount_point: &Path) -> Result<(), String> {
    let program = daemon::program().map_err(|Failure { line, .. }| line)?;
    let mut command = Command::new(&program);
    command.arg("holder").arg("--daemon").arg(mount_point).stdin(Stdio::null());
    // What it says on standard error is for the user; ours may be a pipe that
    // somebody reads to its end, and the holder goes on.
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("portholefs holder: {}", said.lines().last().unwrap_or("it says nothing")))
}
