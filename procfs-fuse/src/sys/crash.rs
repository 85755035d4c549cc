//! Which thread crashed: a note that survives the process.
//!
//! A fatal signal that the worker brought on itself (a fault, an abort) is
//! blamed on the request that the thread was answering. One that somebody sent
//! is blamed on nobody.

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::shared::slots::Bank;
use crate::shared::{Shared, slots::BANKS};

/// The banks that the handler looks through; null until [`install`].
static BANKS_OF_ALL: AtomicPtr<[Bank; BANKS]> = AtomicPtr::new(std::ptr::null_mut());

/// Signals by which a program kills itself.
const FATAL: [Signal; 5] =
    [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT];

/// From now on a thread of this process that crashes leaves blame in its slot.
///
/// # Errors
///
/// None that the kernel documents for these signals.
pub fn install(shared: &'static Shared) -> io::Result<()> {
    BANKS_OF_ALL.store((&raw const shared.banks).cast_mut(), SeqCst);
    // SA_RESETHAND: the second time, right after the handler, the signal kills.
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESETHAND | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(blame), flags, SigSet::empty());
    for signal in FATAL {
        // SAFETY: the handler only calls gettid(2) and raise(3) and touches
        // atomics, all of which are allowed in a signal handler.
        unsafe { sigaction(signal, &action)? };
    }
    Ok(())
}

extern "C" fn blame(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a pointer to a siginfo that outlives the handler.
    let code = unsafe { (*info).si_code };
    if code > 0 || code == libc::SI_TKILL {
        blame_this_thread();
    }
    // SAFETY: raising a signal needs nothing; its action is the default again.
    unsafe { libc::raise(signal) };
}

fn blame_this_thread() {
    let banks = BANKS_OF_ALL.load(SeqCst);
    // SAFETY: null until `install` stored a reference with static lifetime.
    let Some(banks) = (unsafe { banks.as_ref() }) else { return };
    // SAFETY: gettid takes nothing and cannot fail.
    let thread = unsafe { libc::gettid() }.cast_unsigned();
    for slot in banks.iter().flat_map(|bank| &bank.slots) {
        if slot.thread.load(SeqCst) == thread && slot.busy_since.load(SeqCst) != 0 {
            slot.blame.fetch_add(1, SeqCst);
        }
    }
}
