//! What `portholefs status` tells: what the keeper says of itself, and what is in the
//! memory of its workers.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::daemon::lock::{self, LockError, Status};
use crate::daemon::{memory, one_line};
use crate::metrics::occupancy::{Occupancy, Table};
use crate::sys::clock;

/// One daemon, as far as we may know of it.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// What it says.
    #[serde(flatten)]
    status: Status,
    /// What it keeps; `None` when its memory cannot be looked at.
    kept: Option<Occupancy>,
    /// Why not.
    #[serde(skip)]
    unknown: Option<String>,
}

/// Looks at the daemon of `mount_point`.
///
/// # Errors
///
/// [`LockError::NotServed`] when there is neither a daemon nor a worker.
pub fn of(mount_point: &Path) -> Result<Overview, LockError> {
    let status = lock::last_status(mount_point)?;
    let (kept, unknown) = match memory::of(&status) {
        Ok(shared) => (Some(Occupancy::of(shared, clock::boottime_ns())), None),
        Err(error) => (None, Some(one_line(&error))),
    };
    Ok(Overview { status, kept, unknown })
}

/// For people.
impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        match (&self.kept, &self.unknown) {
            (Some(kept), _) => write_kept(f, kept),
            (None, reason) => {
                write!(f, "containers   not known: {}", reason.as_deref().unwrap_or_default())
            }
        }
    }
}

fn write_kept(f: &mut fmt::Formatter<'_>, kept: &Occupancy) -> fmt::Result {
    let row = |f: &mut fmt::Formatter<'_>, name, table: Table| {
        writeln!(f, "{name:12} {} of {}", table.used, table.size)
    };
    writeln!(f, "{:12} {}", "containers", kept.containers)?;
    row(f, "open files", kept.open_files)?;
    row(f, "texts", kept.texts)?;
    row(f, "histories", kept.histories)?;
    row(f, "private", kept.private_trees)?;
    row(f, "listeners", kept.listeners)?;
    row(f, "waiting", kept.waiting)?;
    write!(f, "{:12} {}", "quarantined", kept.quarantined)?;
    if kept.stuck_workers > 0 {
        write!(f, "\n{:12} {} workers that cannot be killed", "stuck", kept.stuck_workers)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview(kept: Option<Occupancy>, unknown: Option<&str>) -> Overview {
        let status = Status { version: "1".to_owned(), ..Status::starting(Path::new("/x")) };
        let status = Status { keeper_pid: 7, worker_pid: 8, generation: 1, ..status };
        Overview { status, kept, unknown: unknown.map(ToOwned::to_owned) }
    }

    const SAID: &str = "mount point  /x\nkeeper pid   7\nworker pid   8 (generation 1)\n\
                        version      1\ntakeovers    0\nupgrades     0 (0 refused)\n";

    #[test]
    fn what_is_kept_is_told_with_its_bounds() {
        let kept = Occupancy {
            containers: 3,
            open_files: Table { used: 5, size: 100 },
            stuck_workers: 2,
            ..Occupancy::default()
        };
        let expected = format!(
            "{SAID}containers   3\nopen files   5 of 100\ntexts        0 of 0\n\
             histories    0 of 0\nprivate      0 of 0\nlisteners    0 of 0\nwaiting      0 of 0\nquarantined  0\nstuck        2 workers that cannot be killed"
        );
        assert_eq!(overview(Some(kept), None).to_string(), expected);
        let json = serde_json::to_value(overview(Some(kept), None)).unwrap();
        assert_eq!(json["keeper_pid"], 7);
        assert_eq!(json["kept"]["open_files"]["used"], 5);
    }

    #[test]
    fn what_cannot_be_known_is_told_with_the_reason() {
        let shown = overview(None, Some("the daemon's memory cannot be read")).to_string();
        let reason = "containers   not known: the daemon's memory cannot be read";
        assert_eq!(shown, format!("{SAID}{reason}"));
    }
}
