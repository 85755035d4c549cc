//! Kernel modules out of a package, in an order in which they can be loaded.
//!
//! A module says in its own `.modinfo` section what must be loaded before it, so
//! neither `depmod` nor a list of ours per kernel version is needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The modules `wanted` and those they need, with their contents, unpacked.
///
/// One that `unpacked` has no file for is built into the kernel and left out.
pub fn in_order(unpacked: &Path, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let files = find(unpacked)?;
    let mut order = Vec::new();
    for name in wanted {
        add(name, &files, &mut order)?;
    }
    Ok(order)
}

fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    order: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let loaded = order.iter().any(|(other, _module)| other == name);
    let Some(file) = files.get(name).filter(|_file| !loaded) else { return Ok(()) };
    let module = read(file)?;
    for needed in depends(&module) {
        add(&needed, files, order)?;
    }
    order.push((name.to_owned(), module));
    Ok(())
}

/// All modules below `unpacked`, by name.
fn find(unpacked: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut find = Command::new("find");
    find.arg(unpacked).args(["-name", "*.ko", "-o", "-name", "*.ko.xz"]);
    let listed = crate::command::output(&mut find)?;
    Ok(listed.lines().map(PathBuf::from).map(|file| (name(&file), file)).collect())
}

/// `virtio_blk` of `.../virtio-blk.ko.xz`: in names, the kernel takes `-` for `_`.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

fn read(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "xz") {
        let unpacked = Command::new("xz").arg("-dc").arg(file).output().context("cannot run xz")?;
        anyhow::ensure!(unpacked.status.success(), "xz cannot unpack {}", file.display());
        return Ok(unpacked.stdout);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The names after `depends=` in a module's `.modinfo`.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module.iter().skip(start + KEY.len()).take_while(|byte| **byte != 0);
    let value: Vec<u8> = value.copied().collect();
    let names = String::from_utf8_lossy(&value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(module: &[u8], expected: &[&str]) {
        assert_eq!(depends(module), expected, "module: {:?}", String::from_utf8_lossy(module));
    }

    #[test]
    fn a_module_names_what_it_needs() {
        check(
            b"license=GPL\0depends=virtio,virtio-ring\0retpoline=Y\0",
            &["virtio", "virtio_ring"],
        );
        check(b"license=GPL\0depends=\0", &[]);
        check(b"license=GPL\0", &[]);
    }

    #[test]
    fn a_name_is_the_same_packed_or_not() {
        assert_eq!(name(Path::new("a/virtio-blk.ko.xz")), "virtio_blk");
        assert_eq!(name(Path::new("a/fuse.ko")), "fuse");
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("virtio_blk.ko", "\0depends=virtio_ring,virtio\0");
        write("virtio.ko", "\0depends=virtio_ring\0");
        write("virtio_ring.ko", "\0depends=\0");
        let order = in_order(folder.path(), &["virtio_blk", "virtio", "built_in"]).unwrap();
        let names: Vec<_> = order.into_iter().map(|(name, _module)| name).collect();
        assert_eq!(names, ["virtio_ring", "virtio", "virtio_blk"]);
    }
}
