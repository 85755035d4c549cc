//! A tree that is never written to, below a layer that takes what is: overlayfs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchownat};

use super::mounting::{Filesystem, attach};
use super::stage::Stage;
use crate::report::{Fault, Note, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes};

/// Makes `lower`, a detached mount, writable without being written to, and
/// attaches the result on `target`. `name` is one path component, used once.
///
/// Where overlayfs cannot be used (it stacks twice at most: a container in a
/// container in a container), `lower` itself is attached read-only, and that is
/// what the note says.
pub(crate) fn attach_writable(
    stage: &Stage,
    name: &str,
    lower: OwnedFd,
    target: BorrowedFd<'_>,
) -> Result<(OwnedFd, Option<Note>), Fault> {
    attach(&lower, stage.directory(&format!("lower/{name}"))?, name)?;
    match overlay(stage, name, lower.as_fd()) {
        Ok(mount) => {
            attach(&mount, target, name)?;
            Ok((mount, None))
        }
        Err(fault) => {
            attach(&lower, target, name)?;
            add_attributes(lower.as_fd(), Attributes::READ_ONLY, Depth::One).of(name)?;
            let note = format!("{name} is read-only in the container: {}", fault.reason());
            Ok((lower, Some(Note::Fallback(note))))
        }
    }
}

/// An overlay of an empty layer on `lower`, which is attached at `lower/NAME`.
///
/// Layers are named relative to the stage, the working directory: the host's
/// paths are not for the container's `/proc/mounts`, and need no escaping.
fn overlay(stage: &Stage, name: &str, lower: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    let upper = format!("upper/{name}");
    let work = format!("work/{name}");
    stage.directory(&upper)?;
    stage.directory(&work)?;
    // The top of an overlay has the owner and mode of its upper layer.
    take_owner_and_mode(stage, Path::new(&upper), lower).of(&upper)?;
    Filesystem::plain("overlay")
        .with("lowerdir", format!("lower/{name}"))
        .with("upperdir", upper)
        .with("workdir", work)
        .mount(Attributes::empty())
}

fn take_owner_and_mode(stage: &Stage, to: &Path, from: BorrowedFd<'_>) -> nix::Result<()> {
    let from = fstat(from)?;
    let (owner, group) = (Uid::from_raw(from.st_uid), Gid::from_raw(from.st_gid));
    fchownat(stage, to, Some(owner), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_bits_truncate(from.st_mode);
    fchmodat(stage, to, mode, FchmodatFlags::FollowSymlink)
}
