//! What a container is given: programs, files, clocks, an init, exit codes.

use crate::world::{check, check_refused, command, image, run, shell, shell_in, volume};

pub(crate) fn the_hosts_programs_run() {
    check(command(&["hostname"]), "web\n");
    check(shell("cat /etc/hostname; ls -d /usr /tmp"), "web\n/tmp\n/usr\n");
}

pub(crate) fn a_directory_is_a_root_that_is_not_written_to() {
    let image = image();
    check(shell_in(&image, "echo text > /new && /bin/busybox cat /new"), "text\n");
    let names = std::fs::read_dir(image.path()).expect("it is there").count();
    assert_eq!(names, 1, "something was written next to bin/");
}

pub(crate) fn the_hosts_usr_can_be_written_over() {
    check(shell("echo text > /usr/bin/porthole-test && cat /usr/bin/porthole-test"), "text\n");
    assert!(!std::path::Path::new("/usr/bin/porthole-test").exists());
}

pub(crate) fn a_read_only_root_is_read_only() {
    let mut plan = shell("touch /new /usr/new 2>/dev/null || touch /dev/shm/new && echo shm");
    plan.root.read_only = true;
    check(plan, "shm\n");
}

pub(crate) fn volumes_are_mounted_and_made() {
    let source = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(source.path().join("file"), "volume\n").expect("it is writable");
    let mut plan = shell("cat /new/data/file /etc/one; echo x > /etc/one; echo y > /new/data/y");
    plan.volumes.push(volume(source.path(), "/new/data"));
    plan.volumes.push(volume(&source.path().join("file"), "/etc/one"));
    if let Some(volume) = plan.volumes.last_mut() {
        volume.read_only = true;
    }
    let ended = run(plan);
    assert_eq!(ended.stdout, "volume\nvolume\n");
    assert_eq!(ended.stderr, "sh: 1: cannot create /etc/one: Read-only file system\n");
    assert!(source.path().join("y").exists());
}

pub(crate) fn a_missing_volume_is_named() {
    let mut plan = command(&["true"]);
    plan.volumes.push(volume(std::path::Path::new("/nowhere/data"), "/data"));
    check_refused(
        plan,
        "cannot open the volume's source /nowhere/data: it does not exist\n\
         hint: mkdir -p /nowhere/data\n",
        125,
    );
}

pub(crate) fn clocks_begin_with_the_container() {
    let ended = run(shell("cut -d. -f1 /proc/uptime; ps -o etimes= -p 1"));
    for seconds in ended.stdout.split_ascii_whitespace() {
        let seconds: u64 = seconds.parse().expect("a number of seconds");
        assert!(seconds < 20, "the container has run for {seconds} s");
    }
    assert_eq!(ended.stdout.split_ascii_whitespace().count(), 2, "{}", ended.stderr);
}

pub(crate) fn loopback_is_up() {
    check(shell("cat /sys/class/net/lo/carrier; ls /sys/class/net"), "1\nlo\n");
}

pub(crate) fn cgroups_are_seen_from_the_containers_own() {
    check(
        shell(
            "touch /sys/fs/cgroup/x 2>/dev/null || grep -c /sys/fs/cgroup /proc/mounts | grep -qv '^0' && echo mounted",
        ),
        "mounted\n",
    );
}

pub(crate) fn init_reaps_orphans_and_forwards_signals() {
    let mut plan = shell("(sleep 0.1 &); sleep 0.3; ps -o stat= | grep -c Z; exit 7");
    plan.process.init = true;
    let ended = run(plan);
    assert_eq!((ended.stdout.as_str(), ended.code), ("0\n", 7), "{}", ended.stderr);

    let mut plan = shell("trap 'exit 9' TERM; kill -TERM 1; sleep 60 & wait");
    plan.process.init = true;
    assert_eq!(run(plan).code, 9);
}

pub(crate) fn a_command_that_is_killed_says_so() {
    let mut plan = shell("kill -KILL $$");
    plan.process.init = true;
    assert_eq!(run(plan).code, 137);
}

pub(crate) fn exit_codes_are_dockers() {
    check_refused(
        command(&["no-such-program"]),
        "cannot execute no-such-program: executable file not found in \
         /usr/bin:/bin:/usr/sbin:/sbin\n",
        127,
    );
    check_refused(command(&["/etc"]), "cannot execute /etc: permission denied\n", 126);
    assert_eq!(run(shell("exit 3")).code, 3);
}
