//! A private tree, asked for as docs/PRIVATE-TREES.md says, by the process that reads it.
//!
//! Its mounts are attached nowhere: files are opened below their descriptors.

use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Mode, OFlags, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// What the daemon is asked: a tree for whoever asks.
const QUESTION: &[u8] = b"private 1\n";

/// What a good answer begins with; the name of a directory follows.
const ANSWER: &str = "ok 1 ";

/// The longest answer, in bytes.
const LONGEST: usize = 4096;

/// A tree of our own.
#[derive(Debug)]
pub(crate) struct Tree {
    mounts: Vec<OwnedFd>,
    name: String,
}

impl Tree {
    /// Asks the daemon behind `socket`.
    pub(crate) fn ask(socket: &Path) -> Result<Self> {
        let mut daemon = UnixStream::connect(socket)?;
        daemon.write_all(QUESTION)?;
        let mut line = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut line)];
        let heard = recvmsg(&daemon, &mut buffers, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        let mounts = rights.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mounts) => Some(mounts),
            _other => None,
        });
        let mounts: Vec<_> = mounts.flatten().collect();
        let answer = String::from_utf8_lossy(line.get(..heard.bytes).unwrap_or_default());
        let name = answer.trim_end().strip_prefix(ANSWER);
        let name = name.with_context(|| format!("the daemon answers {answer:?}"))?.to_owned();
        ensure!(!mounts.is_empty(), "no mount came with {answer:?}");
        Ok(Self { mounts, name })
    }

    /// The directory of ours below which `file` is. It is opened once: where the files are
    /// bound over a container's, its name is not looked up either.
    pub(crate) fn place(mut self, file: &str) -> Result<OwnedFd> {
        // The second mount, where there is one, has what the kernel keeps.
        let is_kept = file == "proc/meminfo";
        let mount = if is_kept { self.mounts.pop() } else { self.mounts.drain(..).next() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mount = mount.context("there is a mount")?;
        Ok(openat(mount, self.name.as_str(), flags, Mode::empty())?)
    }
}
