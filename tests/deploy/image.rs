//! The container image: built without a registry, and a daemon in a container,
//! as the DaemonSet's is, serves the containers beside it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use support::{Ran, Verdict};

use crate::containers::{self, Host, on_host};
use crate::files;

/// What `build-image.sh` calls the image of this version.
const IMAGE: &str = concat!("localhost/portholefs:", env!("CARGO_PKG_VERSION"));

/// What the DaemonSet's container has that a plain one has not; `--privileged`
/// would ask for capabilities that a build machine may lack.
const RIGHTS: [&str; 9] = [
    "--pid=host",
    "--device=/dev/fuse",
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=SYS_CHROOT",
    "--cap-add=IPC_LOCK",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro",
];

/// A folder whose mounts are seen on both sides, as `/` of a node is.
struct SharedFolder(tempfile::TempDir);

impl SharedFolder {
    fn make() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("porthole-tests-").tempdir()?;
        let path = Some(folder.path());
        mount(path, folder.path(), None::<&Path>, MsFlags::MS_BIND, None::<&Path>)?;
        mount(None::<&Path>, folder.path(), None::<&Path>, MsFlags::MS_SHARED, None::<&Path>)?;
        Ok(Self(folder))
    }
}

impl Drop for SharedFolder {
    fn drop(&mut self) {
        for path in [self.0.path().join("fs"), self.0.path().to_owned()] {
            // The first is gone when the daemon stopped as it should.
            let _not_mounted = umount2(&path, MntFlags::MNT_DETACH);
        }
    }
}

/// Builds twice: the same binary gives the same bytes.
pub(crate) fn the_image_is_the_same_each_time() -> Verdict {
    let folder = tempfile::tempdir()?;
    let [first, second] = ["first.tar", "second.tar"].map(|name| folder.path().join(name));
    build(&first)?;
    build(&second)?;
    Ran::new(Command::new("cmp").args([first, second]))?.succeeded().map(drop)
}

/// With the cgroup namespace of the host, and with one of its own as on v2.
pub(crate) fn the_image_serves_other_containers() -> Verdict {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    build(&archive)?;
    on_host(|host| {
        Ran::new(host.dockerd.docker(&["load", "--input"]).arg(&archive))?.succeeded()?;
        for namespace in ["host", "private"] {
            serve_from_the_image(host, &format!("--cgroupns={namespace}"))?;
        }
        Ok(())
    })
}

fn serve_from_the_image(host: &Host<'_>, namespace: &str) -> Verdict {
    let shared = SharedFolder::make()?;
    let tree = shared.0.path().join("fs");
    let volume = format!("--volume={}:/var/lib/porthole:shared", shared.0.path().display());
    let mut run = host.dockerd.docker(&["run", "--detach", "--net=none", "--name=daemon"]);
    Ran::new(run.args(RIGHTS).args([namespace, &volume, IMAGE]))?.succeeded()?;
    let seen = host.wait_until_healthy("daemon").and_then(|()| {
        let size = ["-m", "64m", "--cpus", "1"];
        containers::check(&host.run_sh(&tree, &size, containers::ASK)?, 64 << 10, 1)
    });
    let logs = Ran::new(&mut host.dockerd.docker(&["logs", "daemon"]))?;
    Ran::new(&mut host.dockerd.docker(&["stop", "daemon"]))?.succeeded()?;
    logs.holds("stopping unmounts on both sides", !support::daemon::is_mounted(&tree))?;
    Ran::new(&mut host.dockerd.docker(&["rm", "--force", "daemon"]))?.succeeded()?;
    seen.map_err(|error| error.context(logs))
}

fn build(archive: &Path) -> Verdict {
    let script = files::workspace().join("deploy/docker/build-image.sh");
    Ran::new(Command::new(script).arg(archive))?.succeeded().map(drop)
}
