//! The host's own files: kept open, and one reading shared for a few milliseconds.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cgroupfs::cpu_list::{self, CpuList};
use cgroupfs::io::Device;
use nix::unistd::{SysconfVar, sysconf};
use parking_lot::RwLock;
use rustix::buffer::spare_capacity;

use super::shared::Shared;
use super::{Host, HostText, Needs, ReadingError};
use crate::host::disks;
use crate::host::meminfo::{self, HostMemory};
use crate::host::node::{self, Node};

/// First guess of a file's size; `/proc/cpuinfo` and `stat` of big machines grow it.
const USUAL_SIZE: usize = 16 << 10;

/// Clock ticks per second where the C library does not say; Linux's `USER_HZ`.
const USUAL_TICKS: u64 = 100;

/// Bytes of a page where the C library does not say; x86's, and most of arm64's.
const USUAL_PAGE_SIZE: u64 = 4096;

/// The files of one machine below its root directory.
#[derive(Debug)]
pub struct HostFiles {
    root: PathBuf,
    window: Duration,
    files: RwLock<HashMap<String, Arc<HostFile>>>,
    online: Shared<CpuList>,
    memory: Shared<HostMemory>,
    page_size: u64,
    ticks_per_second: u64,
}

#[derive(Debug)]
struct HostFile {
    path: PathBuf,
    text: Shared<HostText>,
    file: parking_lot::Mutex<Option<File>>,
}

impl HostFiles {
    /// Files below `root`, each reading of which answers for `window`.
    pub fn new(root: &Path, window: Duration) -> Self {
        Self {
            root: root.to_owned(),
            window,
            files: RwLock::default(),
            online: Shared::new(window),
            memory: Shared::new(window),
            page_size: page_size(),
            ticks_per_second: ticks_per_second(),
        }
    }

    /// The text of `path`, such as `proc/meminfo`. Bytes that are not UTF-8 (the
    /// name of a swap file can hold some) are replaced.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn text(&self, path: &str) -> io::Result<HostText> {
        let known = self.files.read().get(path).cloned();
        let file = known.unwrap_or_else(|| self.remember(path));
        file.text.get(|| file.read())
    }

    /// The same without keeping the file open: for what there is of every CPU, and
    /// what comes and goes with it.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn text_anew(&self, path: &str) -> io::Result<HostText> {
        let bytes = fs::read(self.root.join(path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }

    fn remember(&self, path: &str) -> Arc<HostFile> {
        let new = || HostFile {
            path: self.root.join(path),
            text: Shared::new(self.window),
            file: parking_lot::Mutex::new(None),
        };
        let mut files = self.files.write();
        Arc::clone(files.entry(path.to_owned()).or_insert_with(|| Arc::new(new())))
    }

    /// The facts that more than one file needs.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when one of the host's files cannot be read or understood.
    pub fn facts(&self, needs: Needs) -> Result<Host, ReadingError> {
        let memory = if needs.contains(Needs::MEMORY) {
            self.memory.get(|| self.read_memory())?
        } else {
            HostMemory::default()
        };
        let online = if needs.intersects(Needs::CPU_LIMITS | Needs::LOAD) {
            self.online.get(|| self.read_online())?
        } else {
            CpuList::default()
        };
        let nodes = if needs.contains(Needs::NODES) { self.nodes() } else { Vec::new() };
        Ok(Host {
            online,
            memory,
            nodes,
            device: None,
            page_size: self.page_size,
            ticks_per_second: self.ticks_per_second,
        })
    }

    fn read_online(&self) -> Result<CpuList, ReadingError> {
        const ONLINE: &str = "sys/devices/system/cpu/online";
        cpu_list::parse(&self.text_of_fact(ONLINE)?)
            .map_err(|source| ReadingError::Format { path: self.root.join(ONLINE), source })
    }

    fn read_memory(&self) -> Result<HostMemory, ReadingError> {
        Ok(meminfo::parse(self.text_of_fact("proc/meminfo")?.meminfo()))
    }

    fn text_of_fact(&self, path: &str) -> Result<HostText, ReadingError> {
        self.text(path).map_err(|source| ReadingError::io(&self.root.join(path), source))
    }
}

impl HostFiles {
    /// The block device in whose directory the file `path` is.
    pub fn device(&self, path: &str) -> Option<Device> {
        let (directory, _file) = path.rsplit_once('/')?;
        disks::device(&self.text(&format!("{directory}/dev")).ok()?)
    }

    /// The memory nodes; one whose files cannot be read is not there.
    fn nodes(&self) -> Vec<Node> {
        const NODES: &str = "sys/devices/system/node";
        let online = self.text(&format!("{NODES}/online")).ok();
        let ids = online.and_then(|text| cpu_list::parse(&text).ok()).unwrap_or_default();
        let node = |id| {
            let cpus = self.text(&format!("{NODES}/node{id}/cpulist")).ok()?;
            let meminfo = self.text(&format!("{NODES}/node{id}/meminfo")).ok()?;
            Some(Node { id, cpus: cpu_list::parse(&cpus).ok()?, memory: node::memory(&meminfo) })
        };
        ids.iter().filter_map(node).collect()
    }
}

impl HostFile {
    fn read(&self) -> io::Result<HostText> {
        let mut kept = self.file.lock();
        // A descriptor that failed is not kept: its file may be there anew.
        if let Some(file) = kept.take()
            && let Ok(bytes) = read_to_end(&file)
        {
            *kept = Some(file);
            return Ok(String::from_utf8_lossy(&bytes).into_owned().into());
        }
        let file = File::open(&self.path)?;
        let bytes = read_to_end(&file)?;
        *kept = Some(file);
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }
}

/// Everything from offset 0 to the end. Files of many records come in pieces that
/// need not fill the buffer, so only an empty piece is the end.
fn read_to_end(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_SIZE);
    loop {
        bytes.reserve(1);
        let offset = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        if rustix::io::pread(file, spare_capacity(&mut bytes), offset)? == 0 {
            return Ok(bytes);
        }
    }
}

/// Bytes of a page of this machine.
pub fn page_size() -> u64 {
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(USUAL_PAGE_SIZE)
}

/// Clock ticks per second in files below `/proc`.
pub fn ticks_per_second() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(USUAL_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_shared_and_then_taken_anew() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "one").unwrap();
        let shared = HostFiles::new(root.path(), Duration::from_secs(600));
        let fresh = HostFiles::new(root.path(), Duration::ZERO);
        assert_eq!(&*shared.text("file").unwrap(), "one");
        assert_eq!(&*fresh.text("file").unwrap(), "one");
        fs::write(root.path().join("file"), "two").unwrap();
        assert_eq!(&*shared.text("file").unwrap(), "one");
        // 20 times as long as the first reading took, at most, it answers too.
        while &*fresh.text("file").unwrap() == "one" {
            std::thread::yield_now();
        }
        assert_eq!(&*fresh.text("file").unwrap(), "two");
    }

    #[test]
    fn files_of_any_size_are_read_whole() {
        let root = tempfile::tempdir().unwrap();
        for size in [0, 1, USUAL_SIZE - 1, USUAL_SIZE, USUAL_SIZE + 1, 5 * USUAL_SIZE] {
            let name = size.to_string();
            fs::write(root.path().join(&name), "x".repeat(size)).unwrap();
            let files = HostFiles::new(root.path(), Duration::ZERO);
            assert_eq!(files.text(&name).unwrap().len(), size);
        }
    }

    #[test]
    fn this_machine_has_cpus_and_memory() {
        let host = HostFiles::new(Path::new("/"), Duration::ZERO)
            .facts(Needs::NODES | Needs::MEMORY | Needs::CPU_LIMITS)
            .unwrap();
        assert!(host.online.count() >= 1);
        assert!(host.memory.total > 0);
        assert!(host.ticks_per_second > 0);
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error =
            HostFiles::new(root.path(), Duration::ZERO).facts(Needs::CPU_LIMITS).unwrap_err();
        let path = root.path().join("sys/devices/system/cpu/online");
        assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
    }
}
