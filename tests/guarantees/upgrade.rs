//! Versions follow each other; no reader may notice more than a delay.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use support::{Need, Verdict, alone, binaries, process, speed};

use crate::readers::{Readers, Seen};
use crate::serving::Serving;

const QUICK: &[Need] = &[Need::Container, Need::Controller("memory")];
const LONG: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Full];

const BUILD: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Workspace, Need::Full];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("upgrades_are_not_noticed", QUICK, || upgrades(20).map(|_seen| ())),
        alone("many_upgrades_are_not_noticed", LONG, || upgrades(100)?.without_stall()),
        alone("versions_with_other_tables_follow_each_other", QUICK, other_tables),
        alone("twenty_upgrades_between_two_versions", BUILD, two_versions),
        alone("a_version_that_does_not_start_is_refused", QUICK, refused),
        alone("a_killed_keeper_is_continued", QUICK, a_killed_keeper_is_continued),
        alone("keep_leaves_the_mount_to_a_successor", QUICK, keep),
    ]
}

fn upgrades(count: u32) -> Result<Seen> {
    let count = u64::from(speed::repetitions(count));
    let serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    let keeper = serving.keeper();
    let descriptors = process::descriptors(keeper)?;
    for _upgrade in 0..count {
        serving.command(&["upgrade"])?.succeeded()?;
    }
    let seen = readers.finish()?;
    let after = process::descriptors(keeper)?;
    ensure!(after == descriptors, "descriptors of the keeper: {descriptors:?}, then {after:?}");
    seen.nothing_wrong(&format!("{count} upgrades"))?;
    ensure!(serving.number("upgrades")? == count, "{:#}", serving.status());
    ensure!(serving.number("takeovers")? == 0, "{:#}", serving.status());
    ensure!(serving.keeper() == keeper, "the keeper's pid has changed");
    serving.stop()?;
    Ok(seen)
}

/// A version with other tables follows, then one with the former, and so on. Files
/// that were open before are read on, for whoever reads them.
fn other_tables() -> Verdict {
    const CHANGES: usize = 6;
    let folder = support::folder()?;
    let layout = folder.path().join("layout");
    let serving = Serving::start(&["--rehearse", &format!("layout={}", layout.display())])?;
    let readers = Readers::start(&serving)?;
    for change in 1..=CHANGES {
        match change % 2 {
            0 => fs::remove_file(&layout)?,
            _another => fs::write(&layout, "1000")?,
        }
        serving.command(&["upgrade"])?.succeeded()?;
        serving.until("the tables are begun anew", || {
            Ok(serving.log().matches("kept other tables").count() == change)
        })?;
        // A worker of the same version understands them.
        serving.replace_worker(Signal::SIGKILL)?;
    }
    let mut seen = readers.finish()?;
    seen.forgive_steps_back(CHANGES)?;
    seen.nothing_wrong(&format!("{CHANGES} changes of the tables"))?;
    let begun_anew = serving.log().matches("kept other tables").count();
    ensure!(begun_anew == CHANGES, "begun anew {begun_anew} times:\n{}", serving.log());
    serving.stop()
}

/// This version and the one before it, as they are built, in turn.
fn two_versions() -> Verdict {
    let versions = [binaries::before()?, binaries::path("portholefs")?];
    let folder = support::folder()?;
    let installed = folder.path().join("portholefs");
    install(&versions[1], &installed)?;
    let serving = Serving::start_by(vec![installed.clone()], support::folder()?, &[])?;
    let readers = Readers::start(&serving)?;
    for version in versions.iter().cycle().take(20) {
        install(version, &installed)?;
        serving.command(&["upgrade"])?.succeeded()?;
        let installed = fs::metadata(&installed)?.ino();
        let worker = serving.worker()?.context("nobody serves")?;
        for process in [worker, serving.keeper()] {
            let runs = fs::metadata(format!("/proc/{process}/exe"))?.ino();
            ensure!(runs == installed, "{process} is not what is installed");
        }
    }
    let mut seen = readers.finish()?;
    if serving.log().contains("kept other tables") {
        seen.forgive_steps_back(20)?;
    }
    seen.nothing_wrong("20 upgrades between two versions")?;
    seen.without_stall()?;
    ensure!(serving.number("takeovers")? == 0, "{:#}", serving.status());
    serving.stop()
}

/// Puts another program in the place of the one that runs.
fn install(program: &Path, place: &Path) -> Verdict {
    let beside = place.with_extension("new");
    fs::copy(program, &beside)?;
    fs::rename(&beside, place)?;
    Ok(())
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
