//! Which of our mounts are dead.
//!
//! The kernel says so itself: a request to a file system whose daemon has died is
//! answered with `ENOTCONN` at once. But a daemon that hangs answers nothing, and
//! who waits for it may not even be killed. So a child asks, one file system
//! after the other, and is left behind when an answer takes too long.
//!
//! A file system that does not answer is not dead: it is left alone, and asked
//! again, with more patience, once all others are done.

use std::collections::{HashMap, HashSet};
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

/// How long one file system may take to answer at first. A live one takes
/// microseconds, a child on a busy machine some milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);

/// How much longer it may take each time it is asked again.
const MORE_PATIENCE: u32 = 4;

/// The longest that one may take: who has not answered by then hangs, and healing
/// must end some time.
const MOST_PATIENCE: Duration = Duration::from_secs(4);

/// Children that are left behind before nobody is asked any more, so that nobody
/// holds up the others by mounting file systems that do not answer.
const MAX_LEFT_BEHIND: u32 = 8;

const DEAD: u8 = b'd';
const NOT_DEAD: u8 = b'-';

/// A file system, and a file on it that was opened by path alone.
pub(crate) type Asked = (Device, OwnedFd);

/// What is known of file systems of ours.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Whether each that has answered is dead.
    answers: HashMap<Device, bool>,
    /// Those that have not answered in time.
    silent: HashSet<Device>,
    patience: Duration,
    left_behind: u32,
}

impl Probe {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Self { answers: HashMap::new(), silent: HashSet::new(), patience: PATIENCE, left_behind: 0 }
    }

    /// True when `device` was asked already.
    pub(crate) fn knows(&self, device: Device) -> bool {
        self.answers.contains_key(&device) || self.silent.contains(&device)
    }

    /// The dead.
    pub(crate) fn dead(&self) -> HashSet<Device> {
        self.answers.iter().filter(|(_, dead)| **dead).map(|(device, _)| *device).collect()
    }

    /// Forgets who did not answer, to have them asked again with more patience;
    /// false when all have answered, or there is no more patience.
    pub(crate) fn ask_again(&mut self) -> bool {
        self.patience *= MORE_PATIENCE;
        if self.silent.is_empty() || self.patience > MOST_PATIENCE {
            return false;
        }
        self.silent.clear();
        true
    }

    /// Asks whether each of `mounts` is dead.
    ///
    /// # Errors
    ///
    /// When no child can be started.
    pub(crate) fn ask(&mut self, mounts: &[Asked]) -> io::Result<()> {
        let mut unasked = mounts;
        while !unasked.is_empty() && self.left_behind < MAX_LEFT_BEHIND {
            let answers = ask_child(unasked, self.patience)?;
            let answered = unasked.iter().zip(&answers);
            self.answers.extend(answered.map(|((device, _), answer)| (*device, *answer == DEAD)));
            unasked = unasked.get(answers.len()..).unwrap_or_default();
            if let Some(((device, _), after)) = unasked.split_first() {
                self.left_behind += 1;
                self.silent.insert(*device);
                unasked = after;
            }
        }
        self.silent.extend(unasked.iter().map(|(device, _)| *device));
        Ok(())
    }
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
fn ask_child(mounts: &[Asked], patience: Duration) -> io::Result<Vec<u8>> {
    let numbers: Vec<_> = mounts.iter().map(|(_, file)| file.as_raw_fd().to_string()).collect();
    let mut child = Command::new("/proc/self/exe")
        .arg0("portholefs")
        .args(["inject", "--probe", &numbers.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let answers = match child.stdout.take() {
        Some(output) => read_answers(output, mounts.len(), patience)?,
        None => Vec::new(),
    };
    end(&mut child, answers.len() == mounts.len())?;
    Ok(answers)
}

fn read_answers(output: ChildStdout, count: usize, patience: Duration) -> io::Result<Vec<u8>> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
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

    const HUNG: Device = Device { major: 0, minor: 51 };
    const DEAD_ONE: Device = Device { major: 0, minor: 52 };

    #[test]
    fn who_does_not_answer_is_not_dead_and_is_asked_again() {
        let mut probe = Probe::new();
        probe.answers.insert(DEAD_ONE, true);
        probe.silent.insert(HUNG);
        assert!(probe.knows(HUNG) && probe.knows(DEAD_ONE));
        assert_eq!(probe.dead(), HashSet::from([DEAD_ONE]));
        assert!(probe.ask_again());
        assert!(!probe.knows(HUNG) && probe.knows(DEAD_ONE));
        assert!(!probe.ask_again());
    }

    #[test]
    fn after_too_many_were_left_behind_nobody_is_asked() {
        let mut probe = Probe { left_behind: MAX_LEFT_BEHIND, ..Probe::new() };
        let file = File::open("/dev/null").unwrap().into();
        probe.ask(&[(HUNG, file)]).unwrap();
        assert!(probe.knows(HUNG));
        assert_eq!(probe.dead(), HashSet::new());
    }
}
