//! Containers that ask for more than their share, and a neighbour who must hardly notice.
//!
//! A hostile container has 64 threads and one CPU; its neighbour looks at two files
//! every millisecond. How long the neighbour waits is measured while nobody else asks,
//! and while the hostile container does each of the things of [`Hostility`].
//!
//! A busy container also takes CPU time from whoever else wants it, which no daemon
//! can mend. So where the neighbour waits long it is looked how long it waits while the
//! hostile container asks another daemon, which takes as much of the processor: what is as
//! bad then proves nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use support::program::Unproved;
use support::{Group, Need, Verdict, alone};

use crate::greedy::{Hostiles, Hostility};
use crate::onlooker::{Neighbour, Seen, Waits};
use crate::serving::Serving;

const NEEDS: &[Need] = &[
    Need::Container,
    Need::NativeSpeed,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Controller("freezer"),
    Need::Full,
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![alone("hostile_neighbours_are_hardly_noticed", NEEDS, hostile_neighbours)]
}

/// How long the neighbour reads with each hostility and without: one in a hundred of its
/// reads must be some dozens.
const SPAN: Duration = Duration::from_secs(3);

/// The median wait, and the one that all but one in a hundred stay below, are at most so
/// many times what they are when nobody else asks.
const FACTOR: f64 = 5.0;

/// Memory that each container may use, in bytes.
const LIMIT: u64 = 256 << 20;

/// CPU time of the hostile container, in microseconds of a period of 100 ms.
const ONE_CPU: u64 = 100_000;

/// How often a measure is taken before it counts: others use this machine too.
const TRIES: usize = 3;

fn hostile_neighbours() -> Verdict {
    let (serving, other) = (Serving::start(&[])?, Serving::start(&[])?);
    let (mut noticed, mut unclear) = (Vec::new(), Vec::new());
    for hostility in Hostility::ALL {
        match judge(&serving, &other, hostility)? {
            Judgement::HardlyNoticed => {}
            Judgement::Unclear(what) => unclear.push(what),
            Judgement::Noticed(what) => noticed.push(what),
        }
    }
    serving.stop()?;
    other.stop()?;
    ensure!(noticed.is_empty(), "{}", noticed.join("\n"));
    if unclear.is_empty() { Ok(()) } else { Err(Unproved(unclear.join("; ")).into()) }
}

/// What a neighbour has to say about a hostility.
enum Judgement {
    HardlyNoticed,
    /// It waits long, as it does while nobody else asks, or while the hostile container asks
    /// another daemon.
    Unclear(String),
    Noticed(String),
}

/// Measures until the neighbour is content, or has noticed a hostility each time.
fn judge(serving: &Serving, other: &Serving, hostility: Hostility) -> Result<Judgement> {
    let mut unclear = None;
    let mut noticed = String::new();
    for _try in 0..TRIES {
        let quiet = beside(serving, None)?;
        let hostile = beside(serving, Some((hostility, &serving.mount_point())))?;
        tell("nobody else asks", quiet);
        tell(&format!("{hostility:?}"), hostile);
        if hostile.is_within(FACTOR, quiet) {
            return Ok(Judgement::HardlyNoticed);
        }
        let control = beside(serving, Some((hostility, &other.mount_point())))?;
        let again = beside(serving, None)?;
        tell("it asks another", control);
        tell("nobody else again", again);
        let what = format!("{hostility:?}: {hostile:?}, quiet {quiet:?}, control {control:?}");
        let is_calm = quiet.is_calm() && again.is_calm();
        if !is_calm || hostile.is_within(FACTOR, control) {
            unclear = Some(what);
        } else {
            noticed = what;
        }
    }
    Ok(unclear.map_or(Judgement::Noticed(noticed), Judgement::Unclear))
}

/// How long a neighbour waits while a container does what it does to the files below a
/// folder.
fn beside(serving: &Serving, hostility: Option<(Hostility, &Path)>) -> Result<Seen> {
    let neighbours = container(&["memory", "cpu"])?;
    let group = container(&["memory", "cpu", "freezer"])?;
    group.limit_cpu(ONE_CPU)?;
    let start = |(hostility, root)| Hostiles::start(&group, root, hostility);
    let hostiles = hostility.map(start).transpose()?;
    let neighbour = Neighbour::start(&neighbours, &serving.mount_point())?;
    std::thread::sleep(SPAN);
    let seen = neighbour.finish()?;
    hostiles.map_or(Ok(()), Hostiles::finish)?;
    Ok(seen)
}

fn tell(what: &str, Seen { open, kept }: Seen) {
    let [open, kept] = [open, kept]
        .map(|Waits { p50, p99, longest }| format!("{p50:7.0} {p99:7.0} {longest:7.0}"));
    eprintln!("{what:20} open {open}   kept {kept}   (p50, p99, max; us)");
}

/// A container with limits of its own.
fn container(controllers: &[&'static str]) -> Result<Group> {
    let group = Group::new(controllers)?;
    group.limit_memory(LIMIT)?;
    Ok(group)
}
