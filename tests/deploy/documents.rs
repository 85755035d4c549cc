//! What the documents claim about the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use support::{Ran, Verdict};

use crate::files;

const GUARANTEES: &str = "docs/GUARANTEES.md";
const LXCFS: &str = "docs/LXCFS.md";

/// A line `Proved by` of the guarantees names tests as `file` `test`, ...; both
/// must be there, so that a promise cannot outlive its proof.
pub(crate) fn every_test_that_the_guarantees_name_exists() -> Verdict {
    let text = files::text(GUARANTEES)?;
    let paragraphs = text.split("\n\n").filter_map(|text| Some(text.split_once("*Proved by*")?.1));
    check_proofs(GUARANTEES, paragraphs)
}

/// So must those of the second column, after the defects of lxcfs.
pub(crate) fn every_test_that_a_defect_of_lxcfs_has_exists() -> Verdict {
    let text = files::text(LXCFS)?;
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| lxcfs |"));
    let rows: Vec<&str> = rows.collect();
    for row in &rows {
        let tests = row.rsplit(" | ").next().unwrap_or_default();
        ensure!(tests.contains(".rs`: `"), "{LXCFS} names no test in the row\n{row}");
    }
    check_proofs(LXCFS, rows.into_iter().filter_map(|row| Some(row.rsplit_once(" | ")?.1)))
}

fn check_proofs<'a>(page: &str, texts: impl Iterator<Item = &'a str>) -> Verdict {
    let mut checked = 0;
    for text in texts {
        for Proof { file, test } in proofs(text)? {
            let text = files::text(&file)?;
            ensure!(text.contains(&test), "{page} names {test}, which is not in {file}");
            checked += 1;
        }
    }
    ensure!(checked > 0, "{page} names no test at all");
    Ok(())
}

/// Every promise is proved or says that it is not.
pub(crate) fn every_guarantee_says_how_it_is_proved() -> Verdict {
    let text = files::text(GUARANTEES)?;
    let mut promises = 0;
    for section in text.split("\n### ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let says = section.contains("*Proved by") || section.contains("*Unproved");
        ensure!(says, "{GUARANTEES}, {heading}: neither *Proved by nor *Unproved");
        promises += 1;
    }
    ensure!(promises > 0, "{GUARANTEES} has no promises");
    Ok(())
}

/// Relative links of every page lead somewhere.
pub(crate) fn no_link_is_broken() -> Verdict {
    let mut checked = 0;
    for page in pages(files::workspace())? {
        let text = std::fs::read_to_string(&page)?;
        let folder = page.parent().context("a page is in a folder")?;
        for link in links(&text) {
            ensure!(folder.join(link).exists(), "{}: broken link {link}", page.display());
            checked += 1;
        }
    }
    ensure!(checked > 0, "no page has a link");
    Ok(())
}

struct Proof {
    file: String,
    test: String,
}

/// What a text like `tests/x.rs`: `test_one`, `test_two`; `tests/y.rs`: `test_three` names.
fn proofs(text: &str) -> Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    let mut file = None;
    for word in text.split('`').skip(1).step_by(2) {
        if word.contains('/') {
            file = Some(word);
            continue;
        }
        let file = file.with_context(|| format!("{word} comes before its file"))?.to_owned();
        proofs.push(Proof { file, test: word.to_owned() });
    }
    Ok(proofs)
}

/// Markdown files that are part of the repository.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut list = Command::new("git");
    list.arg("-C").arg(folder);
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]);
    let listed = Ran::new(&mut list)?.succeeded()?;
    Ok(listed.stdout.lines().map(|page| folder.join(page)).collect())
}

/// Targets of `[text](target)` that are paths, without the part after `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}
