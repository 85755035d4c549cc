//! The other door: system calls that say how big the machine is.
//!
//! `sysinfo`, `sched_getaffinity` and `sched_setaffinity` ask the kernel and no file.
//! Where a container's runtime has the kernel ask us instead (seccomp user
//! notification), they are answered from the same readings by the same views as the
//! files are.
//!
//! ```text
//!  caller --sysinfo(2)--> kernel --listener--> answerer --serve, view--> bytes, into the caller
//!                                   ^             |  notes what it has taken
//!                                   |             v
//!  runtime --listener, once--> holder: every listener, one memfd; starts answerers
//! ```
//!
//! Two processes, because a call that was taken and is not answered waits for ever, and
//! because a listener that nobody holds makes these calls fail: the [`holder`] keeps
//! listeners and notes and does nothing else, the [`answerer`] may die at any instant.
//! What the kernel hands out is written into the [`notes`] by the system call that hands
//! it out, as with requests of FUSE: the successor finds it there and answers.
//!
//! What this folder does not do: decide what a container sees (`view`, by way of
//! [`Server`](crate::serve::Server)), or make listeners, which is the runtime's business.
//! Whatever goes wrong here, the kernel answers as if we were not there.

pub mod answerer;
mod beside;
pub mod call;
pub mod connection;
pub mod holder;
pub mod layout;
mod listeners;
pub mod notes;
mod patience;
mod rights;
mod table;
mod target;
mod turn;
mod waiting;

/// Numbers at which an answerer finds what its holder has left it.
mod descriptors {
    use std::os::fd::RawFd;

    /// The memfd with [`Notes`](super::notes::Notes).
    pub(super) const MEMORY: RawFd = 100;
    /// The timer that watches for calls that take too long: armed by the answerer, read
    /// by the holder.
    pub(super) const WATCH: RawFd = 101;
    /// An eventfd that the holder writes when listeners have come or gone.
    pub(super) const WAKE: RawFd = 102;
    /// A pipe that nobody writes to: it ends when holder and answerers are dead.
    pub(super) const LIFE: RawFd = 103;
}
