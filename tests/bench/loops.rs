//! Many containers that read without a pause, all at once: what they cost a daemon for the
//! same number of reads. Fifty of them had lxcfs use 270 % of a CPU (its issue 446).
//!
//! The containers live through all rounds; each is told whose files to read, and how often,
//! by a line on its standard input.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::path::Path;
use std::process::{Child, ChildStdout, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::Group;

use crate::reader::{self, BUFFER, cpu_seconds};
use crate::rivals::{FLOOR, LXCFS, OURS, Rival, Rivals, Root};
use crate::{FILES, limited_group};

/// The first argument of the program when it is in one of the containers.
const LOOP: &str = "--loop";

/// What a container says when it has read as often as it was told.
const DONE: &str = "done";

/// Containers.
const CONTAINERS: u32 = 50;

/// How often each reads all files before the first round.
const WARM_UP: u32 = 2;

/// How often each container reads all files in a round, and how many rounds there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loops {
    pub(crate) times: u32,
    pub(crate) rounds: u32,
}

/// A container, until this value is dropped.
#[derive(Debug)]
struct Looping {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// Removed after the child has ended.
    _group: Group,
}

/// CPU time of each rival for the same reads, in turns.
pub(crate) fn all(rivals: &Rivals, loops: Loops) -> Result<Value> {
    let names = [FLOOR, LXCFS, OURS];
    let rivals = names.into_iter().map(|name| rivals.named(name)).collect::<Result<Vec<_>>>()?;
    let mut containers =
        (0..CONTAINERS).map(|_one| Looping::start()).collect::<Result<Vec<_>>>()?;
    for rival in &rivals {
        read(&mut containers, rival, WARM_UP)?;
    }
    let mut used = vec![(0.0, 0.0); rivals.len()];
    for _round in 0..loops.rounds {
        for (used, rival) in used.iter_mut().zip(&rivals) {
            let (before, began) = (cpu_seconds(&rival.pids)?, Instant::now());
            read(&mut containers, rival, loops.times)?;
            used.1 += began.elapsed().as_secs_f64();
            used.0 += cpu_seconds(&rival.pids)? - before;
        }
    }
    let reads = CONTAINERS * u32::try_from(FILES.len())? * loops.times * loops.rounds;
    let told = rivals.iter().zip(used).map(|(rival, (cpu, seconds))| {
        let (cpu_us, a_second) = (cpu * 1e6 / f64::from(reads), f64::from(reads) / seconds);
        json!({ "rival": rival.name, "cpu_us": cpu_us, "a_second": a_second })
    });
    let told: Value = told.collect();
    Ok(json!({ "containers": CONTAINERS, "files": FILES.len(), "reads": reads, "rivals": told }))
}

/// Has all `containers` read every file of `rival` so often, all at once.
fn read(containers: &mut [Looping], rival: &Rival, times: u32) -> Result<()> {
    let Root::Path(root) = &rival.root else {
        anyhow::bail!("a private tree is one container's");
    };
    containers.iter_mut().try_for_each(|container| container.tell(root, times))?;
    containers.iter_mut().try_for_each(Looping::wait)
}

impl Looping {
    fn start() -> Result<Self> {
        let (group, program) = (limited_group()?, std::env::current_exe()?);
        let mut command = group.container(&[&program.to_string_lossy(), LOOP]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { child, answers, _group: group })
    }

    fn tell(&mut self, root: &Path, times: u32) -> Result<()> {
        let input = self.child.stdin.as_mut().context("its input is a pipe")?;
        Ok(writeln!(input, "{times} {}", root.display())?)
    }

    fn wait(&mut self) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.trim_end() == DONE, "a container says {line:?}");
        Ok(())
    }
}

impl Drop for Looping {
    fn drop(&mut self) {
        // It ends when nobody can tell it anything any more. Each fails only when there is
        // nothing left to do.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Reads as often as it is told, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    std::env::args().nth(1).filter(|word| word == LOOP)?;
    Some(match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("a container: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn obey() -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    for line in stdin().lines() {
        let line = line?;
        let (times, root) = line.split_once(' ').context("a line is a number and a path")?;
        let paths: Vec<_> = FILES.iter().map(|file| Path::new(root).join(file)).collect();
        for _time in 0..times.parse::<u32>()? {
            for path in &paths {
                reader::read_to_end(File::open(path)?, &mut buffer)?;
            }
        }
        println!("{DONE}");
    }
    Ok(())
}
