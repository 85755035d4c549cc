//! A directory plays the machine: reads answered from end to end, without FUSE.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;
use crate::catalog::{CATALOG, matches};
use crate::sys::allocations;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const HOST_PID_NAMESPACE: u64 = 1;
const HOST_TIME_NAMESPACE: u64 = 2;

const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

const HOST_MEMINFO: &str = "\
MemTotal:       24730032 kB
MemFree:        20000000 kB
MemAvailable:   22000000 kB
";

/// The machine: files below a temporary root.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new(mountinfo: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.write("proc/self/mountinfo", mountinfo);
        machine.namespaces("self", HOST_PID_NAMESPACE, HOST_TIME_NAMESPACE);
        machine.write("proc/meminfo", HOST_MEMINFO);
        machine.write("proc/uptime", "1000.00 1900.00\n");
        machine.write("proc/loadavg", "9.00 9.00 9.00 9/999 9999\n");
        machine.write("sys/devices/system/cpu/online", "0-3\n");
        machine
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn namespaces(&self, task: &str, pid: u64, time: u64) {
        let dir = self.path(&format!("proc/{task}/ns"));
        fs::create_dir_all(&dir).unwrap();
        symlink(format!("pid:[{pid}]"), dir.join("pid")).unwrap();
        for name in ["time", "time_for_children"] {
            symlink(format!("time:[{time}]"), dir.join(name)).unwrap();
        }
    }

    /// A task in the host's namespaces.
    fn host_task(&self, id: u32, cgroup: &str) {
        self.task(id, cgroup, HOST_PID_NAMESPACE, &format!("PPid:\t1\nNSpid:\t{id}\n"));
    }

    fn task(&self, id: u32, cgroup: &str, pid_namespace: u64, status: &str) {
        self.write(&format!("proc/{id}/cgroup"), cgroup);
        self.write(&format!("proc/{id}/status"), status);
        // Began 900 s after boot, at 100 ticks a second.
        let stat = format!("{id} (a) b) R {} 90000 1 1", "0 ".repeat(18).trim_end());
        self.write(&format!("proc/{id}/stat"), &stat);
        self.write(&format!("proc/{id}/task/{id}/stat"), &stat);
        self.namespaces(&id.to_string(), pid_namespace, HOST_TIME_NAMESPACE);
    }

    /// A v2 container of 64 MiB, 16 MiB of which are used, and one CPU and a half.
    fn v2_container(&self, group: &str) {
        for (name, text) in [
            ("memory.max", "67108864\n"),
            ("memory.current", "16777216\n"),
            ("memory.stat", "anon 8388608\nfile 4194304\n"),
            ("cpu.max", "150000 100000\n"),
            ("cpu.stat", "usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\n"),
            ("cpuset.cpus.effective", "0-3\n"),
            ("cgroup.threads", "500\n"),
        ] {
            self.write(&format!("sys/fs/cgroup/{group}/{name}"), text);
        }
    }

    fn server(&self) -> Server {
        let root = self.root.path().to_owned();
        let at_once = Duration::ZERO;
        let settings = Settings {
            root,
            host_sharing: at_once,
            memory_stat_sharing: at_once,
            ..Settings::default()
        };
        Server::new(settings).unwrap()
    }
}

fn file(path: &str) -> File<'_> {
    let entry = CATALOG.iter().find(|entry| matches(entry.path, path)).unwrap();
    File { entry, path, which: None }
}

fn read(server: &Server, path: &str, thread: u32) -> String {
    let opening = server.open(Some(file(path)), thread);
    read_on(server, path, &opening)
}

fn read_on(server: &Server, path: &str, opening: &Opening) -> String {
    // What was in the buffer before is no part of the answer.
    let mut out = b"before".to_vec();
    server.text(file(path), opening, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check_total(server: &Server, thread: u32, kib: u64) {
    let text = read(server, "proc/meminfo", thread);
    let first = text.lines().next().unwrap();
    assert_eq!(first, format!("MemTotal:       {kib:>8} kB"), "thread {thread}");
}

const MIB64: u64 = 64 << 10;
const HOST: u64 = 24_730_032;

#[test]
fn a_v2_container_sees_its_limits() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let server = machine.server();
    check_total(&server, 500, MIB64);
    assert_eq!(read(&server, "sys/devices/system/cpu/online", 500), "0-1\n");
    let loadavg = read(&server, "proc/loadavg", 500);
    assert_eq!(loadavg, "1.00 1.00 1.00 1/1 1\n");
}

#[test]
fn a_hybrid_container_sees_its_limits() {
    let machine = Machine::new(HYBRID);
    for (name, text) in [
        ("memory/box/memory.limit_in_bytes", "67108864\n"),
        ("memory/box/memory.usage_in_bytes", "16777216\n"),
        ("memory/box/memory.stat", "total_rss 8388608\ntotal_cache 4194304\n"),
        ("cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n"),
        ("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n"),
        ("cpuset/one/cpuset.effective_cpus", "2\n"),
        ("unified/box/cgroup.procs", ""),
    ] {
        machine.write(&format!("sys/fs/cgroup/{name}"), text);
    }
    let cgroup = "3:cpu,cpuacct:/box\n2:memory:/box\n1:cpuset:/one\n0::/box\n";
    machine.task(500, cgroup, 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let server = machine.server();
    check_total(&server, 500, MIB64);
    assert_eq!(read(&server, "sys/devices/system/cpu/online", 500), "0\n");
}

#[test]
fn the_host_sees_itself_byte_for_byte() {
    let machine = Machine::new(V2);
    machine.v2_container("system.slice");
    machine.host_task(300, "0::/system.slice\n");
    let server = machine.server();
    for (path, text) in
        [("proc/meminfo", HOST_MEMINFO), ("proc/loadavg", "9.00 9.00 9.00 9/999 9999\n")]
    {
        assert_eq!(read(&server, path, 300), text);
    }
}

#[test]
fn who_cannot_be_identified_sees_the_host() {
    let machine = Machine::new(V2);
    let server = machine.server();
    check_total(&server, 0, HOST);
    check_total(&server, 999, HOST);
}

#[test]
fn a_container_in_the_hosts_pid_namespace_is_known_by_its_engine() {
    let machine = Machine::new(V2);
    let group = format!("system.slice/docker-{ID}.scope");
    machine.v2_container(&group);
    machine.host_task(500, &format!("0::/{group}\n"));
    let server = machine.server();
    check_total(&server, 500, MIB64);
    // Its oldest task tells when it began.
    assert!(read(&server, "proc/loadavg", 500).starts_with("1.00"));
}

#[test]
fn who_entered_the_container_is_shown_it_wherever_its_own_group_is() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    // Its parent is not in the namespace, so the init is found among all tasks.
    machine.host_task(400, "0::/\n");
    machine.task(600, "0::/\n", 7, "PPid:\t400\nNSpid:\t600\t9\n");
    check_total(&machine.server(), 600, MIB64);
}

#[test]
fn an_init_is_found_on_the_way_up() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    machine.task(501, "0::/box/in\n", 7, "PPid:\t500\nNSpid:\t501\t2\n");
    machine.task(502, "0::/box/in/side\n", 7, "PPid:\t501\nNSpid:\t502\t3\n");
    check_total(&machine.server(), 502, MIB64);
}

#[test]
fn limits_are_looked_at_when_they_are_read() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let server = machine.server();
    let opening = server.open(Some(file("proc/meminfo")), 500);
    assert!(read_on(&server, "proc/meminfo", &opening).contains("65536 kB"));
    machine.write("sys/fs/cgroup/box/memory.max", "134217728\n");
    assert!(read_on(&server, "proc/meminfo", &opening).contains("131072 kB"));
}

#[test]
fn a_descriptor_stays_with_its_container_when_the_opener_moves() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let server = machine.server();
    let opening = server.open(Some(file("proc/meminfo")), 500);
    machine.write("proc/500/cgroup", "0::/\n");
    assert!(read_on(&server, "proc/meminfo", &opening).contains("65536 kB"));
    check_total(&server, 500, HOST);
}

#[test]
fn a_successor_serves_descriptors_that_it_never_saw_opened() {
    let machine = Machine::new(V2);
    machine.v2_container("pods/box");
    machine.task(500, "0::/pods/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let words = machine.server().open(Some(file("proc/meminfo")), 500).to_words();
    let successor = machine.server();
    let text = read_on(&successor, "proc/meminfo", &Opening::from_words(&words));
    assert!(text.contains("65536 kB"), "{text}");
}

#[test]
fn a_descriptor_that_outlives_its_container_reads_the_host() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    let server = machine.server();
    let opening = server.open(Some(file("proc/swaps")), 500);
    machine.write("proc/swaps", "Filename\n");
    // Made before the first is removed: unlike cgroups, a directory may be given
    // the number of one that is gone.
    machine.v2_container("next");
    fs::remove_dir_all(machine.path("sys/fs/cgroup/box")).unwrap();
    assert_eq!(read_on(&server, "proc/swaps", &opening), "Filename\n");
    // Another group under the same name is another container.
    fs::rename(machine.path("sys/fs/cgroup/next"), machine.path("sys/fs/cgroup/box")).unwrap();
    assert_eq!(read_on(&server, "proc/swaps", &opening), "Filename\n");
    check_total(&server, 500, MIB64);
}

#[test]
fn text_that_is_not_understood_is_never_worse_than_the_hosts() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.write("sys/fs/cgroup/box/memory.max", "soon\n");
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    assert_eq!(read(&machine.server(), "proc/meminfo", 500), HOST_MEMINFO);
}

#[test]
fn only_a_missing_host_file_is_an_error() {
    let machine = Machine::new(V2);
    machine.host_task(300, "0::/\n");
    fs::remove_file(machine.path("proc/meminfo")).unwrap();
    let server = machine.server();
    let opening = server.open(Some(file("proc/meminfo")), 300);
    let error = server.text(file("proc/meminfo"), &opening, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn more_containers_than_are_kept_open_are_served_all_the_same() {
    let machine = Machine::new(V2);
    for number in 0..9_u32 {
        machine.v2_container(&format!("box{number}"));
        let id = 500 + number;
        let status = format!("PPid:\t400\nNSpid:\t{id}\t1\n");
        machine.task(id, &format!("0::/box{number}\n"), u64::from(id), &status);
    }
    let root = machine.root.path().to_owned();
    let server = Server::new(Settings { root, kept_containers: 2, ..Settings::default() }).unwrap();
    for _round in 0..2 {
        for number in 0..9 {
            check_total(&server, 500 + number, MIB64);
        }
    }
    assert_eq!(server.containers.open_files(), 2);
}

#[test]
fn what_nobody_reads_any_more_is_given_back() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    machine.task(500, "0::/box\n", 500, "PPid:\t400\nNSpid:\t500\t1\n");
    let server =
        Server::new(Settings { root: machine.root.path().to_owned(), ..Settings::default() })
            .unwrap();
    check_total(&server, 500, MIB64);
    assert!(server.close_idle(), "it was read since");
    assert_eq!(server.containers.open_files(), 1);
    assert!(!server.close_idle(), "nobody has read it since");
    assert_eq!(server.containers.open_files(), 0);
    check_total(&server, 500, MIB64);
}

#[test]
fn few_containers_that_are_gone_are_known() {
    let machine = Machine::new(V2);
    let server = machine.server();
    let live = |number: u32| {
        let group = format!("box{number}");
        machine.v2_container(&group);
        let thread = 500 + number;
        let status = format!("PPid:\t400\nNSpid:\t{thread}\t1\n");
        machine.task(thread, &format!("0::/{group}\n"), thread.into(), &status);
        check_total(&server, thread, MIB64);
        machine.path(&format!("sys/fs/cgroup/{group}"))
    };
    let last = (0..300).map(live).inspect(|group| fs::remove_dir_all(group).unwrap()).last();
    assert!(server.containers.known() <= 64, "{} are known", server.containers.known());
    assert!(!last.unwrap().exists());
    live(300);
    server.containers.forget_gone();
    assert_eq!(server.containers.known(), 1);
}

#[test]
fn nowhere_to_look_is_an_error_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let settings = Settings { root: root.path().to_owned(), ..Settings::default() };
    let error = Server::new(settings).unwrap_err();
    let path = Path::new("proc/self/ns/pid");
    let expected = format!("{} is gone: the task has ended", root.path().join(path).display());
    assert_eq!(error.to_string(), expected);
}

/// A host with four CPUs in two cores, and a container that has the last core.
fn machine_with_cores() -> Machine {
    let machine = Machine::new(V2);
    for (cpu, siblings) in [(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")] {
        let directory = format!("sys/devices/system/cpu/cpu{cpu}");
        machine.write(&format!("{directory}/topology/core_cpus_list"), &format!("{siblings}\n"));
        machine.write(&format!("{directory}/topology/core_id"), &format!("{}\n", cpu / 2));
        machine.write(&format!("{directory}/cpu_capacity"), &format!("100{cpu}\n"));
    }
    machine.v2_container(ID);
    machine.write(&format!("sys/fs/cgroup/{ID}/cpuset.cpus.effective"), "2-3\n");
    machine.write(&format!("sys/fs/cgroup/{ID}/cpu.max"), "max 100000\n");
    machine.host_task(500, &format!("0::/{ID}\n"));
    machine.host_task(300, "0::/user.slice\n");
    machine
}

/// What `thread` reads of its CPU `cpu`.
fn read_of_cpu(machine: &Machine, thread: u32, cpu: u32, name: &str) -> io::Result<String> {
    let path = format!("sys/devices/system/cpu/cpu*/{name}");
    let server = machine.server();
    let file = File { which: Some(cpu), ..file(&path) };
    let opening = server.open(Some(file), thread);
    let mut out = Vec::new();
    server.text(file, &opening, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_cpu_is_the_containers_physical_one_in_its_own_numbers() {
    let machine = machine_with_cores();
    let read = |thread, cpu, name| read_of_cpu(&machine, thread, cpu, name).unwrap();
    assert_eq!(read(500, 0, "topology/core_cpus_list"), "0-1\n");
    assert_eq!(read(500, 0, "topology/core_id"), "1\n");
    assert_eq!(read(500, 1, "cpu_capacity"), "1003\n");
    assert_eq!(read(300, 2, "topology/core_cpus_list"), "2-3\n");
    assert_eq!(read(300, 0, "cpu_capacity"), "1000\n");
}

#[test]
fn a_cpu_that_was_taken_away_is_gone() {
    let machine = machine_with_cores();
    let gone = read_of_cpu(&machine, 500, 2, "cpu_capacity").unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(libc::ENODEV));
    let missing = read_of_cpu(&machine, 500, 0, "online").unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn numbers_of_cpus_are_the_hosts_where_they_cannot_be_told() {
    let machine = machine_with_cores();
    let numbers = |thread| {
        let server = machine.server();
        server.numbers(Numbered::Cpu, &server.open(None, thread))
    };
    let own = cgroupfs::cpu_list::parse("2-3").unwrap();
    assert_eq!(numbers(500), Numbers::Cpus(own));
    assert_eq!(numbers(300), Numbers::Hosts);
    assert_eq!(numbers(0), Numbers::Hosts);
    machine.write(&format!("sys/fs/cgroup/{ID}/cpu.max"), "nonsense\n");
    assert_eq!(numbers(500), Numbers::Hosts);
}

/// Text is written where the last one was, and lists of levels and cores are short. Only the
/// clock, which is a file here, asks the allocator.
#[test]
fn a_read_asks_for_no_memory_once_warm() {
    let machine = Machine::new(V2);
    machine.v2_container("box");
    for name in ["memory.swap.max", "memory.swap.current"] {
        machine.write(&format!("sys/fs/cgroup/box/{name}"), "0\n");
    }
    machine.task(500, "0::/box\n", 7, "PPid:\t400\nNSpid:\t500\t1\n");
    // How many lines there are must not be this machine's.
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/6.1-v2-nested/host");
    for path in ["proc/stat", "proc/cpuinfo", "proc/swaps"] {
        machine.write(path, &fs::read_to_string(captured.join(path)).unwrap());
    }
    let long = Duration::from_secs(600);
    let root = machine.root.path().to_owned();
    let settings =
        Settings { root, host_sharing: long, memory_stat_sharing: long, ..Settings::default() };
    let server = Server::new(settings).unwrap();
    let mut out = Vec::new();
    let mut allocations = |path| {
        let opening = server.open(Some(file(path)), 500);
        let mut read = || {
            let shown = server.text(file(path), &opening, &mut out).unwrap();
            assert_eq!(shown, Shown::Container, "{path}");
        };
        read();
        // What is shared for milliseconds is read anew now and then.
        (0..20).map(|_again| allocations::of(&mut read)).min().unwrap()
    };
    let files =
        ["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg", "proc/swaps"];
    let clock = allocations::of(|| {
        server.clock.now_ns().unwrap();
    });
    assert_eq!(files.map(&mut allocations), [clock; 6]);
}
