//! Versions follow each other; no reader may notice more than a delay.

use std::fs::{self, File};
use std::io::Read as _;

use anyhow::ensure;
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use support::{Need, Verdict, alone};

use crate::readers::Readers;
use crate::serving::Serving;

const QUICK: &[Need] = &[Need::Container, Need::Controller("memory")];
const LONG: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Full];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("upgrades_are_not_noticed", QUICK, || upgrades(20)),
        alone("a_hundred_upgrades_are_not_noticed", LONG, || upgrades(100)),
        alone("a_version_that_does_not_start_is_refused", QUICK, refused),
        alone("a_killed_keeper_is_continued", QUICK, a_killed_keeper_is_continued),
        alone("keep_leaves_the_mount_to_a_successor", QUICK, keep),
    ]
}

fn upgrades(count: u64) -> Verdict {
    let serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    let keeper = serving.keeper();
    for _upgrade in 0..count {
        serving.command(&["upgrade"])?.succeeded()?;
    }
    let seen = readers.finish()?;
    seen.nothing_wrong(&format!("{count} upgrades"))?;
    ensure!(serving.number("upgrades")? == count, "{:#}", serving.status());
    ensure!(serving.number("takeovers")? == 0, "{:#}", serving.status());
    ensure!(serving.keeper() == keeper, "the keeper's pid has changed");
    serving.stop()
}

fn refused() -> Verdict {
    let folder = support::folder()?;
    let obstacle = folder.path().join("obstacle");
    let serving = Serving::start(&["--rehearse", &format!("refuse={}", obstacle.display())])?;
    let (worker, generation) = (serving.worker()?, serving.generation()?);
    fs::write(&obstacle, "")?;
    let upgrade = serving.command(&["upgrade"])?;
    upgrade.equal("exit status", &upgrade.status, &Some(1))?;
    let says = upgrade.stderr.contains("the new version did not start; version");
    upgrade.holds("it says which version serves", says)?;
    let same = (serving.worker()?, serving.generation()?) == (worker, generation);
    ensure!(same, "the old worker is gone: {:#}", serving.status());
    ensure!(serving.number("refused_upgrades")? == 1, "{:#}", serving.status());
    serving.stop()
}

/// A worker whose keeper was killed serves on, and the next daemon continues its
/// session: a file that was open before reads on, in the same text.
fn a_killed_keeper_is_continued() -> Verdict {
    let mut serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    let mut file = File::open(serving.file("proc/meminfo"))?;
    let mut text = vec![0; 300];
    file.read_exact(&mut text)?;
    kill(serving.keeper(), Signal::SIGKILL)?;
    serving.start_again()?;
    file.read_to_end(&mut text)?;
    let whole = String::from_utf8(text)?;
    ensure!(whole.lines().all(|line| line.contains(':')), "two texts in one:\n{whole}");
    readers.finish()?.nothing_wrong("a killed keeper")?;
    serving.stop()
}

fn keep() -> Verdict {
    let mut serving = Serving::start(&["--keep"])?;
    let readers = Readers::start(&serving)?;
    kill(serving.keeper(), Signal::SIGTERM)?;
    serving.start_again()?;
    readers.finish()?.nothing_wrong("a stop with --keep")
}
