//! Bad input: one line that names the thing, the reason and the way out, exit
//! status 125, and nothing left behind.

use std::process::Command;

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Need, Ran, Verdict, binaries, daemon, leaks, speed, trial};

const CONTAINER: &[Need] = &[Need::Container];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("bad_values_are_refused", CONTAINER, bad_values_are_refused),
        trial("not_being_root_is_refused", CONTAINER, not_being_root_is_refused),
        trial("no_fuse_is_refused", CONTAINER, no_fuse_is_refused),
        trial("no_cgroup_controller_is_refused", CONTAINER, no_cgroup_controller_is_refused),
    ]
}

/// Options, and words that the one line must have.
const REFUSED: &[(&[&str], &[&str])] = &[
    (&["-m", "4"], &["-m", "4"]),
    (&["-m", "lots"], &["-m", "lots"]),
    (&["-m", "64m", "--memory-swap", "32m"], &["--memory-swap", "32m"]),
    (&["--cpus", "0"], &["--cpus", "0"]),
    (&["--cpus", "99"], &["--cpus", "99"]),
    (&["--cpus", "-1"], &["--cpus", "-1"]),
    (&["--cpuset-cpus", "99"], &["--cpuset-cpus", "99"]),
    (&["--cpuset-cpus", "x"], &["--cpuset-cpus", "x"]),
    (&["--pids-limit", "0"], &["--pids-limit", "0"]),
    (&["--rootfs", "/no/such/folder"], &["/no/such/folder"]),
    (&["-v", "/no/such/folder:/data"], &["/no/such/folder"]),
    (&["-v", "relative:/data"], &["relative"]),
    (&["-u", "nobody-of-this-name"], &["nobody-of-this-name"]),
    (&["--net", "bridge"], &["bridge", "none", "host"]),
    (&["--hostname", "a b"], &["a b"]),
    (&["--name", "../up"], &["../up"]),
    (&["--no-such-option"], &["--no-such-option"]),
];

fn bad_values_are_refused() -> Verdict {
    for (options, words) in speed::tried(REFUSED) {
        let state = State::new()?;
        check_refused(&state.run(&[], options)?, words)?;
        state.check_empty()?;
    }
    Ok(())
}

/// One line with each of the words, and exit status 125.
fn check_refused(ran: &Ran, words: &[&str]) -> Verdict {
    ran.equal("exit status", &ran.status, &Some(125))?;
    ran.equal("lines of error", &ran.stderr.lines().count(), &1)?;
    ran.equal("standard output", &ran.stdout.as_str(), &"")?;
    for word in words {
        ran.holds(&format!("the line has {word:?}"), ran.stderr.contains(word))?;
    }
    Ok(())
}

/// A state folder of one test's own, to see what is left in it.
struct State(tempfile::TempDir);

impl State {
    fn new() -> Result<Self> {
        Ok(Self(support::folder()?))
    }

    /// `porthole run OPTIONS -- true`, started by the words of `wrapper`.
    fn run(&self, wrapper: &[&str], options: &[&str]) -> Result<Ran> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60"]).args(wrapper).arg(binaries::path("porthole")?);
        command.arg("--state-dir").arg(self.0.path().join("state"));
        command
            .env("PORTHOLE_VIEW", daemon::shared()?)
            .arg("run")
            .args(options)
            .args(["--", "true"]);
        Ran::new(command.env(leaks::MARK, leaks::mark()))
    }

    /// Nothing about a container may be there.
    fn check_empty(&self) -> Verdict {
        let find =
            Ran::new(Command::new("find").arg(self.0.path()).args(["-type", "f", "-size", "+0"]))?;
        find.equal("files that are left", &find.stdout.as_str(), &"")
    }
}

fn not_being_root_is_refused() -> Verdict {
    let state = State::new()?;
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // The program itself must be reachable for everybody.
    let porthole = binaries::path("porthole")?;
    let copy = support::folder()?;
    std::fs::set_permissions(copy.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    std::fs::copy(porthole, copy.path().join("porthole"))?;
    let mut command = Command::new("setpriv");
    command
        .args(wrapper.iter().skip(1))
        .arg(copy.path().join("porthole"))
        .args(["run", "--", "true"]);
    check_refused(&Ran::new(&mut command)?, &["root"])?;
    state.check_empty()
}

/// A `/dev` without fuse, in a mount namespace of the command's own.
fn no_fuse_is_refused() -> Verdict {
    let state = State::new()?;
    let tree = state.0.path().join("fs").to_string_lossy().into_owned();
    let script = "mount -t tmpfs none /mnt && cp -a /dev/null /dev/zero /dev/urandom /mnt && \
                  mount --move /mnt /dev && exec \"$@\"";
    let ran = state.run(&["unshare", "--mount", "sh", "-c", script, "sh"], &["--view", &tree])?;
    check_refused(&ran, &["/dev/fuse"])?;
    state.check_empty()
}

/// Every cgroup mount is covered in a mount namespace of the command's own.
fn no_cgroup_controller_is_refused() -> Verdict {
    let state = State::new()?;
    let script = "umount -l /sys/fs/cgroup && exec \"$@\"";
    let ran = state.run(&["unshare", "--mount", "sh", "-c", script, "sh"], &["-m", "64m"])?;
    check_refused(&ran, &["cgroup"])?;
    state.check_empty()
}
