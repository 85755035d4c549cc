//! The directories and files of the mount, derived from the catalogue's paths.
//!
//! The one idea: a node's number is computed from its path alone
//! ([`number_of`]), so it is the same in every process and every version that
//! serves the path. The kernel keeps node numbers for as long as a container
//! runs, far longer than a worker lives.
//!
//! What this module does not do: say what a file contains (`serve`), or encode
//! answers (`reply`).

use std::collections::HashMap;

use crate::catalog::Entry;

/// The number of the mount's root; `FUSE_ROOT_ID`.
pub const ROOT: u64 = 1;

/// All nodes, the root first.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    places: HashMap<u64, usize>,
}

/// One directory or file.
#[derive(Debug)]
pub struct Node {
    /// Node and inode number; see [`number_of`].
    pub number: u64,
    /// Number of the directory it is in; the root's is its own.
    pub parent: u64,
    /// Last part of its path; empty for the root.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// A directory, with the numbers of what is in it, in the catalogue's order.
    Directory(Vec<u64>),
    /// A file of the catalogue.
    File(&'static Entry),
}

/// The number of the node at `path` below the mount point (no slash at either end).
///
/// FNV-1a over the path, 32 bits wide because programs built without large file
/// support cannot `stat` a file with a larger inode number. A test shows that no
/// two paths of the catalogue share a number.
pub fn number_of(path: &str) -> u64 {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    if path.is_empty() {
        return ROOT;
    }
    let hash =
        path.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
    u64::from(hash)
}

impl Tree {
    /// The tree that holds the path of every entry and the directories above them.
    pub fn new(entries: impl IntoIterator<Item = &'static Entry>) -> Self {
        let root = Node { number: ROOT, parent: ROOT, name: "", kind: Kind::Directory(Vec::new()) };
        let mut tree = Self { nodes: vec![root], places: HashMap::from([(ROOT, 0)]) };
        for entry in entries {
            tree.add(entry);
        }
        tree
    }

    /// The node with this number, if there is one.
    pub fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(*self.places.get(&number)?)
    }

    /// The node called `name` in the directory with the number `parent`.
    pub fn child(&self, parent: u64, name: &[u8]) -> Option<&Node> {
        self.children(parent)?.find(|node| node.name.as_bytes() == name)
    }

    /// What is in the directory `number`; `None` when it is not a directory.
    pub fn children(&self, number: u64) -> Option<impl Iterator<Item = &Node>> {
        match &self.node(number)?.kind {
            Kind::Directory(children) => {
                Some(children.iter().filter_map(|child| self.node(*child)))
            }
            Kind::File(_) => None,
        }
    }

    /// Every node, the root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn add(&mut self, entry: &'static Entry) {
        let mut parent = ROOT;
        for (slash, _) in entry.path.match_indices('/') {
            let (directory, _) = entry.path.split_at(slash);
            parent = self.insert(parent, directory, || Kind::Directory(Vec::new()));
        }
        self.insert(parent, entry.path, || Kind::File(entry));
    }

    /// Adds the node at `path` unless it is there; returns its number.
    fn insert(&mut self, parent: u64, path: &'static str, kind: impl FnOnce() -> Kind) -> u64 {
        let number = number_of(path);
        if self.places.contains_key(&number) {
            return number;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        self.places.insert(number, self.nodes.len());
        self.nodes.push(Node { number, parent, name, kind: kind() });
        let above = self.places.get(&parent).and_then(|place| self.nodes.get_mut(*place));
        if let Some(Node { kind: Kind::Directory(children), .. }) = above {
            children.push(number);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CATALOG;

    #[test]
    fn no_two_paths_of_the_catalogue_share_a_number() {
        let tree = Tree::new(CATALOG);
        for entry in CATALOG {
            let node = tree.node(number_of(entry.path)).unwrap();
            match node.kind {
                Kind::File(found) => assert_eq!(found.path, entry.path),
                Kind::Directory(_) => panic!("{} has the number of a directory", entry.path),
            }
        }
    }

    /// Numbers outlive versions: a kernel that remembers them must find the same
    /// files after an upgrade.
    #[test]
    fn numbers_are_the_same_for_ever() {
        assert_eq!(number_of(""), 1);
        assert_eq!(number_of("proc"), 0xec3e_2fe1);
        assert_eq!(number_of("proc/meminfo"), 0x8cac_d7f3);
    }

    #[test]
    fn every_path_can_be_walked_from_the_root() {
        let tree = Tree::new(CATALOG);
        for entry in CATALOG {
            let mut number = ROOT;
            for name in entry.path.split('/') {
                let node = tree.child(number, name.as_bytes()).unwrap();
                assert_eq!(node.parent, number, "{}", entry.path);
                number = node.number;
            }
            assert_eq!(number, number_of(entry.path));
        }
    }

    #[test]
    fn what_is_not_in_the_catalogue_is_not_there() {
        let tree = Tree::new(CATALOG);
        assert!(tree.child(ROOT, b"etc").is_none());
        assert!(tree.child(ROOT, b"").is_none());
        assert!(tree.children(0xdead).is_none());
    }
}
