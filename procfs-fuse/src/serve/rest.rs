//! Giving back what nobody uses any more, without waiting for a next read.
//!
//! Files of containers and of their readers are kept open for the next read. When
//! none comes for a while they are closed, by a thread that sleeps until somebody
//! reads again: a daemon that nobody asks wakes nobody.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Server;
use crate::sys::allocator;

/// How long what is not used stays: between this and twice as long. Longer than the
/// pauses of whoever looks every few seconds, or of a scraper.
const REST: Duration = Duration::from_secs(60);

/// Whether anything was used since it was looked at.
#[derive(Debug, Default)]
pub(super) struct Activity {
    was_used: AtomicBool,
    asleep: Mutex<()>,
    wake: Condvar,
}

impl Activity {
    /// Something is used.
    pub(super) fn note(&self) {
        // Nearly always it was noted already, and then nothing is written.
        if !self.was_used.load(Relaxed) && !self.was_used.swap(true, Relaxed) {
            let _asleep = self.asleep.lock();
            self.wake.notify_all();
        }
    }

    /// Waits until something is used.
    fn wait(&self) {
        let mut asleep = self.asleep.lock();
        while !self.was_used.load(Relaxed) {
            self.wake.wait(&mut asleep);
        }
    }
}

impl Server {
    /// Closes what was not used for a minute, for as long as the process lives.
    pub fn give_back(&self) -> ! {
        loop {
            self.activity.wait();
            let mut is_any_left = true;
            while is_any_left {
                std::thread::sleep(REST);
                is_any_left = self.activity.was_used.swap(false, Relaxed) | self.close_idle();
                allocator::give_back();
            }
        }
    }

    /// Closes what was not used since the last time; true while anything is open.
    pub(super) fn close_idle(&self) -> bool {
        self.callers.forget_ended();
        let is_known = self.decisions.forget_idle();
        self.containers.forget_gone();
        let is_open = self.containers.close_idle();
        is_known || is_open
    }
}
