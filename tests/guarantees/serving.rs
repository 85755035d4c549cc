//! A daemon whose processes are known by name.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Ran, Verdict, binaries, leaks, process};

/// How long anything may take that takes milliseconds: a virtual machine without
/// KVM is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon, stopped with this value.
#[derive(Debug)]
pub(crate) struct Serving {
    keeper: Child,
    folder: tempfile::TempDir,
    /// The program, and whatever becomes it.
    program: Vec<PathBuf>,
    options: Vec<String>,
}

impl Serving {
    /// Starts one with further options and waits until it serves.
    pub(crate) fn start(options: &[&str]) -> Result<Self> {
        Self::start_by(vec![binaries::path("portholefs")?], support::folder()?, options)
    }

    /// Starts one in `folder` through a program that becomes it without a fork.
    pub(crate) fn start_by(
        program: Vec<PathBuf>,
        folder: tempfile::TempDir,
        options: &[&str],
    ) -> Result<Self> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let keeper = spawn(folder.path(), &program, &options)?;
        let serving = Self { keeper, folder, program, options };
        serving.until("it serves", || Ok(serving.generation()? > 0))?;
        Ok(serving)
    }

    /// Starts the next daemon at the same place, the keeper of this one being dead.
    pub(crate) fn start_again(&mut self) -> Verdict {
        self.keeper.wait()?;
        self.keeper = spawn(self.folder.path(), &self.program, &self.options)?;
        let keeper = u64::from(self.keeper.id());
        self.until("it serves again", || {
            Ok(self.number("keeper_pid")? == keeper && self.worker()?.is_some())
        })
    }

    /// Kills its keeper and its worker, so that nobody is left.
    pub(crate) fn kill_all(&mut self) -> Verdict {
        // It must not start another worker meanwhile.
        kill(self.keeper(), Signal::SIGSTOP)?;
        for process in process::descendants(self.keeper())? {
            // ESRCH: the healer ends by itself.
            let _ended = kill(process, Signal::SIGKILL);
            self.until("it is dead", || {
                Ok(!process::descendants(self.keeper())?.contains(&process))
            })?;
        }
        self.kill_keeper()
    }

    /// From now on it is started by another program.
    pub(crate) fn becomes(&mut self, program: Vec<PathBuf>) {
        self.program = program;
    }

    /// Kills its keeper and nobody else.
    pub(crate) fn kill_keeper(&mut self) -> Verdict {
        self.keeper.kill()?;
        self.keeper.wait()?;
        Ok(())
    }

    /// Where its tree is mounted.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.path().join("fs")
    }

    /// A file of its tree.
    pub(crate) fn file(&self, path: &str) -> String {
        self.mount_point().join(path).to_string_lossy().into_owned()
    }

    /// Its keeper.
    pub(crate) fn keeper(&self) -> Pid {
        Pid::from_raw(self.keeper.id().cast_signed())
    }

    /// The worker that serves; `None` while there is none.
    pub(crate) fn worker(&self) -> Result<Option<Pid>> {
        let pid = i32::try_from(self.number("worker_pid")?)?;
        Ok((pid != 0).then(|| Pid::from_raw(pid)))
    }

    /// Which worker it is, counted from 1; 0 before the first.
    pub(crate) fn generation(&self) -> Result<u64> {
        self.number("generation")
    }

    /// A number of its status.
    pub(crate) fn number(&self, key: &str) -> Result<u64> {
        let status = self.status();
        Ok(status.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    /// Fails unless a number of its status becomes `expected`. The keeper writes it when it
    /// has let the next worker serve, so whoever was answered may look before.
    pub(crate) fn tells(&self, key: &str, expected: u64) -> Verdict {
        self.until(&format!("{key} is {expected}"), || Ok(self.number(key)? >= expected))?;
        ensure!(self.number(key)? == expected, "{key} is not {expected}\n{:#}", self.status());
        Ok(())
    }

    /// Waits until it is told that only the host's files are served, likewise.
    pub(crate) fn tells_of_fallback(&self) -> Verdict {
        self.until("the host's files are served", || Ok(self.is_fallback()))
    }

    /// Whether only the host's files are served.
    pub(crate) fn is_fallback(&self) -> bool {
        self.status().get("fallback").is_some_and(|fallback| fallback == true)
    }

    /// Memory that its keeper and its worker have resident, in bytes, what they share
    /// counted for each.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut resident = 0;
        for process in [Some(self.keeper()), self.worker()?].into_iter().flatten() {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
            resident += support::ran::meminfo(&status, "VmRSS").context("no VmRSS")?;
        }
        Ok(resident)
    }

    /// Its status file, which is an empty object while it is being written.
    pub(crate) fn status(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.folder.path().join(".fs.lock"));
        let line = text.ok().and_then(|text| serde_json::from_str(text.lines().next()?).ok());
        line.unwrap_or_default()
    }

    /// What its processes have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits for the end of its keeper, whatever brings it about.
    pub(crate) fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.keeper.wait()?)
    }

    /// Sends `signal` to the worker and waits for its successor.
    pub(crate) fn replace_worker(&self, signal: Signal) -> Verdict {
        let before = self.generation()?;
        let worker = self.worker()?.context("nobody serves")?;
        kill(worker, signal)?;
        self.until("another worker serves", || Ok(self.generation()? > before))
    }

    /// Runs `portholefs` with `words` and the mount point.
    pub(crate) fn command(&self, words: &[&str]) -> Result<Ran> {
        let program = self.program.last().context("no program")?;
        Ran::new(Command::new("timeout").arg("60").arg(program).args(words).arg(self.mount_point()))
    }

    /// Waits until `condition` holds.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> Result<bool>) -> Verdict {
        let deadline = Instant::now() + PATIENCE;
        while !condition()? {
            if Instant::now() > deadline {
                bail!("in vain: {what}\n{:#}\n{}", self.status(), self.log());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops it: it must end with status 0 and leave nothing.
    pub(crate) fn stop(mut self) -> Verdict {
        kill(self.keeper(), Signal::SIGTERM)?;
        let status = self.keeper.wait()?;
        ensure!(status.success(), "the keeper ended with {status}\n{}", self.log());
        ensure!(!support::daemon::is_mounted(&self.mount_point()), "a mount is left");
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let worker = self.worker();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if let Ok(Some(worker)) = worker {
            let _ = kill(worker, Signal::SIGKILL);
        }
        let _ = nix::mount::umount2(&self.mount_point(), nix::mount::MntFlags::MNT_DETACH);
    }
}

fn spawn(folder: &Path, program: &[PathBuf], options: &[String]) -> Result<Child> {
    let (first, others) = program.split_first().context("no program")?;
    let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("log"))?;
    let mut command = Command::new(first);
    command.args(others).arg("serve").args(options).arg(folder.join("fs")).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).env(leaks::MARK, leaks::mark());
    command.spawn().context("cannot start portholefs")
}
