//! Which of our mounts are dead.
//!
//! The kernel says so itself: a request to a file system whose daemon has died is
//! answered with `ENOTCONN` at once. But a daemon that hangs answers nothing, and
//! who waits for it may not even be killed. So a child asks, one file system
//! after the other, and is left behind when an answer takes too long.
//!
//! A file system that does not answer is not dead: it is left alone.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::statfs::fstatfs;
use nix::unistd::getppid;

use crate::host::mountinfo::Device;

/// How long one file system may take to answer. A live one takes microseconds, a
/// busy machine milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);

/// Children that are left behind before the rest counts as not dead, so that
/// nobody holds up the others by mounting file systems that do not answer.
const MAX_LEFT_BEHIND: usize = 4;

const DEAD: u8 = b'd';
const NOT_DEAD: u8 = b'-';

/// Those of `mounts` that are dead; each is given with a file on it that was
/// opened by path alone.
///
/// # Errors
///
/// When no child can be started.
pub(crate) fn dead(mounts: &[(Device, OwnedFd)]) -> io::Result<HashSet<Device>> {
    let mut dead = HashSet::new();
    let mut unasked = mounts;
    for _child in 0..=MAX_LEFT_BEHIND {
        if unasked.is_empty() {
            break;
        }
        let answers = ask_child(unasked)?;
        let answered = unasked.iter().zip(&answers).filter(|(_, answer)| **answer == DEAD);
        dead.extend(answered.map(|((device, _), _)| *device));
        // The one that did not answer is passed over.
        unasked = unasked.get(answers.len() + 1..).unwrap_or_default();
    }
    Ok(dead)
}

/// What the child does: asks each of the parent's open files, and writes one
/// byte for each.
///
/// # Errors
///
/// When standard output is closed.
pub fn answer(files: &[RawFd]) -> io::Result<()> {
    let parent = getppid();
    let mut output = io::stdout();
    for number in files {
        let path = format!("/proc/{parent}/fd/{number}");
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let asked = open(path.as_str(), flags, Mode::empty()).and_then(fstatfs);
        // ECONNABORTED: somebody ended the connection through fusectl.
        let is_dead = matches!(asked, Err(Errno::ENOTCONN | Errno::ECONNABORTED));
        output.write_all(&[if is_dead { DEAD } else { NOT_DEAD }])?;
        output.flush()?;
    }
    Ok(())
}

/// The answers of a child, in order; fewer than there are mounts when one does
/// not answer in time.
fn ask_child(mounts: &[(Device, OwnedFd)]) -> io::Result<Vec<u8>> {
    let numbers: Vec<_> = mounts.iter().map(|(_, file)| file.as_raw_fd().to_string()).collect();
    let mut child = Command::new("/proc/self/exe")
        .arg0("portholefs")
        .args(["inject", "--probe", &numbers.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let answers = match child.stdout.take() {
        Some(output) => read_answers(output, mounts.len())?,
        None => Vec::new(),
    };
    end(&mut child, answers.len() == mounts.len())?;
    Ok(answers)
}

fn read_answers(output: ChildStdout, count: usize) -> io::Result<Vec<u8>> {
    let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    let mut output = File::from(OwnedFd::from(output));
    let mut answers = Vec::new();
    while answers.len() < count {
        if poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            break;
        }
        let mut byte = [0];
        match output.read(&mut byte)? {
            0 => break,
            _ => answers.extend(byte),
        }
    }
    Ok(answers)
}

/// Waits for a child that has answered everything; leaves another behind, for it
/// may be where no signal ends it.
fn end(child: &mut Child, has_answered: bool) -> io::Result<()> {
    if has_answered {
        child.wait()?;
        return Ok(());
    }
    child.kill()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_about_nothing() {
        assert_eq!(dead(&[]).unwrap(), HashSet::new());
    }
}
