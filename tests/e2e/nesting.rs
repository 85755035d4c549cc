//! Containers inside of containers: they work exactly when they work without us.
//!
//! The kernel refuses a fresh proc in a user namespace when no proc can be seen
//! whole, and a file that is mounted over `/proc/meminfo` makes it less than whole.
//! Masks do the same, so with docker's defaults our files change nothing; where
//! nobody masks anything, `porthole run` keeps a whole one beside them
//! (docs/decisions/nesting.md).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Group, Need, Ran, Verdict, container, daemon, trial};

const NESTED: &[Need] =
    &[Need::Container, Need::Speed, Need::UserNamespaces, Need::Program("bwrap", "bubblewrap")];
const PODMAN: &[Need] = &[
    Need::Container,
    Need::UserNamespaces,
    Need::Program("busybox", "busybox-static"),
    Need::LargeProgram("podman", "podman"),
];
const MANY: &[Need] = &[Need::Container, Need::Speed, Need::UserNamespaces];
const USERS: &[Need] = &[Need::Container, Need::UserNamespaces];
const MEMORY: &[Need] = &[Need::Container, Need::UserNamespaces, Need::Controller("memory")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "nesting_works_when_it_works_without_us",
            NESTED,
            nesting_works_when_it_works_without_us,
        ),
        trial(
            "podman_works_when_it_works_without_us",
            PODMAN,
            podman_works_when_it_works_without_us,
        ),
        trial("a_fresh_proc_inside_shows_the_host", USERS, a_fresh_proc_inside_shows_the_host),
        trial("whole_instances_are_out_of_the_way", MANY, whole_instances_are_out_of_the_way),
        trial(
            "a_whole_proc_beside_ours_keeps_nesting",
            MEMORY,
            a_whole_proc_beside_ours_keeps_nesting,
        ),
    ]
}

/// What rootless engines and sandboxes do first, and then.
const NESTED_CONTAINERS: [&str; 8] = [
    "unshare -Ur true",
    "unshare -Urfp --mount-proc true",
    "unshare -m true",
    "unshare -Urnm mount -t sysfs -o ro none /mnt",
    "unshare -Urnm mount -t sysfs none /mnt",
    "bwrap --ro-bind / / --unshare-user true",
    "bwrap --ro-bind / / --unshare-user --unshare-pid --proc /proc true",
    "bwrap --ro-bind / / --unshare-all --dev /dev --proc /proc --tmpfs /tmp sh -c 'ps | grep -c .'",
];

/// What may hinder them beside our files, and how many of them work then.
///
/// What needs more than a user namespace: `unshare -m`, the right to make mounts in
/// the container's own; a writable sysfs, one that can be seen.
const CONFINEMENTS: [(&[&str], usize); 4] = [
    (&[], 0),
    (&[NO_PATHS.0, NO_PATHS.1], 0),
    (&[NO_FILTER.0, NO_FILTER.1], 2),
    (&[NO_PATHS.0, NO_PATHS.1, NO_FILTER.0, NO_FILTER.1], 6),
];
const NO_PATHS: (&str, &str) = ("--security-opt", "systempaths=unconfined");
const NO_FILTER: (&str, &str) = ("--security-opt", "seccomp=unconfined");

/// Each with its exit status, and whatever it says.
fn all_of_them() -> String {
    NESTED_CONTAINERS.map(|nested| format!("{nested}; echo \"status $?\"\n")).concat()
}

fn nesting_works_when_it_works_without_us() -> Verdict {
    let script = format!("exec 2>&1; {}", all_of_them());
    for (confinement, works) in CONFINEMENTS {
        // Where all are refused it does not matter who asks.
        let users = if works == 0 { &["0"][..] } else { &["0", "1000"] };
        for user in users {
            let run = |view: &[&str]| -> Result<Ran> {
                let options = [&["-u", user], confinement, view].concat();
                container::run(&options, &["sh", "-c", &script])?.succeeded()
            };
            let (with, without) = (run(&[])?, run(&["--no-view"])?);
            with.equal("with our files", &with.stdout, &without.stdout)?;
            with.equal("that work", &with.stdout.matches("status 0\n").count(), &works)?;
        }
    }
    Ok(())
}

/// Rootless podman, which wants a home, a runtime directory, and a root file system
/// that it may write to. Nobody gives it a registry, a network or control groups.
const PODMAN_RUN: &str = "\
export HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/run && mkdir -p -m 700 $HOME $XDG_RUNTIME_DIR
cp -r /image /tmp/image
exec timeout 100 podman --cgroup-manager=cgroupfs --storage-driver=vfs run --rm --network=none \
    --cgroups=disabled --rootfs /tmp/image /bin/sh -c 'busybox head -n1 /proc/meminfo && id -u'";

fn podman_works_when_it_works_without_us() -> Verdict {
    let image = support::folder()?;
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o755))?;
    for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "var"] {
        fs::create_dir(image.path().join(folder))?;
    }
    fs::copy("/bin/busybox", image.path().join("bin/busybox"))?;
    for applet in ["sh", "id"] {
        symlink("busybox", image.path().join("bin").join(applet))?;
    }
    let volume = format!("{}:/image:ro", image.path().display());
    for (confinement, works) in CONFINEMENTS {
        let run = |view: &[&str]| -> Result<Ran> {
            let options = [&["-u", "1000", "-v", &volume], confinement, view].concat();
            container::run(&options, &["sh", "-c", PODMAN_RUN])
        };
        let (with, without) = (run(&[])?, run(&["--no-view"])?);
        with.equal(
            "as without us",
            &(with.status, &with.stdout),
            &(without.status, &without.stdout),
        )?;
        let is_free = Some(works) == CONFINEMENTS.map(|(_, works)| works).into_iter().max();
        with.equal("it works", &(with.status == Some(0)), &is_free)?;
        with.equal("who it is inside", &with.stdout.ends_with("kB\n0\n"), &is_free)?;
    }
    Ok(())
}

/// A container that nothing is hidden from, in which another begins.
const UNCONFINED: [&str; 6] = ["-m", "64m", NO_PATHS.0, NO_PATHS.1, NO_FILTER.0, NO_FILTER.1];

/// What the nested container is not given it does not have: its `/proc` is the
/// kernel's, and `/sys`, which it did not mount anew, still ours.
fn a_fresh_proc_inside_shows_the_host() -> Verdict {
    let ran = container::shell(&UNCONFINED, "cat /proc/meminfo")?;
    ran.equal("MemTotal of the container", &ran.meminfo("MemTotal")?, &(64 << 20))?;
    let ran = container::shell(&UNCONFINED, "unshare -Urfp --mount-proc cat /proc/meminfo")?;
    let hosts = support::needs::host_meminfo("MemTotal");
    ran.equal("MemTotal inside of it", &ran.meminfo("MemTotal")?, &hosts)
}

/// Only root of a container that nothing is hidden from finds them, and no other
/// container has them at all.
fn whole_instances_are_out_of_the_way() -> Verdict {
    let unconfined = |user| [&UNCONFINED[..], &["-u", user]].concat();
    let list = ["sh", "-c", "cd /dev/.porthole && head -n1 proc/meminfo sys/kernel/profiling"];
    let ran = container::run(&unconfined("0"), &list)?.succeeded()?;
    let hosts = support::needs::host_meminfo("MemTotal");
    ran.equal("MemTotal of the whole proc", &ran.meminfo("MemTotal")?, &hosts)?;
    let ran = container::run(&unconfined("1000"), &["ls", "/dev/.porthole/proc"])?;
    ran.holds("a user is refused", ran.stderr.contains("Permission denied"))?;
    for options in [&["-m", "64m"][..], &[NO_PATHS.0, NO_PATHS.1, "--no-view"]] {
        let ran =
            container::shell(options, "ls -d /dev/.porthole 2>&1; grep -c '^proc ' /proc/mounts")?;
        ran.holds("there is none", ran.stdout.contains("No such file or directory"))?;
    }
    Ok(())
}

/// A container without masks, with our files as docker's `-v` mounts them.
const SCRIPT: &str = "\
nested() { unshare -Urfp --mount-proc true 2>/dev/null && echo works || echo refused; }
nested
mount --bind \"$1/proc/meminfo\" /proc/meminfo && nested
mount -t tmpfs none /mnt && mkdir /mnt/proc && mount -t proc proc /mnt/proc && nested";

fn a_whole_proc_beside_ours_keeps_nesting() -> Verdict {
    let tree = daemon::shared()?.to_string_lossy().into_owned();
    let group = Group::new(&["memory"])?;
    let ran = Ran::new(&mut group.container(&["sh", "-c", SCRIPT, "sh", &tree]))?.succeeded()?;
    let said: Vec<&str> = ran.stdout.lines().collect();
    ran.equal("alone, with ours, with a whole one", &said, &vec!["works", "refused", "works"])
}
