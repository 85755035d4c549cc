//! The words of every command, as clap knows them: texts and switches, with the
//! help that teaches them.
//!
//! Values stay text here, so that a wrong one is refused by `values` in our own
//! words and not in clap's.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "what clap prints as help has words in brackets that are no links"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Where state is kept when nothing else is said.
pub const STATE_DIR: &str = "/run/porthole";

/// Where the daemon is mounted when nothing else is said.
pub const VIEW: &str = "/var/lib/porthole/fs";

const EXAMPLES: &str = "\
Examples:
  porthole run -m 512m --cpus 1 -it -- top        a container of half a GiB and one CPU
  porthole run --name web -d -- my-server         in the background
  porthole logs -f web                            what it prints
  porthole exec -it web -- sh                     a shell beside it
  porthole stop web && porthole rm web            the end of it

Inside, top, free and whatever else reads how big its machine is are told the
size of the container. The files they read come from the portholefs daemon,
which is started when it is not running yet.";

/// A container runtime whose containers see their own size.
#[derive(Debug, Parser)]
#[command(name = "porthole", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Options {
    /// Where the state and output of containers are kept
    #[arg(long, global = true, value_name = "DIR", env = "PORTHOLE_STATE_DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What `porthole` is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command in a new container
    Run(Box<RunOptions>),
    /// Run a command beside the one of a running container
    Exec(ExecOptions),
    /// Change the limits of running containers
    Update(UpdateOptions),
    /// List containers
    Ps(PsOptions),
    /// Print what a container in the background has printed
    Logs(LogsOptions),
    /// Ask containers to end, then end them
    Stop(StopOptions),
    /// Send a signal to the first process of containers
    Kill(KillOptions),
    /// Remove containers that have ended
    Rm(RmOptions),
    /// Print what was decided about a container, as JSON
    Inspect(InspectOptions),
}

const RUN_EXAMPLES: &str = "\
Examples:
  porthole run -m 512m --cpus 1 -it -- top
  porthole run --cpus 1.5 -- getconf _NPROCESSORS_ONLN
  porthole run -v /srv/data:/data:ro -e LANG=C.UTF-8 -- ls /data
  porthole run --rootfs ./alpine -it -- sh

Without --memory-swap a container may swap as much as it has memory.

With no --rootfs the container borrows this machine's programs: /usr read-only,
a fresh minimal /etc, and empty /tmp, /var and /root; nothing it writes is kept.

The exit status is that of the command; 128+N when signal N ended it; 127 when
there is no such command, 126 when it cannot be run, 125 when porthole itself
could not do what it was asked.

With --security-opt seccomp=unconfined and systempaths=unconfined all system calls
are allowed and no file of /proc and /sys is hidden: what sandboxes and rootless
engines need to make containers in the container. no-new-privileges=false lets
programs gain rights by their setuid bit. For commands that you trust.

A container in the foreground without --name is gone when its command ends. With
--name or -d it stays in `porthole ps -a` until `porthole rm`, or use --rm.";

/// The words of `porthole run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunOptions {
    /// The words shared with `porthole update`
    #[command(flatten)]
    pub limits: LimitOptions,

    /// A name for the other commands to use
    #[arg(long, allow_hyphen_values = true)]
    pub name: Option<String>,

    /// Host name inside [default: the first 12 digits of the id]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub hostname: Option<String>,

    /// The words shared with `porthole exec`
    #[command(flatten)]
    pub process: ProcessOptions,

    /// Mount a file or folder of this machine, SOURCE:TARGET[:ro]
    #[arg(short, long = "volume", value_name = "VOLUME")]
    pub volumes: Vec<String>,

    /// Run in the background: print the id, keep the output for `porthole logs`
    #[arg(short, long)]
    pub detach: bool,

    /// Leave nothing behind when the command ends
    #[arg(long)]
    pub rm: bool,

    /// Make the container's root file system read-only
    #[arg(long)]
    pub read_only: bool,

    /// A folder with a root file system, which is not written to
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,

    /// Network: none (loopback alone) or host
    #[arg(long, value_name = "NETWORK", default_value = "none")]
    pub net: String,

    /// Run a small init as process 1, which forwards signals and reaps orphans
    #[arg(long)]
    pub init: bool,

    /// Confine less, for containers in the container (repeatable)
    #[arg(long = "security-opt", value_name = "OPTION", allow_hyphen_values = true)]
    pub security_opts: Vec<String>,

    /// Leave /proc and /sys as the kernel shows them
    #[arg(long)]
    pub no_view: bool,

    /// Leave sysinfo(2) and CPU affinity as the kernel tells them
    #[arg(long, env = "PORTHOLE_NO_SYSCALL_VIEW", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_syscall_view: bool,

    /// Where portholefs is mounted
    #[arg(long, value_name = "DIR", env = "PORTHOLE_VIEW", default_value = VIEW)]
    pub view: PathBuf,

    /// The command, and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// The words about limits, shared by `run` and `update`.
#[derive(Debug, Args)]
pub struct LimitOptions {
    /// Memory the container may use, such as 512m or 1.5g
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Limits")]
    pub memory: Option<String>,

    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Limits")]
    pub memory_swap: Option<String>,

    /// CPUs' worth of time the container may use, such as 1.5
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Limits")]
    pub cpus: Option<String>,

    /// CPUs the container may run on, such as 0-1 or 0,2
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "Limits")]
    pub cpuset_cpus: Option<String>,

    /// Processes and threads the container may have; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Limits")]
    pub pids_limit: Option<String>,
}

/// The words about a process, shared by `run` and `exec`.
#[derive(Debug, Args)]
pub struct ProcessOptions {
    /// Set an environment variable: NAME=VALUE, or NAME alone to pass it on
    #[arg(short, long = "env", value_name = "NAME[=VALUE]", allow_hyphen_values = true)]
    pub env: Vec<String>,

    /// Working directory inside
    #[arg(short, long, value_name = "DIR", allow_hyphen_values = true)]
    pub workdir: Option<String>,

    /// Run as this user of the container, USER[:GROUP]
    #[arg(short, long, allow_hyphen_values = true)]
    pub user: Option<String>,

    /// Pass on standard input
    #[arg(short, long)]
    pub interactive: bool,

    /// Give the command a terminal of its own
    #[arg(short, long)]
    pub tty: bool,
}

/// The words of `porthole exec`.
#[derive(Debug, Args)]
pub struct ExecOptions {
    /// The words shared with `porthole run`
    #[command(flatten)]
    pub process: ProcessOptions,

    /// Name or id of the container
    pub container: String,

    /// The command, and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
}

const UPDATE_EXAMPLES: &str = "\
Examples:
  porthole update -m 1g --cpus 2 web
  porthole update --memory-swap 2g web db

What is not named stays as it is. Programs inside are told the new size at their
next read. A size below what the container holds is refused on cgroup v1; on v2
the kernel makes room, by ending processes if it must.";

/// The words of `porthole update`.
#[derive(Debug, Args)]
#[command(after_help = UPDATE_EXAMPLES)]
pub struct UpdateOptions {
    /// The words shared with `porthole run`
    #[command(flatten)]
    pub limits: LimitOptions,

    /// Names or ids of containers
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// The words of `porthole ps`.
#[derive(Debug, Args)]
pub struct PsOptions {
    /// Also list containers that have ended
    #[arg(short, long)]
    pub all: bool,

    /// Print ids only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,

    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: String,
}

/// The words of `porthole logs`.
#[derive(Debug, Args)]
pub struct LogsOptions {
    /// Go on printing until the container ends
    #[arg(short, long)]
    pub follow: bool,

    /// Name or id of the container
    pub container: String,
}

/// The words of `porthole stop`.
#[derive(Debug, Args)]
pub struct StopOptions {
    /// Seconds to wait after SIGTERM before SIGKILL
    #[arg(short, long, value_name = "SECONDS", default_value = "10", allow_hyphen_values = true)]
    pub time: String,

    /// Names or ids of containers
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// The words of `porthole kill`.
#[derive(Debug, Args)]
pub struct KillOptions {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", allow_hyphen_values = true)]
    pub signal: String,

    /// Names or ids of containers
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// The words of `porthole rm`.
#[derive(Debug, Args)]
pub struct RmOptions {
    /// End running containers first
    #[arg(short, long)]
    pub force: bool,

    /// Names or ids of containers
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// The words of `porthole inspect`.
#[derive(Debug, Args)]
pub struct InspectOptions {
    /// Name or id of the container
    pub container: String,
}
