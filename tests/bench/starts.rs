//! How long a container takes from the command to its end, by `porthole` and by runc and
//! crun, in turns. The program in it is `true`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use support::{Ran, binaries, daemon};

/// Somebody who starts containers.
struct Starter {
    name: &'static str,
    command: Box<dyn Fn(usize) -> Command>,
}

/// Times `count` starts of each.
pub(crate) fn all(count: usize) -> Result<Value> {
    let folder = support::folder()?;
    let starters = [porthole(folder.path(), true)?, porthole(folder.path(), false)?]
        .into_iter()
        .chain(engine("runc", folder.path())?)
        .chain(engine("crun", folder.path())?)
        .collect::<Vec<_>>();
    let mut times: Vec<Vec<f64>> = starters.iter().map(|_starter| Vec::new()).collect();
    for number in 0..=count {
        for (times, starter) in times.iter_mut().zip(&starters) {
            let mut command = (starter.command)(number);
            let start = Instant::now();
            Ran::new(&mut command)?.succeeded()?;
            let took = start.elapsed().as_secs_f64() * 1e3;
            // The first brings programs into memory.
            if number > 0 {
                times.push(took);
            }
        }
    }
    let figures = starters.iter().zip(&mut times).map(|(starter, times)| {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get((times.len() - 1) * part / 10).copied();
        json!({ "runtime": starter.name, "p50_ms": at(5), "p90_ms": at(9), "count": times.len() })
    });
    Ok(figures.collect())
}

fn porthole(folder: &Path, with_view: bool) -> Result<Starter> {
    let (program, view) = (binaries::path("porthole")?, daemon::shared()?);
    let state = folder.join("state");
    let command = move |_number| {
        let mut command = Command::new(&program);
        command.arg("--state-dir").arg(&state).env("PORTHOLE_VIEW", &view);
        command.args(["run", "--rm"]);
        command.args((!with_view).then_some("--no-view"));
        command.args(["--", "true"]);
        command
    };
    let name = if with_view { "porthole run" } else { "porthole run --no-view" };
    Ok(Starter { name, command: Box::new(command) })
}

/// An engine's runtime with a bundle of its own defaults; `None` where it is not installed, or
/// does not start containers on this machine, which is said.
fn engine(name: &'static str, folder: &Path) -> Result<Option<Starter>> {
    const STATIC: &str = "/usr/bin/busybox";
    let is_there = ["/usr/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(name).exists());
    if !is_there || !Path::new(STATIC).exists() {
        return Ok(None);
    }
    let bundle = folder.join(name);
    fs::create_dir_all(bundle.join("rootfs/bin"))?;
    fs::copy(STATIC, bundle.join("rootfs/bin/true"))?;
    Ran::new(Command::new(name).arg("spec").current_dir(&bundle))?.succeeded()?;
    let config = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&config)?)?;
    let process = spec.get_mut("process").context("a spec has a process")?;
    *process.get_mut("args").context("a process has arguments")? = json!(["/bin/true"]);
    *process.get_mut("terminal").context("a process has a terminal")? = json!(false);
    fs::write(&config, spec.to_string())?;
    let root = folder.join(format!("{name}-state"));
    let command = move |number| {
        let mut command = Command::new(name);
        command.arg("--root").arg(&root).args(["run", "--bundle"]).arg(&bundle);
        command.arg(format!("bench-{}-{number}", std::process::id()));
        command
    };
    let tried = Ran::new(&mut command(0))?;
    if tried.status != Some(0) {
        println!("{name} starts no container here: {}", tried.stderr.trim_end());
        return Ok(None);
    }
    Ok(Some(Starter { name, command: Box::new(command) }))
}
