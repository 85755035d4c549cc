//! What an answerer may do, after it has started: three things, to any process.

use std::io;

use crate::sys::capabilities::{DAC_OVERRIDE, SYS_NICE, SYS_PTRACE, keep};

/// Gives up everything but what answering takes.
///
/// # Errors
///
/// When one of these is not there to be kept.
pub(super) fn give_up() -> io::Result<()> {
    keep(&[
        // Who calls, and from which namespaces.
        SYS_PTRACE,
        // `/proc/TID/mem` of other users. By process_vm_writev(2) it would not be
        // needed; but that goes by a number that may be another process's by then.
        DAC_OVERRIDE,
        // Threads of other users are pinned when they ask for it.
        SYS_NICE,
    ])
}
