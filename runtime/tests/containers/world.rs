//! Plans for tests, and what came of them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use porthole::plan::{
    Calls, Clock, Network, Plan, Process, Resources, Root, RootSource, Security, User, View, Volume,
};

use crate::launcher::Order;

/// A container of the host's system that runs `script` in a shell.
pub(crate) fn shell(script: &str) -> Plan {
    command(&["sh", "-c", script])
}

/// A container of the host's system that runs `args`.
pub(crate) fn command(args: &[&str]) -> Plan {
    Plan {
        id: "0".repeat(64),
        hostname: "web".to_owned(),
        root: Root { source: RootSource::HostSystem, read_only: false },
        volumes: Vec::new(),
        process: process(args),
        network: Network::None,
        clock: Clock::Container,
        security: Security::default(),
        resources: Resources::default(),
        view: View::Host,
        calls: Calls::Host,
    }
}

/// A process that is user 0 in `/`.
pub(crate) fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec!["PATH=/usr/bin:/bin:/usr/sbin:/sbin".to_owned()],
        cwd: "/".into(),
        user: User { user: "0".to_owned(), group: None },
        terminal: false,
        init: false,
    }
}

/// `-v source:target`.
pub(crate) fn volume(source: &Path, target: &str) -> Volume {
    Volume { source: source.to_owned(), target: target.into(), read_only: false }
}

/// A directory with a root file system: busybox and nothing else.
pub(crate) fn image() -> tempfile::TempDir {
    let image = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(image.path().join("bin")).expect("it is empty");
    std::fs::copy("/bin/busybox", image.path().join("bin/busybox")).expect("busybox is there");
    symlink("busybox", image.path().join("bin/sh")).expect("it is not there yet");
    image
}

/// A container of `image` that runs `script` in busybox's shell.
pub(crate) fn shell_in(image: &tempfile::TempDir, script: &str) -> Plan {
    let mut plan = command(&["/bin/busybox", "sh", "-c", script]);
    plan.root.source = RootSource::Directory(image.path().to_owned());
    plan
}

/// What a container wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// Runs the container of `plan` to its end.
pub(crate) fn run(plan: Plan) -> Ended {
    carry_out(&Order { plan, later: None })
}

/// Runs `later` in the container of `plan`, which must live longer.
pub(crate) fn run_in(plan: Plan, later: Process) -> Ended {
    carry_out(&Order { plan, later: Some(later) })
}

fn carry_out(order: &Order) -> Ended {
    let Output { status, stdout, stderr } = launcher(order).output().expect("the launcher runs");
    Ended {
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        code: status.code().expect("the launcher exits"),
    }
}

/// The command that carries `order` out.
pub(crate) fn launcher(order: &Order) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("launch").arg(serde_json::to_string(order).expect("an order is JSON"));
    command.stdin(Stdio::null());
    command
}

/// Runs `plan` and demands what it writes, an end with 0 and no word of error.
#[track_caller]
pub(crate) fn check(plan: Plan, stdout: &str) {
    let ended = run(plan);
    assert_eq!((ended.stdout.as_str(), ended.code), (stdout, 0), "{}", ended.stderr);
}

/// Runs `plan` and demands that it fails with this error and exit code.
#[track_caller]
pub(crate) fn check_refused(plan: Plan, stderr: &str, code: i32) {
    let ended = run(plan);
    assert_eq!((ended.stderr.as_str(), ended.code), (stderr, code), "{}", ended.stdout);
}
