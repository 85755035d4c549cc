//! `/sys/devices/system/cpu` and its like: directories whose names depend on who
//! looks.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::needs::online_cpus;
use support::{Group, Need, Ran, Verdict, alone, container, daemon, trial};

const ONE_CPU: u64 = 100_000;
const CPU: &[Need] = &[Need::Container, Need::Controller("cpu"), Need::Cpus(2)];
const CPUSET: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(2)];
/// On v1 a CPU that comes back is in no cpuset that it was in before.
pub(crate) const HOTPLUG: &[Need] =
    &[Need::Container, Need::CgroupV2, Need::Controller("cpu"), Need::Cpus(4)];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("each_container_finds_its_own_cpus", CPU, each_container_finds_its_own_cpus),
        trial("numbers_in_the_directory_are_the_containers", CPUSET, numbers_are_the_containers),
        trial("a_new_quota_is_seen_by_the_next_lookup", CPU, a_new_quota_is_seen),
        trial("a_name_lost_to_one_is_not_lost_to_all", CPU, a_name_lost_to_one),
        trial("the_host_finds_all_of_its_own", CPU, the_host_finds_all_of_its_own),
        alone("an_unplugged_cpu_is_gone_until_it_is_back", HOTPLUG, an_unplugged_cpu),
        trial("nothing_is_mounted_in_the_directory", CPU, nothing_is_mounted_in_the_directory),
    ]
}

/// A shell script in the daemon's `sys/devices/system`, run by a container of `group`.
fn look(group: &Group, script: &str) -> Result<Ran> {
    let script = format!("cd {}/sys/devices/system && {script}", daemon::shared()?.display());
    Ran::new(&mut group.container(&["sh", "-c", &script]))?.succeeded()
}

/// Lists the CPUs in both directories, and looks for the first that is not there.
fn check(group: &Group, cpus: usize) -> Verdict {
    let ran = look(
        group,
        &format!(
            "ls -d cpu/cpu[0-9]* && ls -d node/node*/cpu[0-9]* | sed s,.*/,cpu/, && \
             ! ls cpu/cpu{cpus} 2>/dev/null"
        ),
    )?;
    let names = ran.stdout.lines().map(str::to_owned);
    let expected: Vec<_> = (0..cpus).map(|cpu| format!("cpu/cpu{cpu}")).collect();
    let twice = [expected.clone(), expected].concat();
    ran.equal("directories of CPUs, and links of nodes", &names.collect(), &twice)
}

fn each_container_finds_its_own_cpus() -> Verdict {
    let (small, large) = (Group::new(&["cpu"])?, Group::new(&["cpu"])?);
    small.limit_cpu(ONE_CPU)?;
    large.limit_cpu(2 * ONE_CPU)?;
    for _turn in 0..2 {
        check(&small, 1)?;
        check(&large, 2)?;
    }
    Ok(())
}

/// Of the container's CPU 0, which is the host's CPU 1.
fn numbers_are_the_containers() -> Verdict {
    let group = Group::new(&["cpuset"])?;
    group.limit_cpuset("1")?;
    let ran = look(
        &group,
        "cat cpu/cpu0/topology/*_list cpu/cpu0/cache/index*/shared_cpu_list && \
         readlink node/node*/cpu0",
    )?;
    let lines: BTreeSet<&str> = ran.stdout.lines().collect();
    ran.equal("lists, and a link", &lines, &BTreeSet::from(["0", "../../cpu/cpu0"]))?;
    let ran = look(&group, "cat cpu/cpu0/topology/core_id cpu/possible")?;
    let cpu = "/sys/devices/system/cpu";
    let hosts = [format!("{cpu}/cpu1/topology/core_id"), format!("{cpu}/possible")];
    let hosts = hosts.map(std::fs::read_to_string).into_iter().collect::<Result<String, _>>()?;
    ran.equal("core of the physical CPU, and possible CPUs", &ran.stdout, &hosts)
}

fn a_new_quota_is_seen() -> Verdict {
    let group = Group::new(&["cpu"])?;
    for cpus in [2, 1, 2] {
        group.limit_cpu(cpus * ONE_CPU)?;
        check(&group, usize::try_from(cpus)?)?;
    }
    Ok(())
}

/// A shell that looks when it is told to.
struct Shell {
    child: Child,
    _group: Group,
}

impl Shell {
    fn start(cpus: u64) -> Result<Self> {
        let group = Group::new(&["cpu"])?;
        group.limit_cpu(cpus * ONE_CPU)?;
        let mut command = group.container(&["sh"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self { child, _group: group })
    }

    /// The last line that `script` prints, with its errors.
    fn ask(&mut self, script: &str) -> Result<String> {
        let stdin = self.child.stdin.as_mut().context("a pipe")?;
        writeln!(stdin, "{{ {script}; }} 2>&1; echo; echo END")?;
        let stdout = BufReader::new(self.child.stdout.as_mut().context("a pipe")?);
        let mut last = String::new();
        for line in stdout.lines() {
            match line?.as_str() {
                "END" => break,
                "" => {}
                line => line.clone_into(&mut last),
            }
        }
        Ok(last)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// What one container is told does not take away where another one stands.
fn a_name_lost_to_one() -> Verdict {
    let directory = daemon::shared()?.join("sys/devices/system/cpu");
    let mut large = Shell::start(2)?;
    let core = large.ask(&format!("cd {}/cpu1 && cat topology/core_id", directory.display()))?;
    core.parse::<u32>().with_context(|| core.clone())?;
    let mut small = Shell::start(1)?;
    let refused = small.ask(&format!("cat {}/cpu1/topology/core_id", directory.display()))?;
    ensure!(refused.contains("No such file or directory"), "{refused}");
    for path in ["topology/core_id", "../cpu1/topology/core_id"] {
        let again = large.ask(&format!("cat {path}"))?;
        ensure!(again == core, "{path} is {again}, it was {core}");
    }
    Ok(())
}

fn the_host_finds_all_of_its_own() -> Verdict {
    let ours = daemon::shared()?.join("sys/devices/system/cpu");
    let list = |directory: &str| {
        let script = format!("cd {directory} && find . -path '*cpu[0-9]*' ! -perm -200 -perm -004");
        let ran = Ran::new(std::process::Command::new("sh").args(["-c", &script]))?.succeeded()?;
        let names = ran.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        anyhow::Ok((ran, names))
    };
    let (_ran, kernels) = list("/sys/devices/system/cpu")?;
    let (ran, ours) = list(&ours.to_string_lossy())?;
    let hidden = |path: &&String| !path.contains("thermal_throttle") && !path.contains("/policy");
    let missing: Vec<_> = kernels.difference(&ours).filter(hidden).collect();
    ran.equal("what the host has and we have not", &missing, &vec![])
}

/// The CPU that was unplugged is brought back with this value.
pub(crate) struct Unplugged(&'static str);

impl Unplugged {
    pub(crate) fn new(online: &'static str) -> Result<Self> {
        std::fs::write(online, "0").with_context(|| online)?;
        Ok(Self(online))
    }
}

impl Drop for Unplugged {
    fn drop(&mut self) {
        // If it stays away, whatever counts CPUs next says so.
        let _back = std::fs::write(self.0, "1");
    }
}

fn an_unplugged_cpu() -> Verdict {
    let all = online_cpus();
    let group = Group::new(&["cpu"])?;
    check(&group, all)?;
    let unplugged = Unplugged::new("/sys/devices/system/cpu/cpu1/online")?;
    check(&group, all - 1)?;
    // Its CPU 1 is now the host's CPU 2.
    let core = look(&group, "cat cpu/cpu1/topology/core_cpus_list cpu/cpu1/topology/core_id")?;
    let hosts = std::fs::read_to_string("/sys/devices/system/cpu/cpu2/topology/core_id")?;
    core.equal("siblings and core", &core.stdout, &format!("1\n{hosts}"))?;
    drop(unplugged);
    check(&group, all)
}

/// In a container of ours the directory is one mount, and masks are not in it.
fn nothing_is_mounted_in_the_directory() -> Verdict {
    let ran = container::shell(
        &["--cpus", "1"],
        "cut -d' ' -f5 /proc/self/mountinfo | grep ^/sys/devices/system/; \
         find /sys/devices/system/cpu/ -name thermal_throttle",
    )?;
    let mounts: Vec<_> = ran.stdout.lines().collect();
    // Some kernels know no nodes, or no blocks of memory.
    let all = ["/sys/devices/system/cpu", "/sys/devices/system/memory", "/sys/devices/system/node"];
    let expected: Vec<_> = all.into_iter().filter(|path| Path::new(path).exists()).collect();
    ran.equal("mounts below /sys/devices/system", &mounts, &expected)
}
