//! A service manager that keeps the session while no process of the daemon is left,
//! as systemd does with `FileDescriptorStoreMax=`.
//!
//! The manager is the test's own: a socket that takes messages and descriptors, and
//! a shell that hands them on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use support::{Need, Verdict, alone, binaries};

use crate::readers::Readers;
use crate::serving::Serving;

const NEEDS: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Program("bash", "bash")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("what_the_service_manager_kept_is_continued", NEEDS, kept_is_continued),
        alone("a_kept_session_without_its_mount_is_not_continued", NEEDS, without_its_mount),
    ]
}

/// A service manager; a thread of its own listens.
struct Manager {
    path: PathBuf,
    state: Arc<Mutex<State>>,
    _folder: tempfile::TempDir,
}

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<String, OwnedFd>,
    /// How often the daemon was ready.
    ready: u32,
    /// What was wrong with a message.
    fault: Option<String>,
}

impl Manager {
    fn new() -> Result<Self> {
        let folder = support::folder()?;
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        let manager = Self { path, state: Arc::default(), _folder: folder };
        let state = Arc::clone(&manager.state);
        // It ends with the test program.
        std::thread::spawn(move || while listen(&socket, &state).is_ok() {});
        Ok(manager)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What starts the daemon, with what is kept.
    fn program(&self) -> Result<Vec<PathBuf>> {
        let state = self.state();
        let mut script = format!("export NOTIFY_SOCKET={} LISTEN_PID=$$", self.path.display());
        let names: Vec<&str> = state.kept.keys().map(String::as_str).collect();
        script += &format!(" LISTEN_FDS={} LISTEN_FDNAMES={}", names.len(), names.join(":"));
        // Out of the way first: one may be where another one goes.
        for (number, fd) in (200..).zip(state.kept.values()) {
            script += &format!("; exec {number}<&{0} {0}<&-", fd.as_raw_fd());
        }
        for (number, _fd) in (3..).zip(state.kept.values()) {
            script += &format!("; exec {number}<&{0} {0}<&-", number + 197);
        }
        script += "; exec \"$0\" \"$@\"";
        let words = ["bash", "-c", &script].map(PathBuf::from);
        Ok(words.into_iter().chain([binaries::path("portholefs")?]).collect())
    }

    /// Starts the next daemon with what is kept, which nobody else inherits.
    fn start_again(&self, serving: &mut Serving) -> Verdict {
        serving.becomes(self.program()?);
        self.lend(FdFlag::empty())?;
        let started = serving.start_again();
        self.lend(FdFlag::FD_CLOEXEC)?;
        started
    }

    fn lend(&self, flags: FdFlag) -> Verdict {
        for fd in self.state().kept.values() {
            fcntl(fd, FcntlArg::F_SETFD(flags))?;
        }
        Ok(())
    }
}

/// Takes one message.
fn listen(socket: &UnixDatagram, state: &Mutex<State>) -> Verdict {
    let mut text = [0; 4096];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut into = [IoSliceMut::new(&mut text)];
    let length = recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _credentials => None,
    });
    let fds: Vec<OwnedFd> = fds.flatten().collect();
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = state.obey(&text, fds) {
        state.fault = Some(format!("{error}: {text}"));
    }
    Ok(())
}

impl State {
    fn obey(&mut self, text: &str, fds: Vec<OwnedFd>) -> Verdict {
        let is_told = |line: &str| text.lines().any(|told| told == line);
        let name = || text.lines().find_map(|line| line.strip_prefix("FDNAME=")).context("no name");
        if is_told("READY=1") {
            self.ready += 1;
        }
        if is_told("FDSTOREREMOVE=1") {
            self.kept.remove(name()?);
        }
        if is_told("FDSTORE=1") {
            ensure!(is_told("FDPOLL=0"), "every request would wake the manager");
            let fd = fds.into_iter().next().context("no descriptor")?;
            self.kept.insert(name()?.to_owned(), fd);
        }
        Ok(())
    }
}

/// A daemon whose session is kept.
fn kept() -> Result<(Manager, Serving)> {
    let manager = Manager::new()?;
    let serving = Serving::start_by(manager.program()?, support::folder()?, &[])?;
    serving.until("it is ready", || Ok(manager.state().ready == 1))?;
    ensure!(manager.state().kept.len() >= 2, "{:?}", manager.state());
    Ok((manager, serving))
}

/// Every process is killed, twice: requests wait for the next start, and descriptors
/// that were open before read on.
fn kept_is_continued() -> Verdict {
    let (manager, mut serving) = kept()?;
    let readers = Readers::start(&serving)?;
    for _time in 0..2 {
        serving.kill_all()?;
        let before = manager.state().ready;
        manager.start_again(&mut serving)?;
        serving.until("it is ready", || Ok(manager.state().ready > before))?;
    }
    readers.finish()?.nothing_wrong("twice nobody was left")?;
    serving.tells("takeovers", 2)?;
    // A worker that hangs is noticed: the timer is a new one.
    kill(serving.worker()?.context("nobody serves")?, Signal::SIGSTOP)?;
    serving.until("it is replaced", || Ok(serving.number("takeovers")? == 3))?;
    serving.stop()?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !manager.state().kept.is_empty() {
        ensure!(Instant::now() < deadline, "still kept: {:?}", manager.state());
        std::thread::sleep(Duration::from_millis(1));
    }
    let fault = manager.state().fault.take();
    ensure!(fault.is_none(), "{fault:?}");
    Ok(())
}

/// What was kept is closed when somebody has unmounted it: nobody can ask any more.
fn without_its_mount() -> Verdict {
    let (manager, mut serving) = kept()?;
    let mut file = File::open(serving.file("proc/meminfo"))?;
    serving.kill_all()?;
    umount2(&serving.mount_point(), MntFlags::MNT_DETACH)?;
    manager.start_again(&mut serving)?;
    ensure!(serving.log().contains("it is not what is mounted now"), "{}", serving.log());
    let error = file.read(&mut [0]).err().context("it can be read")?;
    ensure!(error.raw_os_error() == Some(libc::ENOTCONN), "{error}");
    std::fs::read_to_string(serving.file("proc/meminfo"))?;
    serving.stop()
}
