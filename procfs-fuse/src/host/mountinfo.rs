//! `/proc/PID/mountinfo`: what is mounted where, and what a path leads to.
//!
//! The one idea: a path is walked in the table as the kernel walks it. At every
//! step of the path the walk moves onto the mount that stands there, then onto
//! the one on top of that one, and so on; mounts that others hide are never
//! reached. The order of the lines means nothing: a mount can be put beneath an
//! older one.
//!
//! Kernel source of truth: `Documentation/filesystems/proc.rst`, section 3.5,
//! and `show_mountinfo()` in `fs/proc_namespace.c`.

use std::path::{Path, PathBuf};

/// Number of a mount, unique on the machine while the mount exists.
pub type MountId = u64;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: MountId,
    /// Number of the mount that it is mounted on.
    pub parent: MountId,
    /// Which file system it shows.
    pub device: Device,
    /// What of its file system is seen: `/`, or the path of a bound part.
    pub root: PathBuf,
    /// Where it is mounted, from the root of the process whose table this is.
    pub point: PathBuf,
    /// Type of the file system, with its subtype: `"fuse.portholefs"`.
    pub fs_type: String,
    /// What it was mounted from: a device, or a name.
    pub source: String,
}

/// Number of a file system (`st_dev`), as mountinfo writes it: `0:52`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// Major number; 0 for file systems without a block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// All mounts that a process can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountTable(Vec<Mount>);

impl MountTable {
    /// Parses a `mountinfo`. Lines that are not in the documented format are
    /// left out.
    pub fn parse(mountinfo: &str) -> Self {
        Self(mountinfo.lines().filter_map(parse_line).collect())
    }

    /// Every mount, also those that others hide.
    pub fn mounts(&self) -> &[Mount] {
        &self.0
    }

    /// The mount with this number.
    pub fn mount(&self, id: MountId) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// The mounts that are walked through on the way to `path`, which is absolute;
    /// the last one holds what is seen there.
    pub fn way_to(&self, path: &Path) -> Vec<&Mount> {
        let mut steps: Vec<&Path> = path.ancestors().collect();
        steps.reverse();
        let mut way = Vec::new();
        for step in steps {
            while let Some(above) = self.mounted_on(way.last().copied(), step) {
                way.push(above);
            }
        }
        way
    }

    /// The mount whose root is seen at `path`, if something is mounted there.
    pub fn mounted_at(&self, path: &Path) -> Option<&Mount> {
        self.way_to(path).pop().filter(|mount| mount.point == path)
    }

    /// True when something is mounted on `mount`, at its root or inside it.
    pub fn is_covered(&self, mount: &Mount) -> bool {
        self.0.iter().any(|other| other.parent == mount.id && other.id != mount.id)
    }

    /// The mount at `point` that stands on `below`; for the first step of a walk
    /// the one that stands on nothing in this table.
    fn mounted_on(&self, below: Option<&Mount>, point: &Path) -> Option<&Mount> {
        self.0.iter().filter(|mount| mount.point == point).find(|mount| match below {
            Some(below) => mount.parent == below.id && mount.id != below.id,
            None => mount.parent == mount.id || self.mount(mount.parent).is_none(),
        })
    }
}

fn parse_line(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let mut file_system = file_system.split(' ');
    Some(Mount {
        id: mount.next()?.parse().ok()?,
        parent: mount.next()?.parse().ok()?,
        device: parse_device(mount.next()?)?,
        root: unescape(mount.next()?),
        point: unescape(mount.next()?),
        fs_type: file_system.next()?.to_owned(),
        source: unescape(file_system.next()?).to_string_lossy().into_owned(),
    })
}

fn parse_device(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// Undoes the kernel's `\040` for space, tab, newline, `#` and backslash.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match escaped_character(part) {
            Some((character, rest)) => {
                path.push(character);
                path.push_str(rest);
            }
            None => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    PathBuf::from(path)
}

fn escaped_character(text: &str) -> Option<(char, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    Some((char::from(u8::from_str_radix(digits, 8).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the numbers of the mounts on the way to `path`.
    #[track_caller]
    fn check(mountinfo: &str, path: &str, way: &[MountId]) {
        let table = MountTable::parse(mountinfo);
        let walked: Vec<_> = table.way_to(Path::new(path)).iter().map(|mount| mount.id).collect();
        assert_eq!(walked, way, "{path} in\n{mountinfo}");
    }

    const CONTAINER: &str = "\
60 28 0:50 / / rw,relatime - overlay overlay rw
61 60 0:60 / /proc rw - proc proc rw
62 61 0:51 /proc/stat /proc/stat ro - fuse.portholefs portholefs ro
63 60 0:61 / /srv/my\\040mount rw - tmpfs tmpfs rw
not a mount
";

    #[test]
    fn a_line_says_what_is_mounted_where() {
        let table = MountTable::parse(CONTAINER);
        assert_eq!(table.mounts().len(), 4);
        assert_eq!(
            table.mount(62),
            Some(&Mount {
                id: 62,
                parent: 61,
                device: Device { major: 0, minor: 51 },
                root: "/proc/stat".into(),
                point: "/proc/stat".into(),
                fs_type: "fuse.portholefs".into(),
                source: "portholefs".into(),
            })
        );
        assert_eq!(table.mounted_at(Path::new("/srv/my mount")).unwrap().id, 63);
        assert_eq!(table.mounted_at(Path::new("/srv")), None);
    }

    #[test]
    fn a_path_leads_from_mount_to_mount() {
        check(CONTAINER, "/", &[60]);
        check(CONTAINER, "/etc/passwd", &[60]);
        check(CONTAINER, "/proc/uptime", &[60, 61]);
        check(CONTAINER, "/proc/stat", &[60, 61, 62]);
        check(CONTAINER, "/proc/status", &[60, 61]);
    }

    #[test]
    fn what_another_mount_hides_is_not_reached() {
        let over_proc = format!("{CONTAINER}64 61 0:62 / /proc rw - tmpfs tmpfs rw\n");
        check(&over_proc, "/proc/stat", &[60, 61, 64]);
        let over_stat = format!("{CONTAINER}64 62 0:62 / /proc/stat rw - tmpfs tmpfs rw\n");
        check(&over_stat, "/proc/stat", &[60, 61, 62, 64]);
    }

    #[test]
    fn the_order_of_the_lines_means_nothing() {
        // 65 was mounted beneath 62: it is newer and under it.
        let beneath = "\
60 28 0:50 / / rw - overlay overlay rw
61 60 0:60 / /proc rw - proc proc rw
62 65 0:51 /proc/stat /proc/stat ro - fuse.portholefs portholefs ro
65 61 0:52 /proc/stat /proc/stat ro - fuse.portholefs portholefs ro
";
        check(beneath, "/proc/stat", &[60, 61, 65, 62]);
    }

    #[test]
    fn a_root_inside_a_mount_is_not_in_the_table() {
        check("61 60 0:60 / /proc rw - proc proc rw\n", "/proc/stat", &[61]);
        check("61 60 0:60 / /proc rw - proc proc rw\n", "/etc", &[]);
        // The first mount of a namespace stands on itself.
        check("1 1 0:2 / / rw - rootfs rootfs rw\n", "/etc", &[1]);
    }

    #[test]
    fn covered_means_at_its_root_or_inside() {
        let table = MountTable::parse(CONTAINER);
        assert!(table.is_covered(table.mount(61).unwrap()));
        assert!(!table.is_covered(table.mount(62).unwrap()));
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\134b"), Path::new("a\\b"));
        assert_eq!(unescape("a\\9b\\"), Path::new("a\\9b\\"));
    }
}
