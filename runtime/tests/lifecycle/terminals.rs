//! Terminals: the container's, and the user's own.

use std::process::{Command, Stdio};
use std::time::Instant;

use libtest_mimic::Trial;
use support::terminal::Terminal;
use support::{Ran, Verdict, trial};

use crate::engine::{Engine, ROOT};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_terminal_has_its_size_from_the_start",
            ROOT,
            a_terminal_has_its_size_from_the_start,
        ),
        trial("keys_go_to_the_container_as_they_are", ROOT, keys_go_to_the_container_as_they_are),
        trial("the_users_terminal_is_given_back", ROOT, the_users_terminal_is_given_back),
        trial("the_users_terminal_is_not_handed_in", ROOT, the_users_terminal_is_not_handed_in),
        trial("a_file_is_no_terminal", ROOT, a_file_is_no_terminal),
        trial(
            "a_terminal_that_nobody_reads_is_hung_up",
            ROOT,
            a_terminal_that_nobody_reads_is_hung_up,
        ),
    ]
}

fn a_terminal_has_its_size_from_the_start() -> Verdict {
    let engine = Engine::new()?;
    for _ in 0..10 {
        let mut terminal = Terminal::start(&engine.run_command(&["-it"], &["stty", "size"]))?;
        terminal.wait_for("its size", |text| text.contains("40 120").then_some(()))?;
        anyhow::ensure!(terminal.wait()?.success());
    }
    Ok(())
}

fn keys_go_to_the_container_as_they_are() -> Verdict {
    let engine = Engine::new()?;
    let script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done";
    let mut terminal = Terminal::start(&engine.run_command(&["-it"], &["sh", "-c", script]))?;
    terminal.wait_for("readiness", |text| text.contains("ready").then_some(()))?;
    terminal.type_keys("\u{3}")?;
    terminal.wait_for("the trap", |text| text.contains("interrupted").then_some(()))?;
    anyhow::ensure!(terminal.wait()?.code() == Some(3));
    engine.is_empty(&[])
}

/// However it ends: well, with an error of the command's, or ours.
fn the_users_terminal_is_given_back() -> Verdict {
    let engine = Engine::new()?;
    for program in [&["true"][..], &["sh", "-c", "stty raw -echo; exit 3"], &["no-such-program"]] {
        let run = engine.run_command(&["-it"], program);
        let mut command = Command::new("sh");
        let script = "before=$(stty -g); \"$@\"; [ \"$(stty -g)\" = \"$before\" ] && echo same";
        command.args(["-c", script, "sh"]).arg(run.get_program()).args(run.get_args());
        command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut terminal = Terminal::start(&command)?;
        terminal.wait_for("the same mode", |text| text.contains("same").then_some(()))?;
    }
    engine.is_empty(&[])
}

/// Without -t the container's output comes to the user's terminal, but the
/// terminal does not come into the container.
fn the_users_terminal_is_not_handed_in() -> Verdict {
    let engine = Engine::new()?;
    let script = "[ -t 0 ] || [ -t 1 ] || [ -t 2 ] || { read word; echo got $word; }";
    let mut terminal = Terminal::start(&engine.run_command(&["-i"], &["sh", "-c", script]))?;
    terminal.type_keys("hello\n")?;
    terminal.wait_for("the word", |text| text.contains("got hello").then_some(()))?;
    anyhow::ensure!(terminal.wait()?.success());
    engine.is_empty(&[])
}

fn a_file_is_no_terminal() -> Verdict {
    let engine = Engine::new()?;
    let refused = engine.run(&["-it"], &["true"])?;
    refused.equal("exit code", &refused.status, &Some(125))?;
    refused.equal(
        "message",
        &refused.stderr.as_str(),
        &"porthole: the input device is not a TTY (leave -t out to pass on a file or pipe)\n",
    )?;
    let alone = engine.run(&["-t"], &["tty"])?.succeeded()?;
    alone.equal("terminal", &alone.stdout.trim(), &"/dev/pts/0")?;
    engine.is_empty(&[])
}

/// As with `porthole run -t -- yes | head -1`, which once never ended.
fn a_terminal_that_nobody_reads_is_hung_up() -> Verdict {
    let engine = Engine::new()?;
    let run = engine.run_command(&["-t"], &["yes"]);
    let mut command = Command::new("sh");
    command.args(["-c", "timeout -s KILL 30 \"$@\" | head -n 1", "sh"]);
    command.arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let began = Instant::now();
    let ran = Ran::new(command.stdin(Stdio::null()))?.succeeded()?;
    ran.equal("output", &ran.stdout.as_str(), &"y\r\n")?;
    ran.between("seconds", began.elapsed().as_secs_f64(), 0.0, 25.0)?;
    engine.is_empty(&[])
}
