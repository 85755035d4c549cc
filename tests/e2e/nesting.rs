//! Containers inside of containers: they work exactly when they work without us.
//!
//! The kernel refuses a fresh proc in a user namespace when no proc can be seen
//! whole, and a file that is mounted over `/proc/meminfo` makes it less than whole.
//! Masks do the same, so under `porthole run` our files change nothing.

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Group, Need, Ran, Verdict, container, daemon, trial};

const NESTED: &[Need] = &[Need::Container, Need::Program("bwrap", "bubblewrap")];
const MEMORY: &[Need] = &[Need::Container, Need::Controller("memory")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "nesting_works_when_it_works_without_us",
            NESTED,
            nesting_works_when_it_works_without_us,
        ),
        trial(
            "a_whole_proc_beside_ours_keeps_nesting",
            MEMORY,
            a_whole_proc_beside_ours_keeps_nesting,
        ),
    ]
}

/// What rootless engines and sandboxes do first.
const NESTED_CONTAINERS: [&str; 5] = [
    "unshare -Ur true",
    "unshare -Urfp --mount-proc true",
    "unshare -m true",
    "bwrap --ro-bind / / --unshare-user true",
    "bwrap --ro-bind / / --unshare-pid --proc /proc true",
];

fn nesting_works_when_it_works_without_us() -> Verdict {
    for nested in NESTED_CONTAINERS {
        for user in ["0", "1000"] {
            let run = |options: &[&str]| -> Result<Ran> {
                container::run(&[&["-u", user], options].concat(), &["sh", "-c", nested])
            };
            let (with, without) = (run(&[])?, run(&["--no-view"])?);
            with.equal(nested, &(with.status, &with.stderr), &(without.status, &without.stderr))?;
        }
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
    if said.first() == Some(&"refused") {
        // It does not work without us, and so not with us either.
        return ran.holds("nothing works", !said.contains(&"works"));
    }
    ran.equal("alone, with ours, with a whole one", &said, &vec!["works", "refused", "works"])
}
