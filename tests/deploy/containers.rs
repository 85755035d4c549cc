//! The ways of `deploy/docker`, run as they are written, against a dockerd of
//! the test's own; a program inside must see the container's size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use support::dockerd::Dockerd;
use support::{Ran, Verdict, daemon};

use crate::{files, tools_image};

/// What a container is asked for its size with.
pub(crate) const ASK: &str = "/usr/bin/free -k; grep -c ^processor /proc/cpuinfo; \
     cat /sys/devices/system/cpu/online; ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l";

/// One dockerd for all tests, started by the first that needs it.
static DOCKERD: Mutex<Option<Dockerd>> = Mutex::new(None);

/// An engine with an image, and the files to mount.
pub(crate) struct Host<'a> {
    pub(crate) dockerd: &'a Dockerd,
    mount_point: PathBuf,
}

/// Runs `test` on the host that all tests share, one test at a time.
pub(crate) fn on_host(test: impl FnOnce(&Host<'_>) -> Verdict) -> Verdict {
    // A test that failed has not harmed the engine.
    let mut dockerd = DOCKERD.lock().unwrap_or_else(PoisonError::into_inner);
    let dockerd = match &mut *dockerd {
        Some(dockerd) => dockerd,
        none => {
            let started = Dockerd::start()?;
            tools_image::import(&started)?;
            none.insert(started)
        }
    };
    test(&Host { dockerd, mount_point: daemon::shared()? })
}

/// Ends the engine, when one was started.
pub(crate) fn stop() {
    drop(DOCKERD.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Host<'_> {
    /// A text of `deploy/` for this host: its mount point, an image that needs no
    /// registry, and no network, since this dockerd has none.
    fn adapted(&self, text: &str) -> String {
        text.replace(files::MOUNT_POINT, &self.mount_point.display().to_string())
            .replace("busybox:1.36", tools_image::IMAGE)
            .replace("docker run ", "docker run --net none ")
            .replace("    command: top\n", "    command: top\n    network_mode: none\n")
    }

    fn shell(&self, script: &str) -> Result<String> {
        said(self.dockerd.command("sh").args(["-ec", script]))
    }

    /// `deploy/docker/run.sh` with these options and a question to the container.
    pub(crate) fn run_sh(&self, tree: &Path, options: &[&str], question: &str) -> Result<String> {
        let mut run = self.dockerd.command(files::workspace().join("deploy/docker/run.sh"));
        run.env("PORTHOLE_TREE", tree);
        run.args(options).args(["--rm", "--net", "none", tools_image::IMAGE, "sh", "-c", question]);
        said(&mut run)
    }

    /// Waits until a daemon in a container answers, as a startup probe does.
    pub(crate) fn wait_until_healthy(&self, container: &str) -> Verdict {
        const PATIENCE: Duration = Duration::from_secs(20);
        let start = Instant::now();
        let health = ["exec", container, "/usr/bin/portholefs", "health"];
        loop {
            let asked = Ran::new(&mut self.dockerd.docker(&health))?;
            if asked.status == Some(0) || start.elapsed() > PATIENCE {
                return asked.succeeded().map(drop);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The files that are served, as paths below the mount point.
    fn served(&self) -> Result<BTreeSet<String>> {
        // Files, and the directories of /sys that are mounted as a whole.
        const FIND: &str = "find proc -type f && find sys/devices/system -mindepth 1 -maxdepth 1";
        let mut find = Command::new("sh");
        let found = said(find.current_dir(&self.mount_point).args(["-c", FIND]))?;
        Ok(found.lines().map(str::to_owned).collect())
    }
}

/// The line of deploy/README.md: `top` shows the limit, and the rest agrees.
pub(crate) fn the_docker_line_shows_the_limits() -> Verdict {
    on_host(|host| {
        let readme = files::text("deploy/README.md")?;
        let line = block_that_begins_with(&readme, "docker run --rm -m 512m --cpus 1")?;
        let top = host.shell(&host.adapted(line))?;
        ensure!(top.contains("MiB Mem :    512.0 total"), "{top}");
        let asked = host.adapted(line).replace("top -b -n 1", &format!("sh -c '{ASK}'"));
        check(&host.shell(&asked)?, 512 << 10, 1)
    })
}

/// The control of the test above: the same container without the files.
pub(crate) fn without_the_files_the_host_is_seen() -> Verdict {
    on_host(|host| {
        let run = ["run", "--rm", "--net", "none", "-m", "512m", tools_image::IMAGE];
        let inside = said(host.dockerd.docker(&run).args(["sh", "-c", ASK]))?;
        let outside = said(Command::new("sh").args(["-c", ASK]))?;
        ensure!(total(&inside)? == total(&outside)?, "inside:\n{inside}outside:\n{outside}");
        Ok(())
    })
}

pub(crate) fn run_sh_mounts_what_runc_allows() -> Verdict {
    on_host(|host| {
        let question = format!("{ASK}; cat /proc/self/mountinfo");
        let text = host.run_sh(&host.mount_point, &["-m", "256m", "--cpus", "1"], &question)?;
        check(&text, 256 << 10, 1)?;
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let points: BTreeSet<&str> = points.map(|point| point.trim_start_matches('/')).collect();
        for file in host.served()?.iter().filter(|file| runc_mounts(file)) {
            ensure!(points.contains(file.as_str()), "{file} is not mounted: {points:?}");
        }
        for device in devices_with_medium()? {
            let stat = device.join("stat");
            let point = stat.strip_prefix("/")?.to_string_lossy();
            ensure!(points.contains(&*point), "{point} is not mounted: {points:?}");
        }
        Ok(())
    })
}

/// Where the kernel has the block devices that somebody can have used.
fn devices_with_medium() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for link in std::fs::read_dir("/sys/block")? {
        let device = link?.path().canonicalize()?;
        if std::fs::read_to_string(device.join("size"))?.trim() != "0" {
            found.push(device);
        }
    }
    Ok(found)
}

/// A quota between one CPU and two is shown as the CPUs that can run at once.
pub(crate) fn a_fractional_quota_is_rounded_up() -> Verdict {
    on_host(|host| {
        let size = ["-m", "64m", "--cpus", "1.5"];
        check(&host.run_sh(&host.mount_point, &size, ASK)?, 64 << 10, 2)
    })
}

/// What deploy/README.md says of containers in a container: whether a fresh proc may
/// be mounted in one, with which of our files.
pub(crate) fn containers_in_containers_are_as_the_readme_says() -> Verdict {
    const NESTED: &str = "busybox unshare -Urmpf --mount-proc busybox true 2>/dev/null \
         && echo works || echo refused";
    const FREE: [&str; 4] =
        ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"];
    on_host(|host| {
        let cpus = host.mount_point.join("sys/devices/system/cpu");
        let cpus = format!("{}:/sys/devices/system/cpu:ro", cpus.display());
        let docker = |options: &[&str]| {
            let words = ["run", "--rm", "--net", "none"];
            let image = [tools_image::IMAGE, "sh", "-c", NESTED];
            said(&mut host.dockerd.docker(&[&words[..], options, &image].concat()))
        };
        let found = [
            docker(&["--security-opt", "seccomp=unconfined"])?,
            docker(&FREE)?,
            host.run_sh(&host.mount_point, &FREE, NESTED)?,
            docker(&[&FREE[..], &["--volume", &cpus]].concat())?,
        ];
        let expected = ["refused\n", "works\n", "refused\n", "works\n"];
        ensure!(found == expected, "masked, alone, with ours, with the CPUs alone: {found:?}");
        Ok(())
    })
}

pub(crate) fn run_sh_refuses_without_a_daemon() -> Verdict {
    let mut run = Command::new(files::workspace().join("deploy/docker/run.sh"));
    let ran = Ran::new(run.env("PORTHOLE_TREE", "/nonexistent").arg("busybox:1.36"))?;
    ran.equal("exit status", &ran.status, &Some(125))?;
    let expected = "run.sh: /nonexistent/proc/meminfo is not there: portholefs is not running \
                    (try: systemctl start portholefs)\n";
    ran.equal("standard error", &ran.stderr.as_str(), &expected)
}

pub(crate) fn the_compose_file_shows_the_limits() -> Verdict {
    on_host(|host| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("compose.yaml");
        std::fs::write(&file, host.adapted(&files::text("deploy/docker/compose.yaml")?))?;
        let mut compose = host.dockerd.command("/usr/bin/docker-compose");
        compose.arg("--file").arg(&file).args(["run", "--rm", "-T", "top", "sh", "-c", ASK]);
        check(&said(&mut compose)?, 512 << 10, 1)
    })
}

/// The lists that people copy name the files that tell a size, and only files
/// that are served.
pub(crate) fn every_list_has_the_same_files() -> Verdict {
    on_host(|host| {
        let served = host.served()?;
        let pod = crate::manifests::files_of_the_example_pod()?;
        for file in &pod {
            ensure!(served.contains(file) && runc_mounts(file), "{file} cannot be mounted");
        }
        for list in ["deploy/README.md", "deploy/docker/compose.yaml"] {
            let text = files::text(list)?;
            for file in &pod {
                let source = format!("{}/{file}", files::MOUNT_POINT);
                ensure!(text.contains(&source), "{list} lacks {file}, which example-pod.yaml has");
            }
            let named = text.matches(&format!("{}/", files::MOUNT_POINT)).count();
            ensure!(named >= pod.len(), "{list} names {named} files");
        }
        Ok(())
    })
}

/// Whether runc lets something be mounted on the file: below `/proc` it has a list.
fn runc_mounts(file: &str) -> bool {
    const ALLOWED: [&str; 8] =
        ["cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"];
    file.strip_prefix("proc/").is_none_or(|name| ALLOWED.contains(&name))
}

/// The block of shell in `text` that begins with `start`.
fn block_that_begins_with<'a>(text: &'a str, start: &str) -> Result<&'a str> {
    let from = text.find(start).with_context(|| format!("no {start:?} in the text"))?;
    let (block, _rest) = text[from..].split_once("```").context("the block has no end")?;
    Ok(block)
}

/// Whether the answer to [`ASK`] is this much memory and this many CPUs.
pub(crate) fn check(text: &str, kib: u64, cpus: u64) -> Verdict {
    let online = if cpus == 1 { "0".to_owned() } else { format!("0-{}", cpus - 1) };
    let mut after = text.lines().skip_while(|line| !line.starts_with("Swap:")).skip(1);
    ensure!(total(text)? == kib, "memory is not {kib} KiB:\n{text}");
    ensure!(after.next() == Some(cpus.to_string().as_str()), "cpuinfo has not {cpus}:\n{text}");
    ensure!(after.next() == Some(online.as_str()), "online is not {online}:\n{text}");
    let directories = after.next().map(str::trim);
    ensure!(directories == Some(cpus.to_string().as_str()), "not {cpus} directories:\n{text}");
    Ok(())
}

/// The total of `free`, in KiB.
fn total(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Mem:")).context(text.to_owned())?;
    Ok(line.split_whitespace().next().context("free has numbers")?.parse()?)
}

/// Standard output of a command that must succeed.
fn said(command: &mut Command) -> Result<String> {
    Ok(Ran::new(command)?.succeeded()?.stdout)
}
