//! What the keeper tells: the status file, the service manager, the log. All
//! from buffers of a fixed size.

use std::fmt::{self, Write};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use nix::sys::signal::SigSet;
use nix::sys::uio::pwrite;
use nix::unistd;

use crate::keeper::Keeper;
use crate::shared::descriptors;
use crate::shared::slots::State;
use crate::sys::{descriptor, fixed_text::Text, process};

/// Adds one and returns the new count.
pub(super) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, SeqCst) + 1
}

/// Writes one line to standard error.
pub(super) fn log(message: &str) {
    let mut line = Text::new();
    // Nobody is left to tell when standard error is closed.
    let _too_long = writeln!(line, "WARN portholefs keeper: {message}");
    let _closed = unistd::write(io::stderr(), line.bytes());
}

impl Keeper {
    /// Writes the status file; see `daemon::lock::Status`.
    pub(super) fn publish(&self) {
        let mut text = Text::new();
        if self.write_status(&mut text).is_ok() {
            // The status is for people; a full disk must not end the keeper.
            let _full = pwrite(&self.lock, text.bytes(), 0);
            let _full =
                unistd::ftruncate(&self.lock, i64::try_from(text.bytes().len()).unwrap_or(0));
        }
    }

    fn write_status(&self, text: &mut Text) -> fmt::Result {
        let header = &self.shared.header;
        let serving = self.shared.banks.iter().find(|bank| bank.state() == State::Serving);
        write!(text, "{{\"mount_point\":{},", self.plan.mount_point_json)?;
        write!(text, "\"keeper_pid\":{},", unistd::getpid())?;
        write!(text, "\"worker_pid\":{},", serving.map_or(0, |bank| bank.pid.load(SeqCst)))?;
        write!(text, "\"generation\":{},", serving.map_or(0, |bank| bank.generation.load(SeqCst)))?;
        text.write_str("\"version\":\"")?;
        for byte in serving.iter().flat_map(|bank| &bank.version) {
            match byte.load(SeqCst) {
                0 => break,
                byte => text.write_char(char::from(byte))?,
            }
        }
        write!(text, "\",\"fallback\":{},", self.fallback.is_some())?;
        write!(text, "\"separate_group\":{},", descriptor::borrowed(descriptors::GROUP).is_ok())?;
        write!(text, "\"takeovers\":{},", header.takeovers.load(SeqCst))?;
        write!(text, "\"upgrades\":{},", header.upgrades.load(SeqCst))?;
        writeln!(text, "\"refused_upgrades\":{}}}", header.refused_upgrades.load(SeqCst))
    }

    /// Tells the service manager and the parent, once, that reads are answered.
    pub(super) fn announce(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.unannounced) {
            return Ok(());
        }
        // Containers of a daemon that is gone with its keeper have dead files.
        self.healer =
            Some(process::spawn(self.program.as_fd(), &self.plan.heal, &SigSet::empty())?);
        self.notify(b"READY=1\nSTATUS=serving");
        if self.plan.announce {
            let _parent_is_gone = unistd::write(io::stdout(), b"ready\n");
            unistd::dup2_stdout(io::stderr().as_fd())?;
        }
        Ok(())
    }

    /// The session has ended: has the service manager close what it keeps of it.
    pub(super) fn forget_stored(&self) {
        descriptors::STORED.iter().for_each(|stored| self.notify(stored.forget));
    }

    /// Sends `state` to the service manager, if there is one.
    pub(super) fn notify(&self, state: &[u8]) {
        if let Some(socket) = &self.notify {
            // A manager that does not listen is no reason to stop serving.
            let _not_listening = unistd::write(socket, state);
        }
    }
}
