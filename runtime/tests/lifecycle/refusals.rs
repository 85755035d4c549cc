//! Bad input: one line, exit code 125, and nothing left behind.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Result;
use libtest_mimic::Trial;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::pipe2;
use support::needs::online_cpus;
use support::{Ran, Verdict, trial};

use crate::engine::{Engine, ROOT, program, until};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("what_cannot_be_is_refused_in_one_line", ROOT, what_cannot_be_is_refused_in_one_line),
        trial("a_name_in_use_is_refused", ROOT, a_name_in_use_is_refused),
        trial("no_daemon_and_no_program_for_it", ROOT, no_daemon_and_no_program_for_it),
        trial("only_root_can_start_containers", ROOT, only_root_can_start_containers),
        trial("a_full_disk_leaves_nothing", ROOT, a_full_disk_leaves_nothing),
        trial("output_that_fills_the_disk", ROOT, output_that_fills_the_disk),
        trial("an_answer_that_cannot_be_written", ROOT, an_answer_that_cannot_be_written),
        trial("cve_2019_5736_our_program_stays_as_it_is", ROOT, cve_2019_5736_our_program_stays),
    ]
}

/// Fails unless `options` are refused with `message`.
fn check(engine: &Engine, options: &[&str], message: &str) -> Verdict {
    let ran = engine.run(options, &["true"])?;
    ran.equal("exit code", &ran.status, &Some(125))?;
    ran.equal("output", &ran.stdout.as_str(), &"")?;
    ran.equal("message", &ran.stderr.as_str(), &format!("porthole: {message}\n").as_str())?;
    engine.is_empty(&[])
}

fn what_cannot_be_is_refused_in_one_line() -> Verdict {
    let engine = Engine::new()?;
    let cpus = online_cpus();
    let has = if cpus == 1 { "1 CPU".to_owned() } else { format!("{cpus} CPUs") };
    let all = if cpus == 1 { "0".to_owned() } else { format!("0-{}", cpus - 1) };
    let table: [(&[&str], String); 9] = [
        (
            &["-m", "4"],
            "-m 4: 4 bytes is too little for a container, the least is 6m (did you mean 4g?)".into(),
        ),
        (
            &["--cpus", "0"],
            "--cpus 0: a container needs at least 0.01 of a CPU (leave the option out for no limit)"
                .into(),
        ),
        (&["--cpus", "99"], format!("--cpus 99: this machine has {has} (give at most {cpus})")),
        (
            &["--cpuset-cpus", "4096"],
            format!("--cpuset-cpus 4096: this machine has no CPU 4096 (it has {all})"),
        ),
        (
            &["--rootfs", "/no/such"],
            "--rootfs /no/such: no such file or directory (give a folder with a root file system, or leave the option out to borrow this machine's programs)".into(),
        ),
        (
            &["-v", "/no/such:/x"],
            "-v /no/such: no such file or directory (make it first: mkdir -p /no/such)".into(),
        ),
        (
            &["-u", "4294967295"],
            "cannot become user 4294967295: there is no such number (0 to 4294967294)".into(),
        ),
        (
            &["-u", "0:-1"],
            "cannot become group -1: there is no such number (0 to 4294967294)".into(),
        ),
        (
            &["--colour"],
            "command line: unexpected argument '--colour' found (see: porthole run --help)".into(),
        ),
    ];
    table.iter().try_for_each(|(options, message)| check(&engine, options, message))
}

fn a_name_in_use_is_refused() -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(&["--name", "web"], &["sleep", "600"])?;
    let refused = engine.run(&["--name", "web"], &["true"])?;
    refused.equal("exit code", &refused.status, &Some(125))?;
    refused.equal(
        "message",
        &refused.stderr,
        &format!(
            "porthole: --name web: container {} has it already (remove that one with: porthole rm -f web, or choose another name)\n",
            &id[..12]
        ),
    )?;
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[&id])
}

fn no_daemon_and_no_program_for_it() -> Verdict {
    let engine = Engine::new()?;
    // A copy in a folder of its own has no portholefs beside it.
    let folder = tempfile::tempdir()?;
    let alone = folder.path().join("porthole");
    std::fs::copy(program(), &alone)?;
    let mount_point = folder.path().join("fs");
    let mut command = std::process::Command::new(alone);
    command.args(["run", "--view"]).arg(&mount_point).args(["--", "true"]);
    command.env("PATH", "").env("PORTHOLE_STATE_DIR", engine.state_dir());
    let ran = support::Ran::new(&mut command)?;
    ran.equal("exit code", &ran.status, &Some(125))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: the portholefs program is neither beside porthole nor in PATH (install it, or use --no-view to go without)\n",
    )?;
    engine.is_empty(&[])
}

fn only_root_can_start_containers() -> Verdict {
    let folder = tempfile::tempdir()?;
    // Somewhere that everybody may execute it.
    let path = folder.path().join("porthole");
    std::fs::copy(program(), &path)?;
    let mut open = std::process::Command::new("chmod");
    support::Ran::new(open.arg("0755").arg(folder.path()).arg(&path))?.succeeded()?;
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(path);
    let ran = support::Ran::new(command.args(["run", "--", "true"]))?;
    ran.equal("exit code", &ran.status, &Some(125))?;
    ran.equal(
        "message",
        &ran.stderr.as_str(),
        &"porthole: only root can start containers (try: sudo porthole ...)\n",
    )
}

/// A state directory on a small file system, unmounted when done with.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: PathBuf, size: &str) -> Result<Self> {
        std::fs::create_dir(&folder)?;
        let tmpfs = Some("tmpfs");
        let options = format!("size={size},mode=700");
        mount(tmpfs, &folder, tmpfs, MsFlags::empty(), Some(options.as_str()))?;
        Ok(Self(folder))
    }

    /// Room for a folder and an empty file, and for no more.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.0.join("fill"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// The folder of a container whose state could not be written stayed.
fn a_full_disk_leaves_nothing() -> Verdict {
    let engine = Engine::new()?;
    let disk = SmallDisk::at(engine.state_dir(), "16k")?;
    disk.fill()?;
    let ran = engine.run(&[], &["true"])?;
    ran.equal("exit code", &ran.status, &Some(125))?;
    ran.holds("the reason is said", ran.stderr.contains("no space left on device"))?;
    engine.is_empty(&[])
}

/// The end of a container whose output had filled the disk could not be written:
/// it was said to run for ever, and could not even be removed.
fn output_that_fills_the_disk() -> Verdict {
    let engine = Engine::new()?;
    let _disk = SmallDisk::at(engine.state_dir(), "200k")?;
    let id = engine.start(&["--name", "loud"], &["sh", "-c", "yes | head -c 1000000; exit 3"])?;
    until("it ends", || {
        let listed = engine.ask(&["ps", "-a"]).ok()?;
        listed.stdout.contains("Exited (3)").then_some(())
    })?;
    let logs = engine.ask(&["logs", "loud"])?.succeeded()?;
    logs.holds("its beginning is kept", logs.stdout.starts_with("y\ny\n"))?;
    engine.ask(&["rm", "loud"])?.succeeded()?;
    engine.is_empty(&[&id])
}

fn an_answer_that_cannot_be_written() -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(&["--name", "web"], &["echo", "hello"])?;
    let label = "web";
    for (words, object) in
        [(&["ps", "-a"][..], "standard output"), (&["logs", "-f", label], "output of web")]
    {
        let mut command = engine.command(words);
        let full = File::options().write(true).open("/dev/full")?;
        let ended = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output()?;
        let ran = Ran::of(format!("{command:?} >/dev/full"), &ended);
        ran.equal("exit code", &ran.status, &Some(125))?;
        let message = format!("porthole: {object}: no space left on device\n");
        ran.equal("message", &ran.stderr, &message)?;
    }
    engine.ask(&["rm", "-f", "web"])?.succeeded()?;
    engine.is_empty(&[&id])
}

/// A program of the image that is our own, by way of `/proc/self/exe`: what it
/// was executed from is the host's, and must not be written to from inside.
fn cve_2019_5736_our_program_stays() -> Verdict {
    const OVERWRITE: &str = "for process in /proc/[0-9]*; do
        case $(readlink $process/exe) in
            */sleep | */dash | '') ;;
            *) echo found; : > $process/exe ;;
        esac
    done";
    let engine = Engine::new()?;
    // Closed: a file that is open for writing cannot be executed.
    let script = tempfile::NamedTempFile::new()?.into_temp_path();
    std::fs::write(&script, "#!/proc/self/exe\n")?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let volume = format!("{}:/ours:ro", script.display());
    let id = engine.start(&["-v", &volume], &["sleep", "600"])?;

    // What it has to say does not fit into a full pipe: so it stays.
    let (blocked, full) = full_pipe()?;
    let mut command = engine.command(&["exec", &id, "/ours"]);
    let mut ours = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full).spawn()?;
    let overwritten = until("our program runs inside", || {
        let ran = engine.ask(&["exec", &id, "sh", "-c", OVERWRITE]).ok()?;
        ran.stdout.contains("found").then_some(ran)
    })?;
    overwritten
        .holds("it cannot be written to", overwritten.stderr.contains("Read-only file system"))?;
    drop(blocked);
    ours.wait()?;
    engine.ask(&["rm", "-f", &id])?.succeeded()?;
    engine.is_empty(&[&id])
}

/// Both ends of a pipe that takes no more.
fn full_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let mut writer = File::from(write);
    while writer.write(&[0; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((read, writer.into()))
}
