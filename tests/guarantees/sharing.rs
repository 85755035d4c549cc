//! One who changes a limit and looks at once, while eight others read the same file: who waits
//! may be given a text that was read for another, but never an older one.
//!
//! It is this program again, in a container whose limit it changes itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::ran::meminfo;
use support::{Group, Need, Ran, Verdict, trial};

use crate::serving::Serving;

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("who_changes_a_limit_sees_it_while_others_read", NEEDS, a_change_while_others_read)]
}

/// Set for who changes the limit: the file to read, and that of the limit.
const MEMINFO: &str = "PORTHOLE_TESTS_SHARED_MEMINFO";
const LIMIT: &str = "PORTHOLE_TESTS_SHARED_LIMIT";

/// Others who read; of two CPUs, so that some always wait.
const OTHERS: usize = 8;

/// How often the limit is changed: in a second or two.
const CHANGES: u64 = 2000;

/// The lowest limit, in bytes; room for this program.
const LOWEST: u64 = 64 << 20;

/// The largest page of any machine that we know, in bytes: limits are whole pages.
const PAGE: u64 = 64 << 10;

fn a_change_while_others_read() -> Verdict {
    let serving = Serving::start(&[])?;
    let group = Group::new(&["memory"])?;
    let folder = group.folder("memory")?;
    let limits = ["memory.limit_in_bytes", "memory.max"].map(|name| folder.join(name));
    let limit = limits.iter().find(|limit| limit.exists()).context("there is no limit")?;
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut command = group.container(&[&program]);
    command.env(MEMINFO, serving.mount_point().join("proc/meminfo")).env(LIMIT, limit);
    Ran::new(&mut command)?.succeeded()?;
    serving.stop()
}

/// Changes the limit, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let (file, limit) = (std::env::var_os(MEMINFO)?, std::env::var_os(LIMIT)?);
    Some(match change(file.as_ref(), limit.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

fn change(path: &Path, limit: &Path) -> Result<()> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let read_on = || -> Result<()> {
            let file = File::open(path)?;
            while !is_over.load(SeqCst) {
                total(&file)?;
            }
            Ok(())
        };
        let others: Vec<_> = (0..OTHERS).map(|_reader| scope.spawn(read_on)).collect();
        let changed = File::open(path).context("no file").and_then(|file| changes(&file, limit));
        is_over.store(true, SeqCst);
        for other in others {
            other.join().map_err(|_panic| anyhow::anyhow!("a reader panicked"))??;
        }
        changed
    })
}

fn changes(file: &File, limit: &Path) -> Result<()> {
    for number in 0..CHANGES {
        let bytes = LOWEST + number % 100 * PAGE;
        fs::write(limit, bytes.to_string())?;
        let told = total(file)?;
        ensure!(told == bytes, "change {number}: the limit is {bytes}, MemTotal was {told}");
    }
    Ok(())
}

/// What the file says now.
fn total(file: &File) -> Result<u64> {
    let mut text = [0; 8192];
    let length = file.read_at(&mut text, 0)?;
    let text = str::from_utf8(text.get(..length).unwrap_or_default())?;
    meminfo(text, "MemTotal").with_context(|| format!("no MemTotal in {text:?}"))
}
