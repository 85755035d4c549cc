//! The directories, files and links of the mount, derived from what is listed.
//!
//! The one idea: a node's number is computed from its path alone
//! ([`number_of`]), so it is the same in every process and every version that
//! serves the path. The kernel keeps node numbers for as long as a container
//! runs, far longer than a worker lives.
//!
//! What is about a CPU is in the tree once, below `cpu*`, and stands for the same
//! thing of every CPU there may ever be; blocks of memory likewise, below `memory*`.
//! A [`Place`] is a node and the number of one of these, and its number has both.
//!
//! What this module does not do: say what a file contains or which CPUs and blocks
//! somebody has (`serve`), or encode answers (`reply`).

use std::collections::HashMap;

use crate::serve::{self, File, Listed, Numbered};

/// The number of the mount's root; `FUSE_ROOT_ID`.
pub const ROOT: u64 = 1;

/// All nodes, the root first.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    places: HashMap<u32, usize>,
}

/// One directory, file or link; the same one of each CPU or block is one node.
#[derive(Debug)]
pub struct Node {
    /// See [`number_of`].
    number: u32,
    /// Number of the directory it is in; the root's is its own.
    parent: u32,
    /// What it is, and where.
    listed: Listed,
    /// What it is about, when that is one of several.
    numbered: Option<Numbered>,
    /// The numbers of what is in it, when it is a directory.
    children: Vec<u32>,
}

/// A node, and which CPU or block of memory it is about.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The node.
    pub node: &'a Node,
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
    /// The tree of what is listed and the directories above it.
    pub fn new(listed: impl IntoIterator<Item = Listed>) -> Self {
        let number = number_of("");
        let root = Node::new(number, number, directory(""));
        let mut tree = Self { nodes: vec![root], places: HashMap::from([(number, 0)]) };
        for listed in listed {
            tree.add(listed);
        }
        tree
    }

    /// What has this number, if there is anything.
    pub fn place(&self, number: u64) -> Option<Place<'_>> {
        let [which, node] = halves(number);
        let node = self.nodes.get(*self.places.get(&node)?)?;
        let place = Place { node, which: which.checked_sub(1) };
        (place.which.is_some() == place.numbered().is_some()).then_some(place)
    }

    /// What is called `name` in `directory`, if there is such a thing at all.
    pub fn child(&self, directory: Place<'_>, name: &[u8]) -> Option<Place<'_>> {
        let name = str::from_utf8(name).ok()?;
        let mut places = self.children(directory).filter(|place| place.named().is_none());
        places.find(|place| place.node.name() == name).or_else(|| {
            let (numbered, number) = Numbered::in_name(name)?;
            let of_all = self.children(directory).find(|place| place.named() == Some(numbered))?;
            Some(Place { which: directory.which.or(Some(number)), ..of_all })
        })
    }

    /// What is in `directory`. That which is named by number is there once, without
    /// one.
    pub fn children<'a>(&'a self, directory: Place<'_>) -> impl Iterator<Item = Place<'a>> {
        let indices = directory.node.children.iter().filter_map(|child| self.places.get(child));
        let nodes: Vec<_> = indices.filter_map(|index| self.nodes.get(*index)).collect();
        nodes.into_iter().map(move |node| Place { node, which: directory.which })
    }

    /// The directory that `place` is in.
    pub fn parent(&self, place: Place<'_>) -> Option<Place<'_>> {
        let index = self.places.get(&place.node.parent)?;
        let node = self.nodes.get(*index)?;
        let which = place.which.filter(|_which| node.numbered.is_some());
        Some(Place { node, which })
    }

    fn add(&mut self, listed: Listed) {
        let mut parent = number_of("");
        let path = listed.path.clone();
        for (slash, _) in path.match_indices('/') {
            let (above, _) = path.split_at(slash);
            parent = self.insert(parent, directory(above));
        }
        self.insert(parent, listed);
    }

    /// Adds a node unless there is one at its path; returns its number.
    fn insert(&mut self, parent: u32, listed: Listed) -> u32 {
        let number = number_of(&listed.path);
        if self.places.contains_key(&number) {
            return number;
        }
        self.places.insert(number, self.nodes.len());
        self.nodes.push(Node::new(number, parent, listed));
        let above = self.places.get(&parent).and_then(|place| self.nodes.get_mut(*place));
        above.into_iter().for_each(|above| above.children.push(number));
        number
    }
}

fn directory(path: &str) -> Listed {
    Listed { path: path.to_owned(), kind: serve::Kind::Directory, is_everywhere: true }
}

/// The upper and the lower 32 bits.
fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

impl Node {
    fn new(number: u32, parent: u32, listed: Listed) -> Self {
        let numbered = Numbered::in_path(&listed.path).map(|(numbered, _before)| numbered);
        Self { number, parent, listed, numbered, children: Vec::new() }
    }

    /// The last part of its path; empty for the root.
    fn name(&self) -> &str {
        self.listed.path.rsplit('/').next().unwrap_or_default()
    }
}

impl<'a> Place<'a> {
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
    pub fn path(self) -> &'a str {
        &self.node.listed.path
    }

    /// Its name in its directory.
    pub fn name(self) -> String {
        match (self.named(), self.which) {
            (Some(numbered), Some(which)) => serve::path_of(numbered.any(), which),
            _plain => self.node.name().to_owned(),
        }
    }

    /// What it is.
    pub fn kind(self) -> serve::Kind {
        self.node.listed.kind
    }

    /// As an open file; `None` when it is none.
    pub fn file(self) -> Option<File<'a>> {
        match self.kind() {
            serve::Kind::File { entry, .. } => {
                Some(File { entry, path: self.path(), which: self.which })
            }
            serve::Kind::Directory | serve::Kind::Link => None,
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

    /// True when it is there for some who look and not for others.
    pub fn depends_on_who_looks(self) -> bool {
        self.named().is_some() || !self.node.listed.is_everywhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Kind;

    /// A tree of files, links (`@` at the end) and, with `?`, things that not every
    /// CPU has.
    fn tree(paths: &[&str]) -> Tree {
        Tree::new(paths.iter().map(|path| Listed {
            path: path.trim_end_matches(['@', '?']).to_owned(),
            kind: if path.ends_with('@') {
                Kind::Link
            } else {
                Kind::File { entry: &crate::catalog::CATALOG[0], size: None }
            },
            is_everywhere: !path.contains('?'),
        }))
    }

    const PATHS: &[&str] =
        &["proc/meminfo", "cpu/online", "cpu/cpu*/core_id", "cpu/cpu*/online?", "cpu/cpu*/node0@?"];

    fn find<'a>(tree: &'a Tree, path: &str) -> Option<Place<'a>> {
        let root = tree.place(ROOT).unwrap();
        path.split('/').try_fold(root, |place, name| tree.child(place, name.as_bytes()))
    }

    #[test]
    fn no_two_paths_of_this_machine_share_a_number() {
        let listed = serve::list(std::path::Path::new("/"));
        let paths: Vec<_> = listed.iter().map(|listed| listed.path.clone()).collect();
        let tree = Tree::new(listed);
        for path in paths {
            let place = tree.nodes.get(tree.places[&number_of(&path)]).unwrap();
            assert_eq!(place.listed.path, path);
        }
    }

    /// Numbers outlive versions: a kernel that remembers them must find the same
    /// files after an upgrade.
    #[test]
    fn numbers_are_the_same_for_ever() {
        assert_eq!(number_of(""), 1);
        assert_eq!(number_of("proc"), 0xec3e_2fe1);
        assert_eq!(number_of("proc/meminfo"), 0x8cac_d7f3);
        let tree = tree(PATHS);
        let number = find(&tree, "cpu/cpu2/core_id").unwrap().number();
        assert_eq!(number, 3 << 32 | u64::from(number_of("cpu/cpu*/core_id")));
    }

    #[test]
    fn every_path_can_be_walked_there_and_back() {
        let tree = tree(PATHS);
        for path in ["proc/meminfo", "cpu/online", "cpu/cpu0/core_id", "cpu/cpu7/node0"] {
            let place = find(&tree, path).unwrap();
            assert_eq!(tree.place(place.number()).unwrap().path(), place.path());
            assert_eq!(place.name(), path.rsplit('/').next().unwrap());
            let mut above = place;
            for _part in path.split('/') {
                above = tree.parent(above).unwrap();
            }
            assert_eq!(above.number(), ROOT, "{path}");
        }
    }

    #[test]
    fn what_is_not_listed_is_not_there() {
        let tree = tree(PATHS);
        for path in ["etc", "proc/", "proc/cpu0", "cpu/cpu*", "cpu/cpu01", "cpu/cpu0/cpu0"] {
            assert!(find(&tree, path).is_none(), "{path}");
        }
        for number in [0xdead, 0, 1 << 32 | ROOT, u64::from(number_of("cpu/cpu*"))] {
            assert!(tree.place(number).is_none(), "{number:x}");
        }
    }

    #[test]
    fn who_looks_matters_for_cpus_and_what_not_all_of_them_have() {
        let tree = tree(PATHS);
        let depends = |path| find(&tree, path).unwrap().depends_on_who_looks();
        assert!(depends("cpu/cpu0") && depends("cpu/cpu0/online") && depends("cpu/cpu0/node0"));
        assert!(!depends("cpu") && !depends("cpu/online") && !depends("cpu/cpu0/core_id"));
    }
}
