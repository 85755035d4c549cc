//! Workers that neither answer nor die: in uninterruptible sleep, on a file that
//! never answers.
//!
//! Six may be left behind; then the host's files are served; and when no worker can
//! be started any more, readers get an error instead of waiting for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Group, Need, Ran, Verdict, alone, binaries, group, needs};

use crate::serving::Serving;
use crate::silent::Silent;

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("after_six_stuck_workers_the_hosts_files_are_served", NEEDS, six_are_stuck),
        alone("when_no_worker_can_serve_readers_get_an_error", NEEDS, all_are_stuck),
        alone("a_worker_that_never_gets_ready_is_given_up", NEEDS, never_ready),
    ]
}

/// Memory of the containers that read.
const LIMIT: u64 = 128 << 20;

/// Containers of which each gets two workers stuck, and then the host's file.
const CONTAINERS: usize = 3;

/// How long reading a file in a new container takes at most, on an imitated processor
/// too, when nothing has to be given up first.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The same after a worker that does not get ready.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// A host file that no test reads; the fallback worker does, when it is asked for it.
const RARE: &str = "proc/vmstat";

/// Containers whose limit is in a file that never answers the daemon.
struct Deaf {
    /// Gone before the groups in which they are mounted.
    _silent: Vec<Silent>,
    groups: Vec<Group>,
}

impl Deaf {
    /// Makes them; in the mount namespace of `daemon` they are deaf, which may be
    /// the test's own.
    fn new(daemon: Pid) -> Result<Self> {
        let (mut groups, mut silent) = (Vec::new(), Vec::new());
        for _container in 0..CONTAINERS {
            let group = Group::new(&["memory"])?;
            group.limit_memory(LIMIT)?;
            let limit = group::file("memory", "memory.limit_in_bytes", "memory.max");
            silent.push(silent_in(daemon, group.folder("memory")?.join(limit))?);
            groups.push(group);
        }
        Ok(Self { _silent: silent, groups })
    }

    /// Reads meminfo in each of them: every one is shown the host's.
    fn read(&self, serving: &Serving) -> Verdict {
        for group in &self.groups {
            let read = cat(group, &serving.file("proc/meminfo"))?.succeeded()?;
            let host = needs::host_meminfo("MemTotal");
            read.equal("MemTotal", &read.meminfo("MemTotal")?, &host)?;
        }
        Ok(())
    }
}

fn cat(group: &Group, file: &str) -> Result<Ran> {
    Ran::new(&mut group.container(&["timeout", "30", "cat", file]))
}

/// A file that never answers, in the mount namespace of another process.
fn silent_in(process: Pid, path: PathBuf) -> Result<Silent> {
    let enter = move || {
        // A thread may enter one by itself once it shares no root directory.
        unshare(CloneFlags::CLONE_FS)?;
        setns(fs::File::open(format!("/proc/{process}/ns/mnt"))?, CloneFlags::CLONE_NEWNS)?;
        Silent::over(&path)
    };
    let entered = thread::spawn(enter).join();
    entered.map_err(|_panic| anyhow::anyhow!("the thread that enters panicked"))?
}

fn sees_its_limit(serving: &Serving) -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(LIMIT)?;
    let read = cat(&group, &serving.file("proc/meminfo"))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &LIMIT)
}

fn six_are_stuck() -> Verdict {
    let serving = Serving::start(&[])?;
    let deaf = Deaf::new(Pid::this())?;
    deaf.read(&serving)?;
    serving.tells_of_fallback()?;
    ensure!(serving.number("takeovers")? >= 6, "{:#}", serving.status());
    // Somebody else's: the host's file, and at once.
    let group = Group::new(&["memory"])?;
    group.limit_memory(LIMIT)?;
    let start = Instant::now();
    let read = cat(&group, &serving.file("proc/meminfo"))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &needs::host_meminfo("MemTotal"))?;
    ensure!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    drop(deaf);
    serving.until("a real worker serves", || Ok(!serving.is_fallback()))?;
    sees_its_limit(&serving)?;
    serving.stop()
}

/// A folder whose mounts are seen in this namespace and in copies of it, whatever
/// the machine says of its root.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Result<Self> {
        let folder = Self(support::folder()?);
        let path = folder.0.path();
        mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        mount(None::<&str>, path, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
        Ok(folder)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _not_mounted = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// The daemon is in a mount namespace of its own, so that only for it a file of the
/// host never answers: then the fallback worker gets stuck too.
fn all_are_stuck() -> Verdict {
    let shared = Shared::new()?;
    let folder = tempfile::tempdir_in(shared.0.path())?;
    let alone = "mount --make-rprivate /proc && mount --make-rprivate /sys && exec \"$0\" \"$@\"";
    let unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", alone];
    let program = unshare.iter().map(PathBuf::from).chain([binaries::path("portholefs")?]);
    let mut serving = Serving::start_by(program.collect(), folder, &[])?;
    let mut file = fs::File::open(serving.file("proc/meminfo"))?;
    let deaf = Deaf::new(serving.keeper())?;
    deaf.read(&serving)?;
    serving.tells_of_fallback()?;
    let rare = silent_in(serving.keeper(), Path::new("/").join(RARE))?;
    let group = deaf.groups.first().context("no container")?;
    let read = cat(group, &serving.file(RARE))?;
    read.holds(
        "cat says why",
        read.stderr.contains("Transport endpoint is not connected")
            || read.stderr.contains("Software caused connection abort"),
    )?;
    let status = serving.ended()?;
    ensure!(status.code() == Some(1), "the keeper ended with {status}\n{}", serving.log());
    ensure!(serving.log().contains("no worker can serve"), "{}", serving.log());
    let error = std::io::Read::read(&mut file, &mut [0]).err().context("it can be read")?;
    ensure!(error.raw_os_error() == Some(libc::ENOTCONN), "{error}");
    ensure!(!support::daemon::is_mounted(&serving.mount_point()), "a dead mount is left");
    drop(rare);
    drop(deaf);
    Ok(())
}

fn never_ready() -> Verdict {
    let folder = support::folder()?;
    let obstacle = folder.path().join("obstacle");
    let serving = Serving::start(&["--rehearse", &format!("stall={}", obstacle.display())])?;
    fs::write(&obstacle, "")?;
    let upgrade = serving.command(&["upgrade"])?;
    upgrade.holds("it is refused", upgrade.stderr.contains("the new version did not start"))?;
    sees_its_limit(&serving)?;
    let start = Instant::now();
    kill(serving.worker()?.context("nobody serves")?, Signal::SIGKILL)?;
    let group = Group::new(&["memory"])?;
    let read = cat(&group, &serving.file("proc/meminfo"))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &needs::host_meminfo("MemTotal"))?;
    ensure!(start.elapsed() < GIVEN_UP, "it took {:?}", start.elapsed());
    serving.tells_of_fallback()?;
    fs::remove_file(&obstacle)?;
    serving.until("a real worker serves", || Ok(!serving.is_fallback()))?;
    sees_its_limit(&serving)?;
    serving.stop()
}
