//! Captures of real machines, explained.

use super::*;

fn captures() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let entries = fs::read_dir(fixtures).unwrap();
    let mut captures: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    captures.sort();
    captures
}

#[test]
fn every_line_that_is_served_has_an_explanation() {
    let mut explained = 0;
    for dir in captures() {
        for path in capture::files(&dir).unwrap() {
            let explanation = capture(&dir, &path).unwrap();
            let text = capture::render(&dir, &path).unwrap();
            let lines: Vec<_> = explanation.lines().iter().map(|line| line.text.as_str()).collect();
            assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{path} of {}", dir.display());
            for line in explanation.lines() {
                assert!(!line.rows.is_empty(), "{path} of {}: {:?}", dir.display(), line.text);
                explained += 1;
            }
        }
    }
    assert!(explained > 1000, "only {explained} lines of captures were explained");
}

/// What SEMANTICS names as the source of a container's number was read for it.
#[test]
fn every_number_of_a_container_has_the_values_it_comes_from() {
    // Computed from states of threads, which are in no file of the group, or 0.
    const WITHOUT: [&str; 6] =
        ["Buffers", "SReclaimable", "KReclaimable", "procs_running", "procs_blocked", "btime"];
    for dir in captures() {
        for path in ["proc/meminfo", "proc/stat", "proc/cpuinfo"] {
            for line in capture(&dir, path).unwrap().lines() {
                let name = page::name_of(&line.text).unwrap_or_default();
                let is_containers = line.rows.iter().any(|row| row.class == Class::Containers);
                if is_containers && !WITHOUT.contains(&name.as_str()) {
                    let place = dir.display();
                    assert!(!line.sources.is_empty(), "{path} of {place}: {}", line.text);
                }
            }
        }
    }
}

#[test]
fn a_number_is_told_with_its_formula_and_what_was_read() {
    let dir = captures().into_iter().find(|dir| dir.ends_with("6.1-v2-nested")).unwrap();
    let text = capture(&dir, "/proc/meminfo").unwrap().to_string();
    let total = text.split("MemFree").next().unwrap();
    expect_test::expect![[r#"
        MemTotal:         524288 kB
            container's: smallest limit of all levels and the host's
                /sys/fs/cgroup/pods/memory.max = 536870912
                /sys/fs/cgroup/pods/web/memory.max = 1073741824
    "#]]
    .assert_eq(total);
    assert!(
        text.contains("\nMlocked: left out\n    not counted by cgroup; part of `Unevictable`\n")
    );
    assert!(text.contains("\nread for this:\n"), "{text}");
}

#[track_caller]
fn check_refused(pid: u32, file: &str, message: &str) {
    assert_eq!(crate::hint::one_line(&process(pid, file).unwrap_err()), message);
}

#[test]
fn what_cannot_be_explained_is_said_with_the_way_out() {
    check_refused(
        std::process::id(),
        "meminfo",
        "meminfo is not among the files that portholefs serves (try: a path as a container has it, \
         such as /proc/meminfo; find /var/lib/porthole/fs -type f has all)",
    );
    check_refused(
        u32::MAX,
        "/proc/meminfo",
        "there is no process 4294967295 (try: docker inspect -f '{{.State.Pid}}' NAME; \
         inside a container processes have other numbers)",
    );
}

#[test]
fn who_may_not_look_at_a_process_is_told_what_it_takes() {
    let path = Path::new("/proc/1/ns/pid");
    let refused = crate::caller::TaskError::new(path, io::Error::from_raw_os_error(libc::EACCES));
    assert_eq!(
        crate::hint::one_line(&ExplainError::from(CaptureError::from(refused))),
        "cannot tell who reads: cannot read /proc/1/ns/pid: Permission denied (os error 13) \
         (try: run it as root, with CAP_SYS_PTRACE)"
    );
}
