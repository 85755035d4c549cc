//! The files of one machine: the catalogue's rows that the machine has, with
//! patterns filled in.
//!
//! Kernels are built with and without some files, and a file that the host does
//! not have is none for its containers either. A row with a `*` stands for one
//! file for each number that the host has in its place (`node*/meminfo`).
//!
//! What this module does not do: ask who looks. The tree is the same for
//! everybody; what is different for each container is the text.

use std::fs;
use std::path::Path;

use crate::catalog::{CATALOG, Entry};

/// The files of the machine below `root`, in the catalogue's order.
///
/// Filled in rows are kept for the life of the process, as the catalogue is: the
/// table is made once, and its size is bounded by the machine's memory nodes.
pub fn entries(root: &Path) -> Vec<&'static Entry> {
    CATALOG.iter().flat_map(|entry| filled_in(root, entry)).collect()
}

fn filled_in(root: &Path, entry: &'static Entry) -> Vec<&'static Entry> {
    let is_there = |path: &str| root.join(path).exists();
    let Some((before, after)) = entry.path.split_once('*') else {
        return if is_there(entry.path) { vec![entry] } else { Vec::new() };
    };
    let (dir, name) = before.rsplit_once('/').unwrap_or(("", before));
    let paths = numbers(&root.join(dir), name).into_iter();
    let paths = paths.map(|number| format!("{before}{number}{after}"));
    paths.filter(|path| is_there(path)).map(|path| kept(entry, path)).collect()
}

/// The numbers behind `name` among the names in `dir`, ascending.
fn numbers(dir: &Path, name: &str) -> Vec<u32> {
    let names = fs::read_dir(dir).into_iter().flatten();
    let number = |found: &str| found.strip_prefix(name)?.parse().ok();
    let mut numbers: Vec<u32> =
        names.filter_map(|entry| number(entry.ok()?.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

fn kept(entry: &Entry, path: String) -> &'static Entry {
    Box::leak(Box::new(Entry { path: path.leak(), ..*entry }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_has() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        for path in ["proc", "sys/devices/system/node/node0", "sys/devices/system/node/node10"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [
            "proc/meminfo",
            "sys/devices/system/node/node10/meminfo",
            "sys/devices/system/node/node0/meminfo",
        ] {
            fs::write(root.join(path), "").unwrap();
        }
        let found: Vec<_> = entries(root).iter().map(|entry| entry.path).collect();
        let expected = [
            "proc/meminfo",
            "sys/devices/system/node/node0/meminfo",
            "sys/devices/system/node/node10/meminfo",
        ];
        assert_eq!(found, expected);
    }
}
