//! Whose container a reader is in: the cases where it is not plain.

use std::process::Command;

use libtest_mimic::Trial;
use support::needs::host_meminfo;
use support::{Daemon, Group, Need, Ran, Verdict, binaries, daemon, trial};

const MIB: u64 = 1 << 20;
const MEMORY: &[Need] = &[Need::Container, Need::Controller("memory")];
const MEMORY_V1: &[Need] = &[Need::Container, Need::CgroupV1, Need::Controller("memory")];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::File("/usr/bin/python3", "python3")];

/// What an engine calls a container's group: an id of 64 hexadecimal digits.
const ENGINE_ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("host_process_gets_the_hosts_bytes", MEMORY, host_process_gets_the_hosts_bytes),
        trial("limited_host_process_is_no_container", MEMORY, limited_host_process_is_no_container),
        trial(
            "group_named_by_an_engine_is_a_container",
            MEMORY,
            group_named_by_an_engine_is_a_container,
        ),
        trial(
            "nested_group_is_the_containers_inside",
            MEMORY_V1,
            nested_group_is_the_containers_inside,
        ),
        trial("init_scope_is_the_containers_inside", MEMORY, init_scope_is_the_containers_inside),
        trial(
            "someone_who_entered_sees_the_container",
            MEMORY,
            someone_who_entered_sees_the_container,
        ),
        trial("thread_is_its_process", PYTHON, thread_is_its_process),
        trial("comm_with_spaces_and_brackets", MEMORY, comm_with_spaces_and_brackets),
        trial("daemon_that_cannot_read_pid_1", MEMORY, daemon_that_cannot_read_pid_1),
        trial("daemon_in_a_cgroup_namespace", MEMORY, daemon_in_a_cgroup_namespace),
    ]
}

/// Lines whose values do not move between two reads must be the same bytes.
fn host_process_gets_the_hosts_bytes() -> Verdict {
    for file in ["proc/swaps", "sys/devices/system/cpu/online", "proc/meminfo", "proc/cpuinfo"] {
        let ours = Ran::new(Command::new("cat").arg(daemon::shared()?.join(file)))?.succeeded()?;
        let kernels = std::fs::read_to_string(format!("/{file}"))?;
        let still = |text: &str| -> Vec<String> {
            let moving = ["cpu MHz", "bogomips"];
            let keys = text.lines().map(|line| match file {
                "proc/meminfo" => line.split(':').next().unwrap_or_default(),
                _ => line,
            });
            keys.filter(|line| !moving.iter().any(|key| line.starts_with(key)))
                .map(str::to_owned)
                .collect()
        };
        ours.equal(file, &still(&ours.stdout), &still(&kernels))?;
    }
    let meminfo = Ran::new(Command::new("cat").arg(daemon::shared()?.join("proc/meminfo")))?;
    meminfo.equal("MemTotal", &meminfo.meminfo("MemTotal")?, &host_meminfo("MemTotal"))
}

/// A service of the host may have limits; it is still the host's.
fn limited_host_process_is_no_container() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let read = Ran::new(&mut group.command(&["cat", &path.to_string_lossy()]))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &host_meminfo("MemTotal"))
}

/// `docker run --pid host`: no pid namespace tells, the name does.
fn group_named_by_an_engine_is_a_container() -> Verdict {
    let parent = Group::new(&["memory"])?;
    let container = parent.child(ENGINE_ID)?;
    container.limit_memory(100 * MIB)?;
    let inside = container.child("inside")?;
    let path = daemon::shared()?.join("proc/meminfo");
    let read = Ran::new(&mut inside.command(&["cat", &path.to_string_lossy()]))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))
}

/// Process 1 stays in the container's group; a child of it moves to a smaller
/// group inside and reads. On v2 a group with controllers for its children has
/// no processes of its own, so this is a case of v1.
fn nested_group_is_the_containers_inside() -> Verdict {
    let container = Group::new(&["memory"])?;
    container.limit_memory(200 * MIB)?;
    let inside = container.child("services")?;
    check_inside(&container, &inside)
}

/// systemd in a container: process 1 is in `init.scope`, its services beside it.
fn init_scope_is_the_containers_inside() -> Verdict {
    let container = Group::new(&["memory"])?;
    container.limit_memory(200 * MIB)?;
    let init = container.child("init.scope")?;
    let service = container.child("web.service")?;
    check_inside(&init, &service)
}

/// Somebody of the host entered with nsenter: the namespaces are the
/// container's, the group is that of a login session.
fn someone_who_entered_sees_the_container() -> Verdict {
    let container = Group::new(&["memory"])?;
    container.limit_memory(200 * MIB)?;
    let host = Group::new(&["memory"])?;
    let slice = host.child("user.slice")?;
    let session = slice.child("session-1.scope")?;
    check_inside(&container, &session)
}

/// A process in `inside`, which has a limit of its own, is told 200 MiB when
/// process 1 of its pid namespace is in `first`.
fn check_inside(first: &Group, inside: &Group) -> Verdict {
    inside.limit_memory(100 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let enter = inside.folder("memory")?.join("cgroup.procs");
    let script = format!("sh -c 'echo 0 >{} && cat {}'; true", enter.display(), path.display());
    let read = Ran::new(&mut first.container(&["sh", "-c", &script]))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(200 * MIB))
}

/// FUSE names the thread that asks, and a thread has no pidfd of its own.
fn thread_is_its_process() -> Verdict {
    const SCRIPT: &str = "\
import sys, threading
def show(): print(open(sys.argv[1]).read(), flush=True)
thread = threading.Thread(target=show)
thread.start()
thread.join()";
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let read = Ran::new(&mut group.container(&[
        "/usr/bin/python3",
        "-c",
        SCRIPT,
        &path.to_string_lossy(),
    ]))?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))
}

/// `/proc/PID/stat` puts the name in brackets and escapes nothing: fields
/// counted from the front are wrong, and the uptime would be astronomical.
fn comm_with_spaces_and_brackets() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let tree = daemon::shared()?;
    let script = format!(
        "printf 'a) b (c 1 2' >/proc/self/comm; cat {0}/proc/uptime {0}/proc/meminfo; true",
        tree.display()
    );
    let read = Ran::new(&mut group.container(&["sh", "-c", &script]))?.succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))?;
    let uptime = read.find("uptime", |text| text.split(' ').next()?.parse::<f64>().ok())?;
    let hosts: f64 =
        std::fs::read_to_string("/proc/uptime")?.split(' ').next().unwrap_or_default().parse()?;
    read.between("uptime", uptime, 0.0, hosts)
}

/// Under hidepid, in a pod without CAP_SYS_PTRACE or in a user namespace, the
/// files of process 1 cannot be read; here its folder is simply covered.
fn daemon_that_cannot_read_pid_1() -> Verdict {
    let portholefs = binaries::path("portholefs")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t tmpfs none /proc/1 && exec \"$@\"", "sh"]);
    command.arg(portholefs);
    check_through_its_own_mounts(Daemon::start_by(command)?)
}

/// A daemon in a container of its own (a DaemonSet) sees `/../..` in front of
/// every other group.
fn daemon_in_a_cgroup_namespace() -> Verdict {
    let home = Group::new(&["memory"])?;
    let portholefs = binaries::path("portholefs")?;
    let words = ["unshare", "--cgroup", "--mount", &portholefs.to_string_lossy()];
    check_through_its_own_mounts(Daemon::start_by(home.command(&words))?)
}

/// Reads the limit of a container that joins the daemon's mount namespace: its
/// mount is there only.
fn check_through_its_own_mounts(daemon: Daemon) -> Verdict {
    let pid = daemon.pid();
    let tree = daemon.mount_point();
    let daemon = daemon.served_at(format!("/proc/{pid}/root{}", tree.display()))?;
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let path = tree.join("proc/meminfo");
    let (pid, path) = (pid.to_string(), path.to_string_lossy());
    let words =
        ["nsenter", "--mount", "--target", &pid, "unshare", "--fork", "--pid", "cat", &path];
    let read = Ran::new(&mut group.command(&words))?.beside(daemon.log()).succeeded()?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))?;
    daemon.stop()
}
