//! What a process that stays with its container does when the holder is killed.
//!
//! It has kept its own copy of the listener, so no call fails; they wait. Those that the
//! dead answerer had taken are left to the kernel: their ids stand in memory that we were
//! given for this. Then the listener goes to another holder, which is started if need be,
//! and while there is none the kernel answers, by way of us.
//!
//! Everything that is waited for is behind one descriptor, [`Standby::as_fd`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::uio::pread;

use super::holder::{Held, Reservation};
use crate::sys::seccomp::{leave_next_to_kernel, leave_to_kernel, nobody_can_call};

/// How often another holder is looked for while there is none.
const RETRY: Duration = Duration::from_secs(5);

/// Where the holder's memory has the ids of calls that are being answered, in bytes:
/// `Taken` in `procfs-fuse/src/answer/notes.rs`.
const FIRST_ID: i64 = 24;
/// From one to the next.
const NEXT_ID: i64 = 256;
/// How many.
const IDS: i64 = 4;

/// Where another holder is found or started.
#[derive(Debug, Clone)]
pub struct Source {
    /// Reserves a place with the holder beside a mount point, or tells why there is none.
    pub reserve: fn(&std::path::Path) -> Result<Reservation, String>,
    /// The mount point.
    pub mount_point: PathBuf,
}

/// A listener, in case its holder dies.
#[derive(Debug)]
pub struct Standby {
    listener: OwnedFd,
    source: Source,
    epoll: Epoll,
    held: Option<Held>,
    tried: Instant,
}

/// What epoll hands back.
const LIFE: u64 = 0;
const LISTENER: u64 = 1;

impl Standby {
    /// For `listener`, which is `held`.
    pub(crate) fn new(listener: OwnedFd, held: Held, source: Source) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let tried = Instant::now();
        let mut standby = Self { listener, source, epoll, held: None, tried };
        standby.rest(held)?;
        Ok(standby)
    }

    /// Waits for nothing but the end of whoever holds it.
    fn rest(&mut self, held: Held) -> nix::Result<()> {
        // Nobody writes to it: it has nothing but an end.
        self.epoll.add(&held.life, EpollEvent::new(EpollFlags::EPOLLIN, LIFE))?;
        self.held = Some(held);
        Ok(())
    }

    /// Does what is to be done; to be called when the descriptor is readable.
    pub(crate) fn step(&mut self) -> nix::Result<()> {
        let mut happened = [EpollEvent::empty()];
        if self.epoll.wait(&mut happened, EpollTimeout::ZERO)? == 0 {
            return Ok(());
        }
        let [event] = happened;
        match event.data() {
            LIFE => self.take_over(),
            _listener if event.events().contains(EpollFlags::EPOLLIN) => {
                // Its caller may have been killed meanwhile.
                let _nobody_waits = leave_next_to_kernel(self.listener.as_fd());
                self.look_again()
            }
            _nobody_is_left_who_could_call => self.epoll.delete(&self.listener),
        }
    }

    /// The holder has ended, and its answerer too.
    fn take_over(&mut self) -> nix::Result<()> {
        let held = self.held.take();
        if let Some(held) = &held {
            self.epoll.delete(&held.life)?;
        }
        // It ends by itself when it holds nothing: another one would begin for nobody.
        if nobody_can_call(self.listener.as_fd())? {
            return Ok(());
        }
        if let Some(held) = held {
            for id in taken(&held.memory) {
                // Ids are different for each listener: most are not ours.
                let _not_ours = leave_to_kernel(self.listener.as_fd(), id);
            }
        }
        if let Some(held) = self.hand_over() {
            return self.rest(held);
        }
        self.epoll.add(&self.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))
    }

    /// Looks for another holder, unless that was done of late.
    fn look_again(&mut self) -> nix::Result<()> {
        if self.tried.elapsed() < RETRY {
            return Ok(());
        }
        let Some(held) = self.hand_over() else { return Ok(()) };
        self.epoll.delete(&self.listener)?;
        self.rest(held)
    }

    fn hand_over(&mut self) -> Option<Held> {
        self.tried = Instant::now();
        let place = (self.source.reserve)(&self.source.mount_point).ok()?;
        place.hand_over(self.listener.as_fd()).ok()
    }
}

impl AsFd for Standby {
    /// Readable when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Ids of calls that were being answered.
fn taken(memory: &OwnedFd) -> impl Iterator<Item = u64> + '_ {
    (0..IDS).filter_map(move |index| {
        let mut id = [0; 8];
        let length = pread(memory, &mut id, FIRST_ID + NEXT_ID * index).ok()?;
        Some(u64::from_ne_bytes(id)).filter(|id| length == id.to_ne_bytes().len() && *id != 0)
    })
}
