//! A private tree of the daemon's, asked for as docs/PRIVATE-TREES.md says and not with
//! the product's own client.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use rustix::mount::{MoveMountFlags, move_mount};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Where the fresh realm is attached: a directory that every machine has.
const FRESH: &str = "/mnt";

/// What the daemon answers to `question` with the pidfd of a process, or without any: its
/// line, and the mounts.
pub fn ask(
    mount_point: &Path,
    question: &str,
    process: Option<i32>,
) -> Result<(String, Vec<OwnedFd>)> {
    let name = mount_point.file_name().context("a mount point has a name")?.to_string_lossy();
    let socket = mount_point.with_file_name(format!(".{name}.sock"));
    let socket = UnixStream::connect(&socket).with_context(|| format!("{socket:?}"))?;
    send(&socket, question, process)?;
    let mut text = [0; 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut text)];
    let received = recvmsg(socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mounts = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _another => None,
    });
    let mounts = mounts.flatten().collect();
    let text = text.get(..received.bytes).context("the answer is too long")?;
    Ok((String::from_utf8(text.to_vec())?, mounts))
}

fn send(socket: &UnixStream, question: &str, process: Option<i32>) -> Result<()> {
    let pid = process.and_then(Pid::from_raw);
    let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose()?;
    let fds: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(socket, &[IoSlice::new(question.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes a tree for this process, which is alone in its mount namespace: it lies over the
/// shared one then. Returns where its `proc` and `sys` are.
pub fn take(mount_point: &Path) -> Result<PathBuf> {
    take_for(mount_point, None)
}

/// The same for another process.
pub fn take_for(mount_point: &Path, process: Option<i32>) -> Result<PathBuf> {
    let (answer, mounts) = ask(mount_point, "private 1\n", process)?;
    let Some(name) = answer.strip_prefix("ok 1 ").map(str::trim_end) else { bail!("{answer}") };
    for (mount, place) in mounts.iter().zip([mount_point, Path::new(FRESH)]) {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(mount, "", rustix::fs::CWD, place, flags)?;
    }
    let tree = mount_point.join(name);
    let fresh = Path::new(FRESH).join(name).join("proc/meminfo");
    if mounts.len() > 1 {
        let over = tree.join("proc/meminfo");
        mount(Some(&fresh), &over, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(tree)
}
