//! Private trees: what is promised of the shared tree holds in them, and nobody but their
//! container has anything of them.
//!
//! What must be seen from inside of a container is looked at by this program, started in
//! one: [`main`].

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use support::private_tree::{ask, take, take_for};
use support::ran::meminfo;
use support::{Group, Need, Ran, Verdict, alone, speed, trial};

use crate::readers::Readers;
use crate::serving::Serving;

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];
const LONG: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Full];

/// Set for a process that looks at something in a tree of its own: what, and where the
/// shared tree is.
const LOOK: &str = "PORTHOLE_TESTS_LOOK";

/// For whom it asks for a tree.
const WHOSE: &str = "PORTHOLE_TESTS_WHOSE";

/// Memory that a container may use.
const LIMIT: u64 = 256 << 20;

/// How long a new limit may take to be seen: the window, the window of `memory.stat`,
/// and a clock tick of the kernel's for each.
const FRESH_ENOUGH: Duration = Duration::from_millis(50);

/// How often a file is opened to see whether somebody is asked each time.
const OPENS: u64 = 400;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("kills_are_not_noticed_in_private_trees", NEEDS, || kills(&[], 100)),
        alone("requests_of_private_trees_in_flight_are_answered", NEEDS, || {
            kills(&["--rehearse", "slow=proc/meminfo"], 50)
        }),
        alone("many_kills_are_not_noticed_in_private_trees", LONG, || kills(&[], 1000)),
        alone("upgrades_are_not_noticed_in_private_trees", NEEDS, upgrades),
        alone("kept_meminfo_asks_nobody_within_its_window", NEEDS, || inside("kept", &[])),
        trial("opening_and_closing_meminfo_asks_nobody", NEEDS, opening_and_closing_asks_nobody),
        trial("without_a_window_meminfo_is_asked_for", NEEDS, || {
            inside("asked", &["--fresh", "0"])
        }),
        trial("a_private_tree_has_all_files", NEEDS, || inside("files", &[])),
        trial("a_new_limit_is_seen_in_a_private_tree", NEEDS, a_new_limit),
        trial("another_containers_tree_cannot_be_named", NEEDS, || inside("names", &[])),
        trial("only_what_is_understood_is_answered", NEEDS, || inside("refusals", &[])),
        trial("no_path_of_the_host_leads_to_a_private_tree", NEEDS, no_path),
        trial("a_private_tree_goes_with_its_group", NEEDS, goes_with_its_group),
    ]
}

/// Kills `count` workers under readers of private trees.
fn kills(options: &[&str], count: u32) -> Verdict {
    let serving = Serving::start(options)?;
    let readers = Readers::start_private(&serving)?;
    let count = speed::repetitions(count);
    for number in 0..count {
        thread::sleep(speed::time(Duration::from_micros(u64::from(number % 17) * 900)));
        serving.replace_worker(Signal::SIGKILL)?;
    }
    let seen = readers.finish()?;
    seen.nothing_wrong(&format!("{count} kills, private trees"))?;
    serving.stop()
}

fn upgrades() -> Verdict {
    let serving = Serving::start(&[])?;
    let readers = Readers::start_private(&serving)?;
    for _upgrade in 0..speed::repetitions(10) {
        serving.command(&["upgrade"])?.succeeded()?;
    }
    readers.finish()?.nothing_wrong("upgrades, private trees")?;
    serving.stop()
}

/// Has `what` looked at in a container, whose daemon has these options.
fn inside(what: &str, options: &[&str]) -> Verdict {
    let serving = Serving::start(options)?;
    let group = limited()?;
    let ran = Ran::new(&mut looking(&group, what, &serving)?)?;
    ran.succeeded()?;
    serving.stop()
}

/// What is asked beside attributes and texts is asked to begin with, and not each time.
fn opening_and_closing_asks_nobody() -> Verdict {
    let serving = Serving::start(&[])?;
    let group = limited()?;
    Ran::new(&mut looking(&group, "closed", &serving)?)?.succeeded()?;
    let metrics = serving.command(&["metrics"])?.succeeded()?.stdout;
    let count = |operation: &str| -> Result<u64> {
        let name = format!("porthole_requests_total{{operation=\"{operation}\"}} ");
        let number = metrics.lines().find_map(|line| line.strip_prefix(&name));
        Ok(number.with_context(|| format!("no {name}\n{metrics}"))?.parse()?)
    };
    let asked = count("open")? + count("release")? + count("other")?;
    ensure!(asked < OPENS / 4, "{asked} requests while a file was opened {OPENS} times");
    serving.stop()
}

fn limited() -> Result<Group> {
    let group = Group::new(&["memory", "cpu"])?;
    group.limit_memory(LIMIT)?;
    Ok(group)
}

/// A command that looks at `what` in a container of `group`.
fn looking(group: &Group, what: &str, serving: &Serving) -> Result<std::process::Command> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut command = group.container(&[&program]);
    command.env(LOOK, format!("{what} {}", serving.mount_point().display()));
    Ok(command)
}

/// Changes the limit of a container that reads on.
fn a_new_limit() -> Verdict {
    let serving = Serving::start(&[])?;
    let group = limited()?;
    let mut command = looking(&group, "limit", &serving)?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    // It says so when it has read; then it is told when the limit is new.
    std::io::Read::read_exact(child.stdout.as_mut().context("no output")?, &mut [0])?;
    group.limit_memory(2 * LIMIT)?;
    input.write_all(b"\n")?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serving.stop()
}

/// While a container has a tree nobody else finds a trace of it.
fn no_path() -> Verdict {
    let serving = Serving::start(&[])?;
    let group = limited()?;
    let mut command = looking(&group, "limit", &serving)?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    std::io::Read::read_exact(child.stdout.as_mut().context("no output")?, &mut [0])?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let folder = serving.mount_point();
    let folder = folder.parent().context("it has a parent")?.to_string_lossy().into_owned();
    let ours = mounts.lines().filter(|line| line.contains(&folder)).count();
    let names = fs::read_dir(serving.mount_point())?.count();
    child.kill()?;
    child.wait()?;
    ensure!(ours == 1, "{ours} mounts below {folder}:\n{mounts}");
    ensure!(names == 2, "{names} names in the shared tree, not proc and sys");
    serving.stop()
}

/// A mount that outlives the container shows the host, and has no name any more.
fn goes_with_its_group() -> Verdict {
    let serving = Serving::start(&[])?;
    let group = limited()?;
    let mut command = group.command(&["sleep", "60"]);
    let mut sleeper = command.spawn()?;
    // The kernel moves it before it becomes the program.
    let path = format!("/proc/{}/cgroup", sleeper.id());
    let name =
        group.folder("memory")?.file_name().context("a name")?.to_string_lossy().into_owned();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(&path)?.contains(&name) {
        ensure!(Instant::now() < deadline, "it never entered its group");
        thread::yield_now();
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--"]).arg(std::env::current_exe()?);
    command.env(LOOK, format!("gone {}", serving.mount_point().display()));
    command.env(WHOSE, sleeper.id().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let has_read = std::io::Read::read_exact(child.stdout.as_mut().context("no output")?, &mut [0]);
    sleeper.kill()?;
    sleeper.wait()?;
    drop(group);
    drop(child.stdin.take());
    let output = child.wait_with_output()?;
    has_read?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serving.stop()
}

/// Looks at something, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let look = std::env::var(LOOK).ok()?;
    let (what, mount_point) = look.split_once(' ').unwrap_or_default();
    let mount_point = Path::new(mount_point);
    let looked = match what {
        "kept" => asks_nobody(mount_point, true),
        "closed" => opens_and_closes(mount_point),
        "asked" => asks_nobody(mount_point, false),
        "files" => all_files(mount_point),
        "gone" => shows_the_host_afterwards(mount_point),
        "limit" => follows_the_limit(mount_point),
        "names" => names(mount_point),
        "refusals" => refusals(mount_point),
        other => Err(anyhow::anyhow!("nobody looks at {other}")),
    };
    Some(match looked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "{what}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Reads of one window give one text; with `kept` nearly all of them are of one window.
fn asks_nobody(mount_point: &Path, kept: bool) -> Verdict {
    const READS: usize = 400;
    let path = take(mount_point)?.join("proc/meminfo");
    let length = fs::metadata(&path)?.len();
    let changes = |times: &[std::time::SystemTime]| {
        times.iter().zip(times.iter().skip(1)).filter(|(one, next)| one != next).count()
    };
    let began = Instant::now();
    let (mut times, mut first_at, mut last_at) = (Vec::new(), None, began);
    for _read in 0..READS {
        last_at = Instant::now();
        let text = fs::read_to_string(&path)?;
        ensure!(meminfo(&text, "MemTotal").context("no MemTotal")? == LIMIT, "{text}");
        if kept {
            ensure!(text.len() as u64 == length, "size {length}: {text}");
        }
        times.push(fs::metadata(&path)?.modified()?);
        first_at.get_or_insert_with(Instant::now);
    }
    let windows = |time: Duration| time.as_millis() / 10;
    // What came between the first text and the last one: the first read may take long.
    let least = windows(last_at.duration_since(first_at.context("nothing was read")?));
    let most = windows(began.elapsed()) + 1;
    match (kept, changes(&times) as u128) {
        (true, changes) => ensure!(
            changes <= most && (changes > 0 || least < 3),
            "{changes} times of change in {least} to {most} windows"
        ),
        (false, changes) => {
            ensure!(changes == 0, "{changes} times of change of a file that is asked for")
        }
    }
    Ok(())
}

/// Opens, reads and closes a file whose name need not be looked up, as one that is bound
/// over a container's own.
fn opens_and_closes(mount_point: &Path) -> Verdict {
    let path = take(mount_point)?.join("proc/meminfo");
    let file = fs::File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    for _time in 0..OPENS {
        let text = fs::read_to_string(&path)?;
        ensure!(meminfo(&text, "MemTotal").context("no MemTotal")? == LIMIT, "{text}");
    }
    Ok(())
}

/// The tree has what the shared one has, with the same text where that stands still.
fn all_files(mount_point: &Path) -> Verdict {
    let shared = listed(mount_point, mount_point)?;
    let text = |root: &Path| fs::read_to_string(root.join("proc/swaps"));
    let swaps = text(mount_point)?;
    let tree = take(mount_point)?;
    let own = listed(&tree, &tree)?;
    ensure!(own == shared, "own {own:?}\nshared {shared:?}");
    ensure!(text(&tree)? == swaps, "{}", text(&tree)?);
    for path in own.iter().filter(|path| path.starts_with("proc/")) {
        let read = fs::read(tree.join(path));
        // A kernel without the counter refuses its file.
        let is_refused = path.starts_with("proc/pressure") && read.is_err();
        ensure!(is_refused || read.is_ok(), "{path}: {read:?}");
    }
    Ok(())
}

/// All files below `dir`, sorted.
fn listed(root: &Path, dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        match kind.is_dir() {
            true => found.extend(listed(root, &path)?),
            false => found.push(path.strip_prefix(root)?.to_string_lossy().into_owned()),
        }
    }
    found.sort();
    Ok(found)
}

/// Says that it has read, waits, and reads on until the new limit must be there.
fn follows_the_limit(mount_point: &Path) -> Verdict {
    let tree = take(mount_point)?;
    let total = || -> Result<u64> {
        let text = fs::read_to_string(tree.join("proc/meminfo"))?;
        meminfo(&text, "MemTotal").context("no MemTotal")
    };
    ensure!(total()? == LIMIT, "before: {}", total()?);
    std::io::stdout().write_all(b"\n")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    thread::sleep(speed::time(FRESH_ENOUGH));
    ensure!(total()? == 2 * LIMIT, "after: {}", total()?);
    Ok(())
}

/// Says that it has read, waits until the group is gone, and reads again.
fn shows_the_host_afterwards(mount_point: &Path) -> Verdict {
    let whose = std::env::var(WHOSE)?.parse()?;
    let tree = take_for(mount_point, Some(whose))?;
    let total = |path: &Path| -> Result<u64> {
        meminfo(&fs::read_to_string(path)?, "MemTotal").context("no MemTotal")
    };
    let (own, hosts) = (tree.join("proc/meminfo"), Path::new("/proc/meminfo"));
    let opened = fs::File::open(tree.join("proc/stat"))?;
    ensure!(total(&own)? == LIMIT, "before: {}", total(&own)?);
    std::io::stdout().write_all(b"\n")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    thread::sleep(speed::time(FRESH_ENOUGH));
    ensure!(total(&own)? == total(hosts)?, "after: {}", total(&own)?);
    let cpus = std::io::read_to_string(opened)?;
    ensure!(cpus.starts_with("cpu "), "a file that was open: {cpus}");
    Ok(())
}

/// Neither listing nor guessing leads to another tree.
fn names(mount_point: &Path) -> Verdict {
    let (other, _mounts) = ask(mount_point, "private 1\n", None)?;
    let other = other.trim_end().strip_prefix("ok 1 ").context("no tree")?.to_owned();
    let tree = take(mount_point)?;
    // The root lies over the shared tree now.
    let listed = fs::read_dir(mount_point)?.count();
    ensure!(listed == 0, "{listed} names in the root");
    ensure!(mount_point.join(&other).is_dir(), "a name that was told is there");
    let last = if other.ends_with('0') { "1" } else { "0" };
    let guessed = other.get(..other.len() - 1).context("a name has letters")?.to_owned() + last;
    for name in [guessed.as_str(), "00000001", "proc", "sys", "0000000100000000000000000"] {
        ensure!(!mount_point.join(name).exists(), "{name} is there");
    }
    ensure!(!tree.join("..").join("proc").exists(), "the shared files are in the root");
    Ok(())
}

fn refusals(mount_point: &Path) -> Verdict {
    for (question, expected) in [
        ("private 2\n", "no 1 the question is not understood\n"),
        ("private 1", "no 1 the question is not understood\n"),
        ("\n", "no 1 the question is not understood\n"),
    ] {
        let (answer, mounts) = ask(mount_point, question, None)?;
        ensure!(answer == expected && mounts.is_empty(), "{question:?}: {answer:?}");
    }
    // A socket of root's; who connects as another is refused by the file.
    let (answer, mounts) = ask(mount_point, "private 1\n", None)?;
    if !answer.starts_with("ok 1 ") || mounts.len() != 2 {
        bail!("{answer:?} with {} mounts", mounts.len());
    }
    Ok(())
}
