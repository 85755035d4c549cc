//! A file whose file system never answers: whoever opens it is in uninterruptible
//! sleep, and SIGKILL does not end it before the file system does.
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

/// A mount over a file; with this value it ends, and with it the sleep of others.
pub(crate) struct Silent {
    path: PathBuf,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Silent {
    /// Mounts one over the file at `path`.
    pub(crate) fn over(path: &Path) -> Result<Self> {
        let mut device = File::options().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=100444,user_id=0,group_id=0", device.as_raw_fd());
        mount(Some("silent"), path, Some("fuse"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("cannot mount over {}", path.display()))?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let mut silent = Self { path: path.to_owned(), over, server: None };
        begin(&mut device)?;
        silent.server = Some(thread::spawn(move || keep_requests(device, &ends)));
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

fn keep_requests(mut device: File, over: &AtomicBool) {
    let mut request = vec![0; REQUEST];
    while !over.load(SeqCst) {
        let mut readable = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, LOOK_MS).is_ok_and(|ready| ready > 0) {
            // An error is the end of the session: then nobody asks any more.
            if device.read(&mut request).is_err() {
                return;
            }
        }
    }
}
