//! `porthole logs`.

use std::fs::File;
use std::io::{self, StdoutLock};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Answer;
use crate::cli::options::LogsOptions;
use crate::container::identity::Identity;
use crate::container::output::old;
use crate::container::{State, Store};
use crate::message::Failure;

/// Prints what a container in the background has printed.
pub(super) fn logs(options: &LogsOptions, store: &Store) -> Answer {
    let state = store.find(&options.container)?;
    if !state.recorded {
        return Err(Failure::of(
            &format!("{}: it was started in the foreground, its output is not kept", state.label()),
            "only that of containers started with -d is",
        ));
    }
    let printed = Log::open(store.output_path(&state.plan.id))
        .and_then(|mut log| if options.follow { log.follow(&state, store) } else { log.print() });
    match printed {
        // A broken pipe: whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::with(&format!("output of {}", state.label()), &error))
        }
        _printed => Ok(0),
    }
}

/// An output file on its way to standard output.
struct Log {
    path: PathBuf,
    file: File,
    screen: StdoutLock<'static>,
}

impl Log {
    /// Prints the file that was put aside, if there is one, and opens the other.
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut screen = io::stdout().lock();
        if let Ok(mut aside) = File::open(old(&path)) {
            io::copy(&mut aside, &mut screen)?;
        }
        Ok(Self { file: File::open(&path)?, path, screen })
    }

    /// Prints what was not printed yet.
    fn print(&mut self) -> io::Result<()> {
        io::copy(&mut self.file, &mut self.screen)?;
        while let Some(newer) = self.successor()? {
            // What was added between our reading to the end and its putting aside.
            io::copy(&mut self.file, &mut self.screen)?;
            self.file = newer;
            io::copy(&mut self.file, &mut self.screen)?;
        }
        Ok(())
    }

    /// The file that has taken the place of ours, if it was put aside.
    fn successor(&self) -> io::Result<Option<File>> {
        // Removed with its container: there will be no other.
        let Ok(now) = File::open(&self.path) else { return Ok(None) };
        let same = now.metadata()?.ino() == self.file.metadata()?.ino();
        Ok((!same).then_some(now))
    }

    /// Prints what is added, too, until the container has ended.
    fn follow(&mut self, state: &State, store: &Store) -> io::Result<()> {
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // The folder: a file that is put aside is followed by a new one.
        let folder = self.path.parent().unwrap_or(&self.path);
        changes.add_watch(folder, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE)?;
        let init = state.init().and_then(Identity::open);
        while let Some(init) = &init {
            self.print()?;
            if wait(&changes, init)? {
                break;
            }
        }
        // Its monitor writes what came last.
        store.wait_for_owner(&state.plan.id).map_err(io::Error::other)?;
        self.print()
    }
}

/// Waits until something has changed, or the container has ended: then it is true.
fn wait(changes: &Inotify, init: &OwnedFd) -> io::Result<bool> {
    let mut fds = [
        PollFd::new(init.as_fd(), PollFlags::POLLIN),
        PollFd::new(changes.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Err(Errno::EINTR) => return Ok(false),
        other => other?,
    };
    match changes.read_events() {
        Ok(_) | Err(Errno::EAGAIN) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds.first().and_then(PollFd::any) == Some(true))
}
