//! The systemd unit, by systemd's own checker.

use std::process::Command;

use anyhow::{Result, ensure};
use support::{Ran, Verdict};

use crate::files;

const UNIT: &str = "deploy/systemd/portholefs.service";

/// Settings that give a service a mount namespace of its own, in which its
/// mounts would stay; systemd.exec(5), and `exec_needs_mount_namespace()`.
const OWN_MOUNT_NAMESPACE: [&str; 24] = [
    "BindPaths",
    "BindReadOnlyPaths",
    "ExecPaths",
    "InaccessiblePaths",
    "MountAPIVFS",
    "MountImages",
    "NoExecPaths",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivateTmp",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "TemporaryFileSystem",
];

/// What `systemd-analyze verify` says about the unit with `change` made to it.
fn verify(change: impl Fn(&str) -> String) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let unit = folder.path().join("portholefs.service");
    // The program need not be installed where the unit is checked.
    let text = files::text(UNIT)?.replace("/usr/bin/portholefs", "/bin/true");
    std::fs::write(&unit, change(&text))?;
    let mut verify = Command::new("systemd-analyze");
    Ran::new(verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit))
}

pub(crate) fn systemd_has_nothing_to_say_about_the_unit() -> Verdict {
    let verified = verify(str::to_owned)?.succeeded()?;
    verified.equal("standard error", &verified.stderr.as_str(), &"")
}

/// Without this, a checker that says nothing would pass the test above.
pub(crate) fn systemd_notices_a_misspelt_setting() -> Verdict {
    let verified = verify(|text| text.replace("KillMode=", "KilMode="))?;
    verified.holds("KilMode is named", verified.stderr.contains("KilMode"))
}

pub(crate) fn mounts_of_the_service_are_seen_by_everybody() -> Verdict {
    let text = files::text(UNIT)?;
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    let keys: Vec<&str> = settings.filter_map(|line| Some(line.split_once('=')?.0)).collect();
    ensure!(keys.contains(&"ExecStart"), "{UNIT} could not be read: {keys:?}");
    for key in keys {
        ensure!(!OWN_MOUNT_NAMESPACE.contains(&key), "{key}= hides the mount from the host");
    }
    Ok(())
}

/// Engines that start containers, so that no container starts before the files.
pub(crate) fn the_unit_starts_before_every_engine() -> Verdict {
    let text = files::text(UNIT)?;
    let before = text.lines().filter_map(|line| line.strip_prefix("Before="));
    let before: Vec<&str> = before.flat_map(str::split_whitespace).collect();
    for engine in ["docker", "containerd", "kubelet", "podman", "crio"] {
        let unit = format!("{engine}.service");
        ensure!(before.contains(&unit.as_str()), "not before {unit}: {before:?}");
    }
    Ok(())
}
