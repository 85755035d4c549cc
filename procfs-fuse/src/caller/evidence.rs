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
use crate::moment::{Seen, Waited};

/// The file of a task that tells its groups.
pub(super) const GROUPS: &str = "cgroup";

/// What was read about a task, and where to read it again.
#[derive(Debug)]
pub struct Evidence {
    own: KeptText,
    /// About the first process of its pid namespace, where that is another process
    /// than itself, and not the host's; the same for all whose init that is.
    init: Option<Arc<KeptText>>,
}

/// A file that is kept open, with what it said.
#[derive(Debug)]
pub(super) struct KeptText {
    file: Arc<File>,
    text: Box<str>,
    seen: Seen,
}

impl Evidence {
    pub(super) fn new(own: KeptText, init: Option<Arc<KeptText>>) -> Self {
        Self { own, init }
    }

    /// True while the task lives and neither it nor its init has moved. For a request that
    /// has waited, what was seen of its init since does as well.
    pub fn holds(&self, asked: Option<Waited>) -> bool {
        let is_in_place = |init: &Arc<KeptText>| init.seen.or_look(asked, || init.is_the_same());
        self.own.is_the_same() && self.init.as_ref().is_none_or(is_in_place)
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
        let kept = Self { file: Arc::clone(file), text, seen: Seen::default() };
        Ok((membership.map_err(malformed)?, kept))
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// True when both have said the same.
    pub(super) fn says_what(&self, other: &Self) -> bool {
        self.text == other.text
    }

    fn is_the_same(&self) -> bool {
        with_text(&self.file, |text| *text == *self.text).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::moment::Moments;

    fn kept(path: &Path, text: &str) -> KeptText {
        fs::write(path, text).unwrap();
        let file = Arc::new(File::open(path).unwrap());
        KeptText { file, text: text.into(), seen: Seen::default() }
    }

    #[test]
    fn either_file_that_says_something_else_ends_it() {
        let root = tempfile::tempdir().unwrap();
        let (own, init) = (root.path().join("own"), root.path().join("init"));
        let of_init = Arc::new(kept(&init, "0::/b\n"));
        let evidence = Evidence::new(kept(&own, "0::/a\n"), Some(of_init));
        assert!(evidence.holds(None));
        fs::write(&init, "0::/c\n").unwrap();
        assert!(!evidence.holds(None));
        fs::write(&init, "0::/b\n").unwrap();
        assert!(evidence.holds(None));
        fs::write(&own, "0::/ab\n").unwrap();
        assert!(!evidence.holds(None));
    }

    #[test]
    fn who_waited_is_told_by_the_look_that_was_taken_since() {
        let root = tempfile::tempdir().unwrap();
        let (own, init) = (root.path().join("own"), root.path().join("init"));
        let of_init = Arc::new(kept(&init, "0::/b\n"));
        let threads =
            [(); 2].map(|()| Evidence::new(kept(&own, "0::/a\n"), Some(Arc::clone(&of_init))));
        let moments = Moments::default();
        let before = [(); 2].map(|()| moments.now());
        let asked = |since| Some(Waited { since, until: moments.now() });
        assert!(threads[0].holds(asked(before[0])));
        fs::write(&init, "0::/c\n").unwrap();
        assert!(threads[1].holds(asked(before[1])), "it had not moved when that was asked");
        assert!(!threads[1].holds(asked(moments.now())));
        assert!(!threads[1].holds(None));
    }
}
