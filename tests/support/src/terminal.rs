//! A terminal with a program on it, for programs that draw.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process;

/// How long a program may take to draw what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal of 120 columns and 40 rows.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    master: File,
    /// All that was written so far.
    written: Vec<u8>,
}

impl Terminal {
    /// Starts `command` with a new terminal as its controlling one.
    pub fn start(command: &Command) -> Result<Self> {
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).context("cannot open a terminal")?;
        let end = || -> Result<OwnedFd> { Ok(pair.slave.try_clone()?) };
        // setsid makes the terminal the controlling one, which takes a fork of
        // its own in any program with threads.
        let mut leader = Command::new("setsid");
        leader.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            leader.env(name, value.unwrap_or_default());
        }
        leader.env("TERM", "xterm").stdin(end()?).stdout(end()?).stderr(end()?);
        let child = leader.spawn().context("cannot run setsid")?;
        Ok(Self { child, master: pair.master.into(), written: Vec::new() })
    }

    /// Types `keys`.
    pub fn type_keys(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Reads until `find` finds what it looks for in all that was shown.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.shown()) {
                return Ok(found);
            }
            if Instant::now() > deadline || !self.read_some()? {
                bail!("the terminal never showed {what}; it showed:\n{}", self.shown());
            }
        }
    }

    /// Forgets what was shown so far.
    pub fn forget(&mut self) {
        self.written.clear();
    }

    /// All that was shown so far, without escape sequences.
    pub fn shown(&self) -> String {
        without_escapes(&String::from_utf8_lossy(&self.written))
    }

    /// Waits for the end of the program.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the program does not end; it showed:\n{}", self.shown());
            }
            self.read_some()?;
        }
    }

    /// Reads what comes within a moment; false at the end.
    fn read_some(&mut self) -> Result<bool> {
        let mut waiting = [PollFd::new(std::os::fd::AsFd::as_fd(&self.master), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(100_u8))? == 0 {
            return Ok(true);
        }
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.written.extend_from_slice(bytes.get(..length).unwrap_or_default());
                Ok(true)
            }
            // The program has ended and nobody holds the other end.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        for process in process::descendants(pid).unwrap_or_default() {
            let _ = kill(process, Signal::SIGKILL);
        }
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `text` without control sequences (`ESC [ ... letter`) and charset switches
/// (`ESC ( B`).
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            Some('(' | ')') => {
                rest.next();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out() {
        assert_eq!(without_escapes("\u{1b}[1;32mMem\u{1b}(B[\u{1b}[m||"), "Mem[||");
    }

    #[test]
    fn a_program_on_a_terminal_is_read_and_typed_to() {
        let mut command = Command::new("sh");
        command.args(["-c", "stty size; read line; echo got $line; exit 3"]);
        let mut terminal = Terminal::start(&command).unwrap();
        terminal.wait_for("its size", |text| text.contains("40 120").then_some(())).unwrap();
        terminal.type_keys("word\n").unwrap();
        terminal.wait_for("the answer", |text| text.contains("got word").then_some(())).unwrap();
        assert_eq!(terminal.wait().unwrap().code(), Some(3));
    }
}
