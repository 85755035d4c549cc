//! Private trees: the same files, but whose they are is said by the tree they are in.
//!
//! The root of either realm lists nothing. Below it each container has a directory,
//! whose name is told to who asked for it ([`door`](super::door)) and can be guessed by
//! nobody. From there on it is the tree that everybody has, and a request for a node
//! of it is answered as in the shared one, with the container known.
//!
//! In the *fresh* realm there is only what the kernel may keep: files whose text has
//! one length for as long as the container runs. They are not opened and closed
//! (`ENOSYS` to the first OPEN means: never ask again); the kernel asks for attributes
//! once these are older than the window, sees another time of change, and reads the text
//! again. Within the window a read asks nobody.
//!
//! What is still mounted of a tree that was given up shows the host's files.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use parking_lot::RwLock;

use crate::fuse::filesystem::{Answer, Filesystem, not_a_file, outcome_of};
use crate::fuse::open_files::Range;
use crate::fuse::reply::{Attributes, Dirent, Known, Reply};
use crate::fuse::request::{Operation, Request, Through};
use crate::fuse::tree::{Place, ROOT};
use crate::serve::OPENING_WORDS;
use crate::shared::counters::Outcome;
use crate::shared::private_trees::{Nodes, PrivateTrees};
use crate::shared::slots::{Realm, Slot};

/// Files of the fresh realm.
const KEPT: [&str; 1] = ["proc/meminfo"];

/// Numbers of nodes in private trees, and what they stand for in the shared one.
#[derive(Debug)]
pub(super) struct PrivateNames {
    noted: &'static Nodes,
    known: RwLock<Learnt>,
}

#[derive(Debug)]
struct Learnt {
    numbers: Vec<u32>,
    places: HashMap<u32, u16>,
}

impl PrivateNames {
    /// Goes on with the numbers that are in use.
    pub(super) fn take_over(trees: &'static PrivateTrees) -> Self {
        let numbers: Vec<u32> = trees.nodes.all().collect();
        let places = numbers.iter().copied().zip(0..=u16::MAX).collect();
        Self { noted: &trees.nodes, known: RwLock::new(Learnt { numbers, places }) }
    }

    /// The number of `place` in the tree `through`; `None` when there is none left.
    pub(super) fn number(&self, through: Through, place: Place) -> Option<u64> {
        let [which, node] = halves(place.number());
        let known = self.known.read().places.get(&node).copied();
        let node = known.or_else(|| self.learn(node))?;
        let which = u16::try_from(which).ok()?;
        Some(u64::from(through.serial) << 32 | u64::from(node) << 16 | u64::from(which))
    }

    fn learn(&self, number: u32) -> Option<u16> {
        let Learnt { numbers, places } = &mut *self.known.write();
        // Two threads may come upon it at once.
        if let Some(place) = places.get(&number) {
            return Some(*place);
        }
        let place = u16::try_from(numbers.len()).ok()?;
        self.noted.note(place, number).then(|| {
            numbers.push(number);
            places.insert(number, place);
            place
        })
    }

    /// The serial of a tree, and the number in the shared tree, for which `number` stands.
    fn apart(&self, number: u64) -> Option<(u32, u64)> {
        let [serial, rest] = halves(number);
        let node = *self.known.read().numbers.get((rest >> 16) as usize)?;
        Some((serial, u64::from(rest & 0xffff) << 32 | u64::from(node)))
    }
}

/// The upper and the lower 32 bits.
fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

/// True when `place` is in the tree `through`: of a fresh one, what is kept and the way there.
pub(super) fn is_in(place: Place, through: Option<Through>) -> bool {
    let is_kept = |kept: &str| {
        kept.strip_prefix(place.path()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !through.is_some_and(|through| through.fresh) || KEPT.iter().any(|kept| is_kept(kept))
}

/// The name of the tree with this serial and token.
pub(super) fn name_of(serial: u32, token: u64) -> String {
    format!("{serial:08x}{token:016x}")
}

impl Filesystem {
    /// Answers what came through one of the private realms.
    pub(super) fn answer_private(
        &self,
        realm: Realm,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Answer {
        let fresh = realm == Realm::Fresh;
        if request.node == ROOT {
            return self.answer_at_root(fresh, request, slot, reply);
        }
        let Some((serial, node)) = self.private.apart(request.node) else {
            // FORGET and the like have no answer, whatever they are about.
            return self.answer_below(&Request { node: 0, ..*request }, slot, reply);
        };
        let request = Request { node, through: Some(Through { serial, fresh }), ..*request };
        match request.operation {
            Operation::Open if fresh => Some(Err(Errno::ENOSYS)),
            Operation::Read { offset, size, .. } | Operation::FillPageCache { offset, size }
                if fresh =>
            {
                let range = Range { unique: request.unique, offset, size };
                Some(self.read_fresh(&request, range, slot, reply))
            }
            _as_in_the_shared_tree => self.answer_below(&request, slot, reply),
        }
    }

    fn answer_at_root(
        &self,
        fresh: bool,
        request: &Request<'_>,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Answer {
        Some(match request.operation {
            Operation::Lookup { name } => self.find_tree(fresh, name, reply),
            Operation::Readdir { offset: 0, size } => {
                for (next, name) in (1..).zip([".", ".."]) {
                    reply.dirent(size, &Dirent { inode: ROOT, next, mode: libc::S_IFDIR, name });
                }
                Ok(())
            }
            Operation::Readdir { .. } => Ok(()),
            // The root of the shared tree has the same number.
            _another => return self.answer_below(request, slot, reply),
        })
    }

    fn find_tree(&self, fresh: bool, name: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        let trees = &self.shared.private_trees;
        let serial = str::from_utf8(name).ok().and_then(|name| name.get(..8));
        let serial = serial.and_then(|serial| u32::from_str_radix(serial, 16).ok());
        let serial = serial.ok_or(Errno::ENOENT)?;
        let tree = trees.find(serial).ok_or(Errno::ENOENT)?;
        if name_of(serial, tree.token()).as_bytes() != name {
            return Err(Errno::ENOENT);
        }
        let top = self.place(ROOT)?;
        let number = self.private.number(Through { serial, fresh }, top).ok_or(Errno::ENOENT)?;
        reply.entry(&Attributes { number, ..self.attributes(top) }, Known::ToWhoAsks);
        Ok(())
    }

    /// Whose files are in a tree: the host's once it was given up.
    pub(super) fn opening_of(&self, through: Through) -> [u64; OPENING_WORDS] {
        let tree = self.shared.private_trees.find(through.serial);
        tree.map_or([0; OPENING_WORDS], |tree| tree.opening())
    }

    /// Makes `attributes` of a file that the kernel keeps those of its text now.
    pub(super) fn refresh(
        &self,
        attributes: &mut Attributes,
        place: Place,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Result<(), Errno> {
        if place.file().is_none() || !request.through.is_some_and(|through| through.fresh) {
            return Ok(());
        }
        let (text, _outcome) = self.text_now(place, request, slot)?;
        attributes.size = text.len() as u64;
        // The clock may be set back; two times that are alike are what may not be.
        attributes.time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        attributes.valid = self.fresh;
        Ok(())
    }

    fn read_fresh(
        &self,
        request: &Request<'_>,
        range: Range,
        slot: &Slot,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let place = self.place(request.node)?;
        let file = place.file().ok_or(not_a_file(place))?;
        let (text, outcome) = self.text_now(place, request, slot)?;
        let (start, end) = range.within(text.len());
        reply.body().extend_from_slice(text.get(start..end).unwrap_or_default());
        self.count(file, outcome, slot);
        Ok(())
    }

    fn text_now(
        &self,
        place: Place,
        request: &Request<'_>,
        slot: &Slot,
    ) -> Result<(Vec<u8>, Outcome), Errno> {
        let file = place.file().ok_or(not_a_file(place))?;
        let opening = self.identify(place, request, slot);
        let mut text = Vec::new();
        let shown = self.text(file, opening, (request, slot), &mut text);
        let shown =
            shown.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        Ok((text, outcome_of(shown)))
    }
}
