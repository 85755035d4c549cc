//! What is decided when a file is opened, as plain numbers.
//!
//! No paths and no descriptors: groups are named by their ids, which the kernel
//! never gives to another group. So an opening fits in a record of fixed size
//! that outlives the process, and says the same to a successor.

use std::io;
use std::os::unix::fs::MetadataExt;

use cgroupfs::controller::Controller;
use cgroupfs::group::{Group, Version};

use crate::caller::Init;
use crate::scope::Groups;

/// Words of 64 bits that an [`Opening`] fits in.
pub const OPENING_WORDS: usize = 24;

const CONTROLLERS: usize = Controller::ALL.len();

// Places in the words; the rest is zero and left for what comes later.
const IDS: usize = 0;
const FLAGS: usize = IDS + CONTROLLERS;
const STARTED: usize = FLAGS + 1;
const DEPTH: usize = STARTED + 1;
const BOOTTIME_OFFSET: usize = DEPTH + 1;

const HAS_INIT: u64 = 1 << 32;
const HAS_BOOTTIME_OFFSET: u64 = 1 << 33;

/// What was decided when a file was opened, for the life of the descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opening {
    /// The groups whose limits count; none for the host.
    pub groups: GroupIds,
    /// The first process of the reader's pid namespace; `None` in the host's, and where the
    /// file says nothing that depends on it.
    pub init: Option<Init>,
    /// What the reader's time namespace adds to the host's `CLOCK_BOOTTIME`, in
    /// nanoseconds; `None` in the host's.
    pub boottime_offset_ns: Option<i64>,
}

/// The groups of a container by id: their inode numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct GroupIds {
    /// In the order of [`Controller::ALL`]; 0 where the container has no group.
    ids: [u64; CONTROLLERS],
    /// Bit n: the n-th is a group of cgroup2.
    v2: u64,
}

impl GroupIds {
    /// The ids of `groups`.
    ///
    /// # Errors
    ///
    /// When one of the groups is gone.
    pub fn of(groups: &Groups) -> io::Result<Self> {
        let mut ids = Self::default();
        let mut last: Option<(&Group, u64)> = None;
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            let Some(group) = groups.get(controller) else { continue };
            // On v2 it is the same group for all.
            let id = match last {
                Some((same, id)) if same == group => id,
                _ => id_of(group)?,
            };
            last = Some((group, id));
            if let Some(place) = ids.ids.get_mut(index) {
                *place = id;
            }
            if group.version() == Version::V2 {
                ids.v2 |= 1 << index;
            }
        }
        Ok(ids)
    }

    /// True for the host, which has no groups that count.
    pub fn is_empty(&self) -> bool {
        self.ids.iter().all(|id| *id == 0)
    }

    /// One number that stands for the ids: the same in every process, and as good
    /// as never the same for another container.
    pub fn name(&self) -> u64 {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let words = self.ids.into_iter().chain([self.v2]);
        words.flat_map(u64::to_ne_bytes).fold(OFFSET_BASIS, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME) // FNV-1a
        })
    }

    /// The groups, by controller, version and id.
    pub fn iter(&self) -> impl Iterator<Item = (Controller, Version, u64)> + '_ {
        Controller::ALL.into_iter().zip(self.ids).enumerate().filter_map(
            |(index, (controller, id))| {
                let version = if self.v2 & 1 << index == 0 { Version::V1 } else { Version::V2 };
                (id != 0).then_some((controller, version, id))
            },
        )
    }
}

/// The id of a group that is there.
///
/// # Errors
///
/// When it is gone.
pub(super) fn id_of(group: &Group) -> io::Result<u64> {
    Ok(group.dir().metadata()?.ino())
}

impl Opening {
    /// The decision as plain words, for the table of open files, which outlives
    /// this process.
    pub fn to_words(&self) -> [u64; OPENING_WORDS] {
        let mut flags = self.groups.v2;
        if self.init.is_some() {
            flags |= HAS_INIT;
        }
        if self.boottime_offset_ns.is_some() {
            flags |= HAS_BOOTTIME_OFFSET;
        }
        let init = self.init.unwrap_or_default();
        let mut words = [0; OPENING_WORDS];
        let mut set = |place: usize, word: u64| {
            if let Some(slot) = words.get_mut(place) {
                *slot = word;
            }
        };
        self.groups.ids.iter().enumerate().for_each(|(index, id)| set(IDS + index, *id));
        set(FLAGS, flags);
        set(STARTED, init.started_ns);
        set(DEPTH, u64::from(init.depth));
        set(BOOTTIME_OFFSET, self.boottime_offset_ns.unwrap_or_default().cast_unsigned());
        words
    }

    /// The decision that [`to_words`](Self::to_words) wrote, maybe in another process.
    pub fn from_words(words: &[u64; OPENING_WORDS]) -> Self {
        let word = |place: usize| words.get(place).copied().unwrap_or_default();
        let flags = word(FLAGS);
        let mut ids = [0; CONTROLLERS];
        ids.iter_mut().enumerate().for_each(|(index, id)| *id = word(IDS + index));
        let depth = u32::try_from(word(DEPTH)).unwrap_or_default();
        let init = Init { started_ns: word(STARTED), depth };
        let offset = word(BOOTTIME_OFFSET).cast_signed();
        Self {
            groups: GroupIds { ids, v2: flags & ((1 << CONTROLLERS) - 1) },
            init: (flags & HAS_INIT != 0).then_some(init),
            boottime_offset_ns: (flags & HAS_BOOTTIME_OFFSET != 0).then_some(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(opening: &Opening) {
        assert_eq!(Opening::from_words(&opening.to_words()), *opening);
    }

    #[test]
    fn words_say_what_was_decided() {
        check(&Opening::default());
        check(&Opening {
            groups: GroupIds { ids: [1, 0, u64::MAX, 4, 5, 6], v2: 0b10_1100 },
            init: Some(Init { started_ns: u64::MAX, depth: 32 }),
            boottime_offset_ns: Some(-1),
        });
        check(&Opening { boottime_offset_ns: Some(0), ..Opening::default() });
        check(&Opening { init: Some(Init::default()), ..Opening::default() });
    }

    #[test]
    fn zeroed_memory_is_the_host() {
        let opening = Opening::from_words(&[0; OPENING_WORDS]);
        assert_eq!(opening, Opening::default());
        assert!(opening.groups.is_empty());
    }

    #[test]
    fn groups_are_named_by_controller_version_and_inode() {
        let root = tempfile::tempdir().unwrap();
        let group = |version, name: &str| {
            let group = Group::new(version, root.path().to_owned(), name.to_owned());
            std::fs::create_dir_all(group.dir()).unwrap();
            group
        };
        let (memory, pids) = (group(Version::V1, "/m"), group(Version::V2, "/p"));
        let groups =
            Groups::from([(Controller::Memory, memory.clone()), (Controller::Pids, pids.clone())]);
        let ids: Vec<_> = GroupIds::of(&groups).unwrap().iter().collect();
        assert_eq!(
            ids,
            [
                (Controller::Memory, Version::V1, id_of(&memory).unwrap()),
                (Controller::Pids, Version::V2, id_of(&pids).unwrap()),
            ]
        );
        std::fs::remove_dir(pids.dir()).unwrap();
        assert!(GroupIds::of(&groups).is_err());
    }
}
