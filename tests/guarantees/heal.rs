//! If even the keeper dies, the next start heals running containers.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Error, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::needs::is_pure_v2;
use support::{Daemon, Need, Verdict, alone, leaks, process, speed, trial};

use crate::contained::{
    Contained, Pace, has_each_file_once, inject, is_there_once, live_device, mounted_at,
    wait_for_own_namespace,
};
use crate::monitored::Monitored;

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

const MONITORS: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::Program("top", "procps"),
    Need::Program("free", "procps"),
];

const PRESSURE: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Pressure];

const MIB: u64 = 1 << 20;

/// How long after its start a daemon may need for all containers.
const PROMISED: Duration = Duration::from_secs(1);

/// How often it is measured before it counts. Nearly all of the time the kernel is waited
/// for, and where others keep all CPUs busy each wait lasts until they have had their turn:
/// beside two that do nothing else it takes 0.3 to 2.2 seconds, and 0.3 when nothing runs.
const TRIES: usize = 3;

/// How long a test waits for what is measured, so that a miss is a number.
const PATIENCE: Duration = Duration::from_secs(30);

/// What measures runs alone, and what keeps others waiting: one daemon that does not
/// answer is asked by all that start.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("twenty_containers_are_healed_in_a_second", NEEDS, twenty_containers_are_healed),
        alone(
            "top_and_free_are_right_again_in_twenty_containers",
            MONITORS,
            monitors_are_right_again,
        ),
        trial("no_reader_sees_the_host_while_it_is_healed", NEEDS, no_reader_sees_the_host),
        trial("nested_mount_namespaces_are_healed", NEEDS, nested_namespaces_are_healed),
        trial("files_inside_somebodys_fuse_are_healed", NEEDS, files_inside_fuse_are_healed),
        trial("locked_mounts_get_a_live_one_on_top", NEEDS, locked_mounts_get_one_on_top),
        trial("what_covers_a_dead_file_is_left_alone", NEEDS, foreign_mounts_are_left_alone),
        trial("files_of_another_daemon_are_left_alone", NEEDS, other_daemons_are_left_alone),
        alone("a_daemon_that_hangs_is_not_taken_for_dead", NEEDS, hung_daemons_are_left_alone),
        trial("twice_killed_is_healed_twice", NEEDS, twice_killed_is_healed_twice),
        trial("a_file_is_put_where_it_is_missing", NEEDS, files_are_put_where_missing),
        trial("pressure_is_the_kernels_own_file", PRESSURE, pressure_is_the_kernels_own_file),
        trial("masked_files_stay_masked", NEEDS, masked_files_stay_masked),
        trial("the_hosts_own_files_are_refused", NEEDS, the_host_is_refused),
        trial("a_dead_daemon_has_no_files_to_give", NEEDS, a_dead_daemon_is_refused),
    ]
}

/// Kills the daemon and starts it again; returns how long it took until `healed`.
fn restart(daemon: &mut Daemon, healed: impl Fn(&Daemon) -> Result<()>) -> Result<Duration> {
    daemon.kill()?;
    let start = Instant::now();
    daemon.start_again()?;
    // Until then the old mount is where the new one will be.
    let is_healed = |daemon: &Daemon| {
        ensure!(daemon.log().contains("detached what a dead daemon left"), "the dead one is there");
        healed(daemon)
    };
    loop {
        match is_healed(daemon) {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() > PATIENCE => {
                bail!("{error:?}\nthe daemon's log:\n{}", daemon.log())
            }
            Err(_not_yet) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Measures until once all is healed in time; `measure` says whether it was, and how long
/// it took. Whatever else it finds wrong counts each time.
fn in_time(mut measure: impl FnMut() -> Result<(bool, String)>) -> Verdict {
    let mut measured = Vec::new();
    for _try in 0..TRIES {
        let (is_in_time, took) = measure()?;
        if is_in_time {
            return Ok(());
        }
        measured.push(took);
    }
    bail!("never in time:\n{}", measured.join("\n"))
}

fn twenty_containers_are_healed() -> Verdict {
    let mut daemon = Daemon::start()?;
    let containers = (0..u64::from(speed::repetitions(20)))
        .map(|number| Contained::with_files((64 + number) * MIB, Pace::Calm, &daemon))
        .collect::<Result<Vec<_>>>()?;
    let all_healed = |daemon: &Daemon| -> Result<()> {
        containers.iter().try_for_each(|container| has_each_file_once(container.pid(), daemon))
    };
    in_time(|| {
        let took = restart(&mut daemon, all_healed)?;
        for container in &containers {
            container.reads_right()?;
            container.saw_only_its_own(true)?;
            container.forget()?;
        }
        eprintln!("{} containers, healed in {} ms", containers.len(), took.as_millis());
        // What was read while the file was dead may be written down as late as now.
        for container in &containers {
            container.saw_only_its_own(true)?;
            container.forget()?;
        }
        for container in &containers {
            container.reads_right()?;
            container.saw_only_its_own(false)?;
        }
        let log = daemon.log();
        Ok((took < speed::time(PROMISED), format!("it took {} ms\n{log}", took.as_millis())))
    })?;
    drop(containers);
    daemon.stop()
}

/// As above with what people run: containers of `porthole` with `top` and `free`. Each
/// monitor that began when the files were there again shows the limit, and nothing else
/// is shown by those before.
fn monitors_are_right_again() -> Verdict {
    let mut daemon = Daemon::start()?;
    let folder = support::folder()?;
    let containers = (0..speed::repetitions(20))
        .map(|number| Monitored::start(64 + number, &daemon, &folder))
        .collect::<Result<Vec<_>>>()?;
    let inits = || containers.iter().map(Monitored::init).collect::<Result<Vec<_>>>();
    let files = |daemon: &Daemon| {
        containers.iter().map(|container| container.live_files(daemon)).collect::<Result<Vec<_>>>()
    };
    let files_before = containers.iter().map(Monitored::files);
    let since_now = || {
        let (now, start) = (SystemTime::now(), Instant::now());
        containers.iter().try_for_each(|container| container.says_its_limit(now))?;
        Ok::<_, Error>((now, start.elapsed()))
    };
    since_now()?;
    // How long the machine takes for one run of each monitor in every container.
    let (_now, round) = since_now()?;
    let before = (inits()?, files_before.collect::<Result<Vec<_>>>()?);
    ensure!(before.1.iter().all(|count| *count > 0), "no files of ours: {:?}", before.1);
    in_time(|| {
        let took = restart(&mut daemon, |daemon| {
            let now = files(daemon)?;
            ensure!(now == before.1, "files before: {:?}, now: {now:?}", before.1);
            Ok(())
        })?;
        let (healed, right) = since_now()?;
        let told =
            format!("healed in {took:?}; monitors right {right:?} later, a round is {round:?}");
        eprintln!("{} containers, {told}", containers.len());
        since_now()?;
        containers.iter().try_for_each(|container| container.said_only_its_limit(healed))?;
        ensure!(inits()? == before.0, "a container was restarted");
        let promised = speed::time(PROMISED);
        // A monitor that was about to fail runs once more; how long that takes is not ours.
        let is_in_time = took < promised && took + right < promised + 2 * round;
        Ok((is_in_time, format!("{told}\n{}", daemon.log())))
    })?;
    drop(containers);
    daemon.stop()
}

/// One entry per file and an error or the right number at every moment, however
/// often it happens.
fn no_reader_sees_the_host() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &daemon)?;
    container.reads_right()?;
    container.forget()?;
    for _kill in 0..10 {
        restart(&mut daemon, |daemon| has_each_file_once(container.pid(), daemon))?;
    }
    container.reads_right()?;
    container.saw_only_its_own(true)?;
    drop(container);
    daemon.stop()
}

/// A process that has made a mount namespace of its own inside a container.
struct Nested {
    nsenter: Child,
    pid: Pid,
}

impl Nested {
    /// Starts one with `unshare` and its options.
    fn start(container: &Contained, options: &[&str]) -> Result<Self> {
        let unshare = [&["unshare"], options, &["sleep", "600"]].concat();
        let nsenter = container.command(&unshare).stdin(Stdio::null()).spawn()?;
        let pid = process::child(Pid::from_raw(nsenter.id().cast_signed()), "sleep")?;
        wait_for_own_namespace(pid, container.pid())?;
        Ok(Self { nsenter, pid })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        let _ended = kill(self.pid, Signal::SIGKILL);
        let _ended = self.nsenter.wait();
    }
}

fn nested_namespaces_are_healed() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &daemon)?;
    let nested = Nested::start(&container, &["--mount"])?;
    restart(&mut daemon, |daemon| {
        has_each_file_once(container.pid(), daemon)?;
        has_each_file_once(nested.pid, daemon)
    })?;
    drop((nested, container));
    daemon.stop()
}

/// The root of a container may be a file system that another program answers for, as
/// fuse-overlayfs does. Here it is another daemon's tree, with a proc mounted in it.
fn files_inside_fuse_are_healed() -> Verdict {
    let other = Daemon::start()?;
    let mut daemon = Daemon::start()?;
    let container = Contained::without_files(96 * MIB, Pace::Calm)?;
    let proc = other.mount_point().join("proc");
    let inside = proc.join("meminfo");
    let (proc, inside) = (proc.to_string_lossy(), inside.to_string_lossy());
    let file = daemon.mount_point().join("proc/meminfo");
    let file = file.to_string_lossy();
    container.shell(&format!("mount -t proc none {proc} && mount --bind {file} {inside}"))?;
    restart(&mut daemon, |daemon| is_there_once(&inside, container.pid(), daemon))?;
    let read = container.shell(&format!("cat {inside}"))?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(96 * MIB))?;
    drop(container);
    daemon.stop()?;
    other.stop()
}

/// In a mount namespace that was given to a less privileged user namespace the
/// dead cannot be taken away, nor anything be put beneath them.
fn locked_mounts_get_one_on_top() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &daemon)?;
    let nested = Nested::start(&container, &["--mount", "--user", "--map-root-user"])?;
    let dead = live_device(&daemon)?;
    restart(&mut daemon, |daemon| {
        let live = live_device(daemon)?;
        let mounts = mounted_at(nested.pid, "/proc/meminfo")?;
        let devices: Vec<_> = mounts.iter().map(|(_type, device)| device.as_str()).collect();
        ensure!(devices == [&dead, &live], "{mounts:?}, dead {dead}, live {live}");
        has_each_file_once(container.pid(), daemon)
    })?;
    container.reads_right_in(nested.pid)?;
    drop((nested, container));
    daemon.stop()
}

fn foreign_mounts_are_left_alone() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &daemon)?;
    container.shell(
        "mount --bind /etc/hostname /proc/uptime && mount -t tmpfs none /sys/devices/system/cpu",
    )?;
    let covered = mounted_at(container.pid(), "/proc/uptime")?;
    ensure!(covered.len() == 2, "the test's own mount is missing: {covered:?}");
    restart(&mut daemon, |daemon| {
        is_there_once("/proc/meminfo", container.pid(), daemon)?;
        ensure!(daemon.log().contains("running containers looked at"), "not done");
        Ok(())
    })?;
    let after = mounted_at(container.pid(), "/proc/uptime")?;
    ensure!(after == covered, "before {covered:?}, after {after:?}");
    let line = daemon.log();
    let line = line.lines().find(|line| line.contains("/proc/uptime")).context("not said")?;
    ensure!(line.contains("left alone /proc/uptime ("), "{line}");
    container
        .shell("cmp /etc/hostname /proc/uptime && test -z \"$(ls /sys/devices/system/cpu)\"")?;
    drop(container);
    daemon.stop()
}

fn other_daemons_are_left_alone() -> Verdict {
    let other = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &other)?;
    let mut daemon = Daemon::start()?;
    restart(&mut daemon, |daemon| {
        ensure!(daemon.log().contains("running containers looked at"), "{}", daemon.log());
        Ok(())
    })?;
    has_each_file_once(container.pid(), &other)?;
    let said = inject(&daemon, &["--pid", &container.pid().to_string()])?.succeeded()?;
    for expected in [" /proc/cpuinfo, ", "(another portholefs serves it)"] {
        said.holds(expected, said.stdout.contains(expected))?;
    }
    has_each_file_once(container.pid(), &other)?;
    drop(container);
    daemon.stop()?;
    other.stop()
}

/// A stopped daemon answers nothing, and whoever asks it waits: others must be
/// healed nevertheless, and its containers be left to it.
fn hung_daemons_are_left_alone() -> Verdict {
    let hung = Daemon::start()?;
    let of_hung = Contained::with_files(96 * MIB, Pace::Busy, &hung)?;
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(64 * MIB, Pace::Busy, &daemon)?;
    // As long as its tree is mounted, or its lock is there, nobody asks whether it is dead.
    umount2(&hung.mount_point(), MntFlags::MNT_DETACH)?;
    std::fs::remove_file(hung.mount_point().with_file_name(".fs.lock"))?;
    let before = mounted_at(of_hung.pid(), "/proc/meminfo")?;
    hung.signal_all(Signal::SIGSTOP)?;
    let healed = restart(&mut daemon, |daemon| has_each_file_once(container.pid(), daemon));
    let done = wait_for_log(&daemon, "running containers looked at");
    hung.signal_all(Signal::SIGCONT)?;
    healed?;
    done?;
    let after = mounted_at(of_hung.pid(), "/proc/meminfo")?;
    ensure!(before == after, "before {before:?}, after {after:?}");
    of_hung.reads_right()?;
    of_hung.saw_only_its_own(false)?;
    drop((of_hung, container));
    daemon.stop()
}

fn wait_for_log(daemon: &Daemon, text: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !daemon.log().contains(text) {
        ensure!(Instant::now() < deadline, "{text:?} was not logged:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn twice_killed_is_healed_twice() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::with_files(96 * MIB, Pace::Busy, &daemon)?;
    for _time in 0..2 {
        restart(&mut daemon, |daemon| has_each_file_once(container.pid(), daemon))?;
        container.reads_right()?;
    }
    drop(container);
    daemon.stop()
}

fn files_are_put_where_missing() -> Verdict {
    let daemon = Daemon::start()?;
    let container = Contained::without_files(96 * MIB, Pace::Calm)?;
    let nested = Nested::start(&container, &["--mount"])?;
    let pid = container.pid().to_string();
    let first = inject(&daemon, &["--pid", &pid, "--json"])?.succeeded()?;
    let report: Value = serde_json::from_str(&first.stdout)?;
    first.equal(
        "namespaces",
        &report.pointer("/namespaces").and_then(Value::as_array).map(Vec::len),
        &Some(2),
    )?;
    for pid in [container.pid(), nested.pid] {
        has_each_file_once(pid, &daemon)?;
    }
    container.reads_right()?;
    let attributes = container.shell("grep fuse.portholefs /proc/self/mountinfo")?;
    for line in attributes.stdout.lines() {
        let restricted = line.contains(" ro,nosuid,nodev,noexec") && line.contains(" - fuse");
        attributes
            .holds("no rights and no propagation", restricted && !line.contains("shared:"))?;
    }
    let second = inject(&daemon, &["--pid", &pid])?.succeeded()?;
    second.holds("nothing is mounted twice", !second.stdout.contains(" mounted"))?;
    has_each_file_once(container.pid(), &daemon)?;
    drop((nested, container));
    daemon.stop()
}

/// Where the container's group is in a cgroup2 tree: no daemon has a part in it, and
/// one of ours that dies is replaced by it.
fn pressure_is_the_kernels_own_file() -> Verdict {
    let mut daemon = Daemon::start()?;
    let counted = Counted::new(Contained::without_files(96 * MIB, Pace::Calm)?)?;
    let container = counted.container()?;
    let is_own = |resource: &str| -> Verdict {
        let inside = container.shell(&format!("stat -c %d:%i /proc/pressure/{resource}"))?;
        let own = std::fs::metadata(counted.group.join(format!("{resource}.pressure")))?;
        let own = format!("{}:{}\n", own.dev(), own.ino());
        inside.equal(&format!("the file of {resource}"), &inside.stdout, &own)
    };
    let pid = container.pid().to_string();
    let ours = daemon.mount_point().join("proc/pressure/io");
    container.shell(&format!("mount --bind {} /proc/pressure/io", ours.display()))?;
    inject(&daemon, &["--pid", &pid])?.succeeded()?;
    is_own("cpu")?;
    is_own("memory")?;
    is_there_once("/proc/pressure/io", container.pid(), &daemon)?;
    let again = inject(&daemon, &["--pid", &pid, "--json"])?.succeeded()?;
    let report: Value = serde_json::from_str(&again.stdout)?;
    let kept = report.pointer("/namespaces/0/kept").and_then(Value::as_array);
    let is_kept = kept.is_some_and(|kept| kept.contains(&"/proc/pressure/memory".into()));
    again.holds("what is there is kept", is_kept)?;
    daemon.kill()?;
    container.shell("cat /proc/pressure/cpu /proc/pressure/memory >/dev/null")?;
    container.shell("! cat /proc/pressure/io 2>/dev/null")?;
    daemon.start_again()?;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = is_own("io") {
        ensure!(Instant::now() < deadline, "{error:?}\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(counted);
    daemon.stop()
}

/// A container with a group in the cgroup2 tree; one that was made for it is removed
/// with this value.
struct Counted {
    /// `None` when it has ended.
    container: Option<Contained>,
    group: PathBuf,
    is_made: bool,
}

impl Counted {
    fn new(container: Contained) -> Result<Self> {
        let pid = container.pid();
        if is_pure_v2() {
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
            let path = groups.lines().find_map(|line| line.strip_prefix("0::/"));
            let group = Path::new("/sys/fs/cgroup").join(path.context("it is in no group")?);
            return Ok(Self { container: Some(container), group, is_made: false });
        }
        let group = Path::new("/sys/fs/cgroup/unified").join(format!("{}psi", leaks::prefix()));
        std::fs::create_dir(&group)?;
        let counted = Self { container: Some(container), group, is_made: true };
        std::fs::write(counted.group.join("cgroup.procs"), pid.to_string())?;
        Ok(counted)
    }

    fn container(&self) -> Result<&Contained> {
        self.container.as_ref().context("it has ended")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        drop(self.container.take());
        // A group whose last process has just ended is busy for a moment.
        let deadline = Instant::now() + PATIENCE;
        while self.is_made && std::fs::remove_dir(&self.group).is_err() && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn masked_files_stay_masked() -> Verdict {
    let daemon = Daemon::start()?;
    let container = Contained::without_files(96 * MIB, Pace::Calm)?;
    container.shell("mount --bind /dev/null /proc/swaps && mount -t tmpfs none /sys/devices")?;
    let said = inject(&daemon, &["--pid", &container.pid().to_string()])?.succeeded()?;
    for line in [
        "left alone /proc/swaps (devtmpfs is mounted on /proc/swaps)",
        "/sys/devices/system/cpu",
        "(tmpfs is mounted on /sys/devices)",
    ] {
        said.holds(line, said.stdout.contains(line))?;
    }
    container.shell("test -c /proc/swaps && test -z \"$(ls /sys/devices)\"")?;
    drop(container);
    daemon.stop()
}

fn the_host_is_refused() -> Verdict {
    let daemon = Daemon::start()?;
    let own = std::process::id().to_string();
    let refused = inject(&daemon, &["--pid", &own])?;
    refused.equal("exit status", &refused.status, &Some(1))?;
    let expected = format!(
        "portholefs: process {own} is in the host's own mount namespace; files mounted there would change the host (try: "
    );
    refused.holds(&expected, refused.stderr.starts_with(&expected))?;
    refused.equal("lines", &refused.stderr.lines().count(), &1)?;
    daemon.stop()
}

fn a_dead_daemon_is_refused() -> Verdict {
    let mut daemon = Daemon::start()?;
    let container = Contained::without_files(96 * MIB, Pace::Calm)?;
    daemon.kill()?;
    let refused = inject(&daemon, &["--pid", &container.pid().to_string()])?;
    refused.equal("exit status", &refused.status, &Some(1))?;
    let expected = format!(
        "portholefs: no portholefs serves {0} (try: portholefs serve {0})\n",
        daemon.mount_point().display()
    );
    refused.equal("message", &refused.stderr, &expected)
}
