//! The numbers at which the keeper and its workers find their descriptors.
//!
//! Fixed numbers pass through exec without arguments, and let a new keeper copy
//! them out of a worker whose keeper was killed.

use std::os::fd::RawFd;

use crate::shared::slots::{BANKS, Realm, SLOTS};

/// A descriptor that the service manager keeps under a name.
macro_rules! stored {
    ($number:expr, $name:literal) => {
        Stored {
            number: $number,
            name: $name,
            forget: concat!("FDSTOREREMOVE=1\nFDNAME=", $name).as_bytes(),
        }
    };
}

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

/// The files of fusectl that end the session of each realm; the keeper's alone.
pub const ABORT: [RawFd; Realm::ALL.len()] = [106, 134, 135];

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

/// Each session's descriptor of `/dev/fuse` and its clones, one for each thread of a
/// worker: four for each [realm](Realm).
pub const DEVICES: [RawFd; SLOTS] = [120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131];

/// The mount namespace in which the private trees are mounted, and nothing else is.
/// Missing where they could not be.
pub const NAMESPACE: RawFd = 132;

/// The socket on which private trees are asked for. Missing where it could not be made.
pub const DOOR: RawFd = 133;

/// Every descriptor that workers have too.
pub fn of_workers() -> impl Iterator<Item = RawFd> {
    let one_each = [MEMORY, WATCH, KEEPER_WAKE, METRICS, METRICS_PORT, NAMESPACE, DOOR];
    one_each.into_iter().chain(WORKER_WAKE).chain(DEVICES)
}

/// True for one of [those](of_workers) that a daemon may do without: on a machine with one
/// CPU there is one device for each realm, and there may be the shared one alone.
pub fn is_optional(number: RawFd) -> bool {
    [METRICS, METRICS_PORT, NAMESPACE, DOOR].contains(&number)
        || DEVICES.iter().skip(1).any(|one| *one == number)
}

/// What the service manager keeps, so that a session can be continued when all of its
/// processes were killed: what they wait for readers with, and what they had read.
pub const STORED: [Stored; 2 + SLOTS] = [
    stored!(MEMORY, "memory"),
    stored!(NAMESPACE, "namespace"),
    stored!(DEVICES[0], "device-0"),
    stored!(DEVICES[1], "device-1"),
    stored!(DEVICES[2], "device-2"),
    stored!(DEVICES[3], "device-3"),
    stored!(DEVICES[4], "device-4"),
    stored!(DEVICES[5], "device-5"),
    stored!(DEVICES[6], "device-6"),
    stored!(DEVICES[7], "device-7"),
    stored!(DEVICES[8], "device-8"),
    stored!(DEVICES[9], "device-9"),
    stored!(DEVICES[10], "device-10"),
    stored!(DEVICES[11], "device-11"),
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
