//! The command lines with which a daemon's processes start each other.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::keeper::plan::Plan;
use crate::shared::slots::BANKS;
use crate::sys::process::CommandLine;

/// The words from which a [`Plan`] is made.
#[derive(Debug, Clone)]
pub struct Words {
    /// Where the program file is.
    pub program: PathBuf,
    /// Where the tree is mounted.
    pub mount_point: PathBuf,
    /// Arguments for every process: how to log.
    pub common: Vec<OsString>,
    /// See [`Plan`].
    pub keep: bool,
    /// See [`Plan`].
    pub announce: bool,
}

impl Words {
    /// The keeper's command line: `portholefs keeper ...`.
    ///
    /// # Errors
    ///
    /// When an argument or a variable contains a zero byte.
    pub fn keeper(&self) -> io::Result<CommandLine> {
        let mut args =
            vec![OsStr::new("keeper"), OsStr::new("--program"), self.program.as_os_str()];
        args.extend(self.keep.then_some(OsStr::new("--keep")));
        args.extend(self.announce.then_some(OsStr::new("--announce")));
        self.command(&args, &self.mount_point)
    }

    /// Makes everything that the keeper will need.
    ///
    /// # Errors
    ///
    /// As [`keeper`](Self::keeper).
    pub fn plan(&self) -> io::Result<Plan> {
        let workers = |kind: &[&str]| -> io::Result<[CommandLine; BANKS]> {
            let commands: io::Result<Vec<CommandLine>> = (0..BANKS)
                .map(|bank| {
                    let bank = bank.to_string();
                    let words = ["worker", "--bank", &bank].into_iter().chain(kind.iter().copied());
                    self.command(&words.map(OsStr::new).collect::<Vec<_>>(), Path::new(""))
                })
                .collect();
            commands?.try_into().map_err(|_other_length| io::ErrorKind::InvalidData.into())
        };
        Ok(Plan {
            program: self.program.clone(),
            mount_point_json: serde_json::to_string(&self.mount_point)?,
            workers: workers(&[])?,
            fallbacks: workers(&["--fallback"])?,
            keeper: self.keeper()?,
            unmount: self.command(&[OsStr::new("unmount")], &self.mount_point)?,
            heal: self.command(&["heal"].map(OsStr::new), &self.mount_point)?,
            keep: self.keep,
            announce: self.announce,
        })
    }

    /// The command line of a process that answers system calls, with the `options` of
    /// its kind.
    ///
    /// # Errors
    ///
    /// As [`keeper`](Self::keeper).
    pub fn answerer(&self, options: &[&str]) -> io::Result<CommandLine> {
        let words = ["answerer"].iter().chain(options).map(OsStr::new);
        self.command(&words.collect::<Vec<_>>(), &self.mount_point)
    }

    fn command(&self, words: &[&OsStr], last: &Path) -> io::Result<CommandLine> {
        let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
        let common = self.common.iter().map(OsString::as_os_str);
        let name = [OsStr::new("portholefs")];
        let last = Some(last.as_os_str()).filter(|path| !path.is_empty());
        let args = name.into_iter().chain(words.iter().copied()).chain(common).chain(last);
        let environment = std::env::vars_os().map(|(name, value)| {
            let mut variable = name;
            variable.push("=");
            variable.push(value);
            variable
        });
        let args = args.map(text).collect::<io::Result<Vec<_>>>()?;
        let environment =
            environment.map(|variable| text(&variable)).collect::<io::Result<Vec<_>>>()?;
        Ok(CommandLine::new(args, environment))
    }
}
