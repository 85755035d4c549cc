//! The commands with which the daemon's processes start each other; hidden from `--help`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{CommonArgs, ServeArgs, announcement, done, failed_with_hint};
use crate::answer::answerer::{self, AnswererOptions};
use crate::config::{Settings, door_socket, metrics_socket};
use crate::daemon::command_lines::Words;
use crate::daemon::{calls, memory, mount_point, worker_group};
use crate::fuse::worker::{self, WorkerOptions};
use crate::inject;
use crate::keeper;
use crate::shared::counters::Counters;
use crate::shared::descriptors;
use crate::sys::{allocator, descriptor, shared_memory};

/// A process of the daemon.
#[derive(Debug, Subcommand)]
pub(super) enum Process {
    /// The process that holds the mount; started by serve.
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// A process that answers reads; started by the keeper.
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Unmount what is ours; started by the keeper.
    #[command(hide = true)]
    Unmount(ChildArgs),
    /// Replace dead files in running containers; started by the keeper.
    #[command(hide = true)]
    Heal(ChildArgs),
    /// The process that holds listeners for system calls; started by porthole.
    #[command(hide = true)]
    Holder(ServeArgs),
    /// A process that answers system calls; started by the holder.
    #[command(hide = true)]
    Answerer(AnswererArgs),
}

#[derive(Debug, Args)]
pub(super) struct KeeperArgs {
    mount_point: PathBuf,
    #[arg(long)]
    program: PathBuf,
    #[arg(long)]
    keep: bool,
    #[arg(long)]
    announce: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[arg(long)]
    bank: usize,
    #[arg(long)]
    fallback: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct ChildArgs {
    mount_point: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct AnswererArgs {
    mount_point: PathBuf,
    #[arg(long)]
    fallback: bool,
    #[command(flatten)]
    common: CommonArgs,
}

impl Process {
    /// Becomes it.
    pub(super) fn run(self) -> ExitCode {
        // What understood the command line was large, and these processes live long.
        allocator::give_back();
        match self {
            Self::Keeper(args) => keeper(args),
            Self::Worker(args) => worker(args),
            Self::Unmount(args) => unmount(&args),
            Self::Heal(args) => heal(&args),
            Self::Holder(args) => holder(&args),
            Self::Answerer(args) => answerer(&args),
        }
    }
}

fn keeper(args: KeeperArgs) -> ExitCode {
    let common = args.common.words();
    let KeeperArgs { mount_point, program, keep, announce, .. } = args;
    let words = Words { program, mount_point, common, keep, announce };
    done(words.plan().and_then(keeper::run))
}

fn worker(args: WorkerArgs) -> ExitCode {
    args.common.start();
    let WorkerArgs { bank, fallback, common } = args;
    let fresh = Duration::from_millis(common.fresh);
    let (settings, rehearsals) = (Settings { fresh, ..Settings::default() }, common.rehearse);
    done(worker::run(WorkerOptions { bank, fallback, settings, rehearsals }))
}

fn holder(args: &ServeArgs) -> ExitCode {
    let announcement = match announcement(args) {
        Ok(announcement) => announcement,
        Err(code) => return code,
    };
    args.common.start();
    let log_file = args.log_file.as_deref();
    done(calls::hold(&args.mount_point, args.common.words(), announcement, log_file))
}

fn heal(args: &ChildArgs) -> ExitCode {
    args.common.start();
    let counters = session_counters();
    let_go_of_the_session();
    calls::renew(&args.mount_point);
    worker_group::remove_abandoned();
    let healed = inject::heal(&args.mount_point);
    if let Ok(counters) = counters {
        counters.healed_mounts.add(healed as u64);
    }
    ExitCode::SUCCESS
}

fn answerer(args: &AnswererArgs) -> ExitCode {
    args.common.start();
    let (fallback, settings) = (args.fallback, Settings::default());
    let daemon = memory::beside(&args.mount_point);
    done(answerer::run(AnswererOptions { fallback, settings, daemon }))
}

fn unmount(args: &ChildArgs) -> ExitCode {
    args.common.start();
    let_go_of_the_session();
    worker_group::remove(std::os::unix::process::parent_id());
    calls::let_end(&args.mount_point);
    match mount_point::clear(&args.mount_point) {
        Ok(()) => {
            for socket in [metrics_socket(&args.mount_point), door_socket(&args.mount_point)] {
                let _not_there = fs::remove_file(socket);
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed_with_hint(&error),
    }
}

/// What is counted in the memory that the keeper left open.
fn session_counters() -> io::Result<&'static Counters> {
    Ok(&shared_memory::map(descriptor::borrowed(descriptors::MEMORY)?)?.counters)
}

/// Whoever holds the session and looks below its mount may wait for itself.
fn let_go_of_the_session() {
    descriptor::close(descriptors::of_workers());
}
