//! Requests that kill or hang their worker, workers that cannot start, and
//! tables that are full.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Group, Need, Ran, Verdict, alone, group};

use crate::readers::Readers;
use crate::serving::Serving;
use crate::silent::Silent;

const FUSE: &[Need] = &[Need::Container, Need::Controller("memory")];
const BOTH: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Controller("cpu"), Need::Cpus(2)];
const CPU: &[Need] = &[Need::Container, Need::Controller("cpu"), Need::Cpus(2)];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Program("python3", "python3")];
const LONG: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Program("python3", "python3"), Need::Full];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("a_poisoned_request_is_answered_with_the_hosts_file", FUSE, poisoned),
        alone("a_poisoned_directory_is_listed_as_the_hosts", CPU, poisoned_directory),
        alone("a_request_that_hangs_is_answered_with_the_hosts_file", FUSE, hanging),
        alone("a_worker_in_uninterruptible_sleep_is_replaced", FUSE, sleeping),
        alone("a_stopped_worker_is_replaced", FUSE, stopped),
        alone("without_a_worker_that_starts_the_hosts_files_are_served", BOTH, cannot_start),
        alone("tables_that_end_workers_are_begun_anew", FUSE, deadly_tables),
        alone("more_open_files_than_a_containers_share_are_read", PYTHON, || opens(1)),
        alone("a_hundred_thousand_open_files_are_read", LONG, || opens(6)),
    ]
}

/// Memory of the container that reads.
const LIMIT: u64 = 128 << 20;

/// What a container with [`LIMIT`] reads from a file of the daemon.
fn read_in_container(serving: &Serving, path: &str) -> Result<(Ran, Duration)> {
    let group = Group::new(&["memory"])?;
    group.limit_memory(LIMIT)?;
    let start = Instant::now();
    let read = Ran::new(&mut group.container(&["timeout", "20", "cat", &serving.file(path)]))?;
    Ok((read.succeeded()?, start.elapsed()))
}

fn sees_its_limit(serving: &Serving) -> Verdict {
    let (read, _took) = read_in_container(serving, "proc/meminfo")?;
    let total = read.meminfo("MemTotal")?;
    read.equal("MemTotal", &total, &LIMIT)
}

fn sees_the_host(serving: &Serving, path: &str) -> Result<Duration> {
    let (read, took) = read_in_container(serving, path)?;
    let host = fs::read_to_string("/proc/meminfo")?;
    let total = support::ran::meminfo(&host, "MemTotal").context("no MemTotal")?;
    let shown = read.meminfo("MemTotal")?;
    read.equal("MemTotal", &shown, &total)?;
    Ok(took)
}

fn poisoned() -> Verdict {
    let serving = Serving::start(&["--rehearse", "crash=proc/meminfo"])?;
    sees_the_host(&serving, "proc/meminfo")?;
    serving.tells("takeovers", 2)?;
    // Others are spared: another file in a container, the same file on the host.
    let (online, _took) = read_in_container(&serving, "sys/devices/system/cpu/online")?;
    online.holds("it has text", !online.stdout.is_empty())?;
    fs::read_to_string(serving.file("proc/meminfo"))?;
    serving.tells("takeovers", 2)?;
    ensure!(serving.log().contains("the host's file is shown"), "{}", serving.log());
    a_quarantine_is_told(&serving)?;
    serving.stop()
}

/// To whoever scrapes.
fn a_quarantine_is_told(serving: &Serving) -> Verdict {
    let scraped = serving.command(&["metrics"])?.succeeded()?;
    let value = |series: &str| -> Result<u64> {
        scraped.find(series, |text| {
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line?.parse().ok()
        })
    };
    for (series, expected) in [
        ("porthole_quarantines_total", 1),
        ("porthole_quarantined", 1),
        ("porthole_takeovers_total", 2),
    ] {
        scraped.equal(series, &value(series)?, &expected)?;
    }
    for series in [
        "porthole_quarantined_answers_total",
        r#"porthole_reads_total{file="proc/meminfo",outcome="fallback"}"#,
        r#"porthole_process_open_fds{process="keeper"}"#,
        r#"porthole_process_open_fds{process="worker"}"#,
    ] {
        scraped.holds(series, value(series)? > 0)?;
    }
    Ok(())
}

/// The directories of CPUs that a container with one of them finds.
fn cpus_in_container(serving: &Serving) -> Result<usize> {
    let group = Group::new(&["cpu"])?;
    group.limit_cpu(100_000)?;
    let script = format!("cd {} && ls -d cpu[0-9]*", serving.file("sys/devices/system/cpu"));
    let listed = Ran::new(&mut group.container(&["timeout", "20", "sh", "-c", &script]))?;
    Ok(listed.succeeded()?.stdout.lines().count())
}

fn poisoned_directory() -> Verdict {
    let serving = Serving::start(&["--rehearse", "crash=sys/devices/system/cpu"])?;
    let cpus = support::needs::online_cpus();
    let listed = cpus_in_container(&serving)?;
    ensure!(listed == cpus, "{listed} directories, {cpus} CPUs\n{}", serving.log());
    let (online, _took) = read_in_container(&serving, "sys/devices/system/cpu/online")?;
    online.holds("it has text", !online.stdout.is_empty())?;
    ensure!(serving.log().contains("the host's file is shown"), "{}", serving.log());
    serving.stop()
}

fn hanging() -> Verdict {
    let serving = Serving::start(&["--rehearse", "hang=proc/meminfo"])?;
    let took = sees_the_host(&serving, "proc/meminfo")?;
    ensure!(took < Duration::from_secs(10), "the answer took {took:?}");
    serving.tells("takeovers", 2)?;
    serving.stop()
}

/// A file of the container's group never answers: its readers get the host's
/// text, others are not held up, and the first worker cannot be killed meanwhile.
fn sleeping() -> Verdict {
    let serving = Serving::start(&[])?;
    let first = serving.worker()?.context("nobody serves")?;
    let group = Group::new(&["memory"])?;
    group.limit_memory(LIMIT)?;
    let limit = group::file("memory", "memory.limit_in_bytes", "memory.max");
    let silent = Silent::over(&group.folder("memory")?.join(limit))?;
    let file = serving.file("proc/meminfo");
    let read = Ran::new(&mut group.container(&["timeout", "20", "cat", &file]))?.succeeded()?;
    let host = support::needs::host_meminfo("MemTotal");
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &host)?;
    ensure!(in_uninterruptible_sleep(first)?, "the first worker, {first}, is not what is tested");
    sees_its_limit(&serving)?;
    serving.tells("takeovers", 2)?;
    drop(silent);
    serving
        .until("the first worker is gone", || Ok(!Path::new(&format!("/proc/{first}")).exists()))?;
    serving.stop()
}

/// Whether a thread of `process` is.
fn in_uninterruptible_sleep(process: Pid) -> Result<bool> {
    // Threads that are killed end while they are looked at, but for the one that is stuck.
    let threads = fs::read_dir(format!("/proc/{process}/task"))?.flatten();
    let mut statuses = threads.map(|thread| fs::read_to_string(thread.path().join("status")));
    Ok(statuses.any(|status| status.is_ok_and(|status| status.contains("\nState:\tD"))))
}

fn stopped() -> Verdict {
    let serving = Serving::start(&[])?;
    kill(serving.worker()?.context("nobody serves")?, Signal::SIGSTOP)?;
    sees_its_limit(&serving)?;
    serving.tells("takeovers", 1)?;
    serving.stop()
}

fn cannot_start() -> Verdict {
    let folder = support::folder()?;
    let obstacle = folder.path().join("obstacle");
    let serving = Serving::start(&["--rehearse", &format!("refuse={}", obstacle.display())])?;
    sees_its_limit(&serving)?;
    fs::write(&obstacle, "")?;
    serving.replace_worker(Signal::SIGKILL)?;
    sees_the_host(&serving, "proc/meminfo")?;
    serving.tells_of_fallback()?;
    let listed = cpus_in_container(&serving)?;
    ensure!(listed == support::needs::online_cpus(), "{listed} directories of CPUs");
    fs::remove_file(&obstacle)?;
    serving.until("a real worker serves", || Ok(!serving.is_fallback()))?;
    sees_its_limit(&serving)?;
    serving.stop()
}

/// What is remembered for successors, and ends each of them, is forgotten.
fn deadly_tables() -> Verdict {
    let folder = support::folder()?;
    let file = folder.path().join("deadly");
    let serving = Serving::start(&["--rehearse", &format!("tables={}", file.display())])?;
    let readers = Readers::start(&serving)?;
    fs::write(&file, "")?;
    serving.replace_worker(Signal::SIGKILL)?;
    serving.until("a worker gets on", || Ok(serving.log().contains("which are begun anew")))?;
    sees_its_limit(&serving)?;
    let mut seen = readers.finish()?;
    seen.forgive_steps_back(1)?;
    seen.nothing_wrong("tables that end workers")?;
    ensure!(!serving.is_fallback(), "{:#}", serving.status());
    let takeovers = serving.number("takeovers")?;
    ensure!((4..=6).contains(&takeovers), "{takeovers} takeovers");
    serving.stop()
}

/// Opens [`OPENS`] files, waits for its input to end, and says how they begin.
const OPENER: &str = "
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
files = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(int(sys.argv[2]))]
print('open', flush=True)
sys.stdin.read()
texts = {os.pread(file, 100000, 0).split(b'\\n')[0] for file in files}
print(texts)
";

/// Files that one container opens: more than its share of the table.
const OPENS: usize = 17_000;

/// Memory that keeper and worker may have with a full table, in bytes: 16 MiB of
/// records, the worker's books of them, and what both need at any time.
const RESIDENT: u64 = 48 << 20;

/// Opens files in so many containers, has another worker begin to serve, and
/// reads all of them.
fn opens(containers: usize) -> Verdict {
    let serving = Serving::start(&[])?;
    let file = serving.file("proc/meminfo");
    let (mut openers, mut groups) = (Vec::new(), Vec::new());
    for _container in 0..containers {
        let group = Group::new(&["memory"])?;
        group.limit_memory(LIMIT)?;
        let mut command: Command =
            group.container(&["python3", "-c", OPENER, &file, &OPENS.to_string()]);
        let opener = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        openers.push(opener.spawn()?);
        groups.push(group);
    }
    for opener in &mut openers {
        let mut said = [0; 5];
        opener.stdout.as_mut().context("no output")?.read_exact(&mut said)?;
        ensure!(&said == b"open\n", "an opener said {said:?}");
    }
    serving.replace_worker(Signal::SIGKILL)?;
    for opener in openers {
        // wait_with_output closes its input first.
        let read = Ran::of("python3".to_owned(), &opener.wait_with_output()?).succeeded()?;
        let expected = format!("{{b'MemTotal:{:>15} kB'}}\n", LIMIT / 1024);
        read.equal("first lines", &read.stdout, &expected)?;
    }
    let resident = serving.resident()?;
    eprintln!("{} open files: {} KiB resident", containers * OPENS, resident / 1024);
    ensure!(resident < RESIDENT, "{resident} bytes are resident");
    serving.stop()
}
