//! The numbers at which the keeper and its workers find their descriptors.
//!
//! Fixed numbers pass through exec without arguments, and let a new keeper copy
//! them out of a worker whose keeper was killed.

use std::os::fd::RawFd;

use crate::shared::slots::{BANKS, SLOTS};

/// The memfd with [`Shared`](crate::shared::Shared).
pub const MEMORY: RawFd = 100;

/// The timer that watches for hung workers: armed by workers, read by the keeper.
pub const WATCH: RawFd = 101;

/// An eventfd that workers write when their state has changed.
pub const KEEPER_WAKE: RawFd = 102;

/// The lock file; the keeper's alone.
pub const LOCK: RawFd = 103;

/// The service manager's socket, where there is one; the keeper's alone.
pub const NOTIFY: RawFd = 104;

/// The program file to start workers from; the keeper's alone.
pub const PROGRAM: RawFd = 105;

/// The file of fusectl that ends the session; the keeper's alone.
pub const ABORT: RawFd = 106;

/// `cgroup.procs` of the workers' group: writing 0 to it enters. Missing where there
/// is no such group.
pub const GROUP: RawFd = 107;

/// The socket on which workers tell metrics. Missing where it could not be made.
pub const METRICS: RawFd = 108;

/// The TCP port likewise; missing where none was asked for.
pub const METRICS_PORT: RawFd = 109;

/// An eventfd for each bank, which the keeper writes when the worker has
/// something to do.
pub const WORKER_WAKE: [RawFd; BANKS] = [110, 111, 112, 113, 114, 115, 116, 117];

/// The session's descriptor of `/dev/fuse` and its clones, one for each thread
/// of a worker.
pub const DEVICES: [RawFd; SLOTS] = [120, 121, 122, 123];

/// Every descriptor that workers have too.
pub fn of_workers() -> impl Iterator<Item = RawFd> {
    let one_each = [MEMORY, WATCH, KEEPER_WAKE, METRICS, METRICS_PORT];
    one_each.into_iter().chain(WORKER_WAKE).chain(DEVICES)
}

/// True for one of [those](of_workers) that a daemon may do without: on a machine with one
/// CPU there is one device.
pub fn is_optional(number: RawFd) -> bool {
    [METRICS, METRICS_PORT].contains(&number) || DEVICES.iter().skip(1).any(|one| *one == number)
}

/// What the service manager keeps, so that a session can be continued when all of its
/// processes were killed: what they wait for readers with, and what they had read.
pub const STORED: [Stored; 1 + SLOTS] = [
    Stored { number: MEMORY, name: "memory", forget: b"FDSTOREREMOVE=1\nFDNAME=memory" },
    Stored { number: DEVICES[0], name: "device-0", forget: b"FDSTOREREMOVE=1\nFDNAME=device-0" },
    Stored { number: DEVICES[1], name: "device-1", forget: b"FDSTOREREMOVE=1\nFDNAME=device-1" },
    Stored { number: DEVICES[2], name: "device-2", forget: b"FDSTOREREMOVE=1\nFDNAME=device-2" },
    Stored { number: DEVICES[3], name: "device-3", forget: b"FDSTOREREMOVE=1\nFDNAME=device-3" },
];

/// A descriptor that the service manager keeps.
#[derive(Debug)]
pub struct Stored {
    /// Its number in the daemon's processes.
    pub number: RawFd,
    /// Its name for the service manager.
    pub name: &'static str,
    /// The message that has the service manager close it.
    pub forget: &'static [u8],
}
