//! The floor: what a read costs through FUSE when nothing is done for it.
//!
//! A file system of one text, mounted by the daemon's own [`Session`], so with
//! the kernel options that the daemon has; one thread reads a request and writes a
//! constant. Whatever portholefs takes beyond it is portholefs's own; nobody who
//! serves files by FUSE takes less. So costs are told as multiples of it, in one
//! run: `Timing` of the floor and of a rival, read in turns.
//!
//! Every name below the root is a directory and every name below that is the text:
//! `proc/meminfo` is found here too. It is this same program, started with
//! `--floor DIRECTORY`.
//!
//! What it leaves out: journal, open table, who asks, and more than one reader's
//! threads; a second thread gains nothing for one reader.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{Pid, read, write};
use procfs_fuse::fuse::session::Session;
use procfs_fuse::shared::slots::Realm;

/// The first argument of the program when it is the floor.
const SERVE: &str = "--floor";

/// How long it may take to serve.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for a request, as the kernel insists on.
const REQUEST_LENGTH: usize = 8192;

/// `FUSE_ROOT_ID`, and the numbers of the two nodes below.
const ROOT: u64 = 1;
const DIRECTORY: u64 = 2;
const FILE: u64 = 3;

/// How long the kernel may remember a name, in seconds: as the daemon says.
const A_DAY: u64 = 86_400;

/// `FOPEN_DIRECT_IO | FOPEN_NOFLUSH`, as the daemon opens its files.
const OPENED: u32 = 1 | 1 << 5;

/// A floor that serves until this value is dropped.
#[derive(Debug)]
pub(crate) struct Floor {
    child: Child,
    folder: tempfile::TempDir,
}

impl Floor {
    /// Starts one and waits until it serves.
    pub(crate) fn start() -> Result<Self> {
        let folder = support::folder()?;
        let mount_point = folder.path().join("floor");
        std::fs::create_dir(&mount_point)?;
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.arg(SERVE).arg(&mount_point).stdin(Stdio::null()).spawn()?;
        let floor = Self { child, folder };
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read(mount_point.join("proc/meminfo")).is_err() {
            ensure!(Instant::now() < deadline, "the floor does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(floor)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Where it is mounted.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.path().join("floor")
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let _ = umount2(&self.mount_point(), MntFlags::MNT_DETACH);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    let directory = words.next().filter(|word| word == SERVE).and_then(|_serve| words.next())?;
    Some(match serve(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the floor at {directory}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Answers until unmounted.
fn serve(directory: &Path) -> Result<()> {
    let text = std::fs::read("/proc/meminfo").context("the kernel's meminfo")?;
    let session = Session::mount("floor", directory, Realm::Shared)?;
    let mut request = vec![0; REQUEST_LENGTH];
    let mut reply = Vec::new();
    loop {
        match read(session.device(), &mut request) {
            Ok(_length) => answer(session.device(), &request, &text, &mut reply)?,
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOENT) => {}
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Answers one request; offsets and numbers are those of `linux/fuse.h`.
fn answer(device: BorrowedFd<'_>, request: &[u8], text: &[u8], reply: &mut Vec<u8>) -> Result<()> {
    let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
    reply.clear();
    reply.resize(16, 0);
    let mut error = 0;
    match opcode {
        // LOOKUP
        1 => {
            let found = if node == ROOT { DIRECTORY } else { FILE };
            push(reply, &[found, 0, A_DAY, A_DAY, 0]);
            attributes(reply, found);
        }
        // FORGET, INTERRUPT, BATCH_FORGET
        2 | 36 | 42 => return Ok(()),
        // GETATTR
        3 => {
            push(reply, &[A_DAY, 0]);
            attributes(reply, node);
        }
        // OPEN
        14 => push(reply, &[0, OPENED.into()]),
        // READ
        15 => {
            let offset = usize::try_from(u64_at(request, 48))?;
            reply.extend_from_slice(text.get(offset..).unwrap_or_default());
        }
        // RELEASE
        18 => {}
        _other => error = -libc::ENOSYS,
    }
    let length = u32::try_from(reply.len())?;
    let head = length.to_ne_bytes().into_iter().chain(error.to_ne_bytes());
    let head = head.chain(unique.to_ne_bytes());
    reply.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
    match write(device.as_fd(), reply) {
        // ENOENT: whoever asked was killed.
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(io::Error::from(errno).into()),
    }
}

/// `struct fuse_attr`.
fn attributes(reply: &mut Vec<u8>, node: u64) {
    let mode: u64 = if node == FILE { 0o100_444 } else { 0o040_555 };
    push(reply, &[node, 4096, 0, 0, 0, 0, 0, mode << 32, 1, 0, 4096]);
}

fn push(reply: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| reply.extend_from_slice(&word.to_ne_bytes()));
}

fn u32_at(request: &[u8], offset: usize) -> u32 {
    request
        .get(offset..)
        .and_then(|bytes| bytes.first_chunk())
        .map_or(0, |b| u32::from_ne_bytes(*b))
}

fn u64_at(request: &[u8], offset: usize) -> u64 {
    request
        .get(offset..)
        .and_then(|bytes| bytes.first_chunk())
        .map_or(0, |b| u64::from_ne_bytes(*b))
}
