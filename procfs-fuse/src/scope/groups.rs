//! The groups of a container, in as little memory as they take: they are kept for each
//! container that lives, of which there may be thousands.
//!
//! What this module does not do: say which groups count; that is the [rule](super::groups_of).

use cgroupfs::controller::Controller;
use cgroupfs::group::Group;

/// The groups of a container, for each controller that limits or counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Groups(Vec<(Controller, Group)>);

impl Groups {
    /// No groups: the host's.
    pub fn new() -> Self {
        Self::default()
    }

    /// True for the host.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The group for `controller`.
    pub fn get(&self, controller: Controller) -> Option<&Group> {
        self.iter().find_map(|(of, group)| (of == controller).then_some(group))
    }

    /// All of them, in the order of controllers.
    pub fn iter(&self) -> impl Iterator<Item = (Controller, &Group)> {
        self.0.iter().map(|(controller, group)| (*controller, group))
    }
}

/// In any order; of several for one controller the first counts.
impl FromIterator<(Controller, Group)> for Groups {
    fn from_iter<I: IntoIterator<Item = (Controller, Group)>>(groups: I) -> Self {
        let mut all: Vec<(Controller, Group)> = Vec::with_capacity(Controller::ALL.len());
        for (controller, group) in groups {
            // On v2 it is the same group for all, and copies share their texts.
            let known = all.iter().find(|(_, known)| *known == group);
            let group = known.map_or(group, |(_, known)| known.clone());
            all.push((controller, group));
        }
        all.sort_by_key(|(controller, _)| *controller);
        all.dedup_by_key(|(controller, _)| *controller);
        all.shrink_to_fit();
        Self(all)
    }
}

impl<const N: usize> From<[(Controller, Group); N]> for Groups {
    fn from(groups: [(Controller, Group); N]) -> Self {
        groups.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cgroupfs::group::Version;

    use super::*;

    #[test]
    fn they_are_in_the_order_of_controllers_and_once_each() {
        let group = |path: &str| Group::new(Version::V1, Path::new("/cg"), path);
        let all = [(Controller::Pids, "/p"), (Controller::Memory, "/m"), (Controller::Pids, "/q")];
        let groups: Groups = all.into_iter().map(|(of, path)| (of, group(path))).collect();
        let found: Vec<_> = groups.iter().map(|(of, group)| (of, group.path())).collect();
        assert_eq!(found, [(Controller::Memory, "/m"), (Controller::Pids, "/p")]);
        assert_eq!(groups.get(Controller::Pids), Some(&group("/p")));
        assert_eq!(groups.get(Controller::Cpu), None);
        assert!(Groups::new().is_empty());
    }

    /// A text for each controller would be six of them for each container.
    #[test]
    fn groups_that_are_the_same_share_their_texts() {
        let group = || Group::new(Version::V2, Path::new("/cg"), "/a");
        let groups = Groups::from(Controller::ALL.map(|of| (of, group())));
        let texts: Vec<_> = groups.iter().map(|(_, group)| group.path().as_ptr()).collect();
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }
}
