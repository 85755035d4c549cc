//! `--daemon`: return to the shell when reads are answered, not before.
//!
//! The command starts itself again with `--announce` and waits for one line on
//! the child's standard output. Until then the child writes to the user's
//! terminal, so a failure is told there, and its exit code is handed on.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::unistd;

/// The line that the keeper writes when reads are answered.
const READY: &str = "ready";

/// Whom to tell that reads are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// Nobody: the daemon stays in the foreground.
    None,
    /// The parent that waits on standard output.
    ToParent,
}

/// Starts this command again in the background and waits until it serves.
///
/// Returns success then, and otherwise the exit code with which it ended.
///
/// # Errors
///
/// When the command cannot be started again.
pub fn start() -> io::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg0("portholefs")
        .args(std::env::args_os().skip(1))
        .arg("--announce")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    if line.trim_end() == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

impl Announcement {
    /// Leaves the parent's session, so that closing its terminal ends nothing here.
    /// Relative paths must be resolved before.
    ///
    /// # Errors
    ///
    /// What setsid(2) says.
    pub fn detach(self) -> io::Result<()> {
        if self == Self::ToParent {
            unistd::setsid()?;
            unistd::chdir("/")?;
        }
        Ok(())
    }

    /// Tells the parent, and lets go of standard output.
    ///
    /// # Errors
    ///
    /// When there is no standard error to take its place.
    pub fn tell(self) -> io::Result<()> {
        if self == Self::ToParent {
            let _parent_is_gone = unistd::write(io::stdout(), format!("{READY}\n").as_bytes());
            unistd::dup2_stdout(io::stderr())?;
        }
        Ok(())
    }

    /// Lets go of the terminal: from here on log lines go to `log_file`, or
    /// nowhere. Standard output stays, for the one line that says that reads are
    /// answered; the keeper writes it.
    ///
    /// # Errors
    ///
    /// When the log file cannot be opened.
    pub fn redirect_log(self, log_file: Option<&Path>) -> io::Result<()> {
        if self == Self::ToParent {
            let path = log_file.unwrap_or(Path::new("/dev/null"));
            let log = OpenOptions::new().append(true).create(true).open(path)?;
            unistd::dup2_stderr(&log)?;
        }
        Ok(())
    }
}
