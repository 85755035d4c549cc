//! What a daemon does for containers whose files died with its predecessor.
//!
//! A child of the keeper starts `portholefs inject --all` and writes into the log
//! what came of it.
//! The daemon itself goes on serving: the injector reads through the mount, so
//! it needs answers. Whatever becomes of the injector, the daemon stays.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use crate::inject::report::Report;

/// Longest time that the injector may take. A container takes it some
/// milliseconds; what is not done then waits for `portholefs inject --all`.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Replaces dead files in all running containers by those mounted at
/// `mount_point`, which are answered already. Runs in a process of its own, which
/// the keeper starts. Returns how many it has replaced.
pub fn heal(mount_point: &Path) -> usize {
    let start = Instant::now();
    match injected(mount_point) {
        Ok(report) => {
            log(&report, start.elapsed());
            report.changes()
        }
        Err(error) => {
            warn!(%error, "running containers could not be healed");
            0
        }
    }
}

fn log(report: &Report, elapsed: Duration) {
    for namespace in &report.namespaces {
        info!("{namespace}");
    }
    if report.refused > 0 {
        warn!(
            processes = report.refused,
            "CAP_SYS_PTRACE is missing: not all containers could be looked at"
        );
    }
    let (namespaces, files) = (report.looked_at, report.changes());
    info!(namespaces, files, ms = elapsed.as_millis(), "running containers looked at");
}

/// What the injector reports.
fn injected(mount_point: &Path) -> io::Result<Report> {
    let mut injector = Command::new("/proc/self/exe")
        .arg0("portholefs")
        .args(["inject", "--all", "--json", "--with-parent", "--from"])
        .arg(mount_point)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (output, errors) = (injector.stdout.take(), injector.stderr.take());
    let deadline = Instant::now() + TIME_LIMIT;
    let output = output.map_or(Ok(None), |output| read_until(output.into(), deadline))?;
    let Some(output) = output else { return Err(left_behind(&mut injector)) };
    // Its report is complete, so it is about to end.
    injector.wait()?;
    if let Ok(report) = serde_json::from_slice(&output) {
        return Ok(report);
    }
    let mut message = String::new();
    errors.map_or(Ok(0), |mut errors| errors.read_to_string(&mut message))?;
    Err(io::Error::other(message.trim_end().to_owned()))
}

/// All that is written to `output`; `None` when its end does not come in time.
fn read_until(output: OwnedFd, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    const CHUNK: usize = 4096;
    let mut output = File::from(output);
    let mut text = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            return Ok(None);
        }
        let mut chunk = [0; CHUNK];
        match output.read(&mut chunk)? {
            0 => return Ok(Some(text)),
            length => text.extend(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// It may be where no signal ends it, so nobody waits for it.
fn left_behind(injector: &mut Child) -> io::Error {
    let (pid, limit) = (injector.id(), TIME_LIMIT.as_secs());
    let state = if injector.kill().is_ok() { "was killed" } else { "has ended" };
    io::Error::other(format!("the injector (pid {pid}) was not done after {limit} s and {state}"))
}
