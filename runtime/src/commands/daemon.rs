//! The daemon whose files containers see: found, or started.

use std::env;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statfs::{FsType, statfs};

use crate::container::StateError;
use crate::message::{Failure, tell};
use crate::process::own_program;

/// The daemon's program.
const PROGRAM: &str = "portholefs";

/// `FUSE_SUPER_MAGIC`.
const FUSE: FsType = FsType(0x6573_5546);

/// A file that every version of the daemon serves.
const SERVED: &str = "proc/meminfo";

/// Makes sure that a daemon answers at `mount_point`; starts one if not. One whose
/// keeper was killed answers for now: the one that is started continues it.
pub(super) fn ensure(mount_point: &Path, state_dir: &Path) -> Result<(), Failure> {
    if answers(mount_point) && has_keeper(mount_point) {
        return Ok(());
    }
    // One of several commands at once starts it; the others then find it.
    let path = state_dir.join("daemon");
    let file = File::create(&path).map_err(StateError::io(&path))?;
    file.lock().map_err(StateError::io(&path))?;
    match (answers(mount_point), has_keeper(mount_point)) {
        (true, true) => Ok(()),
        (true, false) => {
            // A container that is not started helps nobody: the files are answered.
            start(mount_point, "portholefs has lost its keeper")
                .unwrap_or_else(|error| tell(&error.line));
            Ok(())
        }
        (false, _) => start(mount_point, "no portholefs"),
    }
}

/// False when the keeper of the daemon mounted there was killed: beside the mount
/// point is a file that keepers have locked. A daemon whose file cannot be seen
/// from here, for example one in a container, is believed to have one.
fn has_keeper(mount_point: &Path) -> bool {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    let lock = File::open(mount_point.with_file_name(format!(".{name}.lock")));
    lock.map_or(true, |lock| lock.try_lock_shared().is_err())
}

/// True when a live daemon is mounted there. A mount whose daemon has died
/// answers `ENOTCONN`, and is none.
fn answers(mount_point: &Path) -> bool {
    statfs(mount_point).is_ok_and(|found| found.filesystem_type() == FUSE)
        && fs::metadata(mount_point.join(SERVED)).is_ok()
}

fn start(mount_point: &Path, reason: &str) -> Result<(), Failure> {
    let program = program()?;
    let mut command = Command::new(&program);
    command.arg("serve").arg("--daemon").arg(mount_point).stdin(Stdio::null());
    // What it says on standard error is for the user; ours may be a pipe that
    // somebody reads to its end, and the daemon goes on.
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(StateError::io(&program))?;
    if output.status.success() && answers(mount_point) {
        tell(&format!("{reason} at {}: started one", mount_point.display()));
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it says nothing");
    Err(Failure::of(
        &format!("{reason} at {}, and it could not be started: {said}", mount_point.display()),
        "use --no-view to go without",
    ))
}

/// The daemon beside our own executable, else in `PATH`.
pub(super) fn program() -> Result<PathBuf, Failure> {
    let beside = own_program::path()?.with_file_name(PROGRAM);
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| folder.join(PROGRAM));
    std::iter::once(beside).chain(in_path).find(|path| path.is_file()).ok_or_else(|| {
        Failure::of(
            "the portholefs program is neither beside porthole nor in PATH",
            "install it, or use --no-view to go without",
        )
    })
}
