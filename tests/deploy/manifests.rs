//! The Kubernetes manifests, against the schemas of the versions in use.
//!
//! `cargo xtask setup` installs kubernetes-validate, which carries the schemas,
//! into a Python environment of its own; nothing is asked of a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{Ran, Verdict, binaries};

use crate::files;

/// Minor versions of Kubernetes 1 that the manifests are written for.
const VERSIONS: std::ops::RangeInclusive<u32> = 28..=37;

/// Files with objects; kustomization.yaml is kubectl's own.
const OBJECTS: [&str; 3] = ["namespace.yaml", "daemonset.yaml", "example-pod.yaml"];

fn manifest(name: &str) -> PathBuf {
    files::workspace().join("deploy/kubernetes").join(name)
}

/// `kubernetes-validate`, which refuses words that the schema does not have.
fn validate(version: u32, manifests: &[PathBuf]) -> Result<Ran> {
    let mut validate = Command::new(binaries::tool("kubernetes-validate/bin/kubernetes-validate")?);
    validate.args(["--strict", "--kubernetes-version", &format!("1.{version}")]);
    Ran::new(validate.args(manifests))
}

pub(crate) fn every_version_accepts_the_manifests() -> Verdict {
    let manifests = OBJECTS.map(manifest);
    for version in VERSIONS {
        validate(version, &manifests)?.succeeded()?;
    }
    Ok(())
}

/// Without this, a validator that accepts anything would pass the test above.
pub(crate) fn a_misspelt_word_is_refused() -> Verdict {
    let text = files::text("deploy/kubernetes/daemonset.yaml")?;
    let misspelt = text.replace("hostPID: true", "hostPid: true");
    ensure!(misspelt != text, "the manifest has no hostPID to misspell");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("daemonset.yaml");
    std::fs::write(&file, misspelt)?;
    let checked = validate(*VERSIONS.end(), &[file])?;
    checked.holds("hostPid is refused", checked.status != Some(0))
}

pub(crate) fn kustomize_builds_the_folder() -> Verdict {
    let folder = files::workspace().join("deploy/kubernetes");
    let built = Ran::new(Command::new("kubectl").arg("kustomize").arg(folder))?.succeeded()?;
    for kind in ["kind: Namespace", "kind: DaemonSet"] {
        built.holds(kind, built.stdout.lines().any(|line| line == kind))?;
    }
    Ok(())
}

/// What makes the mount reach the node's containers, and outlive a dead one.
pub(crate) fn the_daemon_set_reaches_the_node() -> Verdict {
    let pod = &object("daemonset.yaml")?["spec"]["template"]["spec"];
    ensure!(pod["hostPID"] == true, "without hostPID, readers have no process id");
    ensure!(pod["automountServiceAccountToken"] == false, "it asks the cluster nothing");
    let container = &pod["containers"][0];
    ensure!(container["securityContext"]["privileged"] == true, "needed for Bidirectional");
    ensure!(container["livenessProbe"].is_null(), "a read that hangs must not kill the mount");
    let mount = named(&container["volumeMounts"], "porthole")?;
    ensure!(mount["mountPropagation"] == "Bidirectional", "{mount}");
    let served = container["args"][1].as_str().context("serve has a mount point")?;
    let parent = Path::new(served).parent().and_then(Path::to_str);
    ensure!(mount["mountPath"].as_str() == parent, "{mount} is not the parent of {served}");
    let volume = named(&pod["volumes"], "porthole")?;
    ensure!(volume["hostPath"]["path"] == mount["mountPath"], "{volume}: paths differ by side");
    Ok(())
}

/// The example mounts each file, and the directory of CPUs, where the container looks for it, read-only,
/// and waits for a daemon that is not up yet.
pub(crate) fn files_of_the_example_pod() -> Result<Vec<String>> {
    let pod = &object("example-pod.yaml")?["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array().context("volumeMounts")?;
    let mut files = Vec::new();
    for mount in mounts {
        let name = mount["name"].as_str().context("a volume mount has a name")?;
        let volume = &named(&pod["volumes"], name)?["hostPath"];
        let path = mount["mountPath"].as_str().context("mountPath")?;
        ensure!(mount["readOnly"] == true, "{mount} is writable");
        ensure!(mount["subPath"].is_null(), "{mount}: a stale subPath cannot be restarted");
        let wanted = if path.starts_with("/proc/") { "File" } else { "Directory" };
        ensure!(volume["type"] == wanted, "{volume} does not wait for the daemon");
        ensure!(volume["path"] == format!("{}{path}", files::MOUNT_POINT), "{volume} at {path}");
        files.push(path.trim_start_matches('/').to_owned());
    }
    Ok(files)
}

fn object(name: &str) -> Result<Value> {
    files::yaml(&manifest(name))
}

fn named<'a>(list: &'a Value, name: &str) -> Result<&'a Value> {
    let items = list.as_array().context("a list was expected")?;
    items.iter().find(|item| item["name"] == name).with_context(|| format!("no {name} in {list}"))
}
