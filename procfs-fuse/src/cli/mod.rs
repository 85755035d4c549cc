//! The command line of `portholefs`.
//!
//! Arguments become calls of `daemon`; errors become one line and an exit code.
//! Nothing is decided here.

mod processes;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, value_parser};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::capture::{self, CaptureError};
use crate::daemon::background::{self, Announcement};
use crate::daemon::command_lines::Words;
use crate::daemon::{
    self, Hint, ServeOptions, calls, doctor, health, lock, memory, mount_point, overview, upgrade,
};
use crate::fuse::rehearsal::Rehearsal;
use crate::inject::{self, Order};
use crate::metrics::exposition;

use crate::{explain, log};
use processes::Process;

/// Where the tree is mounted unless the command line says otherwise.
pub const DEFAULT_MOUNT_POINT: &str = "/var/lib/porthole/fs";

const AFTER_HELP: &str = "\
Examples:
  portholefs                              serve at /var/lib/porthole/fs
  portholefs serve --daemon               the same, in the background
  portholefs capture --pid 4711 /tmp/c    what process 4711 sees, as a folder
  portholefs render --from /tmp/c /proc/meminfo
  portholefs doctor                       what is wrong on this machine
  portholefs explain --pid 4711 /proc/meminfo
                                          where each of its numbers comes from
  portholefs status --json                which processes serve, how often they changed
  portholefs upgrade                      continue as the version now installed
  portholefs inject --pid 4242            every file in a container that runs
  docker run -m 512m -v /var/lib/porthole/fs/proc/meminfo:/proc/meminfo:ro ...
                                          one file in one container by hand
  porthole run -m 512m --cpus 1 -- top    every file, by porthole

What is mounted:
  /var/lib/porthole/fs/proc/*             bind each file over /proc/*
  /var/lib/porthole/fs/sys/*              bind each file over /sys/*

Exit codes:
  0  done; for health: reads are answered; for doctor: nothing is wrong
  1  failed; one line on standard error says why and what to try
  2  the command line was not understood";

/// Serves /proc and /sys files that tell each container its own size.
#[derive(Debug, Parser)]
#[command(name = "portholefs", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount and serve until SIGTERM or SIGINT, then unmount.
    Serve(ServeArgs),
    /// Say which process serves a mount point, and what it keeps.
    Status(StatusArgs),
    /// Read one file through the mount; exit code 0 when it is answered in time.
    Health(HealthArgs),
    /// Say what this machine lacks, and the command that mends it.
    Doctor(StatusArgs),
    /// Write what was counted, as Prometheus reads it.
    Metrics(MetricsArgs),
    /// Keep what is read for one process in a folder: a machine to render again.
    Capture(CaptureArgs),
    /// Say where each number of a file comes from.
    Explain(ExplainArgs),
    /// Show what the process of a capture sees.
    Render(RenderArgs),
    /// Mount the files into containers that run already.
    Inject(InjectArgs),
    /// Continue as the installed version; no reader notices.
    Upgrade(UpgradeArgs),
    #[command(flatten)]
    Process(Process),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Directory to mount on; made when it is missing.
    #[arg(default_value = DEFAULT_MOUNT_POINT, value_parser = path_to_mount_on)]
    mount_point: PathBuf,
    /// Go to the background; return when reads are answered.
    #[arg(long)]
    daemon: bool,
    /// Append log lines to this file; with --daemon they are dropped otherwise.
    #[arg(long, value_name = "FILE", requires = "daemon")]
    log_file: Option<PathBuf>,
    /// On SIGTERM leave the mount and its worker to the next daemon, which
    /// continues them.
    #[arg(long)]
    keep: bool,
    /// Tell metrics on a TCP port too; on loopback unless an address is given.
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = port_to_listen_on)]
    metrics_tcp: Option<SocketAddr>,
    #[command(flatten)]
    common: CommonArgs,
    /// Set by --daemon for the process that stays.
    #[arg(long, hide = true)]
    announce: bool,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// How a log line is written.
    #[arg(long, value_enum, default_value_t)]
    log_format: log::Format,
    /// The least important level that is written.
    #[arg(long, value_enum, default_value_t)]
    log_level: log::Level,
    /// How long the kernel may answer with the same meminfo in a container of porthole
    /// run, in milliseconds; 0: it asks each time.
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = value_parser!(u64).range(..=1000))]
    fresh: u64,
    /// Fail on purpose, to see that no reader notices: crash, hang or slow with
    /// a file that a container reads, refuse with a file that keeps workers from
    /// starting.
    #[arg(long, value_name = "FAULT=FILE", hide_short_help = true)]
    rehearse: Vec<Rehearsal>,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// The mount point to ask about.
    #[arg(default_value = DEFAULT_MOUNT_POINT)]
    mount_point: PathBuf,
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct MetricsArgs {
    /// The mount point whose daemon is asked about.
    #[arg(default_value = DEFAULT_MOUNT_POINT)]
    mount_point: PathBuf,
}

#[derive(Debug, Args)]
struct HealthArgs {
    /// The mount point to read through.
    #[arg(default_value = DEFAULT_MOUNT_POINT)]
    mount_point: PathBuf,
    /// How long a read may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = value_parser!(u64).range(1..))]
    timeout: u64,
    /// Set for the process that does the read, with the file to read.
    #[arg(long, hide = true, value_name = "FILE")]
    probe: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CaptureArgs {
    /// Whose view to keep; the calling process by default.
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// A folder to make.
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// Whose view to explain; the calling process by default.
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// A capture, to explain what its process saw.
    #[arg(long, value_name = "DIR", conflicts_with = "pid")]
    from: Option<PathBuf>,
    /// A file such as /proc/meminfo.
    file: String,
}

#[derive(Debug, Args)]
struct RenderArgs {
    /// The folder of a capture.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// A file such as /proc/meminfo; without it, the names of all of them.
    file: Option<String>,
}

#[derive(Debug, Args)]
#[group(id = "containers", required = true, multiple = false)]
struct InjectWhere {
    /// Give the container of this process every file that it has not.
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
    /// In all containers, replace files of a daemon that has died.
    #[arg(long)]
    all: bool,
    /// Set for the process that asks whether mounts are dead, with its parent's
    /// open files.
    #[arg(long, hide = true, value_name = "FD", value_delimiter = ',')]
    probe: Vec<i32>,
}

#[derive(Debug, Args)]
struct InjectArgs {
    #[command(flatten)]
    containers: InjectWhere,
    /// Where the daemon has mounted the files.
    #[arg(long, value_name = "MOUNTPOINT", default_value = DEFAULT_MOUNT_POINT)]
    from: PathBuf,
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
    /// Set by the daemon: end when the process that started this one does.
    #[arg(long, hide = true)]
    with_parent: bool,
}

#[derive(Debug, Args)]
struct UpgradeArgs {
    /// The mount point whose daemon is upgraded.
    #[arg(default_value = DEFAULT_MOUNT_POINT)]
    mount_point: PathBuf,
}

/// The command line's description, for the manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// A mount point has a slash in it: without one, a misspelt command would become a
/// directory with a file system on it.
fn path_to_mount_on(word: &str) -> Result<PathBuf, String> {
    if word.contains('/') {
        return Ok(PathBuf::from(word));
    }
    Err(format!("no command of this name; for a directory write ./{word}"))
}

/// A port alone is one that nobody else on the network reaches.
fn port_to_listen_on(word: &str) -> Result<SocketAddr, String> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port = word.parse().map(loopback).or_else(|_no_number| word.parse());
    port.map_err(|_no_address| "not a port, such as 9345, or an address with one".to_owned())
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(&args),
        Command::Status(args) => status(&args),
        Command::Doctor(args) => doctor(&args),
        Command::Metrics(args) => metrics(&args),
        Command::Health(args) => health(&args),
        Command::Capture(args) => capture(&args),
        Command::Explain(args) => explain(&args),
        Command::Render(args) => render(&args),
        Command::Inject(args) => inject(&args),
        Command::Upgrade(args) => upgrade(&args),
        Command::Process(process) => process.run(),
    }
}

/// Whom to tell; or the exit code, when this command has started itself again.
fn announcement(args: &ServeArgs) -> Result<Announcement, ExitCode> {
    match (args.daemon, args.announce) {
        (true, false) => Err(background::start().unwrap_or_else(failed)),
        (_, true) => Ok(Announcement::ToParent),
        (false, false) => Ok(Announcement::None),
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let announcement = match announcement(args) {
        Ok(announcement) => announcement,
        Err(code) => return code,
    };
    args.common.start();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(error),
    };
    let options = ServeOptions {
        announcement,
        log_file: args.log_file.as_ref().and_then(|path| std::path::absolute(path).ok()),
        metrics_port: args.metrics_tcp,
        words: Words {
            program,
            mount_point: args.mount_point.clone(),
            common: args.common.words(),
            keep: args.keep,
            announce: args.announce,
        },
    };
    match daemon::serve(options) {
        Ok(never) => match never {},
        Err(error) => failed_with_hint(&error),
    }
}

fn upgrade(args: &UpgradeArgs) -> ExitCode {
    let mount_point = match mount_point::located(&args.mount_point) {
        Ok(mount_point) => mount_point,
        Err(error) => return failed_with_hint(&error),
    };
    match upgrade::upgrade(&mount_point) {
        Ok(status) => {
            calls::renew(&mount_point);
            print(&status)
        }
        Err(error) => failed_with_hint(&error),
    }
}

fn status(args: &StatusArgs) -> ExitCode {
    let overview = match mount_point::located(&args.mount_point) {
        Ok(mount_point) => overview::of(&mount_point),
        Err(error) => return failed_with_hint(&error),
    };
    let overview = match overview {
        Ok(overview) => overview,
        Err(error) => return failed_with_hint(&error),
    };
    if !args.json {
        return print(&overview);
    }
    match serde_json::to_string(&overview) {
        Ok(json) => print(&json),
        Err(error) => failed(error),
    }
}

fn doctor(args: &StatusArgs) -> ExitCode {
    let mount_point = match mount_point::located(&args.mount_point) {
        Ok(mount_point) => mount_point,
        Err(error) => return failed_with_hint(&error),
    };
    let diagnosis = doctor::examine(&mount_point);
    let printed = match args.json {
        true => serde_json::to_string(&diagnosis).map_or_else(failed, |json| print(&json)),
        false => print(&diagnosis),
    };
    if diagnosis.is_well() { printed } else { ExitCode::FAILURE }
}

fn metrics(args: &MetricsArgs) -> ExitCode {
    let status = match mount_point::located(&args.mount_point) {
        Ok(mount_point) => lock::last_status(&mount_point),
        Err(error) => return failed_with_hint(&error),
    };
    let status = match status {
        Ok(status) => status,
        Err(error) => return failed_with_hint(&error),
    };
    match memory::of(&status) {
        Ok(shared) => match exposition::text(shared, status.keeper_pid) {
            Ok(text) => write!(io::stdout(), "{text}").map_or_else(failed, |()| ExitCode::SUCCESS),
            Err(error) => failed(error),
        },
        Err(error) => failed_with_hint(&error),
    }
}

fn health(args: &HealthArgs) -> ExitCode {
    if let Some(path) = &args.probe {
        return health::probe(path).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    let limit = Duration::from_millis(args.timeout);
    let mount_point = match mount_point::located(&args.mount_point) {
        Ok(mount_point) => mount_point,
        Err(error) => return failed_with_hint(&error),
    };
    match health::check(&mount_point, limit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed_with_hint(&error),
    }
}

fn capture(args: &CaptureArgs) -> ExitCode {
    let reader = args.pid.unwrap_or_else(std::os::unix::process::parent_id);
    match capture::take(Path::new("/"), reader, &args.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed_with_hint(&error),
    }
}

fn explain(args: &ExplainArgs) -> ExitCode {
    let pid = || args.pid.unwrap_or_else(std::os::unix::process::parent_id);
    let explained = match &args.from {
        Some(dir) => explain::capture(dir, &args.file),
        None => explain::process(pid(), &args.file),
    };
    explained.map_or_else(|error| failed_with_hint(&error), |explanation| print(&explanation))
}

fn render(args: &RenderArgs) -> ExitCode {
    let Some(file) = &args.file else {
        return match capture::files(&args.from) {
            Ok(files) => print(&files.join("\n")),
            Err(error) => failed_with_hint(&error),
        };
    };
    match capture::render(&args.from, file) {
        Ok(text) => write!(io::stdout(), "{text}").map_or_else(failed, |()| ExitCode::SUCCESS),
        Err(error) => failed_with_hint(&error),
    }
}

impl Hint for CaptureError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

fn inject(args: &InjectArgs) -> ExitCode {
    let InjectWhere { pid, probe, .. } = &args.containers;
    if !probe.is_empty() {
        return inject::answer(probe).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    if args.with_parent
        && let Err(errno) = prctl::set_pdeathsig(Signal::SIGKILL)
    {
        return failed(errno);
    }
    let order = pid.map_or(Order::Heal, |pid| Order::Fill(Pid::from_raw(pid)));
    let mount_point = match mount_point::located(&args.from) {
        Ok(mount_point) => mount_point,
        Err(error) => return failed_with_hint(&error),
    };
    if let Err(error) = lock::status(&mount_point) {
        return failed_with_hint(&error);
    }
    let report = match inject::run(&order, &mount_point) {
        Ok(report) => report,
        Err(error) => return failed_with_hint(&error),
    };
    let printed = match args.json {
        true => serde_json::to_string(&report).map_or_else(failed, |json| print(&json)),
        false => print(&report),
    };
    if report.is_complete() { printed } else { ExitCode::FAILURE }
}

impl CommonArgs {
    fn start(&self) {
        log::start(self.log_format, self.log_level);
    }

    /// The same, as arguments for another process.
    fn words(&self) -> Vec<OsString> {
        let name = |value: Option<PossibleValue>| {
            value.map_or_else(OsString::new, |value| OsString::from(value.get_name()))
        };
        let mut words = vec![
            "--log-format".into(),
            name(self.log_format.to_possible_value()),
            "--log-level".into(),
            name(self.log_level.to_possible_value()),
        ];
        words.extend(["--fresh".into(), self.fresh.to_string().into()]);
        for rehearsal in &self.rehearse {
            words.extend(["--rehearse".into(), rehearsal.to_string().into()]);
        }
        words
    }
}

fn done(result: io::Result<()>) -> ExitCode {
    result.map_or_else(failed, |()| ExitCode::SUCCESS)
}

fn print(text: &dyn Display) -> ExitCode {
    writeln!(io::stdout(), "{text}").map_or_else(failed, |()| ExitCode::SUCCESS)
}

fn failed_with_hint(error: &dyn Hint) -> ExitCode {
    failed(daemon::one_line(error))
}

fn failed(message: impl Display) -> ExitCode {
    // Nobody is left to tell when standard error is closed too.
    let _closed = writeln!(io::stderr(), "portholefs: {message}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_misspelt_command_is_not_a_mount_point() {
        let error = Cli::try_parse_from(["portholefs", "sttus"]).unwrap_err();
        assert_eq!(
            error.to_string().lines().next(),
            Some(
                "error: invalid value 'sttus' for '[MOUNT_POINT]': no command of this name; for a directory write ./sttus"
            )
        );
        assert!(Cli::try_parse_from(["portholefs", "./sttus"]).is_ok());
    }

    #[test]
    fn no_command_means_serve_at_the_default_place() {
        let cli = Cli::try_parse_from(["portholefs"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.mount_point, PathBuf::from(DEFAULT_MOUNT_POINT));
    }
}
