//! Installing what tests need and no Debian package has, below `target/tools`.
//!
//! Without a network the tests that need it say so themselves, so a failure here
//! is told and not one of everything else.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::place::Place;

/// The schemas of ten Kubernetes versions, and what checks against them.
const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.37.0";

/// Makes sure that the tools are there.
pub fn install(place: &Place) {
    if let Err(error) = kubernetes_validate(place) {
        println!("setup: no {KUBERNETES_VALIDATE}, so its tests cannot run: {error:#}");
    }
}

/// A Python environment of its own: nothing is installed into the system's.
fn kubernetes_validate(place: &Place) -> Result<()> {
    let environment = place.made("tools")?.join("kubernetes-validate");
    if environment.join("bin/kubernetes-validate").exists() {
        return Ok(());
    }
    println!("setup: installing {KUBERNETES_VALIDATE}: the manifests of deploy/ are checked");
    command::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    command::run(Command::new(environment.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        KUBERNETES_VALIDATE,
    ]))
}
