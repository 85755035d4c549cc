//! How to see, by one read each, that what was found out about a task still holds.
//!
//! A descriptor of `/proc/TID/cgroup` that is kept open follows the task into
//! other groups and fails once the task has ended, so it can never speak for
//! another task with the same id. While it says what it said, the task is in the
//! same groups; its pid namespace never changes. So a decision about a task holds
//! for as long as its own file, and that of its pid namespace's init, say the same.

use std::fs::File;
use std::sync::Arc;

use cgroupfs::interface::with_text;
use cgroupfs::membership::{self, Membership};

use super::task::{Task, TaskError};

/// The file of a task that tells its groups.
pub(super) const GROUPS: &str = "cgroup";

/// What was read about a task, and where to read it again.
#[derive(Debug)]
pub struct Evidence {
    own: KeptText,
    /// About the first process of its pid namespace, where that is another process
    /// than itself, and not the host's.
    init: Option<KeptText>,
}

/// A file that is kept open, with what it said.
#[derive(Debug, Clone)]
pub(super) struct KeptText {
    file: Arc<File>,
    text: Box<str>,
}

impl Evidence {
    pub(super) fn new(own: KeptText, init: Option<KeptText>) -> Self {
        Self { own, init }
    }

    /// True while the task lives and neither it nor its init has moved.
    pub fn holds(&self) -> bool {
        self.own.is_the_same() && self.init.as_ref().is_none_or(KeptText::is_the_same)
    }
}

impl KeptText {
    /// What `file`, the one of `task` that tells its groups, says now.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when the task has ended, or that is not understood.
    pub(super) fn read(task: &Task, file: &Arc<File>) -> Result<(Membership, Self), TaskError> {
        let told = with_text(file, |text| (membership::parse(text), text.into()));
        let (membership, text) = told.map_err(|error| TaskError::new(&task.path(GROUPS), error))?;
        let malformed = |source| TaskError::Format { path: task.path(GROUPS), source };
        Ok((membership.map_err(malformed)?, Self { file: Arc::clone(file), text }))
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    fn is_the_same(&self) -> bool {
        with_text(&self.file, |text| *text == *self.text).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn either_file_that_says_something_else_ends_it() {
        let root = tempfile::tempdir().unwrap();
        let (own, init) = (root.path().join("own"), root.path().join("init"));
        let kept = |path, text: &str| {
            fs::write(path, text).unwrap();
            KeptText { file: Arc::new(File::open(path).unwrap()), text: text.into() }
        };
        let evidence = Evidence::new(kept(&own, "0::/a\n"), Some(kept(&init, "0::/b\n")));
        assert!(evidence.holds());
        fs::write(&init, "0::/c\n").unwrap();
        assert!(!evidence.holds());
        fs::write(&init, "0::/b\n").unwrap();
        assert!(evidence.holds());
        fs::write(&own, "0::/ab\n").unwrap();
        assert!(!evidence.holds());
    }
}
