//! `/proc/PID/mountinfo`: what is mounted where; pure.
//!
//! Kernel source of truth: `Documentation/filesystems/proc.rst`, section 3.5.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Type of the file system, with its subtype: `"fuse.portholefs"`.
    pub(crate) fs_type: String,
}

/// All mounts in `mountinfo`, the topmost of each place last. Lines that are not
/// in the documented format are left out.
pub(crate) fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_line).collect()
}

/// The mount that is seen at `point`, if anything is mounted there.
pub(crate) fn topmost<'a>(mounts: &'a [Mount], point: &Path) -> Option<&'a Mount> {
    mounts.iter().rev().find(|mount| mount.point == point)
}

fn parse_line(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let point = mount.split(' ').nth(4)?;
    let fs_type = file_system.split(' ').next()?.to_owned();
    Some(Mount { point: unescape(point), fs_type })
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match escaped_byte(rest) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn escaped_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.strip_prefix(b"\\")?.split_at_checked(3)?;
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
    Some((byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
60 28 0:50 / /srv/my\\040mount rw - tmpfs tmpfs rw
61 60 0:51 / /srv/my\\040mount ro,nosuid - fuse.portholefs portholefs ro,user_id=0
not a mount
";

    #[test]
    fn the_topmost_mount_of_a_place_is_the_one_seen() {
        let mounts = parse(MOUNTINFO);
        assert_eq!(mounts.len(), 3);
        let seen = topmost(&mounts, Path::new("/srv/my mount")).unwrap();
        assert_eq!(seen.fs_type, "fuse.portholefs");
        assert_eq!(topmost(&mounts, Path::new("/srv")), None);
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\134b"), Path::new("a\\b"));
        assert_eq!(unescape("a\\9b\\"), Path::new("a\\9b\\"));
    }
}
