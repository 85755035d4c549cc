//! What is to be done in one mount namespace: its mount table in, decisions out;
//! pure.
//!
//! The one rule: only what is seen at a place counts, and nothing that is not
//! ours is covered or removed. A mask, a bind mount of the user's, another
//! daemon's file: whatever is not the kernel's own file or a dead file of ours
//! is left alone, and said.
//!
//! What this module does not do: find out which of our mounts are dead
//! (`probe`), or act (`place`), where every decision is held against the mount
//! that is really there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::catalog;
use crate::host::mountinfo::{Device, Mount, MountId, MountTable};

/// Type by which mountinfo shows what `portholefs` mounts.
const FS_TYPE: &str = "fuse.portholefs";

/// What its source begins with; see [`mount_source`](crate::config::mount_source).
const SOURCE: &str = "portholefs";

/// Which file systems of ours live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Devices {
    /// The tree that files are taken from.
    pub(crate) live: Device,
    /// Those that nobody will ever answer for again. What is in neither belongs
    /// to another daemon.
    pub(crate) dead: HashSet<Device>,
}

/// What to do at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The place, from the root of the namespace.
    pub(crate) target: PathBuf,
    /// What to do there.
    pub(crate) action: Action,
}

/// What to do at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Mount `source` over the kernel's own file, which is on the mount `on`.
    Mount {
        /// What is put there.
        source: Source,
        /// The proc or sysfs mount that the file must be on.
        on: MountId,
    },
    /// Put `source` in the place of dead mounts.
    Replace {
        /// What is put there.
        source: Source,
        /// The dead mounts that lie there, the one that is seen first.
        dead: Vec<MountId>,
    },
    /// Take away a dead mount that lies on another of ours: whether that is dead
    /// too can only be asked once it is seen. `source` goes on top if the mount is locked.
    Uncover {
        /// What is put there.
        source: Source,
        /// The dead mount.
        dead: MountId,
    },
    /// The live file is there already.
    Keep,
    /// Something is there that is not ours to touch.
    LeaveAlone(Obstacle),
}

/// Where the file is that a place is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// In our tree, by its path from the root of that.
    Tree(PathBuf),
    /// The kernel's own, with the container's numbers in the same format, by its path
    /// on the host: nobody need answer for it.
    Kernel(PathBuf),
}

impl Decision {
    /// Takes the kernel's own file where `own` has one for that of our tree.
    pub(crate) fn prefer(&mut self, own: &HashMap<&str, PathBuf>) {
        let (Action::Mount { source, .. }
        | Action::Replace { source, .. }
        | Action::Uncover { source, .. }) = &mut self.action
        else {
            return;
        };
        let Source::Tree(path) = &*source else { return };
        let path = path.strip_prefix("/").ok().and_then(Path::to_str);
        if let Some(kernels) = path.and_then(|path| own.get(path)) {
            *source = Source::Kernel(kernels.clone());
        }
    }
}

impl Action {
    /// The live file that it takes.
    pub(crate) fn source(&self) -> Option<&Source> {
        match self {
            Self::Mount { source, .. }
            | Self::Replace { source, .. }
            | Self::Uncover { source, .. } => Some(source),
            Self::Keep | Self::LeaveAlone(_) => None,
        }
    }
}

/// Why a place is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Another mount is seen there.
    Covered {
        /// Where that is mounted: the place itself or a directory above it.
        at: PathBuf,
        /// Its type.
        fs_type: String,
    },
    /// Something is mounted inside what would be replaced.
    Inside,
    /// It is a file of ours that another daemon serves.
    OtherDaemon,
    /// The container has no proc or sysfs there.
    NoBase(&'static str),
    /// The daemon has no such file: the kernel has none, or it is of another version.
    NotServed,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Covered { at, fs_type } => write!(f, "{fs_type} is mounted on {}", at.display()),
            Self::Inside => f.write_str("something is mounted inside it"),
            Self::OtherDaemon => f.write_str("another portholefs serves it"),
            Self::NotServed => f.write_str("portholefs does not serve it here"),
            Self::NoBase(fs_type) => write!(f, "no {fs_type} is mounted there"),
        }
    }
}

/// Where a container has its proc and its sysfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bases {
    proc: Base,
    sys: Option<Base>,
}

/// One of the two file systems that our files lie over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    point: PathBuf,
    device: Device,
}

/// True for a mount that `portholefs` has made, dead or alive.
pub(crate) fn is_ours(mount: &Mount) -> bool {
    mount.fs_type == FS_TYPE && (mount.source == SOURCE || owner(mount).is_some())
}

/// Where the daemon that has made `mount` has its shared tree; `None` when that is not
/// said.
pub(crate) fn owner(mount: &Mount) -> Option<&Path> {
    let mount_point = mount.source.strip_prefix(SOURCE)?.strip_prefix(':')?;
    Some(Path::new(mount_point)).filter(|path| path.is_absolute())
}

/// The file systems of ours in `table`, each with the mounts of it that are seen.
pub(crate) fn ours(table: &MountTable) -> impl Iterator<Item = &Mount> {
    table.mounts().iter().filter(|mount| {
        is_ours(mount) && table.mounted_at(&mount.point).is_some_and(|seen| seen.id == mount.id)
    })
}

/// Decisions that put live files in the place of dead ones, and nothing else.
pub(crate) fn heal(table: &MountTable, devices: &Devices) -> Vec<Decision> {
    let is_dead = |mount: &&Mount| is_ours(mount) && devices.dead.contains(&mount.device);
    let mut targets: Vec<&Path> =
        table.mounts().iter().filter(is_dead).map(|mount| mount.point.as_path()).collect();
    targets.sort_unstable();
    targets.dedup();
    let decisions = targets.into_iter().map(|target| {
        let action = match table.way_to(target).pop() {
            Some(seen) => at_mount(table, devices, target, seen),
            None => Action::Keep,
        };
        Decision { target: target.to_owned(), action }
    });
    decisions.filter(|decision| decision.action != Action::Keep).collect()
}

/// Decisions that give a container every file and directory of `served`.
pub(crate) fn fill(
    table: &MountTable,
    bases: &Bases,
    devices: &Devices,
    served: &[impl AsRef<str>],
) -> Vec<Decision> {
    let decide = |path: &str| {
        let (file, base, fs_type) = match path.split_once('/')? {
            ("proc", file) => (file, Some(&bases.proc), PROC),
            ("sys", file) => (file, bases.sys.as_ref(), SYSFS),
            _no_such_directory => return None,
        };
        let source = Path::new("/").join(path);
        let Some(base) = base.filter(|base| base.is_in(table, fs_type)) else {
            let action = Action::LeaveAlone(Obstacle::NoBase(fs_type));
            return Some(Decision { target: source, action });
        };
        let target = base.point.join(file);
        let action = over_file(table, devices, base, &target, source);
        Some(Decision { target, action })
    };
    served.iter().filter_map(|path| decide(path.as_ref())).collect()
}

/// What engines mask in a directory that is served as a whole, and is not in it.
const MASKED: &[&str] = &["cpu*/thermal_throttle"];

const PROC: &str = "proc";
const SYSFS: &str = "sysfs";

impl Bases {
    /// Where the process whose table is `process` has its proc and sysfs, said
    /// for its whole mount namespace, whose table is `namespace`. The two differ
    /// for a process whose root is a directory in its namespace.
    ///
    /// `None` when the process has no proc.
    pub(crate) fn find(process: &MountTable, namespace: &MountTable) -> Option<Self> {
        let base = |point: &str, fs_type: &str| {
            let seen = process.mounted_at(Path::new(point))?;
            let mount = namespace.mount(seen.id).filter(|mount| mount.fs_type == fs_type)?;
            Some(Base { point: mount.point.clone(), device: mount.device })
        };
        Some(Self { proc: base("/proc", PROC)?, sys: base("/sys", SYSFS) })
    }

    /// True when a mount namespace belongs to the container: it sees the
    /// container's proc at the container's place.
    pub(crate) fn are_in(&self, namespace: &MountTable) -> bool {
        self.proc.is_in(namespace, PROC)
    }
}

impl Base {
    fn is_in(&self, table: &MountTable, fs_type: &str) -> bool {
        table
            .mounted_at(&self.point)
            .is_some_and(|seen| seen.fs_type == fs_type && seen.device == self.device)
    }
}

fn over_file(
    table: &MountTable,
    devices: &Devices,
    base: &Base,
    target: &Path,
    source: PathBuf,
) -> Action {
    match table.way_to(target).pop() {
        Some(seen) if seen.point == base.point => match in_the_way(table, devices, target, seen) {
            Some(obstacle) => Action::LeaveAlone(obstacle),
            None => Action::Mount { source: Source::Tree(source), on: seen.id },
        },
        Some(seen) => at_mount(table, devices, target, seen),
        None => Action::LeaveAlone(Obstacle::NoBase(PROC)),
    }
}

/// What would be hidden if `target`, on the mount `base`, were covered: it may be a
/// directory. Files of ours are in the directory too. So are masks of what is not in
/// it, for them it makes no difference.
fn in_the_way(
    table: &MountTable,
    devices: &Devices,
    target: &Path,
    base: &Mount,
) -> Option<Obstacle> {
    let is_masked_in_ours = |mount: &Mount| {
        let path = mount.point.strip_prefix(target).ok().and_then(Path::to_str);
        path.is_some_and(|path| MASKED.iter().any(|pattern| catalog::matches(pattern, path)))
    };
    let inside = |mount: &&Mount| {
        mount.parent == base.id && mount.point != target && mount.point.starts_with(target)
    };
    table.mounts().iter().filter(inside).find_map(|mount| {
        let is_another_daemons =
            mount.device != devices.live && !devices.dead.contains(&mount.device);
        match is_ours(mount) {
            true if is_another_daemons => Some(Obstacle::OtherDaemon),
            true => None,
            false => (!is_masked_in_ours(mount)).then_some(Obstacle::Inside),
        }
    })
}

/// What to do at `target`, where `seen` is the mount that is seen.
fn at_mount(table: &MountTable, devices: &Devices, target: &Path, seen: &Mount) -> Action {
    if is_own_pressure(seen) && seen.point == target {
        return Action::Keep;
    }
    if !is_ours(seen) || seen.point != target {
        return Action::LeaveAlone(Obstacle::Covered {
            at: seen.point.clone(),
            fs_type: seen.fs_type.clone(),
        });
    }
    if seen.device == devices.live {
        return Action::Keep;
    }
    if !devices.dead.contains(&seen.device) {
        return Action::LeaveAlone(Obstacle::OtherDaemon);
    }
    if table.is_covered(seen) {
        return Action::LeaveAlone(Obstacle::Inside);
    }
    let source = Source::Tree(path_in_tree(&seen.root));
    let dead = dead_stack(table, devices, target);
    let beneath = table.way_to(target).into_iter().rev().nth(dead.len());
    if beneath.is_some_and(|mount| is_ours(mount) && mount.point == target) {
        return Action::Uncover { source, dead: seen.id };
    }
    Action::Replace { source, dead }
}

/// True for a file of a control group that is mounted for one of ours.
fn is_own_pressure(mount: &Mount) -> bool {
    mount.fs_type == "cgroup2" && mount.root.extension().is_some_and(|kind| kind == "pressure")
}

/// Where in the shared tree the file is that has the path `root` in one of ours: in a
/// private tree it is below the container's directory.
fn path_in_tree(root: &Path) -> PathBuf {
    let mut parts = root.components();
    let below = parts.as_path();
    let is_in_shared = |path: &Path| [PROC, "sys"].iter().any(|top| path.starts_with(top));
    let mut rest = below.strip_prefix("/").unwrap_or(below);
    if !is_in_shared(rest) {
        parts.next();
        parts.next();
        rest = parts.as_path();
    }
    match is_in_shared(rest) {
        true => Path::new("/").join(rest),
        false => root.to_owned(),
    }
}

/// The dead mounts at `target` that lie directly on each other, the one that is
/// seen first.
fn dead_stack(table: &MountTable, devices: &Devices, target: &Path) -> Vec<MountId> {
    let is_dead = |mount: &&&Mount| {
        mount.point == target && is_ours(mount) && devices.dead.contains(&mount.device)
    };
    let way = table.way_to(target);
    way.iter().rev().take_while(is_dead).map(|mount| mount.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// A container with three of our files. 0:51 is dead, 0:52 lives, 0:53 is
    /// another daemon's.
    const CONTAINER: &str = "\
60 28 0:50 / / rw - overlay overlay rw
61 60 0:60 / /proc rw - proc proc rw
62 60 0:61 / /sys ro - sysfs sysfs ro
70 61 0:51 /proc/meminfo /proc/meminfo ro - fuse.portholefs portholefs ro
71 61 0:52 /proc/stat /proc/stat ro - fuse.portholefs portholefs ro
72 61 0:53 /proc/uptime /proc/uptime ro - fuse.portholefs portholefs ro
";

    const SERVED: &[&str] =
        &["proc/meminfo", "proc/stat", "proc/swaps", "proc/uptime", "sys/devices/system/cpu"];

    fn devices() -> Devices {
        let device = |minor| Device { major: 0, minor };
        Devices { live: device(52), dead: HashSet::from([device(51), device(54)]) }
    }

    fn shown(decisions: &[Decision]) -> String {
        let line = |Decision { target, action }: &Decision| {
            let source = match action.source() {
                Some(Source::Tree(path)) => path.display().to_string(),
                Some(Source::Kernel(path)) => format!("the kernel's {}", path.display()),
                None => String::new(),
            };
            let what = match action {
                Action::Mount { on, .. } => format!("mount {source} on {on}"),
                Action::Replace { dead, .. } => format!("{source} replaces {dead:?}"),
                Action::Uncover { dead, .. } => format!("take {dead} off, or {source} on it"),
                Action::Keep => "keep".to_owned(),
                Action::LeaveAlone(obstacle) => format!("leave alone: {obstacle}"),
            };
            format!("{}: {what}\n", target.display())
        };
        decisions.iter().map(line).collect()
    }

    /// Checks what healing does to `CONTAINER` and the lines `more`.
    fn check_heal(more: &str, decisions: &Expect) {
        let table = MountTable::parse(&format!("{CONTAINER}{more}"));
        decisions.assert_eq(&shown(&heal(&table, &devices())));
    }

    /// Checks what filling does to a container whose mounts are `mountinfo`.
    fn check_fill(mountinfo: &str, decisions: &Expect) {
        let table = MountTable::parse(mountinfo);
        let bases = Bases::find(&table, &table).unwrap();
        decisions.assert_eq(&shown(&fill(&table, &bases, &devices(), SERVED)));
    }

    #[test]
    fn a_file_of_a_private_tree_is_found_in_the_shared_one() {
        for (root, expected) in [
            ("/proc/meminfo", "/proc/meminfo"),
            ("/00000001f00d/proc/meminfo", "/proc/meminfo"),
            ("/00000001f00d/sys/devices/system/cpu", "/sys/devices/system/cpu"),
            ("/", "/"),
            ("/else", "/else"),
        ] {
            assert_eq!(path_in_tree(Path::new(root)), Path::new(expected));
        }
    }

    #[test]
    fn only_the_dead_are_healed() {
        check_heal(
            "",
            &expect![[r#"
            /proc/meminfo: /proc/meminfo replaces [70]
        "#]],
        );
    }

    #[test]
    fn what_is_mounted_over_the_dead_stays() {
        check_heal(
            "80 70 0:70 / /proc/meminfo rw - tmpfs tmpfs rw\n",
            &expect![[r#"
                /proc/meminfo: leave alone: tmpfs is mounted on /proc/meminfo
            "#]],
        );
        check_heal(
            "80 61 0:70 / /proc rw - tmpfs tmpfs rw\n",
            &expect![[r#"
                /proc/meminfo: leave alone: tmpfs is mounted on /proc
            "#]],
        );
    }

    #[test]
    fn two_of_the_dead_on_each_other_become_one() {
        check_heal(
            "80 70 0:54 /proc/meminfo /proc/meminfo ro - fuse.portholefs portholefs ro\n",
            &expect![[r#"
                /proc/meminfo: /proc/meminfo replaces [80, 70]
            "#]],
        );
    }

    #[test]
    fn what_lies_beneath_the_dead_must_be_seen_to_be_asked() {
        let dead = |beneath, place| {
            format!("80 {beneath} 0:54 {place} {place} ro - fuse.portholefs portholefs ro\n")
        };
        check_heal(
            &dead(72, "/proc/uptime"),
            &expect![[r#"
                /proc/meminfo: /proc/meminfo replaces [70]
                /proc/uptime: take 80 off, or /proc/uptime on it
            "#]],
        );
        check_heal(
            &dead(71, "/proc/stat"),
            &expect![[r#"
                /proc/meminfo: /proc/meminfo replaces [70]
                /proc/stat: take 80 off, or /proc/stat on it
            "#]],
        );
    }

    #[test]
    fn the_dead_under_the_living_are_not_seen() {
        check_heal(
            "80 70 0:52 /proc/meminfo /proc/meminfo ro - fuse.portholefs portholefs ro\n",
            &expect![""],
        );
    }

    #[test]
    fn the_dead_under_another_daemons_file_are_left_alone() {
        check_heal(
            "80 70 0:53 /proc/meminfo /proc/meminfo ro - fuse.portholefs portholefs ro\n",
            &expect![[r#"
                /proc/meminfo: leave alone: another portholefs serves it
            "#]],
        );
    }

    #[test]
    fn a_dead_directory_is_replaced_unless_something_is_mounted_in_it() {
        let tree = "90 60 0:54 / /tree ro - fuse.portholefs portholefs ro\n";
        check_heal(
            tree,
            &expect![[r#"
            /proc/meminfo: /proc/meminfo replaces [70]
            /tree: / replaces [90]
        "#]],
        );
        check_heal(
            &format!("{tree}91 90 0:70 / /tree/proc rw - tmpfs tmpfs rw\n"),
            &expect![[r#"
                /proc/meminfo: /proc/meminfo replaces [70]
                /tree: leave alone: something is mounted inside it
            "#]],
        );
    }

    #[test]
    fn only_type_and_source_together_make_a_mount_ours() {
        for (fs_type, source) in [
            ("fuse", "portholefs"),
            ("fuse.portholefs", "x"),
            ("fuse.lxcfs", "lxcfs"),
            ("fuse.portholefs", "portholefs:x"),
        ] {
            let line = format!("1 0 0:51 / /proc/stat ro - {fs_type} {source} ro\n");
            assert!(!is_ours(MountTable::parse(&line).mount(1).unwrap()), "{line}");
        }
    }

    #[test]
    fn a_container_gets_what_it_has_not() {
        check_fill(
            CONTAINER,
            &expect![[r#"
            /proc/meminfo: /proc/meminfo replaces [70]
            /proc/stat: keep
            /proc/swaps: mount /proc/swaps on 61
            /proc/uptime: leave alone: another portholefs serves it
            /sys/devices/system/cpu: mount /sys/devices/system/cpu on 62
        "#]],
        );
    }

    #[test]
    fn masks_and_binds_are_left_alone() {
        let masked = "\
60 28 0:50 / / rw - overlay overlay rw
61 60 0:60 / /proc rw - proc proc rw
62 60 0:61 / /sys ro - sysfs sysfs ro
63 61 0:5 /null /proc/swaps rw - devtmpfs udev rw
64 62 0:70 / /sys/devices/system ro - tmpfs tmpfs ro
65 61 8:1 /srv/stat /proc/stat rw - ext4 /dev/sda1 rw
";
        check_fill(
            masked,
            &expect![[r#"
            /proc/meminfo: mount /proc/meminfo on 61
            /proc/stat: leave alone: ext4 is mounted on /proc/stat
            /proc/swaps: leave alone: devtmpfs is mounted on /proc/swaps
            /proc/uptime: mount /proc/uptime on 61
            /sys/devices/system/cpu: leave alone: tmpfs is mounted on /sys/devices/system
        "#]],
        );
    }

    /// Mounts inside `/sys/devices/system/cpu`, and what becomes of the directory.
    #[track_caller]
    fn check_inside(mounts: &str, expected: &str) {
        let table = MountTable::parse(&format!("{CONTAINER}{mounts}"));
        let bases = Bases::find(&table, &table).unwrap();
        let decisions = fill(&table, &bases, &devices(), &["sys/devices/system/cpu"]);
        assert_eq!(shown(&decisions), format!("/sys/devices/system/cpu: {expected}\n"));
    }

    #[test]
    fn a_directory_is_covered_where_nothing_is_lost() {
        const MOUNT: &str = "mount /sys/devices/system/cpu on 62";
        const CPU: &str = "/sys/devices/system/cpu";
        let ours = |device| {
            let file = format!("{CPU}/online");
            format!("80 62 {device} {file} {file} ro - fuse.portholefs portholefs ro\n")
        };
        check_inside(&ours("0:51"), MOUNT);
        check_inside(&ours("0:52"), MOUNT);
        check_inside(&ours("0:53"), "leave alone: another portholefs serves it");
        let mask = |path| format!("80 62 0:70 / {CPU}/{path} ro - tmpfs tmpfs ro\n");
        check_inside(&mask("cpu0/thermal_throttle"), MOUNT);
        check_inside(&mask("vulnerabilities"), "leave alone: something is mounted inside it");
    }

    #[test]
    fn the_kernels_own_file_goes_before_ours() {
        let pressure = |resource: &str, what: &str| {
            format!("8{resource} {what}\n")
                .replace("8cpu", "81 61 0:29 /a/cpu.pressure /proc/pressure/cpu rw - cgroup2")
                .replace(
                    "8io",
                    "82 61 0:51 /proc/pressure/io /proc/pressure/io ro - fuse.portholefs",
                )
        };
        let table = format!(
            "{CONTAINER}{}{}",
            pressure("cpu", "cgroup2 rw"),
            pressure("io", "portholefs ro")
        );
        let table = MountTable::parse(&table);
        let bases = Bases::find(&table, &table).unwrap();
        let served = ["cpu", "io", "memory"].map(|resource| format!("proc/pressure/{resource}"));
        let mut decisions = fill(&table, &bases, &devices(), &served);
        let own = HashMap::from([
            ("proc/pressure/cpu", PathBuf::from("/cg/a/cpu.pressure")),
            ("proc/pressure/io", PathBuf::from("/cg/a/io.pressure")),
        ]);
        decisions.iter_mut().for_each(|decision| decision.prefer(&own));
        expect![[r#"
            /proc/pressure/cpu: keep
            /proc/pressure/io: the kernel's /cg/a/io.pressure replaces [82]
            /proc/pressure/memory: mount /proc/pressure/memory on 61
        "#]]
        .assert_eq(&shown(&decisions));
    }

    #[test]
    fn without_sysfs_there_is_nothing_to_mount_it_on() {
        check_fill(
            "60 28 0:50 / / rw - overlay overlay rw\n61 60 0:60 / /proc rw - proc proc rw\n",
            &expect![[r#"
                /proc/meminfo: mount /proc/meminfo on 61
                /proc/stat: mount /proc/stat on 61
                /proc/swaps: mount /proc/swaps on 61
                /proc/uptime: mount /proc/uptime on 61
                /sys/devices/system/cpu: leave alone: no sysfs is mounted there
            "#]],
        );
    }

    #[test]
    fn a_container_is_its_proc_at_its_place() {
        let bases = |text| {
            let table = MountTable::parse(text);
            Bases::find(&table, &table)
        };
        let container = bases(CONTAINER).unwrap();
        assert!(container.are_in(&MountTable::parse(CONTAINER)));
        let copied = CONTAINER.replace("61 60", "161 160").replace("60 28", "160 28");
        assert!(container.are_in(&MountTable::parse(&copied)), "unshare -m copies mounts");
        let own_proc = CONTAINER.replace("0:60", "0:99");
        assert!(!container.are_in(&MountTable::parse(&own_proc)), "a container in it has its own");
        assert_eq!(bases("60 28 0:50 / / rw - overlay overlay rw\n"), None);
    }

    #[test]
    fn a_process_with_another_root_is_found_in_its_namespace() {
        let process = MountTable::parse("61 60 0:60 / /proc rw - proc proc rw\n");
        let namespace = MountTable::parse(
            "60 28 8:1 / / rw - ext4 /dev/sda1 rw\n61 60 0:60 / /srv/root/proc rw - proc proc rw\n",
        );
        let bases = Bases::find(&process, &namespace).unwrap();
        let decisions = fill(&namespace, &bases, &devices(), SERVED);
        assert_eq!(decisions[0].target, Path::new("/srv/root/proc/meminfo"));
    }
}
