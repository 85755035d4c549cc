//! A file whose file system never answers: whoever opens it, or only whoever reads it,
//! is in uninterruptible sleep, and SIGKILL does not end it before the file system does.
//!
//! It is a FUSE mount whose root is the file. Its server, a thread of the test,
//! takes requests and keeps them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, poll};

/// More than any request needs.
const REQUEST: usize = 1 << 18;

/// How often the server looks whether it is over, in milliseconds.
const LOOK_MS: u8 = 20;

/// A request of the file system, by the numbers of `fuse_opcode`.
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INTERRUPT: u32 = 36;

/// What is kept, and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Everything,
    Reads,
}

/// A mount over a file; with this value it ends, and with it the sleep of others.
pub(crate) struct Silent {
    path: PathBuf,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Silent {
    /// Mounts one over the file at `path` that cannot even be opened.
    pub(crate) fn over(path: &Path) -> Result<Self> {
        Self::keeping(Kept::Everything, path)
    }

    /// Mounts one of a page that can be opened and mapped, and not read.
    pub(crate) fn unread(path: &Path) -> Result<Self> {
        Self::keeping(Kept::Reads, path)
    }

    fn keeping(kept: Kept, path: &Path) -> Result<Self> {
        let mut device = File::options().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=100444,user_id=0,group_id=0", device.as_raw_fd());
        mount(Some("silent"), path, Some("fuse"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("cannot mount over {}", path.display()))?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let mut silent = Self { path: path.to_owned(), over, server: None };
        begin(&mut device)?;
        silent.server = Some(thread::spawn(move || keep_requests(device, kept, &ends)));
        Ok(silent)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        // The device is closed with the thread, which ends the session.
        let _panicked = self.server.take().map(JoinHandle::join);
        let _unmounted_before = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// Answers the first request, FUSE_INIT: version 7.31 with nothing beyond it.
fn begin(device: &mut File) -> Result<()> {
    let mut request = vec![0; REQUEST];
    let length = device.read(&mut request)?;
    let unique = request.get(8..16).filter(|_| length > 16).context("half a request")?;
    let mut reply = [80_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
    reply.extend(unique);
    for word in [7_u32, 31, 0, 0, 0, 4096, 1] {
        reply.extend(word.to_ne_bytes());
    }
    reply.resize(80, 0);
    device.write_all(&reply).context("FUSE_INIT cannot be answered")
}

fn keep_requests(mut device: File, kept: Kept, over: &AtomicBool) {
    let mut request = vec![0; REQUEST];
    while !over.load(SeqCst) {
        let mut readable = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, LOOK_MS).is_ok_and(|ready| ready > 0) {
            // An error is the end of the session: then nobody asks any more.
            let Ok(length) = device.read(&mut request) else { return };
            if kept == Kept::Reads
                && let Some(reply) = request.get(..length).and_then(reply)
            {
                // Nobody waits for it any more.
                let _interrupted = device.write_all(&reply);
            }
        }
    }
}

/// The answer to a request, but for reads: a file of one page that everybody may read.
fn reply(request: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_ne_bytes(request.get(at..at + 4)?.try_into().ok()?));
    let (error, body) = match word(4)? {
        READ | FORGET | INTERRUPT => return None,
        GETATTR => (0, attributes()),
        OPEN => (0, vec![0; 16]),
        _other => (-libc::ENOSYS, Vec::new()),
    };
    let length = u32::try_from(16 + body.len()).ok()?;
    Some([&length.to_ne_bytes(), &error.to_ne_bytes()[..], request.get(8..16)?, &body].concat())
}

/// `struct fuse_attr_out`.
fn attributes() -> Vec<u8> {
    const VALID_S: u64 = 3600;
    const SIZE: u64 = 4096;
    let long = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>();
    let word = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>();
    // Inode, size and blocks, three times; then mode and links, and the block size.
    let times = [0; 3];
    let head =
        [&long(&[VALID_S])[..], &word(&[0, 0]), &long(&[1, SIZE, 8]), &long(&times)].concat();
    [head, word(&[0, 0, 0, 0o100_444, 1, 0, 0, 0, 4096, 0])].concat()
}
