//! Which tasks are in a group and in all groups beneath it.
//!
//! Only lists ids: what each task is doing is in `/proc`, which is not this
//! crate's business.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::group::{Group, Version};

/// What reading the list of a group gives that is removed at that moment.
const ENODEV: i32 = 19;

/// Bytes that the kernel gives of a list at once.
const PIECE: usize = 4096;

/// Links of a directory in which no other is: its name, and its own `.`.
const LINKS_OF_CHILDLESS: u64 = 2;

/// The thread ids of `group` and of every group beneath it, at any depth, in no
/// particular order.
///
/// Groups that are removed while we walk have no tasks and are skipped.
///
/// # Errors
///
/// When the list of the group itself cannot be read.
pub fn threads(group: &Group) -> io::Result<Vec<u32>> {
    let name = match group.version() {
        Version::V1 => "tasks",
        Version::V2 => "cgroup.threads",
    };
    let (mut ids, dir) = (Vec::new(), group.dir());
    append_ids(&text_of(&dir.join(name))?, &mut ids);
    let mut beneath = children(&dir);
    while let Some(dir) = beneath.pop() {
        match text_of(&dir.join(name)) {
            Ok(text) => append_ids(&text, &mut ids),
            Err(error) if vanished(&error) => {}
            Err(error) => return Err(error),
        }
        beneath.extend(children(&dir));
    }
    Ok(ids)
}

fn vanished(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
}

/// A list is a few lines long or many: it is read in pieces of a page, with no small one
/// before them to find that out.
fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::with_capacity(PIECE);
    File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn append_ids(text: &str, ids: &mut Vec<u32>) {
    // A task outside of our pid namespace is listed as 0.
    ids.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|id: &u32| *id != 0));
}

/// The directories of the groups directly beneath; none when `dir` is gone.
fn children(dir: &Path) -> Vec<PathBuf> {
    // The kernel counts them among the links: seldom need they be listed.
    if fs::metadata(dir).is_ok_and(|metadata| metadata.nlink() == LINKS_OF_CHILDLESS) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, files: &[(&str, &str)], expected: &[u32]) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let group = Group::new(version, root.path().to_owned(), "/a".to_owned());
        let mut ids = threads(&group).unwrap();
        ids.sort_unstable();
        assert_eq!(ids, expected);
    }

    #[test]
    fn groups_beneath_count_at_any_depth() {
        let files = [
            ("a/cgroup.threads", "10\n11\n"),
            ("a/b/cgroup.threads", ""),
            ("a/b/c/d/e/f/cgroup.threads", "12\n"),
            ("z/cgroup.threads", "99\n"),
        ];
        check(Version::V2, &files, &[10, 11, 12]);
        check(Version::V1, &[("a/tasks", "1\n"), ("a/b/tasks", "2\n")], &[1, 2]);
    }

    #[test]
    fn a_task_that_we_cannot_name_is_left_out() {
        check(Version::V2, &[("a/cgroup.threads", "0\n5\n")], &[5]);
    }

    #[test]
    fn a_removed_group_has_no_list() {
        let group = Group::new(Version::V2, PathBuf::from("/no/such"), "/a".to_owned());
        assert_eq!(threads(&group).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
