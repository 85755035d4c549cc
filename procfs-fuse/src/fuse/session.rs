//! Mounting, and the first exchange with the kernel.
//!
//! `fuser` does both; afterwards its session is only the owner of the device.
//! It is never dropped, because dropping it unmounts by path, whatever is
//! mounted there by then. Unmounting is `daemon`'s, which knows what is ours.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use fuser::{Config, InitFlags, KernelConfig, MountOption, Request, SessionACL};

use crate::shared::slots::Realm;

/// Subtype of the mount: mountinfo says `fuse.portholefs`.
pub const NAME: &str = "portholefs";

/// Largest write that the kernel may send, in bytes. Nothing can be written;
/// the smallest size the kernel accepts keeps request buffers at two pages.
const MAX_WRITE: u32 = 4096;

/// Features asked for where the kernel has them. They are fixed when the tree is
/// mounted and outlive every worker, so none of them may depend on a version of
/// ours.
const FEATURES: InitFlags = InitFlags::FUSE_PARALLEL_DIROPS
    .union(InitFlags::FUSE_ALLOW_IDMAP)
    .union(InitFlags::FUSE_HAS_RESEND);

/// What only the realm asks for whose files the kernel keeps: it forgets their text
/// when it is told another time of change.
const FEATURES_OF_KEPT: InitFlags = InitFlags::FUSE_AUTO_INVAL_DATA;

/// A mounted file system that awaits its first request.
#[derive(Debug)]
pub struct Session {
    fuser: ManuallyDrop<fuser::Session<Negotiation>>,
    can_resend: Arc<AtomicBool>,
}

/// Answers the kernel's INIT; requests are read by `device`.
#[derive(Debug)]
struct Negotiation {
    features: InitFlags,
    can_resend: Arc<AtomicBool>,
}

impl fuser::Filesystem for Negotiation {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let refused = |what| io::Error::other(format!("the kernel refused {what}"));
        config.set_max_write(MAX_WRITE).map_err(|_nearest| refused("max_write"))?;
        let offered = self.features & config.capabilities();
        self.can_resend.store(offered.contains(InitFlags::FUSE_HAS_RESEND), SeqCst);
        config.add_capabilities(offered).map_err(|_missing| refused("its own features"))
    }
}

impl Session {
    /// Mounts the file system of `realm` from `source` at `mount_point` and negotiates.
    ///
    /// # Errors
    ///
    /// * `EPERM`: not root, or not allowed to mount here.
    /// * `ENOENT`: the mount point or `/dev/fuse` is not there.
    /// * `ENODEV`: the kernel has no FUSE.
    pub fn mount(source: &str, mount_point: &Path, realm: Realm) -> io::Result<Self> {
        let mut config = Config::default();
        config.acl = SessionACL::All;
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoExec,
            MountOption::DefaultPermissions,
            MountOption::FSName(source.to_owned()),
            // fuser hands its own Subtype option to fusermount only.
            MountOption::CUSTOM(format!("subtype={NAME}")),
        ];
        let can_resend = Arc::new(AtomicBool::new(false));
        let features = match realm {
            Realm::Shared | Realm::Private => FEATURES,
            Realm::Fresh => FEATURES | FEATURES_OF_KEPT,
        };
        let negotiation = Negotiation { features, can_resend: Arc::clone(&can_resend) };
        let fuser = fuser::Session::new(negotiation, mount_point, &config)?;
        Ok(Self { fuser: ManuallyDrop::new(fuser), can_resend })
    }

    /// True when the kernel hands requests out again on demand.
    pub fn can_resend(&self) -> bool {
        self.can_resend.load(SeqCst)
    }

    /// The descriptor that requests are read from and answered on.
    pub fn device(&self) -> BorrowedFd<'_> {
        self.fuser.as_fd()
    }
}
