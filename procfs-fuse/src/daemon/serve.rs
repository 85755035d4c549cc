//! `portholefs serve`: from the first check to the moment the keeper takes over.
//!
//! This process mounts, then becomes the keeper by exec: it keeps its pid and
//! the descriptors at their agreed numbers, and nothing else.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tracing::{info, warn};

use crate::config::{door_socket, metrics_socket, mount_source};
use crate::daemon::background::Announcement;
use crate::daemon::command_lines::Words;
use crate::daemon::lock::{Lock, LockError, Status};
use crate::daemon::mount_point::MountPointError;
use crate::daemon::orphans::Orphans;
use crate::daemon::preflight::PreflightError;
use crate::daemon::stored::Stored;
use crate::daemon::{
    Hint, abort_file, adopt, mount_point, preflight, service_manager, stored, worker_group,
};
use crate::fuse::session::Session;
use crate::keeper;
use crate::metrics::listener;
use crate::private_mounts;
use crate::shared::slots::{Realm, THREADS};
use crate::shared::{Shared, descriptors};
use crate::sys::{descriptor, fuse_device, process, shared_memory, timer};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The machine lacks something.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The mount point has a daemon.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The mount point cannot be used.
    #[error(transparent)]
    MountPoint(#[from] MountPointError),
    /// The kernel did not mount.
    #[error("cannot mount on {}", path.display())]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call that no user can do anything about failed.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Hint for ServeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Preflight(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::MountPoint(error) => error.hint(),
            Self::Mount { source, .. } if source.raw_os_error() == Some(libc::EPERM) => {
                Some("run it with CAP_SYS_ADMIN; in a container: --privileged".to_owned())
            }
            Self::Mount { .. } | Self::System { .. } => None,
        }
    }
}

/// What the command line decides about a daemon.
#[derive(Debug)]
pub struct ServeOptions {
    /// Whom to tell once reads are answered.
    pub announcement: Announcement,
    /// Where log lines go once the terminal is let go of.
    pub log_file: Option<PathBuf>,
    /// Where metrics are told besides the socket.
    pub metrics_port: Option<SocketAddr>,
    /// What the keeper and its workers are told.
    pub words: Words,
}

/// Mounts and becomes the keeper; returns only on errors.
///
/// # Errors
///
/// Why it could not start.
pub fn serve(options: ServeOptions) -> Result<Infallible, ServeError> {
    let ServeOptions { announcement, log_file, metrics_port, mut words } = options;
    let stored = Stored::take();
    preflight::check()?;
    words.mount_point = mount_point::absolute(&words.mount_point)?;
    announcement.detach().map_err(system("leave the terminal"))?;
    let lock = Lock::take(&words.mount_point)?;
    // From here on a signal to stop waits for the keeper, which leaves nothing behind.
    keeper::signals().thread_block().map_err(|errno| system("block signals")(errno.into()))?;
    // At once: whoever is refused from now on is told our pid.
    lock.publish(&Status::starting(&words.mount_point))?;
    if !preflight::sees_all_processes() {
        warn!(
            "not in the host's pid namespace: readers that it cannot see get the host's files (in Kubernetes: hostPID: true)"
        );
    }
    if Orphans::of(&words.mount_point).is_some_and(|orphans| adopt::adopt(&orphans)) {
        drop(stored);
    } else if stored.leave_for_keeper(&words.mount_point) {
        leave_wakers().map_err(system("prepare the keeper"))?;
    } else {
        begin(&words.mount_point)?;
    }
    leave_metrics(&words.mount_point, metrics_port);
    leave_door(&words.mount_point);
    let failed = become_keeper(&lock, &words, announcement, log_file.as_deref());
    mount_point::clear(&words.mount_point)?;
    Err(failed)
}

/// Mounts and leaves everything that a keeper needs at the agreed numbers.
fn begin(path: &Path) -> Result<(), ServeError> {
    match mount_point::make_ready(path)? {
        0 => {}
        dead => info!(mounts = dead, "detached what a dead daemon left at {}", path.display()),
    }
    let source = mount_source(path);
    let session = Session::mount(&source, path, Realm::Shared)
        .map_err(|source| ServeError::Mount { path: path.to_owned(), source })?;
    info!(version = env!("CARGO_PKG_VERSION"), "mounted at {}", path.display());
    let device = mount_point::device(path)?.unwrap_or(0);
    leave_for_keeper(&session, device, &source).map_err(|source| {
        // The reason to stop is the one worth telling.
        let _also_failed = mount_point::clear(path);
        system("prepare the keeper")(source)
    })
}

fn leave_for_keeper(session: &Session, device: u64, source: &str) -> io::Result<()> {
    let memory = shared_memory::create()?;
    let shared = shared_memory::map(memory.as_fd())?;
    shared.header.device.store(device, SeqCst);
    let devices = leave_devices(session, Realm::Shared)?;
    note(shared, session, devices);
    descriptor::place(memory.as_fd(), descriptors::MEMORY)?;
    leave_wakers()?;
    match leave_private_realms(source) {
        Ok(()) => shared.header.has_private_trees.store(1, SeqCst),
        Err(error) => info!(%error, "without private trees: containers get the shared files"),
    }
    Ok(())
}

/// Leaves the descriptor of `realm` and a clone for each further thread of a worker;
/// returns how many these are.
fn leave_devices(session: &Session, realm: Realm) -> io::Result<usize> {
    let devices = devices(session)?;
    let numbers = descriptors::DEVICES.iter().skip(realm.first_thread());
    for (device, number) in devices.iter().zip(numbers) {
        descriptor::place(device.as_fd(), *number)?;
    }
    Ok(devices.len())
}

/// Mounts the private realms where nobody finds them, and leaves what holds them.
fn leave_private_realms(source: &str) -> io::Result<()> {
    let mount = |[tree, fresh]: [&Path; 2]| {
        let mut sessions = Vec::new();
        for (path, realm) in [(tree, Realm::Private), (fresh, Realm::Fresh)] {
            let session = Session::mount(source, path, realm)?;
            // Looked at in this thread, whose mounts are no other's.
            let device = mount_point::device_in("/proc/thread-self/mountinfo", path);
            leave_abort_file(device.ok().flatten().unwrap_or(0), realm);
            sessions.push((session, realm));
        }
        Ok(sessions)
    };
    let (namespace, sessions) = private_mounts::with_mounts(mount)?;
    for (session, realm) in &sessions {
        leave_devices(session, *realm)?;
    }
    descriptor::place(namespace.as_fd(), descriptors::NAMESPACE)
}

/// What keeper and workers wake each other with.
fn leave_wakers() -> io::Result<()> {
    descriptor::place(timer::create()?.as_fd(), descriptors::WATCH)?;
    let keeper_wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    descriptor::place(keeper_wake.as_fd(), descriptors::KEEPER_WAKE)?;
    for number in descriptors::WORKER_WAKE {
        descriptor::place(EventFd::new()?.as_fd(), number)?;
    }
    Ok(())
}

/// The session's descriptor and a clone for each further thread of a worker.
fn devices(session: &Session) -> io::Result<Vec<OwnedFd>> {
    let cpus = thread::available_parallelism()?.get();
    let first = session.device().try_clone_to_owned();
    let clones = (1..cpus.min(THREADS)).map(|_thread| fuse_device::clone_of(session.device()));
    std::iter::once(first).chain(clones).collect()
}

fn note(shared: &Shared, session: &Session, devices: usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let header = &shared.header;
    header.mounted_at.store(now.as_secs(), SeqCst);
    header.devices.store(u32::try_from(devices).unwrap_or(0), SeqCst);
    header.can_resend.store(session.can_resend().into(), SeqCst);
    header.format();
}

/// Becomes the keeper; returns why that failed.
fn become_keeper(
    lock: &Lock,
    words: &Words,
    announcement: Announcement,
    log_file: Option<&Path>,
) -> ServeError {
    let become_it = || -> io::Result<io::Error> {
        descriptor::place(lock.as_fd(), descriptors::LOCK)?;
        let program = std::fs::File::open("/proc/self/exe")?;
        descriptor::place(program.as_fd(), descriptors::PROGRAM)?;
        let device = mount_point::device(&words.mount_point).ok().flatten().unwrap_or(0);
        leave_abort_file(device, Realm::Shared);
        leave_worker_group();
        if let Some(socket) = service_manager::socket()? {
            descriptor::place(socket.as_fd(), descriptors::NOTIFY)?;
            if let Err(error) = stored::store(&socket) {
                warn!(%error, "the service manager does not keep the session");
            }
        }
        announcement.redirect_log(log_file)?;
        Ok(process::execute(program.as_fd(), &words.keeper()?))
    };
    system("become the keeper")(become_it().unwrap_or_else(|error| error))
}

/// The keeper's last resort. Without it only readers of workers that nobody can end
/// are worse off, so a machine that has none is served all the same.
fn leave_abort_file(device: u64, realm: Realm) {
    let [shared, private, fresh] = descriptors::ABORT;
    let number = match realm {
        Realm::Shared => shared,
        Realm::Private => private,
        Realm::Fresh => fresh,
    };
    let left = abort_file::open(device).and_then(|file| descriptor::place(file.as_fd(), number));
    if let Err(error) = left {
        warn!(%error, "readers will not get an error should every worker be stuck");
    }
}

/// Containers need their files whether somebody watches or not.
fn leave_metrics(mount_point: &Path, port: Option<SocketAddr>) {
    let path = metrics_socket(mount_point);
    if let Err(error) = listener::leave_socket(&path) {
        warn!(%error, "metrics are not told at {}", path.display());
    }
    if let Some(port) = port
        && let Err(error) = listener::leave_port(port)
    {
        warn!(%error, "metrics are not told at {port}");
    }
}

/// Where private trees are asked for. Whoever gets none mounts the shared tree's files.
fn leave_door(mount_point: &Path) {
    // Whoever asks where nobody answers would wait in vain.
    if descriptor::borrowed(descriptors::NAMESPACE).is_err() {
        return;
    }
    let path = door_socket(mount_point);
    let left = listener::bind(&path)
        .and_then(|socket| descriptor::place(socket.as_fd(), descriptors::DOOR));
    if let Err(error) = left {
        warn!(%error, "no private trees are made at {}", path.display());
    }
}

/// Workers in a group of their own are not killed along with the keeper.
fn leave_worker_group() {
    let left =
        worker_group::make().and_then(|group| descriptor::place(group.as_fd(), descriptors::GROUP));
    if let Err(error) = left {
        info!(%error, "workers are in the keeper's control group");
    }
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { action, source }
}
