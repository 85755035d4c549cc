//! `cargo xtask tidy`: the rules about our code that neither rustc nor clippy checks.
//!
//! Each rule is a function from the repository's files to what is wrong, and
//! has a test that plants a violation. The rules themselves are written down in
//! `docs/STYLE.md` and `docs/ARCHITECTURE.md`.

mod files;
mod imports;
mod metrics;
mod sources;
mod words;

use anyhow::{Result, bail};

use crate::place::Place;
use sources::Source;

/// A rule: everything in the files that breaks it, as lines for a person.
type Rule = fn(&[Source]) -> Vec<String>;

/// The rules that need nothing but the files.
const RULES: &[Rule] = &[
    files::headers,
    files::sizes,
    files::names,
    files::unsafe_code,
    imports::rule,
    metrics::rule,
    words::links,
];

/// Checks every rule and names everything that is wrong.
pub fn run(place: &Place) -> Result<()> {
    let sources = sources::all(&place.workspace)?;
    let mut wrong: Vec<String> = RULES.iter().flat_map(|rule| rule(&sources)).collect();
    wrong.extend(words::machine_paths(&sources, &[&place.workspace, &place.target]));
    if wrong.is_empty() {
        return Ok(());
    }
    for line in &wrong {
        println!("{line}");
    }
    bail!("{} violations of the project's rules", wrong.len());
}

/// Checks that `rule` finds `expected` in a repository of one file.
#[cfg(test)]
#[track_caller]
fn check(rule: impl Fn(&[Source]) -> Vec<String>, path: &str, text: &str, expected: &[&str]) {
    assert_eq!(rule(&[Source::planted(path, text)]), expected, "{path}: {text:?}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_repository_is_tidy() {
        super::run(&crate::place::Place::find().unwrap()).unwrap();
    }
}
