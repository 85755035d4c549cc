//! Which layout the memory has, and the life of the mount so far.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::shared::slots::{Realm, THREADS};

/// The first word: "porthole" in ASCII.
const MAGIC: u64 = u64::from_be_bytes(*b"porthole");

/// Counts incompatible changes of the header and the banks. Versions that differ
/// in it cannot follow each other: the newer one is refused.
pub const LAYOUT: u64 = 5;

/// Counts incompatible changes of everything after the banks, and of what its words
/// mean. A worker that finds tables of another number begins new ones
/// (docs/decisions/layout.md).
pub const TABLES: u64 = 7;

/// How often the keeper looks for hung workers while requests are in flight.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Facts about the mount; all zero in a new memfd.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Header {
    magic: AtomicU64,
    layout: AtomicU64,
    /// When the tree was mounted, in seconds since 1970.
    pub mounted_at: AtomicU64,
    /// Descriptors of `/dev/fuse` for each tree: the session's own and its clones.
    pub devices: AtomicU32,
    /// 1 where the kernel hands requests out again on demand (6.9).
    pub can_resend: AtomicU32,
    /// Generation of the newest worker; the first is 1.
    pub generation: AtomicU64,
    /// Workers replaced because they died or hung.
    pub takeovers: AtomicU64,
    /// Workers and keepers replaced on request.
    pub upgrades: AtomicU64,
    /// Upgrades that were refused because the new version did not start.
    pub refused_upgrades: AtomicU64,
    /// 1 while the timer that watches for hung workers is running. The first
    /// request after a quiet time arms it and the keeper lets it rest, so a
    /// daemon that nobody asks wakes nobody.
    pub watch_armed: AtomicU32,
    /// How the last worker that died ended, as wait(2) encodes it.
    pub last_end: AtomicU32,
    /// Requests answered with the host's file because of the quarantine.
    pub quarantined_answers: AtomicU64,
    /// Files opened without a record, because the table or a share of it was full.
    pub unrecorded_opens: AtomicU64,
    /// Which layout the tables have; 0 while they are begun anew.
    pub tables: AtomicU64,
    /// How often the tables were begun anew: handles of files that were opened
    /// before are recognised by it, and stand for nothing.
    pub era: AtomicU64,
    /// Which file system the mount is (`st_dev`): major number in the upper half,
    /// minor in the lower.
    pub device: AtomicU64,
    /// 1 where there are private trees beside the shared one.
    pub has_private_trees: AtomicU32,
    /// Workers in a row that began to take over and did not get to reading requests.
    pub attempts: AtomicU32,
}

/// The memory has another layout than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the running daemon's memory has layout {found}, this version knows {LAYOUT}")]
pub struct LayoutError {
    /// What the memory says; 0 when it is none of ours.
    pub found: u64,
}

impl Header {
    /// Marks new memory as having this version's layout.
    pub fn format(&self) {
        self.tables.store(TABLES, SeqCst);
        self.layout.store(LAYOUT, SeqCst);
        self.magic.store(MAGIC, SeqCst);
    }

    /// True when this is the memory of the mount with this device number, and of
    /// a layout that this version knows.
    pub fn is_of(&self, device: u64) -> bool {
        self.check().is_ok() && self.device.load(SeqCst) == device
    }

    /// True when there is a device with this number in [`DEVICES`](super::descriptors::DEVICES).
    pub fn has_device(&self, number: usize) -> bool {
        let is_there = match Realm::of_thread(number) {
            Realm::Shared => true,
            Realm::Private | Realm::Fresh => self.has_private_trees.load(SeqCst) == 1,
        };
        is_there && number % THREADS < self.devices.load(SeqCst) as usize
    }

    /// Checks that this version knows the layout.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when it does not.
    pub fn check(&self) -> Result<(), LayoutError> {
        match (self.magic.load(SeqCst), self.layout.load(SeqCst)) {
            (MAGIC, LAYOUT) => Ok(()),
            (MAGIC, found) => Err(LayoutError { found }),
            _not_ours => Err(LayoutError { found: 0 }),
        }
    }
}
