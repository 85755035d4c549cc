//! How a container in the foreground ends, and what `porthole run` says of it.

use std::process::{Command, Stdio};

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Ran, Verdict, trial};

use crate::engine::{Engine, ROOT};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_exit_code_is_the_commands", ROOT, the_exit_code_is_the_commands),
        trial("a_command_that_is_not_there_is_127", ROOT, a_command_that_is_not_there_is_127),
        trial("a_command_that_cannot_run_is_126", ROOT, a_command_that_cannot_run_is_126),
        trial("no_end_is_missed_in_200", ROOT, no_end_is_missed_in_200),
        trial("an_ignored_sigchld_loses_no_end", ROOT, an_ignored_sigchld_loses_no_end),
        trial("output_and_error_stay_apart", ROOT, output_and_error_stay_apart),
        trial("input_is_passed_on_when_asked", ROOT, input_is_passed_on_when_asked),
    ]
}

fn the_exit_code_is_the_commands() -> Verdict {
    let engine = Engine::new()?;
    for code in [0, 3, 255] {
        let ran = engine.run(&[], &["sh", "-c", &format!("exit {code}")])?;
        ran.equal("exit code", &ran.status, &Some(code))?;
    }
    engine.is_empty(&[])
}

fn a_command_that_is_not_there_is_127() -> Verdict {
    let engine = Engine::new()?;
    let ran = engine.run(&["-e", "PATH=/usr/bin"], &["no-such-program"])?;
    ran.equal("exit code", &ran.status, &Some(127))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: cannot execute no-such-program: executable file not found in /usr/bin\n",
    )?;
    engine.is_empty(&[])
}

fn a_command_that_cannot_run_is_126() -> Verdict {
    let engine = Engine::new()?;
    let ran = engine.run(&[], &["/etc/passwd"])?;
    ran.equal("exit code", &ran.status, &Some(126))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: cannot execute /etc/passwd: permission denied\n",
    )?;
    engine.is_empty(&[])
}

/// A runtime that begins to listen for the end after it has started the command
/// waits for ever when the command is quicker.
fn no_end_is_missed_in_200() -> Verdict {
    let engine = Engine::new()?;
    for _ in 0..200 {
        let mut command = Command::new("timeout");
        let run = engine.run_command(&[], &["true"]);
        command.arg("20").arg(run.get_program()).args(run.get_args());
        command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::new(command.stdin(Stdio::null()))?.succeeded()?;
    }
    engine.is_empty(&[])
}

/// With SIGCHLD ignored, which execve(2) passes on, the kernel keeps no exit status.
fn an_ignored_sigchld_loses_no_end() -> Verdict {
    let engine = Engine::new()?;
    let run = engine.run_command(&[], &["sh", "-c", "exit 5"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' CHLD; exec \"$@\"", "sh"]);
    command.arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::new(command.stdin(Stdio::null()))?;
    ran.equal("exit code", &ran.status, &Some(5))
}

fn output_and_error_stay_apart() -> Verdict {
    let ran = Engine::new()?.run(&[], &["sh", "-c", "echo out; echo err >&2"])?.succeeded()?;
    ran.equal("output", &ran.stdout.as_str(), &"out\n")?;
    ran.equal("error", &ran.stderr.as_str(), &"err\n")
}

fn input_is_passed_on_when_asked() -> Verdict {
    let engine = Engine::new()?;
    let count = |options: &[&str]| -> Result<Ran> {
        let mut command = engine.run_command(options, &["wc", "-c"]);
        Ran::new(command.stdin(std::fs::File::open("/proc/self/exe")?))?.succeeded()
    };
    let own_size = std::fs::metadata("/proc/self/exe")?.len();
    let (passed_on, left_out) = (count(&["-i"])?, count(&[])?);
    passed_on.equal("bytes", &passed_on.number()?, &own_size)?;
    left_out.equal("bytes", &left_out.number()?, &0_u64)
}
