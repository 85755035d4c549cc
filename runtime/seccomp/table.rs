//! Which system calls a container may make, and why.
//!
//! Three answers. *Allowed*: what programs need and what acts on nothing but
//! themselves, their files and what their capabilities give them. *Refused*
//! (`EPERM`): what reaches the whole machine, or has been a way into the kernel
//! without being needed. *Anything else*: `ENOSYS`, as by a kernel that does not
//! have it, which is what programs are prepared for when a call is new.
//!
//! A capability that the container lacks is enough to stop most of what is
//! refused here; the second lock is for the day the first one has a hole.

use libseccomp::ScmpArgCompare;
use libseccomp::ScmpCompareOp::{Equal, MaskedEqual, NotEqual};

/// Calls that are allowed whatever their arguments.
pub(crate) const ALLOWED: [&[&str]; 13] = [
    // Open files: reading, writing, waiting. Rights were checked at opening.
    &[
        "read",
        "write",
        "readv",
        "writev",
        "pread64",
        "pwrite64",
        "preadv",
        "pwritev",
        "preadv2",
        "pwritev2",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "lseek",
        "_llseek",
        "fcntl",
        "fcntl64",
        "flock",
        "fsync",
        "fdatasync",
        "sync",
        "syncfs",
        "sync_file_range",
        "sync_file_range2",
        "ftruncate",
        "ftruncate64",
        "fallocate",
        "fadvise64",
        "fadvise64_64",
        "readahead",
        "sendfile",
        "sendfile64",
        "splice",
        "tee",
        "vmsplice",
        "copy_file_range",
        "ioctl",
        "pipe",
        "pipe2",
        "poll",
        "ppoll",
        "ppoll_time64",
        "select",
        "_newselect",
        "pselect6",
        "pselect6_time64",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_ctl_old",
        "epoll_wait",
        "epoll_wait_old",
        "epoll_pwait",
        "epoll_pwait2",
        "eventfd",
        "eventfd2",
        "io_setup",
        "io_destroy",
        "io_submit",
        "io_cancel",
        "io_getevents",
        "io_pgetevents",
        "io_pgetevents_time64",
    ],
    // Files by name: mode, owner and the mount's flags decide.
    &[
        "open",
        "openat",
        "openat2",
        "creat",
        "access",
        "faccessat",
        "faccessat2",
        "stat",
        "stat64",
        "lstat",
        "lstat64",
        "fstat",
        "fstat64",
        "fstatat64",
        "newfstatat",
        "statx",
        "statfs",
        "statfs64",
        "fstatfs",
        "fstatfs64",
        "getdents",
        "getdents64",
        "readlink",
        "readlinkat",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "mkdir",
        "mkdirat",
        "rmdir",
        "mknod",
        "mknodat",
        "truncate",
        "truncate64",
        "chmod",
        "fchmod",
        "fchmodat",
        "chown",
        "chown32",
        "fchown",
        "fchown32",
        "fchownat",
        "lchown",
        "lchown32",
        "utime",
        "utimes",
        "utimensat",
        "utimensat_time64",
        "futimesat",
        "umask",
        "getcwd",
        "chdir",
        "fchdir",
        "chroot",
        "getxattr",
        "lgetxattr",
        "fgetxattr",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "listxattr",
        "llistxattr",
        "flistxattr",
        "removexattr",
        "lremovexattr",
        "fremovexattr",
        "inotify_init",
        "inotify_init1",
        "inotify_add_watch",
        "inotify_rm_watch",
        "fanotify_mark",
        "name_to_handle_at",
    ],
    // Own memory.
    &[
        "brk",
        "mmap",
        "mmap2",
        "munmap",
        "mremap",
        "mprotect",
        "madvise",
        "process_madvise",
        "mincore",
        "msync",
        "mlock",
        "mlock2",
        "mlockall",
        "munlock",
        "munlockall",
        "membarrier",
        "memfd_create",
        "memfd_secret",
        "pkey_alloc",
        "pkey_free",
        "pkey_mprotect",
        "remap_file_pages",
        "get_mempolicy",
        "process_mrelease",
    ],
    // Processes of the container. `clone3` hides its flags from a filter, so it
    // is unknown here, and the C library falls back to `clone`.
    &[
        "fork",
        "vfork",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "wait4",
        "waitid",
        "waitpid",
        "getpid",
        "getppid",
        "gettid",
        "getpgid",
        "getpgrp",
        "setpgid",
        "getsid",
        "setsid",
        "prctl",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "get_robust_list",
        "rseq",
        "kill",
        "tkill",
        "tgkill",
        "pidfd_open",
        "pidfd_send_signal",
        "pidfd_getfd",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "seccomp",
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
    ],
    // Signals.
    &[
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigpending",
        "rt_sigqueueinfo",
        "rt_sigreturn",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "rt_sigtimedwait_time64",
        "rt_tgsigqueueinfo",
        "sigaction",
        "signal",
        "sigprocmask",
        "sigpending",
        "sigreturn",
        "sigsuspend",
        "sigaltstack",
        "signalfd",
        "signalfd4",
        "pause",
        "restart_syscall",
    ],
    // Users and groups, within the container's capabilities.
    &[
        "getuid",
        "getuid32",
        "geteuid",
        "geteuid32",
        "getgid",
        "getgid32",
        "getegid",
        "getegid32",
        "getresuid",
        "getresuid32",
        "getresgid",
        "getresgid32",
        "getgroups",
        "getgroups32",
        "setuid",
        "setuid32",
        "setgid",
        "setgid32",
        "setreuid",
        "setreuid32",
        "setregid",
        "setregid32",
        "setresuid",
        "setresuid32",
        "setresgid",
        "setresgid32",
        "setgroups",
        "setgroups32",
        "setfsuid",
        "setfsuid32",
        "setfsgid",
        "setfsgid32",
        "capget",
        "capset",
    ],
    // Threads waiting for each other.
    &["futex", "futex_time64", "futex_waitv", "sched_yield"],
    // Scheduling of the container's own tasks: their group's limits stay.
    &[
        "getpriority",
        "setpriority",
        "nice",
        "ioprio_get",
        "ioprio_set",
        "sched_getaffinity",
        "sched_setaffinity",
        "sched_getattr",
        "sched_setattr",
        "sched_getparam",
        "sched_setparam",
        "sched_getscheduler",
        "sched_setscheduler",
        "sched_get_priority_max",
        "sched_get_priority_min",
        "sched_rr_get_interval",
        "sched_rr_get_interval_time64",
        "getcpu",
    ],
    // Resource limits and what was used.
    &[
        "getrlimit",
        "ugetrlimit",
        "setrlimit",
        "prlimit64",
        "getrusage",
        "times",
        "sysinfo",
        "uname",
        "olduname",
        "oldolduname",
        "getrandom",
    ],
    // Clocks: reading them, and being woken by them.
    &[
        "time",
        "gettimeofday",
        "clock_gettime",
        "clock_gettime64",
        "clock_getres",
        "clock_getres_time64",
        "clock_nanosleep",
        "clock_nanosleep_time64",
        "nanosleep",
        "alarm",
        "getitimer",
        "setitimer",
        "timer_create",
        "timer_delete",
        "timer_getoverrun",
        "timer_gettime",
        "timer_gettime64",
        "timer_settime",
        "timer_settime64",
        "timerfd_create",
        "timerfd_gettime",
        "timerfd_gettime64",
        "timerfd_settime",
        "timerfd_settime64",
    ],
    // Sockets, in the container's network namespace; making one is conditional.
    &[
        "socketpair",
        "bind",
        "listen",
        "accept",
        "accept4",
        "connect",
        "shutdown",
        "getsockname",
        "getpeername",
        "getsockopt",
        "setsockopt",
        "send",
        "sendto",
        "sendmsg",
        "sendmmsg",
        "recv",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "recvmmsg_time64",
        "socketcall",
    ],
    // System V and POSIX interprocess communication, in the container's namespace.
    &[
        "shmget",
        "shmat",
        "shmdt",
        "shmctl",
        "semget",
        "semop",
        "semctl",
        "semtimedop",
        "semtimedop_time64",
        "msgget",
        "msgsnd",
        "msgrcv",
        "msgctl",
        "ipc",
        "mq_open",
        "mq_unlink",
        "mq_notify",
        "mq_getsetattr",
        "mq_timedsend",
        "mq_timedsend_time64",
        "mq_timedreceive",
        "mq_timedreceive_time64",
    ],
    // What the processor's ABI needs.
    &["modify_ldt", "set_thread_area", "get_thread_area", "set_tls", "cacheflush"],
];

/// Calls that are refused whatever their arguments.
pub(crate) const REFUSED: [&[&str]; 9] = [
    // Mounts: masks and read-only files are made of them.
    &[
        "mount",
        "umount",
        "umount2",
        "pivot_root",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "mount_setattr",
    ],
    // Other namespaces: a new user namespace gives every capability over new
    // ones, and with them most of the kernel's attack surface.
    &["unshare", "setns"],
    // The running kernel.
    &[
        "init_module",
        "finit_module",
        "delete_module",
        "create_module",
        "query_module",
        "get_kernel_syms",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "bpf",
        "perf_event_open",
        "syslog",
        "lookup_dcookie",
    ],
    // The machine's clock, ports, swap, quota, accounting and names.
    &[
        "settimeofday",
        "stime",
        "adjtimex",
        "clock_settime",
        "clock_settime64",
        "clock_adjtime",
        "clock_adjtime64",
        "iopl",
        "ioperm",
        "swapon",
        "swapoff",
        "quotactl",
        "quotactl_fd",
        "acct",
        "sethostname",
        "setdomainname",
        "vhangup",
        "nfsservctl",
        "vm86",
        "vm86old",
    ],
    // Keys are not namespaced.
    &["add_key", "request_key", "keyctl"],
    // Files by handle: reaches files that no path in the container leads to
    // ("shocker", 2014).
    &["open_by_handle_at", "fanotify_init"],
    // Stops the kernel in the middle of a copy: half of many exploits.
    &["userfaultfd"],
    // Runs system calls where no filter sees them.
    &["io_uring_setup", "io_uring_enter", "io_uring_register"],
    // Memory of other processes, and where it lies on the machine.
    &["mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages"],
];

/// Allowed calls that are newer than the names that Debian 12's libseccomp
/// knows. From 424 on a call has the same number on every processor; taken from
/// `scripts/syscall.tbl`.
pub(crate) const NEWER: [i32; 14] = [
    451, // cachestat
    452, // fchmodat2
    453, // map_shadow_stack
    454, // futex_wake
    455, // futex_wait
    456, // futex_requeue
    457, // statmount
    458, // listmount
    462, // mseal
    463, // setxattrat
    464, // getxattrat
    465, // listxattrat
    466, // removexattrat
    468, // file_getattr
];

/// An answer that depends on one argument.
pub(crate) struct Rule {
    pub(crate) call: &'static str,
    /// Allowed, or else refused.
    pub(crate) allowed: bool,
    /// When the rule counts.
    pub(crate) when: ScmpArgCompare,
}

/// The flags of `clone` that make namespaces: mount, cgroup, UTS, IPC, user, pid
/// and network.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Personalities that change nothing but what `uname` says, and the question
/// which one is in force.
const PERSONALITIES: [u64; 5] = [0x0000, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Calls whose answer depends on an argument.
pub(crate) fn conditional() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut all = 0;
    for flag in NAMESPACE_FLAGS.map(|flag| u64::from(flag.unsigned_abs())) {
        all |= flag;
        let when = ScmpArgCompare::new(0, MaskedEqual(flag), flag);
        rules.push(Rule { call: "clone", allowed: false, when });
    }
    let when = ScmpArgCompare::new(0, MaskedEqual(all), 0);
    rules.push(Rule { call: "clone", allowed: true, when });
    for personality in PERSONALITIES {
        let when = ScmpArgCompare::new(0, Equal, personality);
        rules.push(Rule { call: "personality", allowed: true, when });
    }
    // Virtual machine sockets know no namespaces: they reach the hypervisor.
    let vsock = u64::from(libc::AF_VSOCK.unsigned_abs());
    let when = ScmpArgCompare::new(0, NotEqual, vsock);
    rules.push(Rule { call: "socket", allowed: true, when });
    rules
}
