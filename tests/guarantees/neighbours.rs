//! Several daemons on one machine: each heals its own containers, and leaves those of
//! one that is starting alone.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};
use nix::unistd::Pid;
use support::{Container, Daemon, Need, Verdict, alone, trial};

use crate::contained::{Contained, Pace, has_each_file_once};

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

/// How long healing may take here: it is not what is measured.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT: u64 = 96 << 20;

/// What is nobody's may be healed by any daemon, so that trial runs alone.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_daemon_that_is_starting_keeps_its_containers", NEEDS, starting_keeps_its_own),
        trial("daemons_that_start_at_once_heal_their_own", NEEDS, each_heals_its_own),
        alone("what_a_stopped_daemon_left_is_healed_by_another", NEEDS, stopped_leaves_its_own),
    ]
}

/// A daemon that starts has taken the dead tree away and not healed yet: for a moment,
/// or for seconds where the machine is busy. What else starts then must leave its
/// containers alone, with files of the shared tree or of a private one.
fn starting_keeps_its_own() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(LIMIT, Pace::Calm, &daemon)?;
    let view = daemon.mount_point();
    let view = view.to_str().context("a temporary folder has a plain name")?;
    let private = Container::sleeping(&["-m", "96m", "--view", view])?;
    let init = Pid::from_raw(private.init()?.try_into()?);
    let before = [files_of(container.pid())?, files_of(init)?];
    ensure!(before.iter().all(|files| !files.is_empty()), "no files of ours: {before:?}");
    daemon.kill()?;
    let lock = File::open(daemon.mount_point().with_file_name(".fs.lock"))?;
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_file, errno)| errno)?;
    umount2(&daemon.mount_point(), MntFlags::MNT_DETACH)?;
    let other = Daemon::start()?;
    wait_until_healed(&other)?;
    let after = [files_of(container.pid())?, files_of(init)?];
    ensure!(before == after, "before {before:?}, after {after:?}\n{}", other.log());
    drop(lock);
    daemon.start_again()?;
    wait_until_healed(&daemon)?;
    has_each_file_once(container.pid(), &daemon)?;
    container.reads_right()?;
    private.exec(&["cat", "/proc/meminfo"])?.succeeded()?;
    other.stop()?;
    container.reads_right()?;
    drop((container, private));
    daemon.stop()
}

fn each_heals_its_own() -> Verdict {
    let mut daemons = (0..3).map(|_number| Daemon::start()).collect::<Result<Vec<_>>>()?;
    let contained = |daemon| Contained::with_files(LIMIT, Pace::Calm, daemon);
    let containers = daemons.iter().map(contained).collect::<Result<Vec<_>>>()?;
    for _time in 0..3 {
        daemons.iter_mut().try_for_each(Daemon::kill)?;
        daemons.iter_mut().try_for_each(Daemon::start_again)?;
        daemons.iter().try_for_each(wait_until_healed)?;
        for (daemon, container) in daemons.iter().zip(&containers) {
            has_each_file_once(container.pid(), daemon).with_context(|| daemon.log())?;
            container.reads_right()?;
        }
    }
    drop(containers);
    daemons.into_iter().try_for_each(Daemon::stop)
}

/// It may never come back, or be mounted elsewhere from now on.
fn stopped_leaves_its_own() -> Verdict {
    let stopped = Daemon::start()?;
    let container = Contained::with_files(LIMIT, Pace::Calm, &stopped)?;
    stopped.stop()?;
    let other = Daemon::start()?;
    wait_until_healed(&other)?;
    has_each_file_once(container.pid(), &other)?;
    container.reads_right()?;
    drop(container);
    other.stop()
}

/// Waits until `daemon` has looked at all containers.
fn wait_until_healed(daemon: &Daemon) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !daemon.log().contains("running containers looked at") {
        ensure!(Instant::now() < deadline, "it has not healed:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Where `pid` has files of ours, and of which file system each is.
fn files_of(pid: Pid) -> Result<Vec<(String, String)>> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let ours = table.lines().filter(|line| line.contains(" - fuse.portholefs "));
    let file = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        Some((fields.next()?.to_owned(), fields.nth(1)?.to_owned()))
    };
    ours.map(file).collect::<Option<_>>().context("mountinfo is not in its format")
}
