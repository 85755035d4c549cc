//! Building what the tests and the demo run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::command;
use crate::place::{Place, cargo};

/// Programs that were built.
#[derive(Debug)]
pub struct Programs {
    /// `portholefs` and `porthole`, as users get them.
    pub binaries: Vec<PathBuf>,
    /// Test programs of the tests that need a machine.
    pub tests: Vec<PathBuf>,
}

/// Builds the product and the test programs.
pub fn everything(place: &Place) -> Result<Programs> {
    Ok(Programs { binaries: binaries(place)?, tests: tests(place)? })
}

/// Builds `portholefs` and `porthole` with optimization.
pub fn binaries(place: &Place) -> Result<Vec<PathBuf>> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--bins"]);
    build.args(["-p", "procfs-fuse", "-p", "porthole"]).current_dir(&place.workspace);
    command::run(&mut build)?;
    Ok(["portholefs", "porthole"].map(|name| place.release().join(name)).into())
}

/// Builds the test programs and asks cargo where they are.
///
/// The whole workspace is selected, as for the unit tests: with one package alone,
/// dependencies would have other features and be compiled once more.
pub fn tests(place: &Place) -> Result<Vec<PathBuf>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--locked", "--workspace", "--tests"]);
    build.arg("--message-format=json-render-diagnostics").current_dir(&place.workspace);
    let messages = messages(build.stderr(Stdio::inherit()))?;
    Ok(messages.iter().filter_map(test_program).collect())
}

/// Builds the program that measures, with optimization: it is a part of what it measures.
pub fn bench(place: &Place) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--release", "--no-run", "--locked", "-p", "porthole-tests"]);
    build.args(["--test", "bench", "--message-format=json-render-diagnostics"]);
    build.current_dir(&place.workspace).stderr(Stdio::inherit());
    messages(&mut build)?.iter().find_map(test_program).context("cargo built no bench")
}

fn messages(build: &mut Command) -> Result<Vec<serde_json::Value>> {
    let text = command::output(build)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The executable of a message about a `[[test]]` of `porthole-tests`; what other
/// packages test needs no machine, and cargo runs it.
fn test_program(message: &serde_json::Value) -> Option<PathBuf> {
    let kinds = message.get("target")?.get("kind")?.as_array()?;
    let is_test = kinds.iter().any(|kind| kind == "test");
    let package = message.get("package_id")?.as_str()?;
    let executable = message.get("executable")?.as_str()?;
    (is_test && package.contains("#porthole-tests@")).then(|| PathBuf::from(executable))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(package: &str, kind: &str, found: Option<&str>) {
        let message = json!({
            "package_id": format!("path+file:///porthole/tests#{package}@0.1.0"),
            "target": { "kind": [kind] },
            "executable": "/porthole/target/debug/deps/it",
        });
        assert_eq!(test_program(&message), found.map(PathBuf::from));
    }

    #[test]
    fn only_programs_that_need_a_machine_are_run_on_one() {
        check("porthole-tests", "test", Some("/porthole/target/debug/deps/it"));
        check("porthole-tests", "lib", None);
        check("procfs-fuse", "test", None);
    }
}
