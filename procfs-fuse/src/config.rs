//! Settings of the daemon that serving needs; the command line fills them in.
//!
//! Plain data with defaults that suit every machine. What is *not* a setting:
//! which controllers exist, whether there is swap, how many CPUs are online.
//! Those are looked at when they are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What [`Server`](crate::serve::Server) must know before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where `proc/` and `sys/` are: `/`, or a directory that holds a captured
    /// machine. Mount points of control groups are looked up below it too.
    pub root: PathBuf,
    /// How long one reading of a host file answers for all readers.
    ///
    /// Short against anything a person or a sampler can see, long against the
    /// microseconds in which many containers ask at once.
    pub host_sharing: Duration,
    /// How long one reading of a container's `memory.stat` answers for all its
    /// readers: on v2 each reading makes the kernel flush statistics.
    pub memory_stat_sharing: Duration,
    /// How long the kernel may keep a container's `meminfo` in a private tree, and
    /// answer without asking us; zero: not at all.
    pub fresh: Duration,
    /// Containers whose cgroup files are kept open. Beyond it, the one that was
    /// not read for the longest time is closed; its next read opens it again.
    pub kept_containers: usize,
    /// Tasks about which a file is kept open, for when they open the next of ours.
    /// Beyond it those that did not for the longest time are forgotten.
    pub kept_readers: usize,
}

impl Settings {
    /// The same, but keeping no more open than a process that may have this many
    /// descriptors can, with some to spare for what is opened for a moment.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let shared = descriptors.saturating_sub(OTHER_DESCRIPTORS);
        let most = |part: u64| usize::try_from(part).unwrap_or(usize::MAX).max(1);
        Self {
            kept_containers: self.kept_containers.min(most(shared / 2 / OF_CONTAINER)),
            kept_readers: self.kept_readers.min(most(shared / 8)),
            ..self
        }
    }
}

/// Descriptors of a worker that are not about containers or readers: the session, the
/// files of the host, and what is opened for a moment.
const OTHER_DESCRIPTORS: u64 = 256;

/// Descriptors of a container all of whose files were read, two levels deep.
const OF_CONTAINER: u64 = 24;

/// The lock file of the daemon that mounts at `mount_point`:
/// `/var/lib/porthole/.fs.lock`.
pub fn lock_file(mount_point: &Path) -> PathBuf {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    mount_point.with_file_name(format!(".{name}.lock"))
}

/// By what mountinfo shows what the daemon that mounts at `mount_point` has made, in
/// containers too: `portholefs:/var/lib/porthole/fs`. When nobody answers any more, it
/// says whose a file was.
pub fn mount_source(mount_point: &Path) -> String {
    format!("portholefs:{}", mount_point.display())
}

/// The socket on which the daemon that mounts at `mount_point` tells its metrics:
/// `/var/lib/porthole/.fs.metrics`.
pub fn metrics_socket(mount_point: &Path) -> PathBuf {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    mount_point.with_file_name(format!(".{name}.metrics"))
}

/// The socket at which listeners for system calls are handed over, and the file that
/// its holder has locked: `/var/lib/porthole/.fs.calls` and `.fs.calls.lock`.
pub fn calls_socket(mount_point: &Path) -> (PathBuf, PathBuf) {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    let beside = |ending| mount_point.with_file_name(format!(".{name}.{ending}"));
    (beside("calls"), beside("calls.lock"))
}

/// The socket on which the daemon that mounts at `mount_point` is asked for private trees:
/// `/var/lib/porthole/.fs.sock`.
pub fn door_socket(mount_point: &Path) -> PathBuf {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    mount_point.with_file_name(format!(".{name}.sock"))
}

/// See [`Settings::fresh`]: short against anything that samples, and long against a read.
pub const DEFAULT_FRESH: Duration = Duration::from_millis(10);

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            host_sharing: Duration::from_millis(5),
            memory_stat_sharing: Duration::from_millis(20),
            fresh: DEFAULT_FRESH,
            kept_containers: 512,
            kept_readers: 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_open_fits_into_the_descriptors() {
        let kept = |descriptors| {
            let settings = Settings::default().within(descriptors);
            (settings.kept_containers, settings.kept_readers)
        };
        assert_eq!(kept(65_536), (512, 512));
        assert_eq!(kept(4096), (80, 480));
        assert_eq!(kept(1024), (16, 96));
        assert_eq!(kept(0), (1, 1));
        let (containers, readers) = kept(1024);
        assert!(containers * 24 + readers + 256 < 1024);
    }
}
