//! What a container cannot see, reach or do.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use porthole::plan::{Seccomp, View};

use crate::launcher::Order;
use crate::world::{
    check, check_refused, command, image, launcher, process, run, run_in, shell, shell_in, volume,
};

pub(crate) fn nothing_of_the_host_is_mounted() {
    let ended = run(shell("cut -d' ' -f5 /proc/self/mountinfo | sort"));
    let ours = ["/dev", "/etc", "/proc", "/sys", "/usr", "/bin", "/sbin", "/lib"];
    for mount_point in ended.stdout.lines() {
        let known = mount_point == "/" || ours.iter().any(|our| mount_point.starts_with(our));
        assert!(known, "{mount_point} in:\n{}", ended.stdout);
    }
    let roots = ended.stdout.lines().filter(|mount_point| *mount_point == "/").count();
    assert_eq!(roots, 1, "the host's root is still there:\n{}", ended.stdout);
}

pub(crate) fn homes_and_temporary_files_are_its_own() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    check(
        shell("ls -A /home /root /tmp /srv /mnt"),
        "/home:\n\n/mnt:\n\n/root:\n\n/srv:\n\n/tmp:\n",
    );
    assert!(secret.path().exists());
}

pub(crate) fn rights_are_dockers_defaults_without_device_nodes() {
    check(
        shell("grep -E '^(Cap|NoNewPrivs|Seccomp):?' /proc/self/status | tr '\\t' ' '"),
        "CapInh: 0000000000000000\n\
         CapPrm: 00000000a00425fb\n\
         CapEff: 00000000a00425fb\n\
         CapBnd: 00000000a00425fb\n\
         CapAmb: 0000000000000000\n\
         NoNewPrivs: 1\n\
         Seccomp: 2\n\
         Seccomp_filters: 1\n",
    );
}

/// A node of the host's disk would be the host: no device cgroup stands between.
pub(crate) fn device_nodes_cannot_be_made() {
    let script = "mkfifo /tmp/pipe && echo pipe; \
                  mknod /tmp/null c 1 3 2>/dev/null || echo refused; \
                  mknod /dev/disk b 8 0 2>/dev/null || echo refused";
    check(shell(script), "pipe\nrefused\nrefused\n");
}

pub(crate) fn another_user_has_no_capabilities() {
    let mut plan = shell("id -u; id -g; grep CapEff /proc/self/status | tr '\\t' ' '");
    plan.process.user.user = "1000".to_owned();
    plan.process.user.group = Some("100".to_owned());
    check(plan, "1000\n100\nCapEff: 0000000000000000\n");
}

pub(crate) fn new_namespaces_are_refused_by_the_filter() {
    let script = "unshare --user true 2>&1";
    let refused = "unshare: unshare failed: Operation not permitted\n";
    let ended = run(shell(script));
    assert_eq!((ended.stdout.as_str(), ended.code), (refused, 1));
    // Without the filter the kernel allows it: it is the filter that refuses.
    let mut plan = shell(script);
    plan.security.seccomp = Seccomp::Unconfined;
    check(plan, "");
}

pub(crate) fn cve_2016_9962_a_later_process_is_in_the_container_alone() {
    let script = "hostname; readlink /proc/self/ns/* > /tmp/mine; \
                  readlink /proc/1/ns/* > /tmp/first; cmp /tmp/mine /tmp/first && echo same; \
                  ls -m /proc/self/fd; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";
    let ended = run_in(command(&["sleep", "60"]), process(&["sh", "-c", script]));
    let expected = "web\nsame\n0, 1, 2, 3\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    let found = ended.stdout.replace("CapBnd:\t00000000a00425fb\n", "");
    assert_eq!(found, expected, "{}", ended.stderr);
}

pub(crate) fn cve_2019_5736_init_hides_our_program() {
    let mut plan =
        shell("readlink /proc/1/exe; cat /proc/1/environ; tr '\\0' '+' < /proc/1/cmdline");
    plan.process.init = true;
    plan.process.env.push("SECRET=word".to_owned());
    let ended = run(plan);
    assert_eq!(ended.stdout.trim_end_matches('+'), "porthole-init");
    assert_eq!(ended.stderr, "cat: /proc/1/environ: Permission denied\n");
}

pub(crate) fn cve_2019_16884_a_volume_may_not_cover_the_kernels_files() {
    let source = tempfile::tempdir().expect("a temporary directory");
    let mut plan = command(&["true"]);
    plan.volumes.push(volume(source.path(), "/proc"));
    check_refused(
        plan,
        "cannot mount volume /proc: volumes may not cover the kernel's own files\n\
         hint: porthole mounts the files of its daemon there by itself\n",
        125,
    );
}

pub(crate) fn cve_2019_19921_proc_may_not_be_a_link() {
    link_is_refused("proc", "/tmp");
}

pub(crate) fn cve_2026_41579_dev_may_not_be_a_link() {
    link_is_refused("dev", "/etc");
    assert!(!std::path::Path::new("/etc/null").exists(), "a device was made on the host");
}

#[track_caller]
fn link_is_refused(name: &str, target: &str) {
    let image = image();
    symlink(target, image.path().join(name)).expect("it is not there yet");
    let reason = "it is a symbolic link in the root file system, where it must be a directory";
    let error = format!("cannot mount /{name}: {reason}\n");
    check_refused(shell_in(&image, "true"), &error, 125);
}

pub(crate) fn cve_2021_30465_a_volume_stays_inside() {
    let image = image();
    let source = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(source.path().join("file"), "volume\n").expect("it is writable");
    let outside = tempfile::tempdir().expect("a temporary directory");
    symlink(outside.path(), image.path().join("link")).expect("it is not there yet");
    let mut plan = shell_in(&image, &format!("cat {}/data/file", outside.path().display()));
    plan.volumes.push(volume(source.path(), "/link/data"));
    check(plan, "volume\n");
    let left = std::fs::read_dir(outside.path()).expect("it is there").count();
    assert_eq!(left, 0, "a directory was made on the host");
}

pub(crate) fn cve_2024_21626_no_descriptor_comes_along() {
    // 3 is the listing's own.
    check(command(&["ls", "-m", "/proc/self/fd"]), "0, 1, 2, 3\n");
    for number in 3..16 {
        let mut plan = command(&["pwd"]);
        plan.process.cwd = format!("/proc/self/fd/{number}").into();
        let ended = run(plan);
        assert_eq!((ended.stdout.as_str(), ended.code), ("", 125), "as descriptor {number}");
    }
}

pub(crate) fn cve_2025_31133_masks_are_not_of_the_image() {
    let image = image();
    std::fs::create_dir(image.path().join("dev")).expect("it is not there yet");
    symlink("/etc/passwd", image.path().join("dev/null")).expect("it is not there yet");
    let script = "busybox cat /proc/timer_list /proc/keys; busybox ls -A /sys/firmware; \
                  busybox cat /proc/sys/kernel/hostname; echo x > /proc/sys/kernel/hostname";
    let mut plan = shell_in(&image, script);
    plan.process.env = vec!["PATH=/bin".to_owned()];
    let ended = run(plan);
    assert_eq!(ended.stdout, "web\n");
    let refused = "sh: can't create /proc/sys/kernel/hostname: Read-only file system\n";
    assert_eq!(ended.stderr, refused);
}

pub(crate) fn cve_2025_52881_the_view_lies_on_the_kernels_files_and_below_masks() {
    // A directory with `possible` stands for the whole of the kernel's.
    let served = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in [
        ("proc/meminfo", "view\n"),
        ("proc/timer_list", "secret\n"),
        ("proc/of_another_kernel", "\n"),
        ("sys/devices/system/cpu/online", "0\n"),
        ("sys/devices/system/node/possible", "0\n"),
    ] {
        let path = served.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is writable");
        std::fs::write(path, text).expect("it is writable");
    }
    let mut plan = shell(
        "cat /proc/meminfo /proc/timer_list /sys/devices/system/cpu/online; \
         ls /sys/devices/system/node; test -e /sys/devices/system/cpu/possible && echo kernel; \
         grep -c ' /proc/meminfo ro,nosuid,nodev,noexec' /proc/self/mountinfo",
    );
    plan.view = View::Mounted(served.path().to_owned());
    let ended = run(plan);
    assert_eq!(ended.stdout, "view\n0\npossible\nkernel\n1\n", "{}", ended.stderr);
    let left_out = [
        "the files are those of the tree that all share: the daemon makes no others",
        "/proc/of_another_kernel is not in this kernel, so not mounted",
    ];
    let notes = left_out.map(|text| format!("note: LeftOut({text:?})\n")).concat();
    assert_eq!(ended.stderr, notes);
}

pub(crate) fn nothing_outlives_a_killed_launcher() {
    let marker = format!("60.{}", std::process::id());
    let order = Order { plan: command(&["sleep", &marker]), later: None };
    let mut launcher = launcher(&order).spawn().expect("the launcher runs");
    wait_until("the container runs", || sleeper(&marker));
    launcher.kill().expect("it is our child");
    launcher.wait().expect("it is our child");
    wait_until("the container is gone", || !sleeper(&marker));
}

/// Whether a process on this machine has exactly the command `sleep MARKER`.
fn sleeper(marker: &str) -> bool {
    let wanted = format!("sleep\0{marker}\0");
    let processes = std::fs::read_dir("/proc").expect("proc is mounted");
    let command = |path: std::path::PathBuf| std::fs::read(path.join("cmdline")).ok();
    processes.flatten().any(|entry| command(entry.path()).as_deref() == Some(wanted.as_bytes()))
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 20 s until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
