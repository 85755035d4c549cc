//! Which groups a process is in: `/proc/PID/cgroup`.
//!
//! One line per hierarchy, `id:controllers:path`; the cgroup2 hierarchy has id 0
//! and no controllers. The lines also tell which version serves a controller *at
//! this moment*: a controller that is named on no v1 line is left to cgroup2.
//!
//! Paths are relative to the root of the *reader's* cgroup namespace, so that a
//! group outside of it begins with `/..`. What that means on disk is answered by
//! [`layout`](crate::layout), which knows where the hierarchies are mounted.
//!
//! Kernel source of truth: `proc_cgroup_show()` in kernel/cgroup/cgroup.c.

use crate::controller::Controller;
use crate::format::FormatError;

/// The groups of one process, one for each hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The file, each line of which is understood.
    text: Box<str>,
}

/// A line of the file.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    id: &'a str,
    controllers: &'a str,
    path: &'a str,
}

/// A process's group in the hierarchy that serves a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Path in the v1 hierarchy that the controller is bound to.
    V1(&'a str),
    /// Path in the cgroup2 hierarchy.
    V2(&'a str),
}

impl Membership {
    /// Where the process is as far as `controller` is concerned; `None` when the
    /// kernel has neither a v1 hierarchy with it nor cgroup2.
    pub fn place(&self, controller: Controller) -> Option<Place<'_>> {
        let wanted = controller.v1_name();
        let names = |line: &Line<'_>| line.controllers.split(',').any(|name| name == wanted);
        match self.lines().find(names) {
            Some(line) => Some(Place::V1(line.path)),
            None => self.unified().map(Place::V2),
        }
    }

    /// Its path in the cgroup2 hierarchy, whatever that one serves; `None` when the
    /// kernel has none.
    pub fn unified(&self) -> Option<&str> {
        self.lines().find(|line| line.id == UNIFIED).map(|line| line.path)
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().filter_map(Line::of)
    }
}

impl<'a> Line<'a> {
    /// `None` when it has no three fields or no absolute path.
    fn of(line: &'a str) -> Option<Self> {
        // A path may hold colons itself: only the first two separate.
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        path.starts_with('/').then_some(Self { id, controllers, path })
    }
}

/// The id of the cgroup2 hierarchy.
const UNIFIED: &str = "0";

/// Parses the text of `/proc/PID/cgroup`.
///
/// # Errors
///
/// [`FormatError`] with the line that has no three fields or no absolute path.
pub fn parse(text: &str) -> Result<Membership, FormatError> {
    match text.lines().find(|line| Line::of(line).is_none()) {
        Some(line) => Err(FormatError::new("\"<id>:<controllers>:<absolute path>\"", line)),
        None => Ok(Membership { text: text.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "9:name=systemd:/\n5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n\
                          3:cpuset:/\n0::/docker/unified\n";

    #[track_caller]
    fn check(text: &str, controller: Controller, place: Option<Place<'_>>) {
        assert_eq!(parse(text).unwrap().place(controller), place, "{controller:?} in {text:?}");
    }

    #[test]
    fn a_controller_bound_to_a_v1_hierarchy_is_found_there() {
        check(HYBRID, Controller::Memory, Some(Place::V1("/docker/abc")));
        check(HYBRID, Controller::Cpuset, Some(Place::V1("/")));
    }

    #[test]
    fn co_mounted_controllers_share_a_path() {
        check(HYBRID, Controller::Cpu, Some(Place::V1("/docker/abc")));
        check(HYBRID, Controller::Cpuacct, Some(Place::V1("/docker/abc")));
    }

    #[test]
    fn a_controller_on_no_v1_line_is_cgroup2s() {
        check(HYBRID, Controller::Pids, Some(Place::V2("/docker/unified")));
        check("0::/user.slice\n", Controller::Memory, Some(Place::V2("/user.slice")));
    }

    #[test]
    fn without_either_there_is_no_place() {
        check("4:memory:/a\n", Controller::Pids, None);
        check("", Controller::Memory, None);
    }

    #[test]
    fn a_named_hierarchy_serves_no_controller() {
        check("1:name=memory:/a\n0::/b\n", Controller::Memory, Some(Place::V2("/b")));
    }

    #[test]
    fn a_path_keeps_its_colons_and_its_way_up() {
        check("0::/a:b::c\n", Controller::Memory, Some(Place::V2("/a:b::c")));
        check("0::/../../pod\n", Controller::Memory, Some(Place::V2("/../../pod")));
    }

    #[test]
    fn the_note_of_a_removed_group_is_no_part_of_its_name() {
        check("0::/gone (deleted)\n", Controller::Memory, Some(Place::V2("/gone")));
    }

    #[test]
    fn the_rest_is_refused() {
        for line in ["0:/", "0::relative", "memory"] {
            assert_eq!(parse(line).unwrap_err().found, line);
        }
    }
}
