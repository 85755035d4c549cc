//! What `portholefs` tells of itself: metrics, also while workers change, status, what is
//! wrong, and where a number comes from.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Daemon, Group, Need, Ran, Verdict, binaries, process, trial};

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

const EXPLAINED_NEEDS: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Controller("cpu")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("metrics_count_what_containers_read", NEEDS, metrics_count_what_containers_read),
        trial("metrics_outlive_the_worker", NEEDS, metrics_outlive_the_worker),
        trial("requests_that_wait_are_counted", NEEDS, requests_that_wait_are_counted),
        trial("healed_files_are_counted", NEEDS, healed_files_are_counted),
        trial("a_scraper_that_says_nothing_keeps_no_reader_waiting", NEEDS, a_silent_scraper),
        trial("status_tells_what_is_kept", NEEDS, status_tells_what_is_kept),
        trial("doctor_knows_whether_files_are_served", NEEDS, doctor_knows),
        trial("a_number_is_explained_by_its_limit", NEEDS, a_number_is_explained_by_its_limit),
        trial("what_is_explained_is_what_is_read", EXPLAINED_NEEDS, what_is_explained_is_read),
        trial("whoever_asks_where_nobody_serves_is_told_so", &[Need::Root], nobody_serves),
    ]
}

/// The text that the daemon tells on its socket.
fn scraped(daemon: &Daemon) -> Result<String> {
    let mut socket = UnixStream::connect(daemon.mount_point().with_file_name(".fs.metrics"))?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, text) = answer.split_once("\r\n\r\n").context("there is no empty line")?;
    ensure!(head.starts_with("HTTP/1.1 200 OK"), "the answer is {head}");
    ensure!(text.ends_with("# EOF\n"), "the text is cut short:\n{text}");
    Ok(text.to_owned())
}

/// The value of one series in the text.
fn value(text: &str, series: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = line.with_context(|| format!("there is no {series} in\n{text}"))?;
    value.parse().with_context(|| format!("{series} is {value}"))
}

/// `cat` in a container of `group`.
fn read_in(group: &Group, daemon: &Daemon, file: &str) -> Result<()> {
    let path = daemon.mount_point().join(file);
    Ran::new(&mut group.container(&["cat", &path.to_string_lossy()]))?.succeeded().map(drop)
}

fn metrics_count_what_containers_read() -> Verdict {
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    group.limit_memory(64 << 20)?;
    for _read in 0..3 {
        read_in(&group, &daemon, "proc/meminfo")?;
    }
    let text = scraped(&daemon)?;
    let reads = r#"porthole_reads_total{file="proc/meminfo",outcome="container"}"#;
    ensure!(value(&text, reads)? == 3, "three reads of meminfo are not told\n{text}");
    let durations = r#"porthole_read_duration_seconds_count{file="proc/meminfo"}"#;
    ensure!(value(&text, durations)? >= 3, "they took no time\n{text}");
    ensure!(value(&text, "porthole_containers")? == 1, "there is one container\n{text}");
    let by_hand = portholefs("metrics", &daemon.mount_point())?;
    by_hand.holds("portholefs metrics tells the same", by_hand.stdout.contains(reads))?;
    daemon.stop()
}

fn metrics_outlive_the_worker() -> Verdict {
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    read_in(&group, &daemon, "proc/meminfo")?;
    kill(worker(&daemon)?, Signal::SIGKILL)?;
    read_in(&group, &daemon, "proc/meminfo")?;
    let text = scraped(&daemon)?;
    let reads = r#"porthole_reads_total{file="proc/meminfo",outcome="container"}"#;
    ensure!(value(&text, reads)? == 2, "one read before and one after the kill\n{text}");
    ensure!(value(&text, "porthole_takeovers_total")? == 1, "one worker died\n{text}");
    daemon.stop()
}

/// Eight who read without a pause ask more than two threads answer.
fn requests_that_wait_are_counted() -> Verdict {
    // The shell asks for each byte.
    const READERS: &str = "for reader in 1 2 3 4 5 6 7 8; do
        (for time in 1 2 3 4 5 6 7 8; do read line <$1 || exit 1; done) &
    done; wait";
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    let path = daemon.mount_point().join("proc/meminfo").to_string_lossy().into_owned();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        Ran::new(&mut group.container(&["sh", "-c", READERS, "sh", &path]))?.succeeded()?;
        let text = scraped(&daemon)?;
        let has_waited = value(&text, "porthole_waited_requests_total")? > 0;
        // A file that was closed may still wait to be forgotten.
        let waits = value(&text, r#"porthole_table_used{table="waiting"}"#)? > 0;
        if has_waited && !waits {
            return daemon.stop();
        }
        ensure!(Instant::now() < deadline, "nobody has waited, or somebody still does\n{text}");
    }
}

/// What the next daemon replaces in a container that runs is counted by it.
fn healed_files_are_counted() -> Verdict {
    let mut daemon = Daemon::start()?;
    let file = daemon.mount_point().join("proc/meminfo");
    let group = Group::new(&["memory"])?;
    let script = format!("mount --bind {} /proc/meminfo; exec sleep 60", file.display());
    let mut inside = group.container(&["sh", "-c", &script]).spawn()?;
    let sleep = process::child(Pid::from_raw(inside.id().cast_signed()), "sleep")?;
    daemon.kill()?;
    daemon.start_again()?;
    let tree = daemon.mount_point();
    let daemon = daemon.served_at(&tree)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let healed = loop {
        let healed = value(&scraped(&daemon)?, "porthole_healed_mounts_total")?;
        if healed > 0 || Instant::now() > deadline {
            break healed;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    kill(sleep, Signal::SIGKILL)?;
    inside.wait()?;
    // The tree itself may be in the namespace, too.
    ensure!(healed >= 1, "no file was healed\n{}", daemon.log());
    daemon.stop()
}

/// Whoever connects and says nothing is in the way of other scrapers, for a second, and
/// of no reader.
fn a_silent_scraper() -> Verdict {
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    let socket = daemon.mount_point().with_file_name(".fs.metrics");
    let silent = || Ok(UnixStream::connect(&socket)?);
    let queue = (0..5).map(|_scraper| silent()).collect::<Result<Vec<_>>>()?;
    read_in(&group, &daemon, "proc/meminfo")?;
    let mut last = queue.last().context("there are five")?;
    last.set_nonblocking(true)?;
    let heard = last.read(&mut [0]);
    let still_waits = heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    ensure!(still_waits, "a reader waited until all scrapers had been given up");
    drop(queue);
    scraped(&daemon)?;
    daemon.stop()
}

fn status_tells_what_is_kept() -> Verdict {
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    read_in(&group, &daemon, "proc/meminfo")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ran = portholefs("status", &daemon.mount_point())?;
        ran.holds("it names the containers", ran.stdout.contains("containers   1\n"))?;
        // The kernel tells of a close when whoever closed has gone on.
        if ran.stdout.contains("open files   0 of 65536\n") {
            return daemon.stop();
        }
        ensure!(Instant::now() < deadline, "the file that was closed is kept\n{ran}");
    }
}

fn doctor_knows() -> Verdict {
    let daemon = Daemon::start()?;
    let mount_point = daemon.mount_point();
    let doctor =
        || Ran::new(Command::new(binaries::path("portholefs")?).arg("doctor").arg(&mount_point));
    let well = doctor()?.succeeded()?;
    let serves = format!("serves {}\n", mount_point.display());
    well.holds("it knows the daemon", well.stdout.contains(&serves))?;
    daemon.stop()?;
    std::fs::create_dir_all(&mount_point)?;
    let ill = doctor()?;
    ill.equal("exit status", &ill.status, &Some(1))?;
    let what = format!("wrong    no portholefs serves {}\n", mount_point.display());
    ill.holds("what is wrong comes first", ill.stdout.starts_with(&what))?;
    std::fs::remove_dir_all(mount_point.parent().context("a mount point has a parent")?)?;
    Ok(())
}

/// The limit that was set is named beside the number that follows from it.
fn a_number_is_explained_by_its_limit() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(64 << 20)?;
    let mut inside =
        group.container(&["sleep", "60"]).stdin(std::process::Stdio::null()).spawn()?;
    let sleep = process::child(Pid::from_raw(inside.id().cast_signed()), "sleep");
    let explained = sleep.and_then(|pid| {
        let mut portholefs = Command::new(binaries::path("portholefs")?);
        portholefs.args(["explain", "--pid", &pid.to_string(), "/proc/meminfo"]);
        let ran = Ran::new(&mut portholefs)?;
        kill(pid, Signal::SIGKILL)?;
        ran.succeeded()
    });
    inside.wait()?;
    let ran = explained?;
    ran.holds("the number", ran.stdout.starts_with("MemTotal:          65536 kB\n"))?;
    ran.holds("its formula", ran.stdout.contains("smallest limit of all levels and the host's"))?;
    ran.holds("its limit", ran.stdout.contains(" = 67108864\n"))
}

/// What is explained of a process is what its container reads.
fn what_is_explained_is_read() -> Verdict {
    const FILES: [&str; 4] =
        ["proc/cpuinfo", "proc/swaps", "proc/meminfo", "sys/devices/system/cpu/online"];
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory", "cpu"])?;
    group.limit_memory(64 << 20)?;
    group.limit_cpu(100_000)?;
    let mut inside =
        group.container(&["sleep", "60"]).stdin(std::process::Stdio::null()).spawn()?;
    let sleep = process::child(Pid::from_raw(inside.id().cast_signed()), "sleep");
    let explained = sleep.and_then(|pid| {
        let explained =
            FILES.iter().try_for_each(|file| every_line_is_told(&group, &daemon, pid, file));
        kill(pid, Signal::SIGKILL)?;
        explained
    });
    inside.wait()?;
    explained?;
    daemon.stop()
}

/// Fails unless each line of `file` that stays the same is in its explanation, in the same
/// order.
fn every_line_is_told(group: &Group, daemon: &Daemon, pid: Pid, file: &str) -> Verdict {
    let path = daemon.mount_point().join(file);
    let read = Ran::new(&mut group.container(&["cat", &path.to_string_lossy()]))?.succeeded()?;
    let mut portholefs = Command::new(binaries::path("portholefs")?);
    portholefs.args(["explain", "--pid", &pid.to_string(), &format!("/{file}")]);
    let explained = Ran::new(&mut portholefs)?.succeeded()?;
    let mut told = explained.stdout.lines();
    let mut lines = read.stdout.lines().filter(|line| is_constant(line));
    let untold = lines.find(|line| !told.any(|told| told == *line));
    explained.equal("a line that is read and not explained", &untold, &None)
}

/// Of `meminfo` only what the limits say; of `cpuinfo` all but the clock's rate.
fn is_constant(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or(line).trim_end();
    let is_of_meminfo = line.ends_with(" kB") && !line.starts_with("cache size");
    let is_a_limit = ["MemTotal", "SwapTotal"].contains(&name);
    name != "cpu MHz" && (is_a_limit || !is_of_meminfo) && !name.starts_with("HugePages_")
}

/// Not only where the daemon has ended: on a machine where it never was.
fn nobody_serves() -> Verdict {
    let folder = support::folder()?;
    let never = folder.path().join("never/made");
    let said = format!("no portholefs serves {0} (try: portholefs serve {0})", never.display());
    for command in ["status", "health", "metrics", "upgrade"] {
        let mut portholefs = Command::new(binaries::path("portholefs")?);
        let ran = Ran::new(portholefs.arg(command).arg(&never))?;
        ran.equal("exit status", &ran.status, &Some(1))?;
        ran.equal("what it says", &ran.stderr.trim_end(), &format!("portholefs: {said}").as_str())?;
    }
    let mut portholefs = Command::new(binaries::path("portholefs")?);
    let doctor = Ran::new(portholefs.arg("doctor").arg(&never))?;
    let first = format!("wrong    no portholefs serves {}\n", never.display());
    doctor.holds("it examines the machine", doctor.stdout.contains(&first))
}

fn portholefs(command: &str, mount_point: &Path) -> Result<Ran> {
    let mut portholefs = Command::new(binaries::path("portholefs")?);
    Ran::new(portholefs.arg(command).arg(mount_point))?.succeeded()
}

fn worker(daemon: &Daemon) -> Result<Pid> {
    let mut portholefs = Command::new(binaries::path("portholefs")?);
    let ran = Ran::new(portholefs.args(["status", "--json"]).arg(daemon.mount_point()))?;
    let pid = ran.find("worker", |text| {
        serde_json::from_str::<serde_json::Value>(text).ok()?.get("worker_pid")?.as_i64()
    })?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}
