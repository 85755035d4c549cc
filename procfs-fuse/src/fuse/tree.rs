//! The directories, files and links of the mount, each found when it is asked for.
//!
//! The one idea: a node's number is computed from its path alone
//! ([`number_of`]), so it is the same in every process and every version that
//! serves the path. The kernel keeps node numbers for as long as a container
//! runs, far longer than a worker lives. What a number stands for is noted in the
//! memory that outlives workers; a worker that is asked for another one (the version
//! before kept no such notes) goes through the machine's names until it comes upon it.
//!
//! What is about a CPU is in the tree once, below `cpu*`, and stands for the same
//! thing of every CPU there may ever be; blocks of memory likewise, below `memory*`.
//! A [`Place`] is a node and the number of one of these, and its number has both.
//!
//! What this module does not do: look at the machine, say what a file contains or
//! which CPUs and blocks somebody has (`serve`), or encode answers (`reply`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::{Mutex, RwLock};

use crate::serve::{self, File, Found, Kind, Names, Numbered, Walk};
use crate::shared::paths::Paths;

/// The number of the mount's root; `FUSE_ROOT_ID`.
pub const ROOT: u64 = 1;

/// The nodes that were come upon so far.
#[derive(Debug)]
pub struct Tree {
    /// What the machine has.
    pub names: Names,
    /// Root of the machine: `/`.
    root: PathBuf,
    /// There are no more of them than the machine has names, so they stay for as
    /// long as the process lives.
    nodes: RwLock<HashMap<u32, &'static Node>>,
    /// What earlier workers came upon.
    noted: &'static Paths,
    unseen: Mutex<Unseen>,
}

/// What numbers may stand for that nobody has asked for by name.
#[derive(Debug)]
struct Unseen {
    walk: Walk,
    /// What the walk has passed.
    passed: HashMap<u32, Found>,
}

/// One directory, file or link; the same one of each CPU or block is one node.
#[derive(Debug)]
pub struct Node {
    /// See [`number_of`].
    number: u32,
    path: String,
    kind: Kind,
    /// What it is about, when that is one of several.
    numbered: Option<Numbered>,
    /// Whether every CPU has it; looked at when it matters.
    is_everywhere: OnceLock<bool>,
}

/// A node, and which CPU or block of memory it is about.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The node.
    pub node: &'static Node,
    /// The number of that as the reader counts; `None` for what is about none.
    pub which: Option<u32>,
}

/// The number of the node at `path` below the mount point (no slash at either end).
///
/// FNV-1a over the path, 32 bits wide because programs built without large file
/// support cannot `stat` a file with a larger inode number. A test shows that no
/// two paths of a machine with all of them share a number.
pub fn number_of(path: &str) -> u32 {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    if path.is_empty() {
        return 1;
    }
    path.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// The prime of 32-bit FNV.
const PRIME: u32 = 0x0100_0193;

impl Tree {
    /// The tree of the machine below `root`, of which earlier workers have `noted`
    /// something; nothing is looked at yet.
    pub fn new(root: &Path, noted: &'static Paths) -> Self {
        let names = Names::new(root);
        let unseen = Unseen { walk: names.walk(), passed: HashMap::new() };
        Self {
            names,
            root: root.to_owned(),
            nodes: RwLock::default(),
            noted,
            unseen: Mutex::new(unseen),
        }
    }

    /// What has this number, if there is anything.
    pub fn place(&self, number: u64) -> Option<Place> {
        let [which, number] = halves(number);
        let node = self.known(number).or_else(|| self.seek(number))?;
        Place::new(node, which.checked_sub(1))
    }

    /// The node at `path`, if it was come upon before.
    pub fn node_at(&self, path: &str) -> Option<&'static Node> {
        self.known(number_of(path)).filter(|node| node.path == path)
    }

    /// The node at `path`, if it was come upon before or the machine has, at `host`,
    /// something that is served there.
    pub fn find(&self, path: &str, host: &Path) -> Option<&'static Node> {
        self.node_at(path).or_else(|| {
            let kind = self.names.kind_at(host, path)?;
            let number = number_of(path);
            // Two threads may come upon it at once: the first one's stays.
            let mut nodes = self.nodes.write();
            let node = *nodes.entry(number).or_insert_with(|| Box::leak(Node::new(path, kind)));
            self.noted.note(number, &node.path);
            // Another path with this number, should there ever be one, is not served.
            (node.path == path).then_some(node)
        })
    }

    /// The directory that `place` is in.
    pub fn parent(&self, place: Place) -> Option<Place> {
        let path = place.path().rsplit_once('/').map_or("", |(above, _name)| above);
        let which = place.which.filter(|_which| Numbered::in_path(path).is_some());
        let number = number_of(path);
        let node = self.known(number).or_else(|| self.seek(number))?;
        Place::new(node, which)
    }

    /// True when `place` is there for some who look and not for others.
    pub fn depends_on_who_looks(&self, place: Place) -> bool {
        let looked = || self.names.is_everywhere(place.path());
        place.named().is_some() || !place.node.is_everywhere.get_or_init(looked)
    }

    fn known(&self, number: u32) -> Option<&'static Node> {
        self.nodes.read().get(&number).copied()
    }

    /// The node with this number, which nobody has asked for by name.
    fn seek(&self, number: u32) -> Option<&'static Node> {
        let is_it = |path: &&str| number_of(path) == number;
        if let Some(path) = serve::plain_paths().find(is_it) {
            return self.find(path, &self.root.join(path));
        }
        if let Some(path) = self.noted.find(number) {
            return self.find(&path, &self.names.first_place(&path)?);
        }
        if let Some(path) = self.names.linked_paths().find(is_it) {
            return self.find(path, &self.root.join(path));
        }
        self.walk_to(number)
    }

    /// Goes through the names of the machine for one with this number, from where it
    /// was left the last time.
    fn walk_to(&self, number: u32) -> Option<&'static Node> {
        let found = {
            let Unseen { walk, passed } = &mut *self.unseen.lock();
            if !passed.contains_key(&number) {
                for found in walk {
                    let passing = number_of(&found.path);
                    passed.insert(passing, found);
                    if passing == number {
                        break;
                    }
                }
            }
            passed.get(&number)?.clone()
        };
        self.find(&found.path, &found.host)
    }
}

/// The upper and the lower 32 bits.
fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

impl Node {
    fn new(path: &str, kind: Kind) -> Box<Self> {
        Box::new(Self {
            number: number_of(path),
            path: path.to_owned(),
            kind,
            numbered: Numbered::in_path(path).map(|(numbered, _before)| numbered),
            is_everywhere: OnceLock::new(),
        })
    }

    /// The last part of its path; empty for the root.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl Place {
    /// `node`, or the one of it that is about this CPU or block; `None` for one that
    /// is about one of several when it is not said which, and the other way round.
    pub fn new(node: &'static Node, which: Option<u32>) -> Option<Self> {
        (which.is_some() == node.numbered.is_some()).then_some(Self { node, which })
    }

    /// Its number for the kernel: that of the node, and above its 32 bits that of
    /// the CPU or block, counted from 1.
    pub fn number(self) -> u64 {
        let which = self.which.map_or(0, |which| u64::from(which) + 1);
        which << 32 | u64::from(self.node.number)
    }

    /// Its inode number for people, 32 bits wide: `stat` and nobody else uses it.
    pub fn inode(self) -> u64 {
        let hash = |number: u32, which: u32| (number ^ which).wrapping_mul(PRIME);
        u64::from(self.which.map_or(self.node.number, |which| hash(self.node.number, which)))
    }

    /// Its path, in which one part may be `cpu*` or `memory*`.
    pub fn path(self) -> &'static str {
        &self.node.path
    }

    /// The path of what is called `name` in it, and the number in that.
    pub fn below(self, name: &str) -> (String, Option<u32>) {
        let numbered = match self.which {
            Some(_already) => None,
            None => Numbered::in_name(name),
        };
        let (name, which) = match numbered {
            Some((numbered, number)) => (numbered.any(), Some(number)),
            None => (name, self.which),
        };
        let slash = if self.path().is_empty() { "" } else { "/" };
        (format!("{}{slash}{name}", self.path()), which)
    }

    /// Its name in its directory.
    pub fn name(self) -> String {
        match (self.named(), self.which) {
            (Some(numbered), Some(which)) => serve::path_of(numbered.any(), which),
            _plain => self.node.name().to_owned(),
        }
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node.kind
    }

    /// As an open file; `None` when it is none.
    pub fn file(self) -> Option<File<'static>> {
        match self.kind() {
            Kind::File { entry, .. } => Some(File { entry, path: self.path(), which: self.which }),
            Kind::Directory { .. } | Kind::Link => None,
        }
    }

    /// What it is about, when that is one of several.
    pub fn numbered(self) -> Option<Numbered> {
        self.node.numbered
    }

    /// What it is named after, when that is one of several.
    pub fn named(self) -> Option<Numbered> {
        self.numbered().filter(|numbered| self.node.name() == numbered.any())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::shared_memory;

    const CPU: &str = "sys/devices/system/cpu";

    /// A machine with the CPUs 0, 1 and 7, of which only the last can be unplugged.
    fn machine() -> tempfile::TempDir {
        let machine = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = machine.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
        };
        write("proc/meminfo");
        write(&format!("{CPU}/online"));
        for cpu in [0, 1, 7] {
            write(&format!("{CPU}/cpu{cpu}/topology/core_id"));
        }
        write(&format!("{CPU}/cpu7/online"));
        symlink("../../node/node0", machine.path().join(CPU).join("cpu7/node0")).unwrap();
        machine
    }

    /// Memory in which nothing is noted.
    fn nothing_noted() -> &'static Paths {
        &shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap().paths
    }

    fn tree(root: &Path) -> Tree {
        Tree::new(root, nothing_noted())
    }

    /// Looks `path` up, from the root on, as somebody who has all of the host's CPUs.
    fn find(tree: &Tree, path: &str) -> Option<Place> {
        path.split('/').try_fold(tree.place(ROOT)?, |place, name| {
            let (path, which) = place.below(name);
            let host = which.map_or(path.clone(), |which| serve::path_of(&path, which));
            Place::new(tree.find(&path, &tree.root.join(host))?, which)
        })
    }

    const PATHS: &[&str] = &[
        "proc/meminfo",
        "sys/devices/system/cpu/online",
        "sys/devices/system/cpu/cpu0/topology/core_id",
        "sys/devices/system/cpu/cpu7/node0",
    ];

    #[test]
    fn no_two_paths_of_this_machine_share_a_number() {
        let tree = tree(Path::new("/"));
        for listed in serve::list(Path::new("/")) {
            let found = tree.known(number_of(&listed.path));
            let found = found.or_else(|| tree.seek(number_of(&listed.path))).unwrap();
            assert_eq!(found.path, listed.path);
        }
    }

    /// Numbers outlive versions: a kernel that remembers them must find the same
    /// files after an upgrade.
    #[test]
    fn numbers_are_the_same_for_ever() {
        assert_eq!(number_of(""), 1);
        assert_eq!(number_of("proc"), 0xec3e_2fe1);
        assert_eq!(number_of("proc/meminfo"), 0x8cac_d7f3);
        let machine = machine();
        let number = find(&tree(machine.path()), PATHS[2]).unwrap().number();
        assert_eq!(number, 1 << 32 | u64::from(number_of(&format!("{CPU}/cpu*/topology/core_id"))));
    }

    #[test]
    fn every_path_can_be_walked_there_and_back() {
        let machine = machine();
        let tree = tree(machine.path());
        for path in PATHS {
            let place = find(&tree, path).unwrap();
            assert_eq!(place.name(), path.rsplit('/').next().unwrap());
            let mut above = place;
            for _part in path.split('/') {
                above = tree.parent(above).unwrap();
            }
            assert_eq!(above.number(), ROOT, "{path}");
        }
    }

    /// The next worker is asked for numbers that nobody has looked up there.
    #[test]
    fn a_number_is_enough_to_find_its_path() {
        let machine = machine();
        let notes = nothing_noted();
        let before = Tree::new(machine.path(), notes);
        let numbers: Vec<_> =
            PATHS.iter().map(|path| find(&before, path).unwrap().number()).collect();
        for after in [|_notes| nothing_noted(), |notes| notes] {
            for number in &numbers {
                let shown = |tree: &Tree| {
                    let place = tree.place(*number)?;
                    Some((place.path(), place.name(), tree.parent(place)?.number()))
                };
                assert_eq!(shown(&Tree::new(machine.path(), after(notes))), shown(&before));
            }
        }
    }

    /// Nor has the machine to be walked through for it, which takes long.
    #[test]
    fn what_was_noted_is_not_looked_for() {
        let machine = machine();
        let notes = nothing_noted();
        let before = Tree::new(machine.path(), notes);
        let number = find(&before, PATHS[3]).unwrap().number();
        let after = Tree::new(machine.path(), notes);
        after.place(number).unwrap();
        assert!(after.unseen.lock().passed.is_empty());
    }

    #[test]
    fn what_the_machine_has_not_is_not_there() {
        let machine = machine();
        let tree = tree(machine.path());
        for path in ["etc", "proc/", "proc/cpu0", "proc/stat", "sys/devices/system/node"] {
            assert!(find(&tree, path).is_none(), "{path}");
        }
        for name in ["cpu*", "cpu01", "cpu2", "cpu0/cpu0", "cpu0/online"] {
            assert!(find(&tree, &format!("{CPU}/{name}")).is_none(), "{name}");
        }
        for number in [0xdead, 0, 1 << 32 | ROOT, u64::from(number_of(&format!("{CPU}/cpu*")))] {
            assert!(tree.place(number).is_none(), "{number:x}");
        }
    }

    /// Anybody may ask for a name of which the number is another's.
    #[test]
    fn a_path_with_anothers_number_is_not_there() {
        let machine = machine();
        let tree = tree(machine.path());
        let meminfo = find(&tree, "proc/meminfo").unwrap().node;
        tree.nodes.write().insert(number_of("proc/stat"), meminfo);
        fs::write(machine.path().join("proc/stat"), "").unwrap();
        assert!(tree.node_at("proc/stat").is_none() && find(&tree, "proc/stat").is_none());
        assert!(find(&tree, "proc/meminfo").is_some());
    }

    #[test]
    fn who_looks_matters_for_cpus_and_what_not_all_of_them_have() {
        let machine = machine();
        let tree = tree(machine.path());
        let depends =
            |path: &str| tree.depends_on_who_looks(find(&tree, &format!("{CPU}{path}")).unwrap());
        assert!(depends("/cpu0") && depends("/cpu7/online") && depends("/cpu7/node0"));
        assert!(!depends("") && !depends("/online") && !depends("/cpu0/topology/core_id"));
    }
}
