//! Uptime, boot time and start times: one clock, which began with the container.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Container, Need, Ran, Verdict, container, trial};

const PROCPS: &[Need] = &[Need::Container, Need::TimeNamespaces, Need::Program("ps", "procps")];
const PYTHON: &[Need] = &[
    Need::Container,
    Need::TimeNamespaces,
    Need::File("/usr/bin/python3", "python3"),
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
];

/// Seconds that starting a container may take, in a VM without KVM.
const SLOW: f64 = 20.0;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("uptime_begins_with_the_container", PROCPS, uptime_begins_with_the_container),
        trial("ps_tells_when_processes_began", PROCPS, ps_tells_when_processes_began),
        trial("every_clock_agrees", PYTHON, every_clock_agrees),
        trial("uptime_goes_on", PROCPS, uptime_goes_on),
    ]
}

/// Seconds since 1970.
fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

fn uptime_begins_with_the_container() -> Verdict {
    let before = now()?;
    let ran = container::shell(&[], "uptime; uptime --since; date +%s; cat /proc/uptime")?;
    let lasted = now()? - before;
    ran.holds("uptime says 0 min", ran.stdout.contains(" up 0 min"))?;
    let uptime = ran.find("uptime", |text| text.lines().last()?.split(' ').next()?.parse().ok())?;
    // The container's clocks begin with the second in which it began.
    ran.between("/proc/uptime", uptime, 0.0, lasted + 1.0)
}

/// `ps` computes from uptime, boot time and start time: with one of them the
/// host's, a process has run for years.
fn ps_tells_when_processes_began() -> Verdict {
    let before = now()?;
    let container = Container::sleeping(&[])?;
    let script =
        "ps -o etimes= -p 1; date -d \"$(ps -o lstart= -p 1)\" +%s; ps -eo pid,etimes,lstart,cmd";
    let ran = container.shell(script)?;
    let lasted = now()? - before;
    let number = |index: usize| {
        ran.find("number", |text| text.lines().nth(index)?.trim().parse::<f64>().ok())
    };
    ran.between("elapsed time of process 1", number(0)?, 0.0, lasted + 1.0)?;
    // lstart has whole seconds, and ps rounds twice on its way there.
    ran.between("start of process 1", number(1)?, before.floor() - 1.0, before + lasted + 1.0)
}

fn every_clock_agrees() -> Verdict {
    const SCRIPT: &str = "\
import os, time, psutil
print(float(open('/proc/uptime').read().split()[0]))
print(time.clock_gettime(time.CLOCK_BOOTTIME))
print(time.clock_gettime(time.CLOCK_MONOTONIC))
print(time.time() - psutil.boot_time())
print(time.time() - psutil.Process(1).create_time())";
    let before = now()?;
    let ran = container::run(&[], &["/usr/bin/python3", "-c", SCRIPT])?.succeeded()?;
    let lasted = now()? - before;
    let clocks: Vec<f64> =
        ran.find("clocks", |text| text.lines().map(|line| line.parse().ok()).collect())?;
    ran.equal("clocks", &clocks.len(), &5)?;
    for clock in clocks {
        // They begin with the second in which the container began, and the boot
        // time has whole seconds, rounded down.
        ran.between("seconds since the container began", clock, 0.0, lasted + 2.0)?;
    }
    ran.holds("the machine is not too slow to tell", lasted < SLOW)
}

fn uptime_goes_on() -> Verdict {
    let ran: Ran = container::shell(&[], "cat /proc/uptime; sleep 1; cat /proc/uptime")?;
    let times: Vec<f64> = ran.find("uptimes", |text| {
        text.lines().map(|line| line.split(' ').next()?.parse().ok()).collect()
    })?;
    let [first, second] = times.as_slice() else {
        anyhow::bail!("there are not two uptimes\n{ran}");
    };
    // Both are cut to hundredths.
    ran.between("seconds between", second - first, 0.985, SLOW)
}
