//! An answerer's copies of the holder's listeners, and which of them has a call.
//!
//! A listener is waited for by all threads and handed to one: until that one has
//! answered, the others leave it alone. So callers of one container wait for each other,
//! and a container that keeps a thread waiting keeps one at most.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::RwLock;

use super::notes::{Name, Notes};
use crate::sys::{notify, process};

/// A listener, open in this process.
#[derive(Debug)]
pub(super) struct Listener {
    name: Name,
    fd: OwnedFd,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener {
    /// Which one it is.
    pub(super) fn name(&self) -> Name {
        self.name
    }
}

/// All listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    notes: &'static Notes,
    holder: OwnedFd,
    open: RwLock<HashMap<u32, Arc<Listener>>>,
    epoll: Epoll,
}

impl Listeners {
    /// Those that the process behind `holder` holds, as it says in `notes`.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub(super) fn new(notes: &'static Notes, holder: OwnedFd) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { notes, holder, open: RwLock::default(), epoll })
    }

    /// Opens those that have come, and closes those that have gone.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub(super) fn follow(&self) -> io::Result<()> {
        for (index, place) in (0_u32..).zip(&self.notes.listeners) {
            let held = place.listener();
            let known = self.open.read().get(&index).map(|known| known.name.generation);
            if known == held.map(|(generation, _number)| generation) {
                continue;
            }
            if known.is_some() {
                self.close(index);
            }
            if let Some((generation, number)) = held {
                self.open(Name { index, generation }, number)?;
            }
        }
        Ok(())
    }

    fn open(&self, name: Name, number: u32) -> io::Result<()> {
        let number = RawFd::try_from(number).map_err(io::Error::other)?;
        let fd = match process::pidfd_getfd(self.holder.as_fd(), number) {
            Ok(fd) => fd,
            // Its callers would wait for ever: whoever comes after us has less open.
            Err(error) if is_out_of_descriptors(&error) => return Err(error),
            // It has gone meanwhile, which we are going to be told.
            Err(_gone) => return Ok(()),
        };
        if self.held_now(name.index) != Some(name.generation) {
            return Ok(());
        }
        // Older kernels cannot, which costs time and nothing else.
        let _older = notify::wake_where_it_is(fd.as_fd());
        let listener = Arc::new(Listener { name, fd });
        self.open.write().insert(name.index, Arc::clone(&listener));
        self.epoll.add(&*listener, waited_for(name.index))?;
        Ok(())
    }

    fn held_now(&self, index: u32) -> Option<u64> {
        let place = self.notes.listeners.get(index as usize)?;
        place.listener().map(|(generation, _number)| generation)
    }

    fn close(&self, index: u32) {
        if let Some(listener) = self.open.write().remove(&index) {
            // Another thread may hold it open for a while yet.
            let _not_waited_for = self.epoll.delete(&*listener);
        }
    }

    /// The listener of this name, if it is still held.
    pub(super) fn find(&self, name: Name) -> Option<Arc<Listener>> {
        let listener = self.open.read().get(&name.index).cloned()?;
        (listener.name == name).then_some(listener)
    }

    /// Waits for a listener that has a call, for this thread alone until it is
    /// [put back](Self::put_back); `None` when it went meanwhile.
    ///
    /// # Errors
    ///
    /// None that the kernel documents for what is passed here.
    pub(super) fn next(&self) -> io::Result<Option<Arc<Listener>>> {
        let mut happened = [EpollEvent::empty()];
        match self.epoll.wait(&mut happened, EpollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(None),
            waited => waited?,
        };
        let [event] = happened;
        let index = u32::try_from(event.data()).map_err(io::Error::other)?;
        if !event.events().contains(EpollFlags::EPOLLIN) {
            // Nobody is left who could call; the holder is told too.
            self.close(index);
            return Ok(None);
        }
        Ok(self.open.read().get(&index).cloned())
    }

    /// Lets any thread have the listener's next call.
    pub(super) fn put_back(&self, listener: &Listener) {
        let index = listener.name.index;
        // It has gone meanwhile.
        let _gone = self.epoll.modify(listener, &mut waited_for(index));
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// One call, for one thread.
fn waited_for(index: u32) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, index.into())
}
