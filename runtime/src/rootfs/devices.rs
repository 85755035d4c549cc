//! The `/dev` of a container: made new, nothing of the host's.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::symlinkat;

use super::inside::Inside;
use super::kernel_files::{HARMLESS, mount_at};
use super::mounting::Filesystem;
use crate::report::{Fault, Object};
use crate::sys::mount_api::Attributes;

/// Devices that every program may use: name, major and minor number, of
/// `Documentation/admin-guide/devices.txt`.
const DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Names that programs expect to lead to `/proc` and to devpts.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Size of `/dev/shm`, in bytes: docker's.
const SHM_SIZE: u64 = 64 << 20;

/// Size of the tmpfs for the nodes themselves, in bytes: they take none, and
/// nothing else belongs there.
const DEV_SIZE: u64 = 64 << 10;

/// Group that owns terminals: `tty`, the same number in every distribution.
const TTY_GROUP: &str = "5";

/// The `/dev` of a container, as mounts that we made.
#[derive(Debug)]
pub(crate) struct Devices {
    /// `/dev`.
    pub(crate) dev: Inside,
    /// `/dev/pts`: terminals of this container only.
    pub(crate) pts: OwnedFd,
}

impl Devices {
    /// Makes `/dev` in `root`.
    pub(crate) fn mount(root: &Inside) -> Result<Self, Fault> {
        let tmpfs = |mode: &str, size: u64| {
            Filesystem::plain("tmpfs").with("mode", mode).with("size", size.to_string())
        };
        let dev = mount_at(root, "/dev", &tmpfs("0755", DEV_SIZE), Attributes::NO_SUID)?;
        let dev = Inside::new(dev);
        for (name, major, minor) in DEVICES {
            let mode = Mode::from_bits_truncate(0o666);
            let number = makedev(major, minor);
            mknodat(&dev, name, SFlag::S_IFCHR, mode, number).of(format!("/dev/{name}"))?;
        }
        for (name, target) in LINKS {
            symlinkat(Path::new(target), &dev, name).of(format!("/dev/{name}"))?;
        }
        mount_at(&dev, "shm", &tmpfs("1777", SHM_SIZE), HARMLESS)?;
        mount_at(&dev, "mqueue", &Filesystem::plain("mqueue"), HARMLESS)?;
        let devpts = Filesystem::plain("devpts")
            .with_flag("newinstance")
            .with("ptmxmode", "0666")
            .with("mode", "0620")
            .with("gid", TTY_GROUP);
        let pts = mount_at(&dev, "pts", &devpts, Attributes::NO_SUID | Attributes::NO_EXEC)?;
        Ok(Self { dev, pts })
    }
}
