//! A `porthole` with a state directory of its own.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use support::leaks::{MARK, mark};
use support::{Need, Ran};

/// What a container needs when it is given no view.
pub(crate) const ROOT: &[Need] = &[Need::Root];

/// How long something may take that takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `porthole` with a state directory of its own.
#[derive(Debug)]
pub(crate) struct Engine {
    folder: tempfile::TempDir,
}

impl Engine {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("porthole-tests-").tempdir()? })
    }

    /// `porthole WORDS`.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).env("PORTHOLE_STATE_DIR", self.state_dir()).env(MARK, mark());
        command
    }

    /// `porthole run --no-view OPTIONS -- PROGRAM`.
    pub(crate) fn run_command(&self, options: &[&str], program: &[&str]) -> Command {
        let mark = format!("{MARK}={}", mark());
        self.command(&[&["run", "--no-view", "-e", &mark], options, &["--"], program].concat())
    }

    /// The same, to its end.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Result<Ran> {
        Ran::new(self.run_command(options, program).stdin(Stdio::null()))
    }

    /// `porthole WORDS`, to its end.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Ran> {
        Ran::new(self.command(words).stdin(Stdio::null()))
    }

    /// Starts `program` in the background: the container's id.
    pub(crate) fn start(&self, options: &[&str], program: &[&str]) -> Result<String> {
        let ran = self.run(&[&["-d"], options].concat(), program)?.succeeded()?;
        Ok(ran.stdout.trim().to_owned())
    }

    /// Starts `program` in the foreground of a child of ours, and waits until it
    /// runs.
    pub(crate) fn spawn(&self, options: &[&str], program: &[&str]) -> Result<Foreground> {
        let mut command = self.run_command(options, program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("cannot start porthole")?;
        let mut foreground = Foreground { child, id: String::new() };
        foreground.id = until("the container runs", || self.running().pop())?;
        Ok(foreground)
    }

    /// Ids of the containers that run.
    fn running(&self) -> Vec<String> {
        let listed = self.ask(&["ps", "--format", "json"]).map(|ran| ran.stdout);
        let listed = listed.ok().and_then(|text| serde_json::from_str(&text).ok());
        let listed: Vec<serde_json::Value> = listed.unwrap_or_default();
        let runs = serde_json::Value::from("running");
        let running =
            listed.iter().filter(|container| container.pointer("/status/is") == Some(&runs));
        running.filter_map(|container| Some(container["id"].as_str()?.to_owned())).collect()
    }

    /// Fails unless nothing is left of any container: no state, no cgroup of `ids`.
    pub(crate) fn is_empty(&self, ids: &[&str]) -> Result<()> {
        let folders = std::fs::read_dir(self.state_dir()).into_iter().flatten().flatten();
        let left: Vec<PathBuf> =
            folders.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        ensure!(left.is_empty(), "state was left: {left:?}");
        let groups: BTreeSet<PathBuf> = ids.iter().flat_map(|id| groups(id)).collect();
        ensure!(groups.is_empty(), "cgroups were left: {groups:?}");
        Ok(())
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // For a test that has failed half-way; one that passed has none.
        for id in self.running() {
            let _ = self.ask(&["rm", "-f", &id]);
        }
    }
}

/// A `porthole run` in the foreground.
#[derive(Debug)]
pub(crate) struct Foreground {
    pub(crate) child: Child,
    /// The container's id.
    pub(crate) id: String,
}

impl Foreground {
    /// Waits until the container has printed `line`, alone and first.
    pub(crate) fn wait_for_line(&mut self, line: &str) -> Result<()> {
        let mut text = vec![0; line.len() + 1];
        let output = self.child.stdout.as_mut().context("it has no output")?;
        output.read_exact(&mut text).with_context(|| format!("it ended before {line:?}"))?;
        ensure!(text == format!("{line}\n").as_bytes(), "it printed {text:?} and not {line:?}");
        Ok(())
    }

    /// Sends `porthole run` itself a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    /// The container's monitor: the one child of `porthole run`.
    pub(crate) fn monitor(&self) -> Result<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        children.trim().parse().with_context(|| format!("the children are {children:?}"))
    }

    /// Waits for the end.
    pub(crate) fn end(self) -> Result<Ran> {
        Ok(Ran::of("porthole run".to_owned(), &self.child.wait_with_output()?))
    }
}

/// `porthole`: that of `PORTHOLE_BIN_DIR`, as where an installed one is tested,
/// else cargo's.
pub(crate) fn program() -> PathBuf {
    let folder = std::env::var_os("PORTHOLE_BIN_DIR").map(PathBuf::from);
    folder.map_or_else(|| env!("CARGO_BIN_EXE_porthole").into(), |folder| folder.join("porthole"))
}

/// Sends a process a signal.
pub(crate) fn signal(pid: u32, name: &str) -> Result<()> {
    let signal: nix::sys::signal::Signal = name.parse()?;
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal)?)
}

/// The cgroups of the container `id`, in every hierarchy.
pub(crate) fn groups(id: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
    let places = hierarchies.map(|entry| entry.path()).chain([root.to_owned()]);
    places.map(|place| place.join("porthole").join(id)).filter(|group| group.exists()).collect()
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("it never came to be that {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
