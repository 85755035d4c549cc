//! From `run` to nothing left: exit codes, streams, signals, names, terminals.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::terminal::Terminal;
use support::{Container, Need, Ran, Verdict, binaries, container, group, process, speed, trial};

const CONTAINER: &[Need] = &[Need::Container];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exit_code_is_the_commands", CONTAINER, exit_code_is_the_commands),
        trial("output_and_error_stay_apart", CONTAINER, output_and_error_stay_apart),
        trial("input_is_passed_on_when_asked", CONTAINER, input_is_passed_on_when_asked),
        trial("signals_are_passed_on", CONTAINER, signals_are_passed_on),
        trial(
            "nothing_is_left_of_a_killed_porthole",
            CONTAINER,
            nothing_is_left_of_a_killed_porthole,
        ),
        trial(
            "nothing_is_left_of_a_killed_container",
            CONTAINER,
            nothing_is_left_of_a_killed_container,
        ),
        trial("init_reaps_orphans", CONTAINER, init_reaps_orphans),
        trial("life_in_the_background", CONTAINER, life_in_the_background),
        trial("exec_sees_what_the_container_sees", CONTAINER, exec_sees_what_the_container_sees),
        trial("stop_asks_first", CONTAINER, stop_asks_first),
        trial("kill_sends_the_signal", CONTAINER, kill_sends_the_signal),
        trial("a_terminal_of_its_own", CONTAINER, a_terminal_of_its_own),
        trial("starts_a_daemon_when_none_answers", CONTAINER, starts_a_daemon_when_none_answers),
        trial("short_forms", CONTAINER, short_forms),
    ]
}

/// Runs a subcommand of `porthole` on the tests' own state.
fn porthole(words: &[&str]) -> Result<Ran> {
    Ran::new(container::porthole()?.args(words))
}

fn exit_code_is_the_commands() -> Verdict {
    for &(program, expected) in speed::tried(&[
        (&["true"][..], 0),
        (&["sh", "-c", "exit 3"][..], 3),
        (&["/usr"][..], 126),
        (&["no-such-program"][..], 127),
    ]) {
        let ran = container::run(&[], program)?;
        ran.equal("exit status", &ran.status, &Some(expected))?;
        if expected > 125 && expected < 128 {
            ran.equal("lines of error", &ran.stderr.lines().count(), &1)?;
        }
    }
    Ok(())
}

fn output_and_error_stay_apart() -> Verdict {
    let ran = container::shell(&[], "echo out; echo err >&2")?;
    ran.equal("standard output", &ran.stdout.as_str(), &"out\n")?;
    ran.equal("standard error", &ran.stderr.as_str(), &"err\n")
}

fn input_is_passed_on_when_asked() -> Verdict {
    for (options, expected) in [(&["-i"][..], "hello\n"), (&[][..], "")] {
        let mut command = container::run_command(options, &["cat"])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        // Without -i nobody reads it; then the pipe may be closed already.
        let _ = child.stdin.take().context("a pipe")?.write_all(b"hello\n");
        let ran = Ran::of(
            format!("echo hello | porthole run {options:?} cat"),
            &child.wait_with_output()?,
        );
        ran.equal("what cat printed", &ran.stdout.as_str(), &expected)?;
    }
    Ok(())
}

/// Starts `porthole run` itself, without a program in between, and waits for the
/// first line of the container.
fn started(options: &[&str], script: &str) -> Result<std::process::Child> {
    let words = container::run_command(options, &["sh", "-c", script])?;
    // Without the `timeout --kill-after=.. N` in front of it.
    let mut arguments = words.get_args().skip(2);
    let mut command = Command::new(arguments.next().context("a program")?);
    command.args(arguments);
    for (name, value) in words.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().context("a pipe")?, &mut line)?;
    ensure!(&line == b"ready\n", "the container said {:?}", String::from_utf8_lossy(&line));
    Ok(child)
}

fn signals_are_passed_on() -> Verdict {
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child = started(&[], script)?;
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(42), "porthole ended with {status}, expected the trap's 42");
    Ok(())
}

fn nothing_is_left_of_a_killed_porthole() -> Verdict {
    let script = "echo ready; sleep 600 & sleep 600";
    let mut child = started(&["--hostname", "killed-porthole"], script)?;
    let (_init, group) = first_process(child.id())?;
    child.kill()?;
    child.wait()?;
    check_gone(&group)
}

fn nothing_is_left_of_a_killed_container() -> Verdict {
    let mut child = started(&[], "echo ready; sleep 600 & sleep 600")?;
    let (init, group) = first_process(child.id())?;
    kill(init, Signal::SIGKILL)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(137), "porthole ended with {status}, expected 128 + 9");
    // Everything is gone when porthole has ended: no waiting.
    ensure!(!group.exists(), "{} is left", group.display());
    Ok(())
}

/// The first process of the container below `pid`, and its group.
fn first_process(pid: u32) -> Result<(Pid, PathBuf)> {
    let below = process::descendants(Pid::from_raw(pid.cast_signed()))?;
    let own = below.into_iter().find_map(|pid| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path =
            groups.lines().find_map(memory_group).filter(|path| path.contains("/porthole/"))?;
        Some((pid, path.trim_start_matches('/').to_owned()))
    });
    let (first, path) = own.with_context(|| format!("no process below {pid} is in a container"))?;
    Ok((first, group::hierarchy("memory")?.join(path)))
}

/// The path in a line of `/proc/PID/cgroup`, when it is about memory.
fn memory_group(line: &str) -> Option<&str> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let is_it = controllers.split(',').any(|name| name == "memory");
    (is_it || (controllers.is_empty() && group::is_v2("memory"))).then_some(path)
}

fn check_gone(group: &Path) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(20);
    while group.exists() {
        let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        ensure!(
            Instant::now() < deadline,
            "{} is still there, with processes {procs:?}",
            group.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn init_reaps_orphans() -> Verdict {
    // The inner shell leaves an orphan that ends at once; without an init that
    // reaps, it stays as a zombie.
    let script = "sh -c 'true & exec true'; for try in $(seq 100); do
        ps -eo stat,pid,cmd >/tmp/processes; grep -q ^Z /tmp/processes || break; sleep 0.1
    done; cat /tmp/processes";
    let ran = container::shell(&["--init"], script)?;
    ran.holds("there is no zombie", !ran.stdout.lines().any(|line| line.starts_with('Z')))?;
    ran.holds("process 1 is not the shell", !ran.stdout.contains("1 sh -c"))
}

fn life_in_the_background() -> Verdict {
    let container = Container::start(
        &["--name", "background"],
        &["sh", "-c", "echo out; echo err >&2; sleep 600"],
    )?;
    let listed = porthole(&["ps"])?.succeeded()?;
    listed.holds("ps names it", listed.stdout.contains("background"))?;
    let second = container::run(&["--name", "background"], &["true"])?;
    second.equal("exit status with a name in use", &second.status, &Some(125))?;
    second.equal("lines of error", &second.stderr.lines().count(), &1)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let logs = porthole(&["logs", "background"])?.succeeded()?;
        if logs.stdout.contains("out\n")
            && format!("{}{}", logs.stdout, logs.stderr).contains("err\n")
        {
            break;
        }
        ensure!(Instant::now() < deadline, "the logs are not there\n{logs}");
    }
    let refused = porthole(&["rm", "background"])?;
    refused.holds("a running container is not removed", refused.status != Some(0))?;
    drop(container);
    let listed = porthole(&["ps", "-a"])?.succeeded()?;
    listed.holds("ps -a names it no more", !listed.stdout.contains("background"))
}

fn exec_sees_what_the_container_sees() -> Verdict {
    let container = Container::sleeping(&["-m", "96m", "--cpus", "1", "--hostname", "inside"])?;
    let ran = container
        .shell("uname -n; cat /proc/meminfo; getconf _NPROCESSORS_ONLN; cat /proc/self/cgroup")?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(96 << 20))?;
    ran.holds("its name", ran.stdout.starts_with("inside\n"))?;
    ran.holds("one CPU", ran.stdout.lines().any(|line| line == "1"))?;
    let failed = container.exec(&["sh", "-c", "exit 7"])?;
    failed.equal("exit status", &failed.status, &Some(7))?;
    let missing = container.exec(&["no-such-program"])?;
    missing.equal("exit status", &missing.status, &Some(127))
}

fn stop_asks_first() -> Verdict {
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let container = Container::start(&["--name", "stopped"], &["sh", "-c", script])?;
    wait_for_log("stopped", "ready")?;
    porthole(&["stop", container.id()])?.succeeded()?;
    wait_for_log("stopped", "asked")?;
    check_gone(&container.group("memory")?)
}

fn wait_for_log(name: &str, word: &str) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let logs = porthole(&["logs", name])?.succeeded()?;
        if logs.stdout.contains(word) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{word:?} is not in the logs\n{logs}");
    }
}

fn kill_sends_the_signal() -> Verdict {
    let script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done";
    let container = Container::start(&["--name", "signalled"], &["sh", "-c", script])?;
    wait_for_log("signalled", "ready")?;
    porthole(&["kill", "-s", "USR1", "signalled"])?.succeeded()?;
    wait_for_log("signalled", "usr1")?;
    porthole(&["kill", "signalled"])?.succeeded()?;
    check_gone(&container.group("memory")?)
}

fn a_terminal_of_its_own() -> Verdict {
    let script = "tty; stty size; echo $TERM; read word; echo got $word; exit 5";
    let mut terminal = Terminal::start(&container::run_command(&["-it"], &["sh", "-c", script])?)?;
    terminal.wait_for("a terminal", |text| text.contains("/dev/pts/").then_some(()))?;
    terminal.wait_for("its size", |text| text.contains("40 120").then_some(()))?;
    terminal.type_keys("word\r")?;
    terminal.wait_for("the answer", |text| text.contains("got word").then_some(()))?;
    let status = terminal.wait()?;
    ensure!(status.code() == Some(5), "porthole ended with {status}");
    Ok(())
}

fn starts_a_daemon_when_none_answers() -> Verdict {
    let folder = support::folder()?;
    let tree = folder.path().join("fs").to_string_lossy().into_owned();
    let portholefs = binaries::path("portholefs")?;
    let path = format!("{}:/usr/bin:/bin", portholefs.parent().context("a folder")?.display());
    let mut command =
        container::run_command(&["--view", &tree, "-m", "64m"], &["cat", "/proc/meminfo"])?;
    let ran = Ran::new(command.env("PATH", path));
    let stopped = Ran::new(Command::new("umount").arg(&tree));
    // The daemon asks the holder of listeners to end, at a socket in the folder.
    let gone = wait_until_gone(&folder.path().join(".fs.calls"));
    let ran = ran?.succeeded()?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(64 << 20))?;
    ran.equal("lines that say so", &ran.stderr.lines().count(), &1)?;
    ran.holds("it names the place", ran.stderr.contains(&tree))?;
    stopped?.succeeded()?;
    gone
}

/// Waits until a file is gone, far longer than it needs.
fn wait_until_gone(path: &Path) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(20);
    while path.exists() {
        ensure!(Instant::now() < deadline, "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn short_forms() -> Verdict {
    let ran = container::run(
        &["-m64m", "-eA=b", "-w/tmp", "-u0"],
        &["sh", "-c", "echo $A $PWD; cat /proc/meminfo"],
    )?
    .succeeded()?;
    ran.holds("environment and folder", ran.stdout.starts_with("b /tmp\n"))?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(64 << 20))
}
