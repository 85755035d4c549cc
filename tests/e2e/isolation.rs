//! What a container is kept from, and what it is given.

use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Trial;
use support::{Need, Ran, Verdict, container, trial};

const CONTAINER: &[Need] = &[Need::Container];
const PIDS: &[Need] = &[Need::Container, Need::Controller("pids")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("masked_paths_are_empty", CONTAINER, masked_paths_are_empty),
        trial("kernel_settings_are_read_only", CONTAINER, kernel_settings_are_read_only),
        trial("default_capabilities_and_seccomp", CONTAINER, default_capabilities_and_seccomp),
        trial(
            "only_the_hosts_programs_are_visible",
            CONTAINER,
            only_the_hosts_programs_are_visible,
        ),
        trial("namespaces_are_its_own", CONTAINER, namespaces_are_its_own),
        trial("network_is_loopback_alone", CONTAINER, network_is_loopback_alone),
        trial("the_view_cannot_be_taken_off", CONTAINER, the_view_cannot_be_taken_off),
        trial("every_served_file_is_mounted", CONTAINER, every_served_file_is_mounted),
        trial("processes_are_limited", PIDS, processes_are_limited),
        trial("user_folder_environment_and_name", CONTAINER, user_folder_environment_and_name),
        trial("volumes", CONTAINER, volumes),
        trial("read_only_root", CONTAINER, read_only_root),
        trial("rootfs_of_ones_own", CONTAINER, rootfs_of_ones_own),
    ]
}

/// Those of `paths` that the host has.
fn there(paths: &[&str]) -> String {
    let there = paths.iter().filter(|path| std::path::Path::new(path).exists());
    there.copied().collect::<Vec<_>>().join(" ")
}

fn masked_paths_are_empty() -> Verdict {
    let files = there(&["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"]);
    let folders = there(&["/proc/acpi", "/proc/scsi", "/sys/firmware"]);
    let script = format!(
        "for file in {files}; do head -c 1 $file | sed s,^,$file:,; done; \
         for folder in {folders}; do ls -A $folder | sed s,^,$folder:,; done"
    );
    let ran = container::shell(&[], &script)?;
    ran.equal("what is in them", &ran.stdout.as_str(), &"")
}

fn kernel_settings_are_read_only() -> Verdict {
    // Each of these accepts being opened for writing on the host.
    let paths = ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/profiling"];
    let script = "for path; do (: >>$path) && echo $path; done; true";
    let ran =
        container::run(&[], &[&["sh", "-c", script, "sh"], &paths[..]].concat())?.succeeded()?;
    ran.equal("what is writable", &ran.stdout.as_str(), &"")
}

fn default_capabilities_and_seccomp() -> Verdict {
    let ran = container::shell(&[], "cat /proc/self/status")?;
    let field = |key: &str| {
        ran.find(key, |text| {
            text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
        })
    };
    // docker's default set without CAP_MKNOD, as `capsh --decode` names it.
    ran.equal("effective capabilities", &field("CapEff:")?.as_str(), &"00000000a00425fb")?;
    ran.equal("bounding set", &field("CapBnd:")?.as_str(), &"00000000a00425fb")?;
    ran.equal("no_new_privs", &field("NoNewPrivs:")?.as_str(), &"1")?;
    ran.equal("seccomp mode", &field("Seccomp:")?.as_str(), &"2")
}

fn only_the_hosts_programs_are_visible() -> Verdict {
    let secret = support::folder()?;
    let path = secret.path().display().to_string();
    let ran = container::shell(
        &[],
        &format!("ls -A /root /home /tmp /mnt; cat /etc/shadow; ls {path}; true"),
    )?;
    ran.holds("the host's folders are empty", !ran.stdout.contains("porthole-tests-"))?;
    ran.holds("the host's /etc is not there", ran.stderr.contains("/etc/shadow"))?;
    ran.holds("the host's /tmp is not there", ran.stderr.contains(&path))?;
    let ran = container::run(
        &[],
        &["sh", "-c", "echo x >/usr/bin/porthole-was-here && ls /usr/bin/porthole-was-here"],
    )?;
    let escaped = std::path::Path::new("/usr/bin/porthole-was-here").exists();
    ran.holds("what is written to /usr stays inside", !escaped)
}

fn namespaces_are_its_own() -> Verdict {
    let all = ["mnt", "pid", "uts", "ipc", "net", "cgroup", "time"];
    let paths = all.map(|name| format!("/proc/self/ns/{name}"));
    let hosts = paths.iter().filter_map(|path| Some((path, std::fs::read_link(path).ok()?)));
    let (paths, hosts): (Vec<&str>, Vec<_>) =
        hosts.map(|(path, link)| (path.as_str(), link.to_string_lossy().into_owned())).unzip();
    let ran = container::run(&[], &[&["readlink"], &paths[..]].concat())?.succeeded()?;
    let own: Vec<&str> = ran.stdout.lines().collect();
    ran.equal("namespaces", &own.len(), &hosts.len())?;
    let shared: Vec<_> = own.iter().zip(&hosts).filter(|(own, hosts)| own == hosts).collect();
    ran.equal("those of the host", &shared, &Vec::new())
}

fn network_is_loopback_alone() -> Verdict {
    let ran = container::shell(
        &[],
        "ls /sys/class/net; cat /sys/class/net/lo/operstate; cat /sys/class/net/lo/flags",
    )?;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    // 0x8 is IFF_LOOPBACK, 0x1 IFF_UP.
    ran.equal("interfaces, state and flags", &lines, &vec!["lo", "unknown", "0x9"])?;
    let ran = container::shell(&["--net", "host"], "readlink /proc/self/ns/net")?;
    let hosts = std::fs::read_link("/proc/self/ns/net")?;
    ran.equal("network of the host", &ran.stdout.trim(), &hosts.to_string_lossy().as_ref())
}

fn the_view_cannot_be_taken_off() -> Verdict {
    let ran =
        container::run(&["-m", "64m"], &["sh", "-c", "umount /proc/meminfo; cat /proc/meminfo"])?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(64 << 20))
}

/// Each file below `proc`, each directory that is mounted as a whole, and what there
/// is of each block device with a medium.
fn every_served_file_is_mounted() -> Verdict {
    const FILES: &str = "\
find proc -type f && find sys/devices/system -mindepth 1 -maxdepth 1
for file in $(find sys -path sys/devices/system -prune -o -type f -print)
do [ \"$(cat \"/${file%stat}size\")\" = 0 ] || echo \"$file\"
done";
    let tree = support::daemon::shared()?;
    let listed = Ran::new(std::process::Command::new("sh").args(["-c", FILES]).current_dir(tree))?;
    let ran = container::shell(&[], "cat /proc/self/mounts")?;
    for file in listed.succeeded()?.stdout.lines() {
        let mounted =
            ran.stdout.lines().any(|line| line.split(' ').nth(1) == Some(&format!("/{file}")));
        ran.holds(&format!("/{file} is mounted"), mounted)?;
    }
    Ok(())
}

fn processes_are_limited() -> Verdict {
    let ran = container::run(
        &["--pids-limit", "4"],
        &["sh", "-c", "for i in 1 2 3 4 5 6; do sleep 5 & done; wait"],
    )?;
    ran.holds("a fork is refused", ran.stderr.to_lowercase().contains("fork"))
}

fn user_folder_environment_and_name() -> Verdict {
    let options = ["-u", "65534:65534", "-w", "/var/tmp", "-e", "COLOUR=red", "--hostname", "box"];
    let ran =
        container::shell(&options, "id -u; id -g; pwd; echo $COLOUR; uname -n; cat /etc/hostname")?;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    ran.equal("what it is told", &lines, &vec!["65534", "65534", "/var/tmp", "red", "box", "box"])
}

fn volumes() -> Verdict {
    let folder = support::folder()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    std::fs::write(folder.path().join("in"), "from outside")?;
    let path = folder.path().display();
    container::shell(&["-v", &format!("{path}:/data")], "cat /data/in >/data/out")?;
    let out = std::fs::read_to_string(folder.path().join("out"))?;
    anyhow::ensure!(out == "from outside", "the container wrote {out:?}");
    let ran =
        container::run(&["-v", &format!("{path}:/data:ro")], &["sh", "-c", "echo >/data/no"])?;
    ran.holds("a read-only volume is", ran.status != Some(0) && !folder.path().join("no").exists())
}

fn read_only_root() -> Verdict {
    let ran = container::run(
        &["--read-only"],
        &["sh", "-c", "echo >/usr/file || echo >/etc/file || echo >/file"],
    )?;
    ran.holds("nothing can be written", ran.status != Some(0))
}

/// A root file system with nothing but a static shell; it is not written to.
fn rootfs_of_ones_own() -> Verdict {
    Need::Program("busybox", "busybox-static").check().map_err(anyhow::Error::msg)?;
    let folder = support::folder()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    std::fs::create_dir(folder.path().join("bin"))?;
    std::fs::copy("/bin/busybox", folder.path().join("bin/busybox"))?;
    let path = folder.path().to_string_lossy().into_owned();
    let script = "/bin/busybox cat /proc/meminfo; /bin/busybox touch /new; /bin/busybox ls /new";
    let ran =
        container::run(&["--rootfs", &path, "-m", "64m"], &["/bin/busybox", "sh", "-c", script])?
            .succeeded()?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(64 << 20))?;
    ran.holds("it can write", ran.stdout.contains("/new"))?;
    let left: Vec<_> =
        std::fs::read_dir(folder.path())?.flatten().map(|entry| entry.file_name()).collect();
    ran.equal("what is in the folder now", &left, &vec!["bin".into()])
}
