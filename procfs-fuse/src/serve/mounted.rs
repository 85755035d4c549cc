//! Where the hierarchies are mounted: looked at once a second at most, and read again when
//! anything was mounted or unmounted since.
//!
//! The kernel tells that when it is asked by poll(2). So the text, which is long on a machine
//! of many containers, is neither read each time nor kept.
//!
//! What this module does not do: understand it; that is [`cgroupfs::layout`].
//!
//! Kernel source of truth: `mounts_poll()` in fs/proc_namespace.c.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cgroupfs::layout::{self, Layout};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;

use super::Fault;
use crate::readings::Shared;

/// How long one look answers: hierarchies hardly ever move.
const SHARING: Duration = Duration::from_secs(1);

/// First guess of the size of the text, in bytes.
const USUAL_SIZE: usize = 16 << 10;

/// What is mounted, as of the last look.
#[derive(Debug)]
pub(super) struct Mounted {
    root: PathBuf,
    looked: Shared<Arc<Layout>>,
    read: Mutex<Option<Mounts>>,
}

/// What was read, and where the kernel tells that it has changed.
#[derive(Debug)]
struct Mounts {
    file: File,
    layout: Arc<Layout>,
}

impl Mounted {
    /// The mounts of the machine below `root`; nothing is looked at yet.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), looked: Shared::new(SHARING), read: Mutex::default() }
    }

    /// Where they are: the same value for as long as that does not change.
    pub(super) fn layout(&self) -> Result<Arc<Layout>, Fault> {
        self.looked.get(|| self.look().map_err(Fault::Mounts))
    }

    fn look(&self) -> io::Result<Arc<Layout>> {
        let mut read = self.read.lock();
        if let Some(mounts) = &*read
            && !mounts.have_changed()?
        {
            return Ok(Arc::clone(&mounts.layout));
        }
        let mut mounts = Mounts::read(&self.root)?;
        if let Some(before) = read.take().filter(|before| before.layout == mounts.layout) {
            mounts.layout = before.layout;
        }
        Ok(Arc::clone(&read.insert(mounts).layout))
    }
}

impl Mounts {
    fn read(root: &Path) -> io::Result<Self> {
        // What changes after this is told, also before it has been read.
        let mut file = File::open(root.join("proc/self/mountinfo"))?;
        let mut text = String::with_capacity(USUAL_SIZE);
        file.read_to_string(&mut text)?;
        let layout = layout::parse(&text, root).map_err(io::Error::other)?;
        Ok(Self { file, layout: Arc::new(layout) })
    }

    /// Whether anything was mounted or unmounted since it was asked last, or since the file
    /// was opened. A captured machine stays as it was.
    fn have_changed(&self) -> io::Result<bool> {
        let told = PollFlags::POLLERR | PollFlags::POLLPRI;
        let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLPRI)];
        poll(&mut files, PollTimeout::ZERO)?;
        let [file] = files;
        Ok(file.revents().is_some_and(|happened| happened.intersects(told)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::OwnedFd;

    use super::*;

    const MEMORY: &str = "35 31 0:32 / /mem rw - cgroup cgroup rw,memory\n";

    /// A descriptor that is polled as mounts are that have changed: a pipe that nobody reads.
    fn changed_mounts() -> File {
        let (_reader, writer) = io::pipe().unwrap();
        OwnedFd::from(writer).into()
    }

    /// A machine on which this is mounted.
    fn machine(mountinfo: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        root
    }

    #[test]
    fn what_has_not_changed_is_the_same_value() {
        let root = machine(MEMORY);
        let mounted = Mounted::new(root.path());
        let first = mounted.look().unwrap();
        assert!(Arc::ptr_eq(&first, &mounted.look().unwrap()));
        // Read anew, as after a change of something else.
        mounted.read.lock().as_mut().unwrap().file = changed_mounts();
        assert!(Arc::ptr_eq(&first, &mounted.look().unwrap()));
    }

    #[test]
    fn what_has_changed_is_read() {
        let root = machine(MEMORY);
        let mounted = Mounted::new(root.path());
        let first = mounted.look().unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), MEMORY.replace("mem ", "memory "))
            .unwrap();
        mounted.read.lock().as_mut().unwrap().file = changed_mounts();
        assert_ne!(first, mounted.look().unwrap());
    }

    #[test]
    fn without_the_file_it_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(Mounted::new(root.path()).layout(), Err(Fault::Mounts(_))));
    }
}
