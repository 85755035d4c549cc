//! Whoever is killed, no container goes on without being looked after, and
//! nothing is left.

use libtest_mimic::Trial;
use support::{Verdict, trial};

use crate::engine::{Engine, ROOT, groups, signal, until};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_killed_command_ends_its_container", ROOT, a_killed_command_ends_its_container),
        trial("a_killed_monitor_ends_its_container", ROOT, a_killed_monitor_ends_its_container),
        trial(
            "what_is_left_is_cleared_up_by_the_next",
            ROOT,
            what_is_left_is_cleared_up_by_the_next,
        ),
        trial("a_background_container_stays", ROOT, a_background_container_stays),
    ]
}

fn a_killed_command_ends_its_container() -> Verdict {
    let engine = Engine::new()?;
    let container = engine.spawn(&["-m", "64m"], &["sleep", "600"])?;
    let id = container.id.clone();
    container.signal("SIGKILL")?;
    container.end()?;
    until("the monitor has cleared up", || engine.is_empty(&[&id]).ok())
}

fn a_killed_monitor_ends_its_container() -> Verdict {
    let engine = Engine::new()?;
    let container = engine.spawn(&["-m", "64m"], &["sleep", "600"])?;
    let id = container.id.clone();
    signal(container.monitor()?, "SIGKILL")?;
    let ran = container.end()?;
    ran.equal("exit code", &ran.status, &Some(125))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: the monitor of the container was killed, and the container with it (nothing is left behind)\n",
    )?;
    engine.is_empty(&[&id])
}

fn what_is_left_is_cleared_up_by_the_next() -> Verdict {
    let engine = Engine::new()?;
    let container = engine.spawn(&["--name", "web"], &["sleep", "600"])?;
    let id = container.id.clone();
    // Stopped, so that it does not clear up when the command is gone.
    let monitor = container.monitor()?;
    signal(monitor, "SIGSTOP")?;
    container.signal("SIGKILL")?;
    signal(monitor, "SIGKILL")?;
    container.end()?;
    until("the kernel has ended the container", || {
        groups(&id).iter().all(|group| is_unused(group)).then_some(())
    })?;

    let listed = engine.ask(&["ps", "-a"])?.succeeded()?;
    listed.holds("it is listed as killed", listed.stdout.contains("Exited (137)"))?;
    listed.equal("cgroups", &groups(&id), &vec![])?;
    engine.ask(&["rm", "web"])?.succeeded()?;
    engine.is_empty(&[&id])
}

fn is_unused(group: &std::path::Path) -> bool {
    std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
}

/// Its command has long ended, and whoever reads its output is not kept waiting.
fn a_background_container_stays() -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(&[], &["sleep", "600"])?;
    let listed = engine.ask(&["ps", "-q"])?.succeeded()?;
    listed.equal("listed", &listed.stdout.trim(), &&id[..12])?;
    engine.ask(&["rm", "-f", &id])?.succeeded()?;
    engine.is_empty(&[&id])
}
