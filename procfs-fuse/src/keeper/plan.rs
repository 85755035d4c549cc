//! Everything the keeper needs beside its descriptors, made before it starts.

use std::path::PathBuf;

use crate::shared::slots::BANKS;
use crate::sys::process::CommandLine;

/// What the keeper starts and what it says about itself.
#[derive(Debug)]
pub struct Plan {
    /// Where the program file is looked for when an upgrade is asked for.
    pub program: PathBuf,
    /// The mount point as a JSON string.
    pub mount_point_json: String,
    /// The command lines of a worker in each bank.
    pub workers: [CommandLine; BANKS],
    /// Likewise of the fallback worker.
    pub fallbacks: [CommandLine; BANKS],
    /// The command line of the next version's keeper.
    pub keeper: CommandLine,
    /// The command line of the child that unmounts.
    pub unmount: CommandLine,
    /// The command line of the child that gives running containers live files
    /// for those of a dead daemon.
    pub heal: CommandLine,
    /// SIGTERM leaves the mount to a successor.
    pub keep: bool,
    /// A parent waits on standard output.
    pub announce: bool,
}
