//! A proc and a sysfs with nothing mounted on them, out of everybody's way.
//!
//! The kernel lets a user namespace mount a fresh proc or sysfs only while one can
//! be seen whole, anywhere in its mount namespace: `mount_too_revealing()` of
//! fs/namespace.c. Masks take that away on purpose. The view would too, by
//! accident: it covers parts of both. So a container whose paths are not masked
//! keeps a whole instance of each, and rootless engines and sandboxes work in it as
//! they would without the view (docs/decisions/nesting.md).
//!
//! What this module does not do: decide which container gets them
//! ([`Plan::keeps_whole_instances`](crate::plan::Plan::keeps_whole_instances)).

use std::path::Path;

use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use super::devices::Devices;
use super::kernel_files::{HARMLESS, mount_at};
use super::mounting::Filesystem;
use crate::report::{Fault, Object};
use crate::sys::mount_api::Attributes;

/// The directory in `/dev` that both are in.
const FOLDER: &str = ".porthole";

/// Nobody but root comes by them: what is to be read is in `/proc` and `/sys`.
const MODE: Mode = Mode::S_IRWXU;

/// Mounts both, with the attributes that `/proc` and `/sys` have: a fresh one may
/// be no more writable than the one that is seen.
pub(crate) fn mount(devices: &Devices) -> Result<(), Fault> {
    let read_only = HARMLESS | Attributes::READ_ONLY;
    for (name, filesystem, attributes) in [("proc", "proc", HARMLESS), ("sys", "sysfs", read_only)]
    {
        let path = format!("{FOLDER}/{name}");
        mount_at(&devices.dev, &path, &Filesystem::plain(filesystem), attributes)?;
    }
    fchmodat(&devices.dev, Path::new(FOLDER), MODE, FchmodatFlags::FollowSymlink)
        .of(format!("/dev/{FOLDER}"))
}
