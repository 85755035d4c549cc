//! A program that ran: what it printed, and what to show when that is wrong.

use std::fmt;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// A program that ran to its end.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command as one would type it.
    pub command: String,
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// What the kernel's files said meanwhile, for the reader of a failure.
    pub readings: String,
}

impl Ran {
    /// Runs `command` to its end.
    pub fn new(command: &mut Command) -> Result<Self> {
        let line = line(command);
        let output = command.output().with_context(|| format!("cannot run `{line}`"))?;
        Ok(Self::of(line, &output))
    }

    /// What `output` says about the command of `line`.
    pub fn of(line: String, output: &Output) -> Self {
        Self {
            command: line,
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            readings: String::new(),
        }
    }

    /// The same with `readings` as evidence.
    #[must_use]
    pub fn beside(mut self, readings: String) -> Self {
        self.readings = readings;
        self
    }

    /// Fails unless the program ended with status 0.
    pub fn succeeded(self) -> Result<Self> {
        match self.status {
            Some(0) => Ok(self),
            _ => bail!("the command failed\n{self}"),
        }
    }

    /// Fails unless `found` is `expected`; `what` says what was looked at.
    pub fn equal<T: PartialEq + fmt::Debug>(
        &self,
        what: &str,
        found: &T,
        expected: &T,
    ) -> Result<()> {
        if found != expected {
            bail!("{what}: found {found:?}, expected {expected:?}\n{self}");
        }
        Ok(())
    }

    /// Fails unless `holds`.
    pub fn holds(&self, what: &str, holds: bool) -> Result<()> {
        if !holds {
            bail!("{what}: not so\n{self}");
        }
        Ok(())
    }

    /// Fails unless `found` is in `low..=high`.
    pub fn between<T: PartialOrd + fmt::Display + Copy>(
        &self,
        what: &str,
        found: T,
        low: T,
        high: T,
    ) -> Result<()> {
        if found < low || found > high {
            bail!("{what}: found {found}, expected {low} to {high}\n{self}");
        }
        Ok(())
    }

    /// The value that `find` finds, or an error that shows the output.
    pub fn find<T>(&self, what: &str, find: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        find(&self.stdout).with_context(|| format!("there is no {what} in the output\n{self}"))
    }

    /// Standard output as one number.
    pub fn number<T: std::str::FromStr>(&self) -> Result<T> {
        self.find("number", |text| text.trim().parse().ok())
    }

    /// A line of standard output as `/proc/meminfo` has it, in bytes.
    pub fn meminfo(&self, key: &str) -> Result<u64> {
        self.find(key, |text| meminfo(text, key))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command: {}", self.command)?;
        match self.status {
            Some(status) => writeln!(f, "exit status: {status}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        for (name, text) in [
            ("output", &self.stdout),
            ("standard error", &self.stderr),
            ("readings", &self.readings),
        ] {
            if !text.is_empty() {
                writeln!(f, "{name}:\n  {}", text.trim_end().replace('\n', "\n  "))?;
            }
        }
        Ok(())
    }
}

/// `Key:   123 kB` of `/proc/meminfo`, in bytes.
pub fn meminfo(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The command as one would type it, with the variables that were set for it.
fn line(command: &Command) -> String {
    let text = |word: &std::ffi::OsStr| quoted(&word.to_string_lossy());
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), text(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(text);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_shows_the_command_the_output_and_the_readings() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 5; echo oh >&2; exit 1"]);
        let ran = Ran::new(&mut command).unwrap().beside("memory.max: 4".to_owned());
        let error = ran.equal("total", &ran.number::<u64>().unwrap(), &4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "total: found 5, expected 4\n\
             command: sh -c 'echo 5; echo oh >&2; exit 1'\n\
             exit status: 1\n\
             output:\n  5\n\
             standard error:\n  oh\n\
             readings:\n  memory.max: 4\n"
        );
        assert!(ran.succeeded().unwrap_err().to_string().starts_with("the command failed\n"));
    }

    #[test]
    fn a_command_is_shown_with_its_environment() {
        let mut command = Command::new("env");
        command.env("NAME", "two words").arg("a");
        assert_eq!(line(&command), "NAME='two words' env a");
    }

    #[test]
    fn meminfo_lines_are_bytes() {
        assert_eq!(meminfo("MemTotal:         64 kB\nMemFree:  1 kB\n", "MemFree"), Some(1024));
        assert_eq!(meminfo("MemTotal:         64 kB\n", "Mem"), None);
        assert_eq!(meminfo("", "MemTotal"), None);
    }
}
