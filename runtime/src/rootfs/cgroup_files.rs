//! `/sys/fs/cgroup` in a container: its own groups, laid out as on the host.
//!
//! Mounted from within the container's cgroup namespace, so that the top of
//! every hierarchy is the container's group; read-only, because the limits are
//! not its to change (CVE-2023-25809).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::symlinkat;

use super::inside::Inside;
use super::kernel_files::{HARMLESS, KernelFiles};
use super::mounting::{Filesystem, attach};
use crate::report::{Fault, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes};

const TOP: &str = "/sys/fs/cgroup";

/// The hierarchies of the host, and where they are mounted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    hierarchies: Vec<Hierarchy>,
    /// Other names of v1 hierarchies: `cpu` for `cpu,cpuacct`.
    links: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Below [`TOP`]; empty when it is mounted on it.
    path: PathBuf,
    version: Version,
}

#[derive(Debug, PartialEq, Eq)]
enum Version {
    /// With the mount options that tell this hierarchy from the others.
    V1(Vec<String>),
    V2,
}

impl Layout {
    /// That of the host, while its mounts can still be seen.
    pub(crate) fn of_host() -> Result<Self, Fault> {
        let table = "/proc/self/mountinfo";
        let mut layout = parse(&fs::read_to_string(table).of(table)?);
        layout.links = links().of(TOP)?;
        Ok(layout)
    }

    /// Mounts the same in a container.
    pub(crate) fn mount(&self, kernel: &KernelFiles) -> Result<(), Fault> {
        // A kernel without control groups has no such directory.
        let Ok(place) = kernel.place(Path::new(TOP)) else { return Ok(()) };
        let attributes = HARMLESS | Attributes::READ_ONLY;
        if let [Hierarchy { path, version: Version::V2 }] = &self.hierarchies[..]
            && path.as_os_str().is_empty()
        {
            return attach(Filesystem::plain("cgroup2").mount(attributes)?, &place, TOP);
        }
        let tmpfs = Filesystem::plain("tmpfs").with("mode", "0755").mount(HARMLESS)?;
        attach(&tmpfs, &place, TOP)?;
        let top = Inside::new(tmpfs);
        for hierarchy in &self.hierarchies {
            let target = top.directory(&hierarchy.path)?;
            let mount = hierarchy.filesystem().mount(attributes)?;
            attach(mount, &target, &hierarchy.path.to_string_lossy())?;
        }
        for (name, target) in &self.links {
            symlinkat(target, &top, name).of(name.display())?;
        }
        add_attributes(std::os::fd::AsFd::as_fd(&top), attributes, Depth::One).of(TOP)
    }
}

impl Hierarchy {
    fn filesystem(&self) -> Filesystem<'_> {
        match &self.version {
            Version::V2 => Filesystem::plain("cgroup2"),
            Version::V1(options) => {
                options.iter().fold(Filesystem::plain("cgroup"), |filesystem, option| match option
                    .split_once('=')
                {
                    // A hierarchy that has a name has no controller.
                    Some((key, value)) => filesystem.with_flag("none").with(key, value),
                    None => filesystem.with_flag(option),
                })
            }
        }
    }
}

/// The layout that the text of `/proc/self/mountinfo` tells, without links.
fn parse(mountinfo: &str) -> Layout {
    Layout { hierarchies: mountinfo.lines().filter_map(hierarchy).collect(), links: Vec::new() }
}

/// The hierarchy that a line of mountinfo is about, if it is.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let path = Path::new(mount.split(' ').nth(4)?).strip_prefix(TOP).ok()?.to_owned();
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup2" => Version::V2,
        "cgroup" => Version::V1(telling_options(filesystem.nth(1)?)),
        _ => return None,
    };
    Some(Hierarchy { path, version })
}

/// The options that choose a v1 hierarchy: its controllers, or its name.
fn telling_options(options: &str) -> Vec<String> {
    /// What else the kernel shows; `cgroup1_show_options()`.
    const OTHERS: [&str; 7] =
        ["rw", "ro", "noprefix", "xattr", "cpuset_v2_mode", "favordynmods", "clone_children"];
    let tells = |option: &&str| {
        !OTHERS.contains(option) && (!option.contains('=') || option.starts_with("name="))
    };
    options.split(',').filter(tells).map(str::to_owned).collect()
}

/// Links from one controller's name to the directory it shares.
fn links() -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(TOP)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            links.push((PathBuf::from(entry.file_name()), fs::read_link(entry.path())?));
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[track_caller]
    fn check(layout: &Layout, index: usize, path: &str, version: &Version) {
        let hierarchy = &layout.hierarchies[index];
        assert_eq!((hierarchy.path.to_str().unwrap(), &hierarchy.version), (path, version));
    }

    #[test]
    fn a_hybrid_host_is_laid_out_in_directories() {
        let layout = parse(V1);
        let controllers = vec!["cpu".to_owned(), "cpuacct".to_owned()];
        check(&layout, 0, "cpu,cpuacct", &Version::V1(controllers));
        check(&layout, 1, "systemd", &Version::V1(vec!["name=systemd".to_owned()]));
        check(&layout, 2, "unified", &Version::V2);
        assert_eq!(layout.hierarchies.len(), 3);
    }

    #[test]
    fn a_unified_host_has_one_hierarchy_on_top() {
        let line = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        check(&parse(line), 0, "", &Version::V2);
    }
}
