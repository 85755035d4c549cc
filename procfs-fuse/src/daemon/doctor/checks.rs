//! The checks: a list of functions, so that another check is another function; pure.
//!
//! Each says what is fine, or what is not and the command that mends it.

use std::path::Path;

use super::facts::{Answer, Engine, Facts, Serving, State};
use super::{Finding, Level};
use crate::host::mountinfo::MountTable;

/// One check: what it finds, one line at least.
type Check = fn(&Facts) -> Vec<Finding>;

/// All checks, in the order in which a person would look.
pub const CHECKS: &[Check] = &[
    root,
    fuse,
    kernel,
    controllers,
    enabled_controllers,
    swap,
    pressure,
    pid_namespace,
    daemon,
    tree,
    propagation,
    keeper,
    descriptors,
    engines,
    selinux,
    lxcfs,
];

/// The kernel that everything was tried on at the least.
const OLDEST: (u32, u32) = (5, 10);

/// What newer kernels have, and what is done without it.
const SINCE: &[((u32, u32), &str)] = &[
    (
        (6, 5),
        "a live file is mounted on a dead one and not beneath it (MOVE_MOUNT_BENEATH, Linux 6.5)",
    ),
    (
        (6, 9),
        "a new worker answers what the dead one had read, and the kernel cannot be asked for it \
         again (FUSE_NOTIFY_RESEND, Linux 6.9)",
    ),
];

/// Controllers whose limits containers are told.
const CONTROLLERS: [&str; 5] = ["memory", "cpu", "cpuset", "cpuacct", "blkio"];

/// What cgroup2 calls them; CPU time needs no controller there.
const ON_V2: [&str; 4] = ["memory", "cpu", "cpuset", "io"];

/// Score below which the kernel spares a process while there is another: the unit sets -900.
const SPARED: i32 = -500;

/// Descriptors that some hundred containers need: some 20 for each.
const ENOUGH_DESCRIPTORS: u64 = 16_384;

fn one(finding: Finding) -> Vec<Finding> {
    vec![finding]
}

fn root(facts: &Facts) -> Vec<Finding> {
    one(if facts.is_root {
        Finding::fine("root")
    } else {
        let what = "not root: portholefs mounts a file system, and half of this cannot be seen";
        Finding::new(Level::Wrong, what, "sudo portholefs doctor")
    })
}

fn fuse(facts: &Facts) -> Vec<Finding> {
    one(if facts.has_fuse {
        Finding::fine("/dev/fuse")
    } else {
        let mend = "modprobe fuse; in a container: --device /dev/fuse";
        Finding::new(Level::Wrong, "/dev/fuse is not there", mend)
    })
}

fn kernel(facts: &Facts) -> Vec<Finding> {
    let (major, minor) = facts.kernel;
    if facts.kernel < OLDEST {
        let what =
            format!("Linux {major}.{minor} is older than 5.10, the oldest that is meant to do");
        return one(Finding::new(Level::Wrong, what, "a newer kernel"));
    }
    let lacks = SINCE.iter().filter(|(since, _)| facts.kernel < *since);
    let lacks: Vec<_> = lacks
        .map(|((major, minor), fallback)| {
            Finding::new(Level::Note, *fallback, format!("Linux {major}.{minor} or newer"))
        })
        .collect();
    if lacks.is_empty() { one(Finding::fine(format!("Linux {major}.{minor}"))) } else { lacks }
}

fn controllers(facts: &Facts) -> Vec<Finding> {
    if facts.controllers.is_empty() {
        let what = "no cgroup controller is there, so there are no limits to show";
        return one(Finding::new(Level::Wrong, what, "mount -t cgroup2 cgroup2 /sys/fs/cgroup"));
    }
    let is_v2 = facts.is_unified();
    let wanted: &[&str] = if is_v2 { &ON_V2 } else { &CONTROLLERS };
    let missing: Vec<_> = wanted.iter().filter(|name| !facts.has(name)).copied().collect();
    if missing.is_empty() {
        return one(Finding::fine(format!("cgroup controllers: {}", facts.controllers.join(" "))));
    }
    missing.into_iter().map(missing_controller).collect()
}

fn missing_controller(name: &str) -> Finding {
    let (level, host) = match name {
        "memory" => (Level::Wrong, "memory"),
        "cpu" | "cpuset" => (Level::Lacking, "CPUs"),
        "cpuacct" => (Level::Lacking, "CPU time"),
        _io => (Level::Note, "disk use"),
    };
    let what =
        format!("the {name} cgroup controller is not there: containers see the host's {host}");
    let mend =
        format!("boot with cgroup_enable={name}, or mount -t cgroup -o {name} where v1 is used");
    Finding::new(level, what, mend)
}

fn enabled_controllers(facts: &Facts) -> Vec<Finding> {
    let missing = facts.not_handed_down.join(" ");
    one(if missing.is_empty() {
        Finding::fine("control groups have their controllers")
    } else {
        let enable: Vec<_> = facts.not_handed_down.iter().map(|name| format!("+{name}")).collect();
        let what = format!("groups below the root of cgroup2 do not have: {missing}");
        let mend = format!("echo {} > /sys/fs/cgroup/cgroup.subtree_control", enable.join(" "));
        Finding::new(Level::Lacking, what, mend)
    })
}

fn swap(facts: &Facts) -> Vec<Finding> {
    one(if !facts.has_swap || facts.counts_swap {
        Finding::fine("swap is counted, or there is none")
    } else {
        let what = "nobody counts the swap of a control group: containers see the host's";
        Finding::new(Level::Lacking, what, "boot with swapaccount=1")
    })
}

fn pressure(facts: &Facts) -> Vec<Finding> {
    one(if facts.has_pressure {
        Finding::fine("pressure is counted")
    } else {
        let what = "the kernel counts no pressure: /proc/pressure is not there for anybody";
        Finding::new(Level::Note, what, "boot with psi=1")
    })
}

fn pid_namespace(facts: &Facts) -> Vec<Finding> {
    one(if facts.sees_all_processes {
        Finding::fine("the host's pid namespace")
    } else {
        let what =
            "not in the host's pid namespace: readers outside of this one get the host's files";
        Finding::new(Level::Wrong, what, "start it on the host; in Kubernetes: hostPID: true")
    })
}

fn daemon(facts: &Facts) -> Vec<Finding> {
    let place = facts.mount_point.display();
    one(match &facts.state {
        State::Serving(Serving { answer: Answer::Right, version, .. }) => {
            Finding::fine(format!("portholefs {version} serves {place}"))
        }
        State::Serving(Serving { answer: Answer::Fallback, .. }) => {
            let what = format!("no worker can start at {place}: everybody gets the host's files");
            Finding::new(Level::Wrong, what, "journalctl -u portholefs, which says why")
        }
        State::Serving(Serving { answer: Answer::Failed(why), .. }) => {
            Finding::new(Level::Wrong, why.clone(), "systemctl restart portholefs")
        }
        State::Orphaned(what) => {
            let mend = format!("portholefs serve --daemon {place}, which continues it");
            Finding::new(Level::Lacking, what.clone(), mend)
        }
        State::Absent => {
            let mend = format!("systemctl start portholefs, or portholefs serve --daemon {place}");
            Finding::new(Level::Wrong, format!("no portholefs serves {place}"), mend)
        }
    })
}

fn tree(facts: &Facts) -> Vec<Finding> {
    let place = facts.mount_point.display();
    let table = MountTable::parse(&facts.mountinfo);
    let mounted = table.mounted_at(&facts.mount_point);
    let is_ours = mounted.is_some_and(|mount| mount.fs_type == "fuse.portholefs");
    one(match (&facts.state, mounted) {
        (State::Absent, Some(_)) if is_ours => {
            let what = format!("{place} is a dead mount: its daemon is gone");
            Finding::new(Level::Wrong, what, format!("portholefs serve --daemon {place}"))
        }
        (State::Serving(_), None) => {
            let what = format!("{place} is mounted for the daemon and not here");
            let mend = "systemctl show portholefs -p PrivateMounts,ProtectSystem,PrivateTmp, which give it a mount namespace of its own";
            Finding::new(Level::Wrong, what, mend)
        }
        (_, Some(mount)) if !is_ours => {
            let what = format!("{place} is mounted, with a {}", mount.fs_type);
            Finding::new(Level::Wrong, what, format!("umount {place}"))
        }
        _as_it_should => Finding::fine("the mount point"),
    })
}

fn propagation(facts: &Facts) -> Vec<Finding> {
    let parent = facts.mount_point.parent().unwrap_or(Path::new("/"));
    let table = MountTable::parse(&facts.mountinfo);
    let below = table.way_to(parent).pop().map(|mount| (mount.id, mount.point.clone()));
    let Some((id, point)) = below else { return one(Finding::fine("propagation")) };
    let line = facts.mountinfo.lines().find(|line| line.starts_with(&format!("{id} ")));
    let is_shared = line.is_some_and(|line| line.contains(" shared:"));
    one(if is_shared {
        Finding::fine("mounts are shared with who has a mount namespace of its own")
    } else {
        let what = format!(
            "{} is not shared: engines with a mount namespace of their own do not see our files",
            point.display()
        );
        Finding::new(Level::Note, what, format!("mount --make-rshared {}", point.display()))
    })
}

fn keeper(facts: &Facts) -> Vec<Finding> {
    let State::Serving(Serving {
        oom_score_adjustment: Some(score), keeper, has_own_group, ..
    }) = &facts.state
    else {
        return one(Finding::fine("no keeper to protect"));
    };
    if *score > SPARED {
        let what = format!(
            "the kernel may choose the keeper (pid {keeper}) when memory is short: its score is {score}"
        );
        let mend = format!(
            "OOMScoreAdjust=-900 in its unit; for now: echo -900 > /proc/{keeper}/oom_score_adj"
        );
        return one(Finding::new(Level::Lacking, what, mend));
    }
    one(if *has_own_group {
        Finding::fine("the keeper is not killed along with others")
    } else {
        let what = "keeper and worker are in one control group: who kills it takes both";
        Finding::new(Level::Note, what, "Delegate=yes in the unit")
    })
}

fn descriptors(facts: &Facts) -> Vec<Finding> {
    let State::Serving(Serving { descriptors: Some(limit), .. }) = facts.state else {
        return one(Finding::fine("no limit of descriptors to look at"));
    };
    one(if limit >= ENOUGH_DESCRIPTORS {
        Finding::fine(format!("{limit} descriptors"))
    } else {
        let what = format!(
            "the worker may open {limit} files: beyond that, files of containers are opened for each read"
        );
        Finding::new(Level::Lacking, what, "LimitNOFILE=65536 in the unit, or ulimit -n 65536")
    })
}

fn engines(facts: &Facts) -> Vec<Finding> {
    let blind: Vec<_> = facts.engines.iter().filter(|engine| !engine.sees_the_mount).collect();
    if blind.is_empty() {
        return one(Finding::fine("engines see the files"));
    }
    let place = facts.mount_point.display();
    let finding = |Engine { name, pid, .. }: &Engine| {
        let what =
            format!("{name} (pid {pid}) does not see {place}: it cannot give containers the files");
        Finding::new(
            Level::Wrong,
            what,
            format!("mount --make-rshared /; systemctl restart {name}"),
        )
    };
    blind.into_iter().map(finding).collect()
}

fn selinux(facts: &Facts) -> Vec<Finding> {
    one(if facts.selinux_enforces {
        let what =
            "SELinux enforces: containers may not read files of FUSE (fusefs_t). This is untested";
        Finding::new(Level::Lacking, what, "setsebool -P virt_sandbox_use_fusefs on")
    } else {
        Finding::fine("no SELinux that enforces")
    })
}

fn lxcfs(facts: &Facts) -> Vec<Finding> {
    let table = MountTable::parse(&facts.mountinfo);
    let lxcfs = table.mounts().iter().find(|mount| mount.fs_type == "fuse.lxcfs");
    one(match lxcfs {
        None => Finding::fine("no lxcfs beside"),
        Some(mount) => {
            let what = format!(
                "lxcfs is mounted at {}: containers that bind its files see its numbers",
                mount.point.display()
            );
            let mend = "docs/LXCFS.md says how to change over; systemctl disable --now lxcfs";
            Finding::new(Level::Note, what, mend)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `check` finds on a good machine after `change`.
    #[track_caller]
    fn check(check: Check, change: impl FnOnce(&mut Facts), level: Level, what: &str, mend: &str) {
        let mut facts = Facts::of_a_good_machine();
        change(&mut facts);
        let found = check(&facts);
        let expected = Finding::new(level, what, mend);
        assert!(found.contains(&expected), "found {found:#?}\nexpected {expected:#?}");
    }

    fn serving(facts: &mut Facts) -> &mut Serving {
        let State::Serving(serving) = &mut facts.state else { panic!("a good machine serves") };
        serving
    }

    #[test]
    fn who_is_not_root_is_told() {
        let what = "not root: portholefs mounts a file system, and half of this cannot be seen";
        check(root, |facts| facts.is_root = false, Level::Wrong, what, "sudo portholefs doctor");
    }

    #[test]
    fn an_old_kernel_is_named_with_what_is_done_instead() {
        let old = |facts: &mut Facts| facts.kernel = (6, 1);
        let what = "a live file is mounted on a dead one and not beneath it (MOVE_MOUNT_BENEATH, Linux 6.5)";
        check(kernel, old, Level::Note, what, "Linux 6.5 or newer");
        let what = "Linux 4.19 is older than 5.10, the oldest that is meant to do";
        check(kernel, |facts| facts.kernel = (4, 19), Level::Wrong, what, "a newer kernel");
    }

    #[test]
    fn a_missing_controller_is_named_with_what_is_seen_instead() {
        let none = |facts: &mut Facts| facts.controllers.clear();
        let what = "no cgroup controller is there, so there are no limits to show";
        check(controllers, none, Level::Wrong, what, "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
        let no_memory = |facts: &mut Facts| facts.controllers.retain(|name| name != "memory");
        let what = "the memory cgroup controller is not there: containers see the host's memory";
        let mend = "boot with cgroup_enable=memory, or mount -t cgroup -o memory where v1 is used";
        check(controllers, no_memory, Level::Wrong, what, mend);
        let no_cpuset = |facts: &mut Facts| facts.not_handed_down = vec!["cpuset".to_owned()];
        let what = "groups below the root of cgroup2 do not have: cpuset";
        let mend = "echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control";
        check(enabled_controllers, no_cpuset, Level::Lacking, what, mend);
    }

    #[test]
    fn swap_and_pressure_that_nobody_counts_are_told() {
        let what = "nobody counts the swap of a control group: containers see the host's";
        let uncounted = |facts: &mut Facts| (facts.has_swap, facts.counts_swap) = (true, false);
        check(swap, uncounted, Level::Lacking, what, "boot with swapaccount=1");
        let what = "the kernel counts no pressure: /proc/pressure is not there for anybody";
        check(pressure, |facts| facts.has_pressure = false, Level::Note, what, "boot with psi=1");
    }

    #[test]
    fn a_daemon_that_is_not_there_is_told_with_how_to_start_it() {
        let what = "no portholefs serves /var/lib/porthole/fs";
        let mend = "systemctl start portholefs, or portholefs serve --daemon /var/lib/porthole/fs";
        check(daemon, |facts| facts.state = State::Absent, Level::Wrong, what, mend);
        let what = "/var/lib/porthole/fs is a dead mount: its daemon is gone";
        let mend = "portholefs serve --daemon /var/lib/porthole/fs";
        check(tree, |facts| facts.state = State::Absent, Level::Wrong, what, mend);
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_told_with_the_reason() {
        let late = "/x/proc/meminfo was not answered within 1000 ms";
        let hangs = |facts: &mut Facts| serving(facts).answer = Answer::Failed(late.to_owned());
        check(daemon, hangs, Level::Wrong, late, "systemctl restart portholefs");
        let fallback = |facts: &mut Facts| serving(facts).answer = Answer::Fallback;
        let what = "no worker can start at /var/lib/porthole/fs: everybody gets the host's files";
        check(daemon, fallback, Level::Wrong, what, "journalctl -u portholefs, which says why");
        let orphaned =
            |facts: &mut Facts| facts.state = State::Orphaned("it was killed".to_owned());
        let mend = "portholefs serve --daemon /var/lib/porthole/fs, which continues it";
        check(daemon, orphaned, Level::Lacking, "it was killed", mend);
    }

    #[test]
    fn a_mount_that_others_do_not_see_is_told() {
        let unmounted = |facts: &mut Facts| {
            facts.mountinfo = facts.mountinfo.lines().next().unwrap().to_owned();
        };
        let what = "/var/lib/porthole/fs is mounted for the daemon and not here";
        let mend = "systemctl show portholefs -p PrivateMounts,ProtectSystem,PrivateTmp, which give it a mount namespace of its own";
        check(tree, unmounted, Level::Wrong, what, mend);
        let private =
            |facts: &mut Facts| facts.mountinfo = facts.mountinfo.replace(" shared:1", "");
        let what =
            "/ is not shared: engines with a mount namespace of their own do not see our files";
        check(propagation, private, Level::Note, what, "mount --make-rshared /");
        let blind = |facts: &mut Facts| {
            let engine = Engine { name: "docker".to_owned(), pid: 7, sees_the_mount: false };
            facts.engines = vec![engine];
        };
        let what =
            "docker (pid 7) does not see /var/lib/porthole/fs: it cannot give containers the files";
        let mend = "mount --make-rshared /; systemctl restart docker";
        check(engines, blind, Level::Wrong, what, mend);
    }

    #[test]
    fn a_keeper_that_may_be_killed_is_told() {
        let unprotected = |facts: &mut Facts| serving(facts).oom_score_adjustment = Some(0);
        let what = "the kernel may choose the keeper (pid 9) when memory is short: its score is 0";
        let mend = "OOMScoreAdjust=-900 in its unit; for now: echo -900 > /proc/9/oom_score_adj";
        check(keeper, unprotected, Level::Lacking, what, mend);
        let together = |facts: &mut Facts| serving(facts).has_own_group = false;
        let what = "keeper and worker are in one control group: who kills it takes both";
        check(keeper, together, Level::Note, what, "Delegate=yes in the unit");
        let few = |facts: &mut Facts| serving(facts).descriptors = Some(1024);
        let what = "the worker may open 1024 files: beyond that, files of containers are opened for each read";
        let mend = "LimitNOFILE=65536 in the unit, or ulimit -n 65536";
        check(descriptors, few, Level::Lacking, what, mend);
    }

    #[test]
    fn what_is_beside_us_is_told() {
        let what =
            "SELinux enforces: containers may not read files of FUSE (fusefs_t). This is untested";
        let mend = "setsebool -P virt_sandbox_use_fusefs on";
        check(selinux, |facts| facts.selinux_enforces = true, Level::Lacking, what, mend);
        let beside = |facts: &mut Facts| {
            facts.mountinfo += "40 1 0:60 / /var/lib/lxcfs rw shared:3 - fuse.lxcfs lxcfs rw\n";
        };
        let what =
            "lxcfs is mounted at /var/lib/lxcfs: containers that bind its files see its numbers";
        let mend = "docs/LXCFS.md says how to change over; systemctl disable --now lxcfs";
        check(lxcfs, beside, Level::Note, what, mend);
    }

    #[test]
    fn a_daemon_in_a_container_sees_not_everybody() {
        let what =
            "not in the host's pid namespace: readers outside of this one get the host's files";
        let mend = "start it on the host; in Kubernetes: hostPID: true";
        let inside = |facts: &mut Facts| facts.sees_all_processes = false;
        check(pid_namespace, inside, Level::Wrong, what, mend);
    }
}
