//! A `portholefs` of the tests' own, on a private mount point.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;

use crate::{binaries, process};

/// How long a daemon may take to serve or to stop: far above what it needs,
/// because a virtual machine without KVM is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a file is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(5);

/// A daemon that serves until this value is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts one and waits until it serves.
    pub fn start() -> Result<Self> {
        let daemon = Self::start_by(Command::new(binaries::path("portholefs")?))?;
        let tree = daemon.mount_point();
        daemon.served_at(tree)
    }

    /// Starts one through `command`, which becomes `portholefs` without a fork:
    /// a program such as `unshare`, with `portholefs` as its last word.
    pub fn start_by(mut command: Command) -> Result<Self> {
        let folder = crate::folder()?;
        let child = spawn(&mut command, folder.path())?;
        Ok(Self { child, folder })
    }

    /// Kills all of its processes, as a machine short of memory may; its mount
    /// stays behind, dead.
    pub fn kill(&mut self) -> Result<()> {
        // The first must not start others while these are killed.
        kill(self.pid(), Signal::SIGSTOP)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let others = process::descendants(self.pid())?;
            if others.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                bail!("{others:?} cannot be killed\n{}", self.log());
            }
            for pid in others {
                // ESRCH: it went with the one before it.
                let _ended = kill(pid, Signal::SIGKILL);
            }
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends `signal` to all of its processes.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal)?;
        for pid in process::descendants(self.pid())? {
            match kill(pid, signal) {
                // Whoever heals ends by itself.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Starts it again at the same place, with a new log; returns without waiting.
    pub fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&mut Command::new(binaries::path("portholefs")?), self.folder.path())?;
        Ok(())
    }

    /// Waits until its tree, found at `tree`, is served. The path is another than
    /// [`mount_point`](Self::mount_point) when it mounts in a namespace of its own.
    pub fn served_at(mut self, tree: impl AsRef<Path>) -> Result<Self> {
        self.wait_until_served(tree.as_ref())?;
        Ok(self)
    }

    fn wait_until_served(&mut self, tree: &Path) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let probe = tree.join("proc/meminfo");
        while std::fs::read(&probe).map_or(true, |text| text.is_empty()) {
            if let Some(status) = self.child.try_wait()? {
                bail!("portholefs ended with {status}\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("portholefs does not serve {}\n{}", probe.display(), self.log());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Where its tree is mounted.
    pub fn mount_point(&self) -> PathBuf {
        self.folder.path().join("fs")
    }

    /// Asks the process that holds listeners for system calls to end; one is there when
    /// containers were started, and is nobody's child. A daemon that stops does it itself.
    fn end_holder(&self) -> Result<()> {
        let kind = SockType::SeqPacket;
        let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
        let path = self.folder.path().join(".fs.calls");
        connect(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
        nix::unistd::write(&socket, b"e")?;
        Ok(())
    }

    /// The process that was started.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks it to stop and waits: it must end with status 0 and unmount.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM).context("cannot stop portholefs")?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("portholefs does not stop on SIGTERM\n{}", self.log());
            }
            std::thread::sleep(POLL);
        };
        if !status.success() || is_mounted(&self.mount_point()) {
            bail!("portholefs ended with {status} on SIGTERM, or left its mount\n{}", self.log());
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.end_holder();
        let _ = nix::mount::umount2(&self.mount_point(), nix::mount::MntFlags::MNT_DETACH);
    }
}

fn spawn(command: &mut Command, folder: &Path) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    command.arg("serve").arg(folder.join("fs")).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).env(crate::leaks::MARK, crate::leaks::mark());
    command.spawn().context("cannot start portholefs")
}

/// Whether something is mounted at `path`.
pub fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).any(|point| Path::new(point) == path)
}

/// The daemon that the trials of a program share.
static SHARED: Mutex<Option<Daemon>> = Mutex::new(None);

/// The mount point of the daemon that all trials of this program share; the
/// first caller starts it.
pub fn shared() -> Result<PathBuf> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let daemon = match shared.take() {
        Some(daemon) => daemon,
        None => Daemon::start()?,
    };
    Ok(shared.insert(daemon).mount_point())
}

/// What the shared daemon has logged.
pub fn shared_log() -> String {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.as_ref().map(Daemon::log).unwrap_or_default()
}

/// The process of the shared daemon, when it runs.
pub fn shared_pid() -> Option<Pid> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Daemon::pid)
}

/// Stops the shared daemon, when there is one.
pub fn stop_shared() -> Result<()> {
    let daemon = SHARED.lock().unwrap_or_else(PoisonError::into_inner).take();
    daemon.map_or(Ok(()), Daemon::stop)
}
