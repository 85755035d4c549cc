//! Pressure in a container: the files of its own control group, so that triggers
//! and poll(2) are the kernel's.
//!
//! Wherever there is a cgroup2 tree: on v2, and on hybrid machines, where a
//! container has a group in the tree beside the v1 hierarchies.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use support::{Container, Need, Ran, Verdict, speed, trial};

const PRESSURE: &[Need] = &[Need::Container, Need::Pressure];
const PYTHON: &[Need] =
    &[Need::Container, Need::Pressure, Need::File("/usr/bin/python3", "python3")];
const BUSY: &[Need] = &[
    Need::Container,
    Need::Triggers,
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("pressure_is_the_groups_own_file", PRESSURE, pressure_is_the_groups_own_file),
        trial(
            "a_trigger_is_what_the_groups_file_makes_of_it",
            PYTHON,
            a_trigger_is_what_the_groups_file_makes_of_it,
        ),
        trial("a_trigger_fires", BUSY, a_trigger_fires),
    ]
}

/// The group of a container in the cgroup2 tree of the machine.
fn group(container: &Container) -> PathBuf {
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    let tree = if unified.exists() { unified } else { "/sys/fs/cgroup".into() };
    tree.join("porthole").join(container.id())
}

fn pressure_is_the_groups_own_file() -> Verdict {
    let container = Container::sleeping(&["-m", "64m"])?;
    for resource in ["cpu", "io", "memory"] {
        let inside = container.shell(&format!("stat -c %d:%i /proc/pressure/{resource}"))?;
        let own = group(&container).join(format!("{resource}.pressure"));
        let own = Ran::new(Command::new("stat").args(["-c", "%d:%i"]).arg(own))?.succeeded()?;
        inside.equal(resource, &inside.stdout, &own.stdout)?;
    }
    // Nothing has ever waited for memory in a container that sleeps.
    let memory = container.shell("cat /proc/pressure/memory")?;
    let own = std::fs::read_to_string(group(&container).join("memory.pressure"))?;
    memory.equal("the text", &memory.stdout, &own)
}

/// Sets a trigger as `man proc_pressure` shows it, and prints how that went; then
/// waits for it, if there is a time to wait.
const TRIGGER: &str = "\
import os, select, sys
path, trigger, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
try:
    file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    os.write(file, trigger.encode() + b'\\0')
    print('accepted', flush=True)
except OSError as error:
    sys.exit(print(os.strerror(error.errno)))
if seconds:
    poll = select.poll()
    poll.register(file, select.POLLPRI | select.POLLERR)
    events = dict(poll.poll(seconds * 1000)).get(file, 0)
    print('error' if events & select.POLLERR else 'fired' if events else 'silent')";

/// Kernels differ in whom they let set which trigger, and with `nsdelegate`, as
/// systemd mounts cgroup2, they let nobody whose cgroup namespace begins at the group.
/// A container may what a process with the same rights may, on the same file.
fn a_trigger_is_what_the_groups_file_makes_of_it() -> Verdict {
    let container = Container::sleeping(&[])?;
    let words = ["/usr/bin/python3", "-c", TRIGGER];
    let triggers = ["some 100000 2000000", "some 50000 1000000", "some 0 0", "no trigger"];
    for &trigger in speed::tried(&triggers) {
        let rest = |path: &str| [path.to_owned(), trigger.to_owned(), "0".to_owned()];
        let own = group(&container).join("memory.pressure");
        let mut outside = Command::new("nsenter");
        outside.args(["--target", &container.init()?.to_string(), "--cgroup", "setpriv"]);
        outside.args(["--inh-caps=-all", "--bounding-set=-sys_resource"]).args(words);
        let outside = Ran::new(outside.args(rest(&own.to_string_lossy())))?.succeeded()?;
        let rest = rest("/proc/pressure/memory");
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let inside = container.exec(&[&words[..], &rest].concat())?.succeeded()?;
        inside.equal(trigger, &inside.stdout, &outside.stdout)?;
    }
    Ok(())
}

/// Two that want a CPU where there is a tenth of one wait most of the time.
fn a_trigger_fires() -> Verdict {
    let container = Container::sleeping(&["--cpus", "0.1"])?;
    let script = "for i in 1 2; do while :; do :; done & busy=\"$busy $!\"; done
        /usr/bin/python3 -c \"$1\" /proc/pressure/cpu 'some 200000 2000000' 60
        kill $busy";
    let ran = container.exec(&["sh", "-c", script, "sh", TRIGGER])?.succeeded()?;
    ran.equal("the trigger", &ran.stdout.as_str(), &"accepted\nfired\n")
}
