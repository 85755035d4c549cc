//! `portholefs serve`: one daemon from its first check to its last unmount.

use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal};
use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::caller::TaskError;

use crate::config::Settings;
use crate::daemon::background::Announcement;
use crate::daemon::lock::{Lock, LockError, Status};
use crate::daemon::mount_point::MountPointError;
use crate::daemon::preflight::PreflightError;
use crate::daemon::{Hint, mount_point, preflight};
use crate::fuse::device;
use crate::fuse::filesystem::Filesystem;
use crate::fuse::session::Session;
use crate::fuse::tree::Tree;
use crate::inject;
use crate::serve::{self, Server};

/// Threads that answer requests. More than a few find nothing to do: a request
/// takes microseconds.
const MAX_THREADS: usize = 4;

/// Why the daemon did not start, or stopped.
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
    /// We cannot find ourselves in the machine's proc.
    #[error("cannot tell which namespaces are the host's")]
    Namespaces(#[from] TaskError),
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
            Self::Mount { .. } | Self::Namespaces(_) | Self::System { .. } => None,
        }
    }
}

/// What can end the daemon.
enum Event {
    Signal(Signal),
    /// A thread no longer serves: unmounted by somebody else, or an error.
    Ended(io::Result<()>),
}

/// What the command line decides about a daemon.
#[derive(Debug)]
pub struct ServeOptions {
    /// Directory to mount on.
    pub mount_point: PathBuf,
    /// How to answer.
    pub settings: Settings,
    /// Whom to tell once reads are answered.
    pub announcement: Announcement,
    /// Where log lines go once the terminal is let go of.
    pub log_file: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT, then unmounts.
///
/// # Errors
///
/// Why it could not start, or why it ended without being told to.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let ServeOptions { mount_point, settings, announcement, log_file } = options;
    preflight::check()?;
    let path = mount_point::absolute(&mount_point)?;
    announcement.detach().map_err(system("leave the terminal"))?;
    let lock = Lock::take(&path)?;
    // At once: whoever is refused from now on is told our pid.
    lock.publish(&status(&path))?;
    if !preflight::sees_all_processes() {
        warn!(
            "not in the host's pid namespace: readers that it cannot see get the host's files (in Kubernetes: hostPID: true)"
        );
    }
    match mount_point::make_ready(&path)? {
        0 => {}
        dead => info!(mounts = dead, "detached what a dead daemon left at {}", path.display()),
    }
    let signals = block_signals()?;
    let session =
        Session::mount(&path).map_err(|source| ServeError::Mount { path: path.clone(), source })?;
    let ended = run(&session, settings, signals, || {
        announce(&path);
        inject::heal(&path);
        announcement.ready(log_file.as_deref()).map_err(system("let go of the terminal"))
    });
    let _best_effort = sd_notify::notify(&[NotifyState::Stopping]);
    let cleared = mount_point::clear(&path);
    ended?;
    Ok(cleared?)
}

/// Answers requests until an event ends it.
fn run(
    session: &Session,
    settings: Settings,
    signals: SigSet,
    serving: impl FnOnce() -> Result<(), ServeError>,
) -> Result<(), ServeError> {
    let filesystem = Arc::new(filesystem(settings)?);
    let (events, ended) = mpsc::channel();
    for device in devices(session)? {
        let filesystem = Arc::clone(&filesystem);
        spawn("device", &events, move || Event::Ended(device::serve(device, &filesystem)))?;
    }
    spawn("signals", &events, move || match signals.wait() {
        Ok(signal) => Event::Signal(signal),
        Err(errno) => Event::Ended(Err(errno.into())),
    })?;
    serving()?;
    match ended.recv() {
        Ok(Event::Signal(signal)) => info!(%signal, "stopping"),
        Ok(Event::Ended(Ok(()))) => info!("unmounted by somebody else; stopping"),
        Ok(Event::Ended(Err(source))) => {
            return Err(ServeError::System { action: "serve requests", source });
        }
        Err(_all_senders_are_gone) => {}
    }
    Ok(())
}

fn filesystem(settings: Settings) -> Result<Filesystem, ServeError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tree = Tree::new(serve::entries(&settings.root));
    Ok(Filesystem::new(tree, Server::new(settings)?, now.as_secs()))
}

/// One descriptor for each thread.
fn devices(session: &Session) -> Result<Vec<OwnedFd>, ServeError> {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let duplicate = || session.device().as_fd().try_clone_to_owned();
    (0..cpus.min(MAX_THREADS))
        .map(|_thread| duplicate())
        .collect::<io::Result<_>>()
        .map_err(system("duplicate the FUSE device"))
}

fn spawn(
    name: &'static str,
    events: &mpsc::Sender<Event>,
    work: impl FnOnce() -> Event + Send + 'static,
) -> Result<(), ServeError> {
    let events = events.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // The receiver is gone once the daemon is stopping for another reason.
        let _stopping = events.send(work());
    });
    thread.map(drop).map_err(system("start a thread"))
}

/// From here on SIGTERM and SIGINT wait to be asked for, in every thread.
fn block_signals() -> Result<SigSet, ServeError> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block().map_err(|errno| system("block signals")(errno.into()))?;
    Ok(signals)
}

/// What `portholefs status` says about this process.
fn status(path: &Path) -> Status {
    let pid = std::process::id();
    Status {
        mount_point: path.to_owned(),
        keeper_pid: pid,
        worker_pid: pid,
        generation: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        takeovers: 0,
    }
}

/// Tells whoever waits that reads are answered from now on.
fn announce(path: &Path) {
    let text = format!("serving {}", path.display());
    info!(version = env!("CARGO_PKG_VERSION"), "{text}");
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&text)]) {
        warn!(%error, "the service manager cannot be told that we are ready");
    }
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { action, source }
}
