//! Signals to `porthole run` are meant for the command.

use libtest_mimic::Trial;
use support::{Verdict, trial};

use crate::engine::{Engine, ROOT, until};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("signals_are_passed_on", ROOT, signals_are_passed_on),
        trial("asking_three_times_is_an_order", ROOT, asking_three_times_is_an_order),
    ]
}

fn signals_are_passed_on() -> Verdict {
    let engine = Engine::new()?;
    for (name, code) in
        [("INT", 11), ("TERM", 12), ("HUP", 13), ("QUIT", 14), ("USR1", 15), ("USR2", 16)]
    {
        let script = format!("trap 'exit {code}' {name}; echo ready; while :; do sleep 0.05; done");
        let mut container = engine.spawn(&[], &["sh", "-c", &script])?;
        container.wait_for_line("ready")?;
        container.signal(&format!("SIG{name}"))?;
        let id = container.id.clone();
        let ran = container.end()?;
        ran.equal(name, &ran.status, &Some(code))?;
        engine.is_empty(&[&id])?;
    }
    Ok(())
}

/// Process 1 ignores a signal that it has no handler for.
fn asking_three_times_is_an_order() -> Verdict {
    let engine = Engine::new()?;
    let container = engine.spawn(&[], &["sleep", "600"])?;
    let id = container.id.clone();
    for _ in 0..3 {
        container.signal("SIGTERM")?;
        until("the signal was taken", || (!is_pending(container.child.id())).then_some(()))?;
    }
    let ran = container.end()?;
    ran.equal("exit code", &ran.status, &Some(137))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: asked to end 3 times, the container is killed\n",
    )?;
    engine.is_empty(&[&id])
}

/// Whether a signal waits to be taken by the process.
fn is_pending(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:\t").or_else(|| line.strip_prefix("ShdPnd:\t"))
    });
    pending.into_iter().any(|mask| mask.chars().any(|digit| digit != '0'))
}
