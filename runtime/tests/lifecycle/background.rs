//! Containers in the background, and the commands that are about them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};
use libtest_mimic::Trial;
use support::{Ran, Verdict, trial};

use crate::engine::{Engine, ROOT, until};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_life_in_the_background", ROOT, a_life_in_the_background),
        trial("logs_follow_until_the_end", ROOT, logs_follow_until_the_end),
        trial("stop_asks_before_it_kills", ROOT, stop_asks_before_it_kills),
        trial("rm_leaves_what_runs_alone", ROOT, rm_leaves_what_runs_alone),
        trial("a_name_is_given_to_one_of_many", ROOT, a_name_is_given_to_one_of_many),
        trial("containers_that_are_not_there", ROOT, containers_that_are_not_there),
        trial("rm_is_for_those_not_to_be_kept", ROOT, rm_is_for_those_not_to_be_kept),
        trial("exec_joins_the_container", ROOT, exec_joins_the_container),
        trial("the_state_dir_may_be_relative", ROOT, the_state_dir_may_be_relative),
    ]
}

fn a_life_in_the_background() -> Verdict {
    let engine = Engine::new()?;
    let script = "echo out; echo err >&2; exit 7";
    let id = engine.start(&["--name", "web"], &["sh", "-c", script])?;
    until("it has ended", || {
        let listed = engine.ask(&["ps", "-a"]).ok()?.stdout;
        listed.contains("Exited (7)").then_some(())
    })?;
    let logs = engine.ask(&["logs", "web"])?.succeeded()?;
    let mut lines: Vec<&str> = logs.stdout.lines().collect();
    lines.sort_unstable();
    logs.equal("what it printed", &lines, &vec!["err", "out"])?;
    let removed = engine.ask(&["rm", "web"])?.succeeded()?;
    removed.equal("answer", &removed.stdout.as_str(), &"web\n")?;
    engine.is_empty(&[&id])
}

fn logs_follow_until_the_end() -> Verdict {
    let engine = Engine::new()?;
    let script = "for i in 1 2 3; do echo line $i; sleep 0.1; done";
    engine.start(&["--name", "web"], &["sh", "-c", script])?;
    let logs = engine.ask(&["logs", "-f", "web"])?.succeeded()?;
    logs.equal("what it printed", &logs.stdout.as_str(), &"line 1\nline 2\nline 3\n")?;
    engine.ask(&["rm", "web"])?.succeeded()?;
    engine.is_empty(&[])
}

fn stop_asks_before_it_kills() -> Verdict {
    let engine = Engine::new()?;
    let polite = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    engine.start(&["--name", "polite"], &["sh", "-c", polite])?;
    engine.start(&["--name", "deaf"], &["sleep", "600"])?;
    until("the trap is set", || {
        engine.ask(&["logs", "polite"]).ok()?.stdout.contains("ready").then_some(())
    })?;
    let began = Instant::now();
    engine.ask(&["stop", "-t", "1", "polite", "deaf"])?.succeeded()?;
    let listed = engine.ask(&["ps", "-a"])?.succeeded()?;
    listed.holds("one has answered", listed.stdout.contains("Exited (9)"))?;
    listed.holds("one was killed", listed.stdout.contains("Exited (137)"))?;
    listed.between("seconds", began.elapsed().as_secs_f64(), 1.0, 20.0)?;
    engine.ask(&["rm", "polite", "deaf"])?.succeeded()?;
    engine.is_empty(&[])
}

fn rm_leaves_what_runs_alone() -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(&["--name", "web"], &["sleep", "600"])?;
    let refused = engine.ask(&["rm", "web"])?;
    refused.equal("exit code", &refused.status, &Some(1))?;
    refused.equal(
        "message",
        &refused.stderr.as_str(),
        &"porthole: web: the container is running (end it first with: porthole stop web, or use: porthole rm -f web)\n",
    )?;
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[&id])
}

fn a_name_is_given_to_one_of_many() -> Verdict {
    const MANY: usize = 12;
    let engine = Engine::new()?;
    let children: Result<Vec<_>> = (0..MANY)
        .map(|_| {
            let mut command = engine.run_command(&["-d", "--name", "web"], &["sleep", "600"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Ok(command.spawn()?)
        })
        .collect();
    let mut codes = BTreeMap::new();
    for child in children? {
        let output = child.wait_with_output()?;
        *codes.entry(output.status.code()).or_insert(0) += 1;
        let message = String::from_utf8_lossy(&output.stderr);
        let in_use =
            message.contains("--name web: container") && message.contains("has it already");
        anyhow::ensure!(output.status.success() || in_use, "refused with {message:?}");
    }
    anyhow::ensure!(codes == BTreeMap::from([(Some(0), 1), (Some(125), MANY - 1)]), "{codes:?}");
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[])
}

fn containers_that_are_not_there() -> Verdict {
    let engine = Engine::new()?;
    for (words, code) in [
        (&["stop", "web"][..], 1),
        (&["kill", "web"], 1),
        (&["rm", "web"], 1),
        (&["logs", "web"], 125),
        (&["inspect", "web"], 125),
        (&["exec", "web", "true"], 125),
    ] {
        let ran = engine.ask(words)?;
        ran.equal("exit code", &ran.status, &Some(code))?;
        ran.equal(
            "message",
            &ran.stderr.as_str(),
            &"porthole: web: there is no such container (see: porthole ps -a)\n",
        )?;
    }
    Ok(())
}

fn rm_is_for_those_not_to_be_kept() -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(&["--rm", "--name", "web"], &["sleep", "600"])?;
    engine.ask(&["kill", "web"])?.succeeded()?;
    until("it is forgotten", || engine.is_empty(&[&id]).ok())
}

fn exec_joins_the_container() -> Verdict {
    let engine = Engine::new()?;
    engine.start(&["--name", "web", "--hostname", "inside"], &["sleep", "600"])?;
    let ran =
        engine.ask(&["exec", "web", "--", "sh", "-c", "uname -n; cat /proc/1/comm; exit 4"])?;
    ran.equal("exit code", &ran.status, &Some(4))?;
    ran.equal("output", &ran.stdout.as_str(), &"inside\nsleep\n")?;
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[])
}

/// The monitor works in `/`, wherever it was started.
fn the_state_dir_may_be_relative() -> Verdict {
    let engine = Engine::new()?;
    let parent = engine.state_dir().parent().context("it has no parent")?.to_owned();
    let mut command = engine.run_command(&["-d", "--name", "web"], &["sleep", "600"]);
    command.current_dir(parent).env("PORTHOLE_STATE_DIR", "state").stdin(Stdio::null());
    Ran::new(&mut command)?.succeeded()?;
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[])
}
