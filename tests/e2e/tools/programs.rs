//! The programs: a row each.
//!
//! A row is a shell command that prints one number, as somebody would type it who
//! wants to know how big the machine is. A new program is a new row, and its
//! package a line in `setup` of `xtask`, and one of the VM's packages: `SMALL` and
//! `small!` here, or `LARGE` and `large!`, or `huge!` if it is large for this machine, too.

use support::Need;

/// A program that is asked how big its machine is.
#[derive(Debug)]
pub(crate) struct Check {
    /// As the table names it: the program, and what of it.
    pub(crate) name: &'static str,
    /// What it needs on the machine.
    pub(crate) needs: &'static [Need],
    /// Where it looks.
    pub(crate) source: Source,
    /// What its number counts.
    pub(crate) counts: Counts,
    /// Prints the number.
    pub(crate) command: &'static str,
}

/// Where a program looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// In files of `/proc` and `/sys`.
    Files,
    /// In a file of `/proc` on which runc lets nobody mount.
    Refused(&'static str),
    /// In a file that is the host's in every container, on purpose.
    Hosts(&'static str),
    /// It asks the kernel by this system call; no file can help.
    Call(&'static str),
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// CPUs.
    Cpus,
    /// Memory, in units of so many bytes.
    Memory(u64),
    /// Swap, in units of so many bytes.
    Swap(u64),
    /// Seconds since start.
    Uptime,
    /// The load average over a quarter of an hour, with so many threads that run.
    Load(u64),
}

use Counts::{Cpus, Load, Memory, Swap, Uptime};
use Source::{Call, Files, Hosts, Refused};

const AFFINITY: Source = Call("sched_getaffinity");
const SYSINFO: Source = Call("sysinfo");
/// The bound of ids of CPUs, which the kernel hands out unchanged.
const POSSIBLE: Source = Hosts("/sys/devices/system/cpu/possible");
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const fn check(
    name: &'static str,
    needs: &'static [Need],
    source: Source,
    counts: Counts,
    command: &'static str,
) -> Check {
    Check { name, needs, source, counts, command }
}

/// Needs of a program that is run in the VM, too, at every commit: what people ask
/// first, and some of each kind of source.
macro_rules! first {
    ($program:literal, $package:literal) => {
        &[Need::Container, Need::Program($program, $package)]
    };
}

/// Needs of a program that is in each VM, and runs there in the long tier: a container
/// takes seconds on an imitated processor.
macro_rules! small {
    ($program:literal, $package:literal) => {
        &[Need::Container, Need::Speed, Need::Program($program, $package)]
    };
}

/// Needs of a program that only the VM of the long tier has.
macro_rules! large {
    ($program:literal, $package:literal) => {
        &[Need::Container, Need::LargeProgram($program, $package)]
    };
}

/// Needs of a program whose number of the container is the machine's where that has no swap.
macro_rules! swap {
    ($program:literal, $package:literal) => {
        &[Need::Container, Need::Program($program, $package), Need::Swap]
    };
}

/// Needs of a program with a module that only the VM of the long tier has.
macro_rules! module {
    ($file:literal, $package:literal) => {
        &[Need::Container, Need::LargeFile(concat!("/usr/", $file), $package)]
    };
}

/// Turns `512 M` or `22.9 G` into a number of MiB.
macro_rules! in_mib {
    () => {
        "awk '{print $2 == \"G\" ? $1 * 1024 : $1; exit}'"
    };
}

/// Runs a program on a terminal until `sed` finds memory on its screen. Looks are
/// counted and not seconds, so that a slow machine has more of them: a program that
/// shows nothing for 60 looks has drawn its screen, and says nothing.
macro_rules! on_terminal {
    ($program:literal, $find:literal) => {
        concat!(
            "said() { sed 's/\\x1b[[(][0-9;?]*[a-zA-Z]//g' /tmp/screen | sed -n '",
            $find,
            "' | ",
            in_mib!(),
            "; }; : >/tmp/screen; LC_ALL=C.UTF-8 TERM=xterm script -qfc 'stty cols 120 rows 40; exec ",
            $program,
            "' /tmp/screen </dev/null >/dev/null & \
             for look in $(seq 60); do [ \"$(said)\" ] && break; sleep 0.1; done; kill $!; wait; said"
        )
    };
}

/// Puts what the exporter says into `/tmp/metrics`.
macro_rules! metrics {
    () => {
        "prometheus-node-exporter --web.listen-address=127.0.0.1:9100 2>/dev/null & \
         until busybox wget -qO /tmp/metrics http://127.0.0.1:9100/metrics; do sleep 0.1; done 2>/dev/null; \
         kill $!; wait; "
    };
}

/// What collectl says of the machine. Its settings are in the machine's `/etc`, which a
/// container does not see, and without any it ends and says nothing.
macro_rules! collectl {
    () => {
        ": >/tmp/collectl.conf; collectl -C /tmp/collectl.conf --showheader | "
    };
}

/// A Python with psutil.
const PSUTIL: &[Need] = &[
    Need::Container,
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
];

/// The same for what the VM runs in the long tier.
const MORE_PSUTIL: &[Need] = &[
    Need::Container,
    Need::Speed,
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
];

/// A Python with psutil, on a machine with swap.
const PSUTIL_SWAP: &[Need] = &[
    Need::Container,
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
    Need::Swap,
];

/// A shell's way to a program in C, in `n.c`, that prints the number of CPUs it may use.
macro_rules! count_cpus {
    () => {
        "cd /tmp && echo '#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
int main(void) { cpu_set_t s; sched_getaffinity(0, sizeof s, &s); return !printf(\"%d\\\\n\", CPU_COUNT(&s)); }' >n.c && "
    };
}

/// Likewise of one that prints the bytes of memory.
macro_rules! count_memory {
    () => {
        "cd /tmp && echo '#include <stdio.h>
#include <sys/sysinfo.h>
int main(void) { struct sysinfo s; sysinfo(&s); return !printf(\"%llu\\\\n\", (unsigned long long)s.totalram * s.mem_unit); }' >n.c && "
    };
}

/// Has 24 processes run, and goes on: whoever asks first finds that many.
macro_rules! loaded {
    () => {
        "for i in $(seq 24); do while :; do :; done & done; "
    };
}

/// The last load that a program tells, without another program: it would run as well.
macro_rules! last_load {
    ($program:literal) => {
        concat!("said=$(", $program, "); echo \"${said##*, }\"")
    };
}

/// How many run there: no machine that runs this has such a load by chance.
const RUNNING: u64 = 24;

/// Needs of a 32-bit program that is built first.
const COMPAT: &[Need] = &[
    Need::Container,
    Need::LargeFile("/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a", "gcc-multilib"),
];

/// Needs of a program that is installed for the long tier alone, because it is large.
macro_rules! huge {
    ($program:literal, $package:literal) => {
        &[Need::Container, Need::Full, Need::LargeProgram($program, $package)]
    };
}

/// Java, as if it knew of no containers. Its name is an alternative, and no package's file.
macro_rules! java {
    () => {
        "/usr/lib/jvm/java-17-openjdk-amd64/bin/java -XX:-UseContainerSupport -Xlog:gc+init -version 2>&1 | "
    };
}

/// Its file.
const JAVA: &[Need] = &[
    Need::Container,
    Need::Full,
    Need::LargeFile("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "openjdk-17-jre-headless"),
];

/// Every row of the table, in its order.
#[rustfmt::skip]
pub(crate) const CHECKS: &[Check] = &[
    check("free", first!("free", "procps"), Files, Memory(1), "free -b | awk '/^Mem:/{print $2}'"),
    check("free, swap", swap!("free", "procps"), Files, Swap(1), "free -b | awk '/^Swap:/{print $2}'"),
    check("top", first!("top", "procps"), Files, Memory(MIB), "top -bn1 | awk '/^MiB Mem/{print $4}'"),
    check("top, CPU lines", small!("top", "procps"), Files, Cpus, "top -1 -bn1 -w 200 | grep -o '%Cpu[0-9]' | wc -l"),
    check("top, swap", swap!("top", "procps"), Files, Swap(MIB), "top -bn1 | sed -n 's/.*MiB Swap: *\\([0-9]*\\).*/\\1/p'"),
    check("uptime -s", first!("uptime", "procps"), Files, Uptime, "then=$(date -d \"$(uptime -s)\" +%s) && echo $(($(date +%s) - then))"),
    check("uptime, load", small!("uptime", "procps"), Files, Load(RUNNING), concat!(loaded!(), last_load!("uptime"))),
    check("ps -o etimes", first!("ps", "procps"), Files, Uptime, "ps -o etimes= -p 1"),
    check("vmstat -s", first!("vmstat", "procps"), Files, Memory(KIB), "vmstat -s | awk '/total memory/{print $1}'"),
    check("vmstat -s, swap", swap!("vmstat", "procps"), Files, Swap(KIB), "vmstat -s | awk '/total swap/{print $1}'"),
    check("htop, memory", first!("htop", "htop"), Files, Memory(MIB), on_terminal!("htop", "s|.*Mem\\[[^]]*/\\([0-9.]*\\)\\([MG]\\)\\].*|\\1 \\2|p")),
    check("btop, memory", small!("btop", "btop"), Files, Memory(MIB), on_terminal!("btop --utf-force", "s/.*Total: *\\([0-9.]*\\) \\([MG]\\)iB.*/\\1 \\2/p")),
    check("busybox top", first!("busybox", "busybox-static"), Files, Memory(KIB), "busybox top -bn1 | awk '/^Mem:/{print $2 + $4}'"),
    check("busybox free", first!("busybox", "busybox-static"), SYSINFO, Memory(KIB), "busybox free | awk '/^Mem:/{print $2}'"),
    check("busybox nproc", small!("busybox", "busybox-static"), AFFINITY, Cpus, "busybox nproc"),
    check("busybox uptime", first!("busybox", "busybox-static"), SYSINFO, Uptime, "then=$(date -d \"$(busybox uptime -s)\" +%s) && echo $(($(date +%s) - then))"),
    check("busybox uptime, load", small!("busybox", "busybox-static"), SYSINFO, Load(RUNNING), concat!(loaded!(), last_load!("busybox uptime"))),
    check("nproc", first!("nproc", "coreutils"), AFFINITY, Cpus, "nproc"),
    check("nproc --all", small!("nproc", "coreutils"), POSSIBLE, Cpus, "nproc --all"),
    check("getconf _NPROCESSORS_CONF", small!("getconf", "libc-bin"), POSSIBLE, Cpus, "getconf _NPROCESSORS_CONF"),
    check("getconf _NPROCESSORS_ONLN", small!("getconf", "libc-bin"), Files, Cpus, "getconf _NPROCESSORS_ONLN"),
    check("getconf _PHYS_PAGES", first!("getconf", "libc-bin"), SYSINFO, Memory(4 * KIB), "getconf _PHYS_PAGES"),
    check("musl's sysconf", large!("musl-gcc", "musl-tools"), AFFINITY, Cpus, "cd /tmp && echo 'int printf(const char *, ...); long sysconf(int); int main(void) { printf(\"%ld\\\\n\", sysconf(84)); }' >n.c && musl-gcc -static n.c -o n && ./n"),
    check("lscpu", small!("lscpu", "util-linux"), Files, Cpus, "lscpu | awk '/^CPU\\(s\\):/{print $2}'"),
    check("lscpu, cores", small!("lscpu", "util-linux"), Files, Cpus, "lscpu -p=core | grep '^[0-9]' | sort -u | wc -l"),
    check("lscpu -p", small!("lscpu", "util-linux"), Files, Cpus, "lscpu -p=cpu | grep -c '^[0-9]'"),
    check("lsmem", small!("lsmem", "util-linux"), Files, Memory(1), "lsmem -b --summary=only | awk '/Total online/{print $4}'"),
    check("awk /proc/softirqs", small!("awk", "mawk"), Refused("/proc/softirqs"), Cpus, "awk 'NR == 1{print NF}' /proc/softirqs"),
    check("cut -d. -f1 /proc/uptime", small!("cut", "coreutils"), Files, Uptime, "cut -d. -f1 /proc/uptime"),
    check("grep processor /proc/cpuinfo", small!("grep", "grep"), Files, Cpus, "grep -c ^processor /proc/cpuinfo"),
    check("awk /MemTotal/ /proc/meminfo", small!("awk", "mawk"), Files, Memory(KIB), "awk '/MemTotal/{print $2}' /proc/meminfo"),
    check("ls /sys/devices/system/cpu", small!("ls", "coreutils"), Files, Cpus, "ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l"),
    check("python os.cpu_count()", first!("python3", "python3"), Files, Cpus, "/usr/bin/python3 -c 'import os; print(os.cpu_count())'"),
    check("python multiprocessing", small!("python3", "python3"), Files, Cpus, "/usr/bin/python3 -c 'import multiprocessing as m; print(m.cpu_count())'"),
    check("python os.sched_getaffinity(0)", first!("python3", "python3"), AFFINITY, Cpus, "/usr/bin/python3 -c 'import os; print(len(os.sched_getaffinity(0)))'"),
    check("python os.getloadavg()", small!("python3", "python3"), SYSINFO, Load(RUNNING), concat!(loaded!(), "/usr/bin/python3 -c 'import os; print(os.getloadavg()[2])'")),
    check("psutil.cpu_count()", PSUTIL, Files, Cpus, "/usr/bin/python3 -c 'import psutil; print(psutil.cpu_count())'"),
    check("psutil.cpu_count(logical=False)", MORE_PSUTIL, Files, Cpus, "/usr/bin/python3 -c 'import psutil; print(psutil.cpu_count(logical=False))'"),
    check("psutil.cpu_times(percpu=True)", MORE_PSUTIL, Files, Cpus, "/usr/bin/python3 -c 'import psutil; print(len(psutil.cpu_times(percpu=True)))'"),
    check("psutil.virtual_memory()", PSUTIL, Files, Memory(1), "/usr/bin/python3 -c 'import psutil; print(psutil.virtual_memory().total)'"),
    check("psutil.swap_memory()", PSUTIL_SWAP, Files, Swap(1), "/usr/bin/python3 -c 'import psutil; print(psutil.swap_memory().total)'"),
    check("psutil.boot_time()", MORE_PSUTIL, Files, Uptime, "/usr/bin/python3 -c 'import psutil, time; print(time.time() - psutil.boot_time())'"),
    check("mpstat", first!("mpstat", "sysstat"), Files, Cpus, "mpstat -P ALL | awk '$2 ~ /^[0-9]+$/' | wc -l"),
    check("mpstat, heading", small!("mpstat", "sysstat"), Files, Cpus, "mpstat | sed -n 's/.*(\\([0-9]*\\) CPU).*/\\1/p'"),
    check("iostat, heading", small!("iostat", "sysstat"), Files, Cpus, "iostat -c | sed -n 's/.*(\\([0-9]*\\) CPU).*/\\1/p'"),
    check("pidstat, heading", small!("pidstat", "sysstat"), Files, Cpus, "pidstat | sed -n 's/.*(\\([0-9]*\\) CPU).*/\\1/p'"),
    check("sar -P ALL", small!("sar.sysstat", "sysstat"), Files, Cpus, "sar.sysstat -P ALL 1 1 | grep -c '^Average: *[0-9]'"),
    check("atop, memory", small!("atop", "atop"), Files, Memory(1), "atop -P MEM 1 1 | awk '$1 == \"MEM\"{printf \"%.0f\\n\", $7 * $8; exit}'"),
    check("atop, CPUs", small!("atop", "atop"), Files, Cpus, "atop -P CPU 1 1 | awk '$1 == \"CPU\"{print $8; exit}'"),
    check("nmon, CPUs", small!("nmon", "nmon"), Files, Cpus, "nmon -F /tmp/nmon -s1 -c1 && until grep -q ^AAA,cpus /tmp/nmon; do sleep 0.1; done && awk -F, '/^AAA,cpus/{print $3}' /tmp/nmon"),
    check("hwloc-calc", small!("hwloc-calc", "hwloc-nox"), Files, Cpus, "hwloc-calc --number-of pu machine:0"),
    check("lstopo, memory", small!("lstopo-no-graphics", "hwloc-nox"), Files, Memory(MIB), concat!("lstopo-no-graphics | sed -n 's/^Machine (\\([0-9]*\\)\\([MG]\\)B.*/\\1 \\2/p' | ", in_mib!())),
    check("numactl -H, memory", small!("numactl", "numactl"), Files, Memory(MIB), "numactl -H | awk '/node 0 size/{print $4}'"),
    check("numactl -H, CPUs", small!("numactl", "numactl"), Files, Cpus, "numactl -H | awk '/node 0 cpus/{print NF - 3}'"),
    check("numastat -m", small!("numastat", "numactl"), Files, Memory(MIB), "numastat -m | awk '/^MemTotal/{print $NF}'"),
    check("statgrab, memory", small!("statgrab", "statgrab"), Files, Memory(1), "statgrab -u mem.total"),
    check("statgrab, CPUs", small!("statgrab", "statgrab"), Files, Cpus, "statgrab -u general.ncpus"),
    check("earlyoom", small!("earlyoom", "earlyoom"), Files, Memory(MIB), "timeout 1 earlyoom --dryrun 2>&1 | sed -n 's/.*mem total: *\\([0-9]*\\).*/\\1/p'"),
    check("conky", small!("conky", "conky-cli"), Files, Memory(MIB), concat!("conky -i1 -t '$memmax' 2>/dev/null | sed -n 's/^\\([0-9.]*\\)\\([MG]\\)iB/\\1 \\2/p' | ", in_mib!())),
    check("smem -w", large!("smem", "smem"), Files, Memory(KIB), "smem -w -t | awk 'END{print $1}'"),
    check("s-tui", large!("s-tui", "s-tui"), Files, Cpus, "s-tui -t | grep -o 'Util: .*' | grep -o 'Core [0-9]*:' | wc -l"),
    check("prometheus-node-exporter, memory", large!("prometheus-node-exporter", "prometheus-node-exporter"), Files, Memory(1), concat!(metrics!(), "awk '/^node_memory_MemTotal/{printf \"%.0f\\n\", $2}' /tmp/metrics")),
    check("prometheus-node-exporter, CPUs", large!("prometheus-node-exporter", "prometheus-node-exporter"), Files, Cpus, concat!(metrics!(), "grep -c '^node_cpu_seconds_total.*idle' /tmp/metrics")),
    check("stress-ng, CPUs online", large!("stress-ng", "stress-ng"), Files, Cpus, "stress-ng --cpu 1 --dry-run -v 2>&1 | sed -n 's/.*\\] \\([0-9]*\\) processors\\{0,1\\} online.*/\\1/p'"),
    check("stress-ng, CPUs configured", large!("stress-ng", "stress-ng"), POSSIBLE, Cpus, "stress-ng --cpu 1 --dry-run -v 2>&1 | sed -n 's/.*online, \\([0-9]*\\) processors\\{0,1\\} configured.*/\\1/p'"),
    check("parallel --number-of-cores", large!("parallel", "parallel"), Files, Cpus, "parallel --number-of-cores"),
    check("parallel --number-of-threads", large!("parallel", "parallel"), Files, Cpus, "parallel --number-of-threads"),
    check("neofetch", large!("neofetch", "neofetch"), Files, Memory(MIB), "neofetch --stdout memory | sed -n 's|.*/ \\([0-9]*\\)MiB.*|\\1|p'"),
    check("screenfetch", large!("screenfetch", "screenfetch"), Files, Memory(MIB), "screenfetch -n -N | sed -n 's|.*RAM: [0-9]*MiB / \\([0-9]*\\)MiB.*|\\1|p'"),
    check("inxi, memory", large!("inxi", "inxi"), Files, Memory(MIB), concat!("inxi -I -c0 | sed -n 's/.*Memory: \\([0-9.]*\\) \\([MG]\\)iB .*/\\1 \\2/p' | ", in_mib!())),
    check("node os.cpus()", large!("node", "nodejs"), Files, Cpus, "node -p 'os.cpus().length'"),
    check("node os.totalmem()", large!("node", "nodejs"), Files, Memory(1), "node -p 'os.totalmem()'"),
    check("node os.uptime()", large!("node", "nodejs"), Files, Uptime, "node -p 'os.uptime()'"),
    check("node os.availableParallelism()", large!("node", "nodejs"), AFFINITY, Cpus, "node -p 'os.availableParallelism()'"),
    check("collectl, CPUs", large!("collectl", "collectl"), Files, Cpus, concat!(collectl!(), "sed -n 's/.* NumCPUs: \\([0-9]*\\) .*/\\1/p'")),
    check("collectl, memory", large!("collectl", "collectl"), Files, Memory(KIB), concat!(collectl!(), "sed -n 's/.* Memory: \\([0-9]*\\) kB .*/\\1/p'")),
    check("cmake, cores", large!("cmake", "cmake"), Files, Cpus, "printf 'cmake_host_system_information(RESULT n QUERY NUMBER_OF_LOGICAL_CORES)\\nmessage(${n})\\n' >/tmp/n.cmake && cmake -P /tmp/n.cmake 2>&1"),
    check("cmake, physical cores", large!("cmake", "cmake"), Files, Cpus, "printf 'cmake_host_system_information(RESULT n QUERY NUMBER_OF_PHYSICAL_CORES)\\nmessage(${n})\\n' >/tmp/n.cmake && cmake -P /tmp/n.cmake 2>&1"),
    check("cmake, memory", large!("cmake", "cmake"), Files, Memory(MIB), "printf 'cmake_host_system_information(RESULT n QUERY TOTAL_PHYSICAL_MEMORY)\\nmessage(${n})\\n' >/tmp/n.cmake && cmake -P /tmp/n.cmake 2>&1"),
    check("nginx worker_processes auto", large!("nginx", "nginx-light"), Files, Cpus, "mkdir -p /tmp/n && echo 'worker_processes auto; pid /tmp/n/pid; events {}' >/tmp/n/conf && nginx -p /tmp/n -c /tmp/n/conf -e stderr && until ps ax | grep -q '[n]ginx: worker'; do sleep 0.1; done; sleep 1; ps ax | grep -c '[n]ginx: worker'; kill $(cat /tmp/n/pid)"),
    check("glances, memory", large!("glances", "glances"), Files, Memory(1), "glances --stdout mem.total --stop-after 1 | sed -n 's/^mem.total: //p'"),
    check("glances, CPUs", large!("glances", "glances"), Files, Cpus, "glances --stdout core.log --stop-after 1 | sed -n 's/^core.log: //p'"),
    check("glances, cores", large!("glances", "glances"), Files, Cpus, "glances --stdout core.phys --stop-after 1 | sed -n 's/^core.phys: //p'"),
    check("perl POSIX::sysconf", large!("perl", "perl"), Files, Cpus, "perl -MPOSIX -e 'print POSIX::sysconf(84)'"),
    check("perl Unix::Processors", module!("lib/x86_64-linux-gnu/perl5/5.36/Unix/Processors.pm", "libunix-processors-perl"), Files, Cpus, "perl -MUnix::Processors -e 'print Unix::Processors->new->max_online'"),
    check("perl Sys::Info", module!("share/perl5/Sys/Info.pm", "libsys-info-perl"), Files, Cpus, "perl -MSys::Info -e 'print scalar Sys::Info->new->device(q(CPU))->count'"),
    check("perl Sys::Statistics::Linux", module!("share/perl5/Sys/Statistics/Linux.pm", "libsys-statistics-linux-perl"), Files, Memory(KIB), "perl -MSys::Statistics::Linux -e 'print Sys::Statistics::Linux->new(memstats => 1)->get->memstats(q(memtotal))'"),
    check("php, as its CpuCoreCounter", large!("php8.2", "php8.2-cli"), Files, Cpus, "php8.2 -r 'echo substr_count(file_get_contents(\"/proc/cpuinfo\"), \"processor\\t\");'"),
    check("redis, total_system_memory", large!("redis-server", "redis-server"), SYSINFO, Memory(1), "redis-server --port 7777 --save '' --daemonize yes >/dev/null && until redis-cli -p 7777 ping; do sleep 0.1; done >/dev/null 2>&1; redis-cli -p 7777 info memory | sed -n 's/^total_system_memory:\\([0-9]*\\).*/\\1/p'; redis-cli -p 7777 shutdown"),
    check("ruby Etc.nprocessors", large!("ruby", "ruby"), AFFINITY, Cpus, "ruby -retc -e 'puts Etc.nprocessors'"),
    check("ninja -j", large!("ninja", "ninja-build"), AFFINITY, Cpus, "ninja --help 2>&1 | sed -n 's/.*default=\\([0-9]*\\) on this system.*/\\1/p' | awk '{print $1 < 4 ? $1 - 1 : $1 - 2}'"),
    check("xz --info-memory", large!("xz", "xz-utils"), SYSINFO, Memory(1), "xz --robot --info-memory | cut -f1"),
    check("7z, CPUs", large!("7z", "p7zip-full"), POSSIBLE, Cpus, "7z | sed -n 's/.*,\\([0-9]*\\) CPU.*/\\1/p'"),
    check("C, static: sched_getaffinity()", large!("gcc", "gcc"), AFFINITY, Cpus, concat!(count_cpus!(), "gcc -static n.c -o n && ./n")),
    check("C, static: sysinfo()", large!("gcc", "gcc"), SYSINFO, Memory(1), concat!(count_memory!(), "gcc -static n.c -o n && ./n")),
    check("C, 32 bits: sched_getaffinity()", COMPAT, AFFINITY, Cpus, concat!(count_cpus!(), "gcc -m32 n.c -o n && ./n")),
    check("C, 32 bits: sysinfo()", COMPAT, SYSINFO, Memory(1), concat!(count_memory!(), "gcc -m32 n.c -o n && ./n")),
    check("C, 32 bits, static: sched_getaffinity()", COMPAT, AFFINITY, Cpus, concat!(count_cpus!(), "gcc -m32 -static n.c -o n && ./n")),
    check("C, 32 bits, static: sysinfo()", COMPAT, SYSINFO, Memory(1), concat!(count_memory!(), "gcc -m32 -static n.c -o n && ./n")),
    check("musl, dynamic: sched_getaffinity()", large!("musl-gcc", "musl-tools"), AFFINITY, Cpus, concat!(count_cpus!(), "musl-gcc n.c -o n && ./n")),
    check("musl, dynamic: sysinfo()", large!("musl-gcc", "musl-tools"), SYSINFO, Memory(1), concat!(count_memory!(), "musl-gcc n.c -o n && ./n")),
    check("musl: sysinfo()", large!("musl-gcc", "musl-tools"), SYSINFO, Memory(1), concat!(count_memory!(), "musl-gcc -static n.c -o n && ./n")),
    check("OpenMP: omp_get_num_procs()", large!("gcc", "gcc"), AFFINITY, Cpus, "cd /tmp && echo 'int printf(const char *, ...); int omp_get_num_procs(void); int main(void) { printf(\"%d\\\\n\", omp_get_num_procs()); }' >n.c && gcc n.c -o n -fopenmp && ./n"),
    check("make -j$(nproc)", large!("make", "make"), AFFINITY, Cpus, "printf 'all:;@echo $(MAKEFLAGS)\\n' | make -f - -j$(nproc) | sed 's/[^0-9]*//; s/ .*//'"),
    check("gcc -flto=auto", large!("gcc", "gcc"), Files, Cpus, "cd /tmp && echo 'int a(void) { return 0; }' >a.c && echo 'int a(void); int main(void) { return a(); }' >b.c && printf '#!/bin/sh\necho $* >>/tmp/asked\nexec make $*\n' >make && chmod +x make && MAKE=/tmp/make gcc -O1 -flto=auto -flto-partition=max a.c b.c -o n && sed -n 's/.* -j\\([0-9]*\\).*/\\1/p' asked"),
    check("gcc, memory up to 1 GiB", large!("gcc", "gcc"), SYSINFO, Memory(8 * KIB), "gcc -v -x c -c /dev/null -o /dev/null 2>&1 | sed -n 's/.*ggc-min-heapsize=//p'"),
    check("pigz", large!("pigz", "pigz"), Files, Cpus, "cd /tmp && mkfifo p && { pigz <p >/dev/null & } && exec 3>p && head -c 16M /dev/zero >&3; ls /proc/$!/task | awk 'END{print NR - (NR > 1 ? 2 : 0)}'; exec 3>&-"),
    check("xz -T0", large!("xz", "xz-utils"), AFFINITY, Cpus, "xz --info-memory | sed -n 's/.*threads: *//p'"),
    check("mksquashfs", large!("mksquashfs", "squashfs-tools"), Files, Cpus, "mkdir -p /tmp/empty && mksquashfs /tmp/empty /tmp/image -noappend | sed -n 's/.*Using \\([0-9]*\\) processor.*/\\1/p'"),
    check("go: GOMAXPROCS", large!("prometheus-node-exporter", "prometheus-node-exporter"), AFFINITY, Cpus, "GODEBUG=schedtrace=200 prometheus-node-exporter --web.listen-address=127.0.0.1:0 2>&1 | sed -n '/gomaxprocs/{s/.*gomaxprocs=\\([0-9]*\\).*/\\1/p;q}'"),
    check("java -XX:-UseContainerSupport, CPUs", JAVA, AFFINITY, Cpus, concat!(java!(), "sed -n 's/.*CPUs: .* total, \\([0-9]*\\) available.*/\\1/p'")),
    check("java -XX:-UseContainerSupport, memory", JAVA, SYSINFO, Memory(MIB), concat!(java!(), "sed -n 's/.*Memory: *\\([0-9]*\\)M.*/\\1/p'")),
    check("erlang", huge!("erl", "erlang-base"), Files, Cpus, "erl -noshell -eval 'io:format(\"~p~n\", [erlang:system_info(logical_processors_available)])' -s init stop"),
    check("guile", huge!("guile-3.0", "guile-3.0"), AFFINITY, Cpus, "guile-3.0 -c '(use-modules (ice-9 threads)) (display (current-processor-count)) (newline)'"),
    check("zstd -T0", large!("zstd", "zstd"), Files, Cpus, "zstd -T0 -vv -b1e1i0 /etc/hostname 2>&1 | sed -n 's/.*Note: \\([0-9]*\\) physical.*/\\1/p'"),
];
