//! Answerers that do not get on: because of a caller's memory, because nobody gives them a
//! CPU, or because they never begin. Who hangs is replaced and others notice a delay; who is
//! only slow is waited for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use support::{
    Container, Group, Need, Ran, Verdict, alone, binaries, daemon, leaks, process, speed,
};

use crate::callers::Callers;
use crate::calls::{holder, nothing_wrong, replace};
use crate::holders::{end_holder, install, portholefs, program_of, wait, wait_for};
use crate::hostile::notes;
use crate::silent::Silent;

const FREEZER: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Controller("freezer"),
];
const PYTHON: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
];
/// It takes ten seconds.
const LONG: &[Need] =
    &[Need::Container, Need::Speed, Need::Controller("memory"), Need::Controller("cpu")];

/// For how long an answerer is not run: several times as long as one that hangs is given.
const NOT_RUN: Duration = Duration::from_secs(4);

/// How long an answerer has to begin.
const BEGINNING: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("memory_that_never_comes_harms_nobody_else", PYTHON, memory_that_never_comes),
        alone("an_answerer_that_is_not_run_is_waited_for", FREEZER, an_answerer_that_is_not_run),
        alone("an_answerer_that_never_begins_is_replaced", LONG, one_that_never_begins),
    ]
}

/// What was installed as `portholefs`, and never answers.
pub(crate) fn main() -> Option<ExitCode> {
    std::env::args().nth(1).filter(|word| word == "answerer")?;
    loop {
        thread::park();
    }
}

fn takeovers(holder: Pid) -> Result<u64> {
    Ok(notes(holder)?.takeovers.load(SeqCst))
}

/// A page of a file that is never read: whoever looks at it is in uninterruptible sleep.
/// One answerer is lost over it, and the call left to the kernel, which waits for the page
/// where it keeps nobody else: in the caller.
fn memory_that_never_comes() -> Verdict {
    const ASKS: &str = "\
import ctypes, mmap, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, 4096, 3, mmap.MAP_PRIVATE, os.open('/silent', os.O_RDONLY), 0)
libc.sysinfo(ctypes.c_void_p(page))
";
    let folder = support::folder()?;
    let file = folder.path().join("file");
    fs::write(&file, "")?;
    let silent = Silent::unread(&file)?;
    let callers = Callers::start(3)?;
    let held = holder()?;
    let before = takeovers(held)?;
    let volume = format!("{}:/silent:ro", file.display());
    let _waits = Container::start(&["-v", &volume], &["/usr/bin/python3", "-c", ASKS])?;
    wait("the answerer is replaced", || Ok(takeovers(held)? > before))?;
    // As long as it has taken for the first.
    thread::sleep(speed::time(Duration::from_secs(2)));
    let seen = callers.finish()?;
    let lost = takeovers(held)? - before;
    // What waits for the file is ended by its end.
    drop(silent);
    ensure!(lost == 1, "{lost} answerers are lost over one call");
    nothing_wrong(&seen, "beside memory that never comes")
}

/// Frozen, it is what it is on a machine that has no CPU for it: its calls wait for seconds,
/// and that is no reason to end it, or to tell callers how big the machine is.
fn an_answerer_that_is_not_run() -> Verdict {
    let callers = Callers::start(3)?;
    let held = holder()?;
    let before = takeovers(held)?;
    let answerer = process::child(held, "portholefs")?;
    let group = Group::new(&["freezer"])?;
    group.enter(answerer)?;
    group.freeze()?;
    thread::sleep(NOT_RUN);
    group.thaw()?;
    thread::sleep(speed::time(Duration::from_secs(1)));
    let replaced = takeovers(held)? - before;
    // It would keep the group.
    replace(held, answerer, Signal::SIGKILL)?;
    let seen = callers.finish()?;
    eprintln!("not run: {} calls, the longest took {:?}", seen.calls, seen.longest);
    ensure!(seen.longest > NOT_RUN - NOT_RUN / 10, "nobody had to wait for an answer");
    ensure!(replaced == 0, "{replaced} answerers were replaced that were not run");
    ensure!(seen.faults.is_empty(), "{:?}", seen.faults);
    Ok(())
}

/// The version before goes on, as for one that dies.
fn one_that_never_begins() -> Verdict {
    let folder = support::folder()?;
    let program = folder.path().join("portholefs");
    let version = fs::read(binaries::path("portholefs")?)?;
    install(&version, &program)?;
    let works = fs::metadata(&program)?.ino();
    end_holder()?;
    let tree = daemon::shared()?;
    let mut command = Command::new(&program);
    command.args(["holder", "--daemon"]).arg(&tree).env(leaks::MARK, leaks::mark());
    Ran::new(&mut command)?.succeeded()?;
    let callers = Callers::start(2)?;
    let held = holder()?;
    install(&fs::read(std::env::current_exe()?)?, &program)?;
    let never = fs::metadata(&program)?.ino();
    portholefs("upgrade", &tree)?;
    let runs = |file: u64| -> Result<bool> {
        let answerers = process::descendants(held)?;
        Ok(answerers.iter().any(|answerer| program_of(*answerer).is_ok_and(|of| of == file)))
    };
    wait("the installed version is started", || runs(never))?;
    let began = Instant::now();
    wait_for(BEGINNING * 2, "the version before answers", || runs(works))?;
    let given_up_after = began.elapsed();
    let seen = callers.finish()?;
    eprintln!("never began: given up after {given_up_after:?}, {} calls", seen.calls);
    ensure!(given_up_after > BEGINNING / 2, "it was given {given_up_after:?}");
    ensure!(seen.faults.is_empty(), "{:?}", seen.faults);
    end_holder()
}
