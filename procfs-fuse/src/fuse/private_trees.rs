//! Making private trees and giving them up.
//!
//! A tree is made for the control groups of a process, and is theirs: it goes when they
//! do. That is looked for whenever the number of trees has doubled, and when there is
//! no room for another one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::fuse::filesystem::Filesystem;
use crate::fuse::private::name_of;
use crate::fuse::source::Source;
use crate::log::limited;
use crate::serve::{BindError, OPENING_WORDS, Opening};
use crate::shared::slots::Realm;
use crate::sys::fuse_device;

/// Trees that there may be before those whose groups are gone are looked for.
const FIRST_SWEEP: usize = 64;

/// A tree that was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// The name of its directory in the root of either realm.
    pub(crate) name: String,
    /// There is something of it in the fresh realm.
    pub(crate) has_fresh: bool,
}

/// Why no tree is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// This worker cannot tell whose files are whose.
    #[error("only the host's files can be served at the moment")]
    Fallback,
    /// The process is in no container.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The table is full of trees that are in use.
    #[error("there are too many private trees")]
    Full,
    /// No random number.
    #[error("cannot read /dev/urandom")]
    Random(#[source] io::Error),
}

/// When to look for trees whose groups are gone.
#[derive(Debug)]
pub(super) struct Sweeps {
    at: AtomicUsize,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self { at: AtomicUsize::new(FIRST_SWEEP) }
    }
}

impl Filesystem {
    /// Makes a tree for the groups that the process `process` is in; `devices` are told of
    /// trees that are given up to make room.
    pub(crate) fn make_private_tree(
        &self,
        process: u32,
        devices: &[Option<OwnedFd>],
    ) -> Result<Made, MakeError> {
        let Source::Server(server, _rehearsals) = &self.source else {
            return Err(MakeError::Fallback);
        };
        let opening = server.bind(process)?;
        let token = random().map_err(MakeError::Random)?;
        let trees = &self.shared.private_trees;
        if trees.all().count() >= self.sweeps.at.load(Relaxed) {
            self.give_up_what_is_gone(devices);
        }
        let words = opening.to_words();
        let serial = trees.make(token, &words).ok_or(MakeError::Full)?;
        let has_fresh = !self.fresh.is_zero() && server.has_meminfo_of_one_length(&opening);
        Ok(Made { name: name_of(serial, token), has_fresh })
    }

    /// Gives up trees whose groups were removed.
    pub(crate) fn give_up_what_is_gone(&self, devices: &[Option<OwnedFd>]) {
        let Source::Server(server, _rehearsals) = &self.source else { return };
        let trees = &self.shared.private_trees;
        let openings: Vec<(u32, [u64; OPENING_WORDS])> =
            trees.all().map(|(serial, tree)| (serial, tree.opening())).collect();
        let is_there =
            server.are_there(openings.iter().map(|(_, words)| Opening::from_words(words)));
        let gone = openings.iter().zip(is_there).filter(|(_opening, is_there)| !is_there);
        for ((serial, _words), _gone) in gone {
            let Some(tree) = trees.find(*serial) else { continue };
            let name = name_of(*serial, tree.token());
            tree.give_up();
            forget(devices, &name);
        }
        self.sweeps.at.store(FIRST_SWEEP.max(trees.all().count() * 2), Relaxed);
    }
}

/// Has the kernel forget all names in the tree called `name`, which it would keep until it is
/// short of memory.
fn forget(devices: &[Option<OwnedFd>], name: &str) {
    for realm in [Realm::Private, Realm::Fresh] {
        let Some(Some(device)) = devices.get(realm.first_thread()) else { continue };
        match fuse_device::forget_name(device.as_fd(), crate::fuse::tree::ROOT, name) {
            // ENOENT: it knows no such name.
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                limited!(debug, %error, "the kernel keeps names of a private tree for now");
            }
            _forgotten => {}
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
