//! Whether a group is still there, for a tenth of what looking for it costs.
//!
//! A descriptor of any file of a group fails once the group is removed, whatever
//! has its name by then. So one of a file that every group has, and that the
//! kernel answers without looking at anything, is kept as its sign of life.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::group::{Group, Version};

/// A sign of life of one group.
#[derive(Debug)]
pub struct Presence(File);

impl Presence {
    /// That of the group with the id `id` (its inode number) that is at `group`.
    ///
    /// # Errors
    ///
    /// When the group is gone, or another one is there by now.
    pub fn of(group: &Group, id: u64) -> io::Result<Self> {
        let name = match group.version() {
            Version::V1 => "notify_on_release",
            Version::V2 => "cgroup.max.depth",
        };
        let dir = group.dir();
        // First: were it another group's, that one is gone when this one is there.
        let file = File::open(dir.join(name))?;
        match dir.metadata()?.ino() == id {
            true => Ok(Self(file)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// True while the group is there.
    pub fn lasts(&self) -> bool {
        let mut beginning = [0; 1];
        self.0.read_at(&mut beginning, 0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_group_with_the_id_has_it() {
        let root = tempfile::tempdir().unwrap();
        for (version, file) in
            [(Version::V1, "notify_on_release"), (Version::V2, "cgroup.max.depth")]
        {
            let group = Group::new(version, root.path().to_owned(), format!("/{file}"));
            assert!(Presence::of(&group, 1).is_err(), "there is no group");
            fs::create_dir(group.dir()).unwrap();
            fs::write(group.dir().join(file), "0\n").unwrap();
            let id = fs::metadata(group.dir()).unwrap().ino();
            assert!(Presence::of(&group, id).unwrap().lasts());
            assert!(Presence::of(&group, id + 1).is_err(), "it is another group");
        }
    }
}
