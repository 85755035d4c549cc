//! Containers made by `porthole`, seen by the daemon that all trials share.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Ran, binaries, daemon, group, leaks};

/// Seconds after which a command of `porthole` counts as hung: a dozen programs, one
/// after the other, take minutes in a virtual machine without KVM.
const PATIENCE: &str = "600";

/// The command `porthole` with the words that keep our containers apart from
/// everybody else's.
pub fn porthole() -> Result<Command> {
    let folder = daemon::shared()?.with_file_name("state");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE]).arg(binaries::path("porthole")?);
    command.arg("--state-dir").arg(folder).env(leaks::MARK, leaks::mark());
    Ok(command)
}

/// `porthole run` with the shared daemon's files.
pub fn run_command(options: &[&str], program: &[&str]) -> Result<Command> {
    let mut command = porthole()?;
    // By environment, so that a test can still say --view.
    command.env("PORTHOLE_VIEW", daemon::shared()?).arg("run");
    command.args(["-e", &format!("{}={}", leaks::MARK, leaks::mark())]);
    command.args(options).arg("--").args(program);
    Ok(command)
}

/// Runs `program` in a new container, to its end; it may fail.
pub fn run(options: &[&str], program: &[&str]) -> Result<Ran> {
    Ran::new(&mut run_command(options, program)?)
}

/// Runs a shell script in a new container; it must succeed.
pub fn shell(options: &[&str], script: &str) -> Result<Ran> {
    run(options, &["sh", "-c", script])?.succeeded()
}

/// A container in the background; it is killed and removed with this value.
#[derive(Debug)]
pub struct Container {
    id: String,
}

impl Container {
    /// Starts one that sleeps, to run other programs in.
    pub fn sleeping(options: &[&str]) -> Result<Self> {
        Self::start(options, &["sleep", "600"])
    }

    /// Starts `program` in one.
    pub fn start(options: &[&str], program: &[&str]) -> Result<Self> {
        let detached = [&["-d"], options].concat();
        let ran = run(&detached, program)?.succeeded()?;
        Ok(Self { id: ran.stdout.trim().to_owned() })
    }

    /// Its id, as `porthole` names it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its first process, as the host numbers it.
    pub fn init(&self) -> Result<i64> {
        let inspected = Ran::new(porthole()?.args(["inspect", &self.id]))?.succeeded()?;
        let noted: serde_json::Value = serde_json::from_str(&inspected.stdout)?;
        let init = noted.pointer("/status/init/pid").and_then(serde_json::Value::as_i64);
        init.with_context(|| format!("no first process is noted\n{inspected}"))
    }

    /// Runs `program` in it, to its end.
    pub fn exec(&self, program: &[&str]) -> Result<Ran> {
        let ran = Ran::new(porthole()?.args(["exec", &self.id, "--"]).args(program))?;
        Ok(ran.beside(self.readings()))
    }

    /// Runs a shell script in it; it must succeed.
    pub fn shell(&self, script: &str) -> Result<Ran> {
        self.exec(&["sh", "-c", script])?.succeeded()
    }

    /// The folder of its control group in the hierarchy of `controller`.
    pub fn group(&self, controller: &str) -> Result<PathBuf> {
        Ok(group::hierarchy(controller)?.join("porthole").join(&self.id))
    }

    /// What a file of its control group says; named as on v1 and as on v2.
    pub fn reading(&self, controller: &str, v1: &str, v2: &str) -> Result<String> {
        let path = self.group(controller)?.join(group::file(controller, v1, v2));
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Memory that its group uses, in bytes.
    pub fn memory_usage(&self) -> Result<u64> {
        let text = self.reading("memory", "memory.usage_in_bytes", "memory.current")?;
        text.trim().parse().with_context(|| format!("the memory usage is {text:?}"))
    }

    /// CPU time that its group has been charged, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let text = self.reading("cpuacct", "cpuacct.usage", "cpu.stat")?;
        let seconds = if group::is_v2("cpuacct") {
            cpu_stat_seconds(&text)
        } else {
            text.trim().parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
        };
        seconds.with_context(|| format!("the CPU usage is {text:?}"))
    }

    /// The group's own numbers, for the reader of a failure.
    pub fn readings(&self) -> String {
        let files = [
            ("memory", "memory.limit_in_bytes", "memory.max"),
            ("memory", "memory.usage_in_bytes", "memory.current"),
            ("cpu", "cpu.cfs_quota_us", "cpu.max"),
            ("cpuacct", "cpuacct.usage", "cpu.stat"),
            ("cpuset", "cpuset.effective_cpus", "cpuset.cpus.effective"),
        ];
        let lines = files.iter().filter_map(|(controller, v1, v2)| {
            let name = group::file(controller, v1, v2);
            Some(format!("{name}: {}", self.reading(controller, v1, v2).ok()?.trim()))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let removed =
            porthole().and_then(|mut porthole| Ran::new(porthole.args(["rm", "-f", &self.id])));
        if let Err(error) = removed.and_then(Ran::succeeded) {
            eprintln!("cannot remove container {}: {error:?}", self.id);
        }
    }
}

/// `usage_usec` of `cpu.stat`, in seconds.
fn cpu_stat_seconds(text: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(value.parse::<f64>().ok()? / 1e6)
}
