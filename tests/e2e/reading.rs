//! The files as files: whatever a program does to the kernel's own, it may do
//! to ours, with the same result.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use libtest_mimic::Trial;
use support::{Group, Need, Ran, Verdict, alone, daemon, speed, trial};

const MIB: u64 = 1 << 20;
const MEMORY: &[Need] = &[Need::Container, Need::Controller("memory")];

const SENDFILE: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Program("busybox", "busybox-static")];

const QUICK: &[Need] = &[
    Need::Container,
    Need::NativeSpeed,
    Need::Controller("memory"),
    Need::File("/usr/bin/python3", "python3"),
];

/// Every file of the tree, as a path below the mount point.
const FILES: &[&str] = &[
    "proc/cpuinfo",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "sys/devices/system/cpu/online",
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("first_read_is_at_an_offset", MEMORY, first_read_is_at_an_offset),
        trial("one_byte_at_a_time", MEMORY, one_byte_at_a_time),
        trial("reading_past_the_end", MEMORY, reading_past_the_end),
        trial("mode_and_owner_are_the_kernels", &[Need::Container], mode_and_owner_are_the_kernels),
        trial("sendfile_leaves_it_to_read", SENDFILE, sendfile_leaves_it_to_read),
        trial("sizes_do_not_mislead", MEMORY, sizes_do_not_mislead),
        trial("writing_is_refused", &[Need::Container], writing_is_refused),
        trial("an_ordinary_user_may_read", MEMORY, an_ordinary_user_may_read),
        trial(
            "every_file_has_text_at_the_first_read",
            MEMORY,
            every_file_has_text_at_the_first_read,
        ),
        alone("a_containers_first_read_is_quick", QUICK, a_containers_first_read_is_quick),
    ]
}

/// Runs a shell script in a container of 100 MiB; `$FS` is the tree.
fn in_container(script: &str) -> anyhow::Result<Ran> {
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let tree = daemon::shared()?;
    Ran::new(group.container(&["sh", "-c", script]).env("FS", tree))?.succeeded()
}

fn first_read_is_at_an_offset() -> Verdict {
    // "MemTotal:" has nine bytes; dd seeks and reads once.
    let read = in_container("dd status=none bs=9 skip=1 count=2 if=$FS/proc/meminfo")?;
    read.equal("bytes 9 to 27", &read.stdout.as_str(), &"         102400 kB")
}

fn one_byte_at_a_time() -> Verdict {
    let read = in_container("dd status=none bs=1 if=$FS/proc/meminfo; echo; cat $FS/proc/meminfo")?;
    let lines: Vec<&str> = read.stdout.split("\n\n").collect();
    let [bytewise, whole] = lines.as_slice() else {
        anyhow::bail!("there are not two texts\n{read}");
    };
    let keys = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    read.equal("the lines", &keys(bytewise), &keys(whole))?;
    read.holds("MemTotal is whole", bytewise.starts_with("MemTotal:         102400 kB\n"))
}

fn reading_past_the_end() -> Verdict {
    let read =
        in_container("dd status=none bs=1000000 skip=1 count=1 if=$FS/proc/meminfo | wc -c")?;
    read.equal("bytes there", &read.number::<u64>()?, &0)
}

fn mode_and_owner_are_the_kernels() -> Verdict {
    for file in FILES {
        let ours = std::fs::metadata(daemon::shared()?.join(file))?;
        let kernels = std::fs::metadata(format!("/{file}"))?;
        let facts = |file: &std::fs::Metadata| (file.permissions().mode(), file.uid(), file.gid());
        anyhow::ensure!(
            facts(&ours) == facts(&kernels),
            "mode, owner and group of {file}: {:?}, expected {:?}",
            facts(&ours),
            facts(&kernels)
        );
        // A size that is no more than one read is no size to a program; 0 would be
        // the end of the file to sendfile(2).
        anyhow::ensure!(
            ours.len() > 0 && ours.len() <= ours.blksize(),
            "size of {file}: {}, read at once: {}",
            ours.len(),
            ours.blksize()
        );
    }
    Ok(())
}

/// `cat` of busybox sends, and reads when it cannot. What one container reads
/// must not stay in the page cache for the next one.
fn sendfile_leaves_it_to_read() -> Verdict {
    for file in speed::tried(FILES) {
        let sent = in_container(&format!("busybox cat $FS/{file} | wc -l; wc -l <$FS/{file}"))?;
        let lines: Vec<&str> = sent.stdout.split_whitespace().collect();
        let [sent_lines, read_lines] = lines.as_slice() else {
            anyhow::bail!("there are not two numbers\n{sent}");
        };
        sent.equal(&format!("lines of {file}"), sent_lines, read_lines)?;
        sent.holds("there are lines", *sent_lines != "0")?;
    }
    Ok(())
}

/// Programs that look at the size first find the same text as those that read.
fn sizes_do_not_mislead() -> Verdict {
    let script = "cd $FS/proc; cp meminfo /tmp/copy.$$; grep -c . </tmp/copy.$$; rm /tmp/copy.$$
        grep -c . meminfo; tail -n +1 meminfo | wc -l; tail -c 4 meminfo; wc -c <swaps";
    let sized = in_container(script)?;
    let lines: Vec<&str> = sized.stdout.lines().collect();
    let [copied, grepped, tailed, last, bytes] = lines.as_slice() else {
        anyhow::bail!("there are not five lines\n{sized}");
    };
    sized.equal("lines copied and lines grepped", copied, grepped)?;
    sized.equal("lines of tail", tailed, grepped)?;
    sized.equal("the last bytes", last, &" kB")?;
    sized.holds("swaps has its heading", bytes.parse::<u64>()? > 0)
}

fn writing_is_refused() -> Verdict {
    for file in FILES {
        let path = daemon::shared()?.join(file);
        let opened = std::fs::OpenOptions::new().write(true).open(&path);
        anyhow::ensure!(opened.is_err(), "{} can be opened for writing", path.display());
    }
    Ok(())
}

fn an_ordinary_user_may_read() -> Verdict {
    let read =
        in_container("setpriv --reuid 65534 --regid 65534 --clear-groups cat $FS/proc/meminfo")?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))
}

/// A fresh container's very first read of each file: never empty, never all zero.
fn every_file_has_text_at_the_first_read() -> Verdict {
    for file in FILES {
        let read = in_container(&format!("cat $FS/{file}"))?;
        read.holds("it ends with a line end", read.stdout.ends_with('\n'))?;
        if *file == "proc/stat" {
            let total = read.find("cpu line", |text| {
                let fields = text.lines().next()?.split_ascii_whitespace().skip(1);
                Some(fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
            })?;
            read.holds("the times of stat are not all zero", total > 0)?;
        }
    }
    Ok(())
}

/// Microseconds that a container's very first read takes where two processes are made
/// for it, when nothing else runs: the quickest that was seen of lxcfs.
const SLOW: u64 = 1600;

/// How many containers are tried: on a busy machine one of them meets a quiet moment.
const CONTAINERS: usize = 15;

fn a_containers_first_read_is_quick() -> Verdict {
    const SCRIPT: &str = "\
import os, time
begin = time.monotonic_ns()
open(os.environ['FS'] + '/proc/meminfo').read()
print((time.monotonic_ns() - begin) // 1000)";
    let script = format!("/usr/bin/python3 -c \"{SCRIPT}\"");
    let times = (0..CONTAINERS).map(|_container| in_container(&script)?.number::<u64>());
    let times = times.collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(
        times.iter().any(|time| *time < SLOW),
        "microseconds of first reads: {times:?}"
    );
    Ok(())
}
