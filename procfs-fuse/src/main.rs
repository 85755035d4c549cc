//! `portholefs`: the command line of the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    procfs_fuse::cli::run()
}
