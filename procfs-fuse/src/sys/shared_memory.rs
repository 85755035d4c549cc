//! The memfd that outlives workers: made, mapped, and kept in memory.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use crate::answer::notes::Notes;
use crate::shared::Shared;
use crate::shared::slots::Buffer;

/// Name of the memfd as `/proc/PID/fd` shows it.
pub const NAME: &str = "portholefs";

/// Name of the memfd with [`Notes`].
const NAME_OF_NOTES: &str = "portholefs-calls";

/// A type for memory that other processes write at any time.
///
/// # Safety
///
/// It is made of atomic integers alone, so that every bit pattern is a value, and is
/// aligned to no more than a page.
unsafe trait Words {}

// SAFETY: `Shared` and all that it is made of are atomic integers.
unsafe impl Words for Shared {}

// SAFETY: `Notes` and all that it is made of are atomic integers.
unsafe impl Words for Notes {}

/// Makes the memory, all zero. Pages come into being when they are used.
///
/// # Errors
///
/// * `ENFILE`, `EMFILE`: out of descriptors.
/// * `ENOMEM`: out of memory.
pub fn create() -> io::Result<OwnedFd> {
    create_words::<Shared>(NAME)
}

/// Makes the memory of those who answer system calls, all zero.
///
/// # Errors
///
/// As [`create`].
pub fn create_notes() -> io::Result<OwnedFd> {
    create_words::<Notes>(NAME_OF_NOTES)
}

fn create_words<T: Words>(name: &str) -> io::Result<OwnedFd> {
    let memory = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    let size = i64::try_from(size_of::<T>()).map_err(io::Error::other)?;
    ftruncate(&memory, size)?;
    Ok(memory)
}

/// Maps the memory for the rest of this process's life. One that another version has
/// made may be longer or shorter; it only ever grows.
///
/// # Errors
///
/// `ENOMEM`: no room in the address space, or no more memory.
pub fn map(memory: BorrowedFd<'_>) -> io::Result<&'static Shared> {
    map_words(memory)
}

/// Maps the memory of those who answer system calls, as [`map`] does.
///
/// # Errors
///
/// As [`map`].
pub fn map_notes(memory: BorrowedFd<'_>) -> io::Result<&'static Notes> {
    map_words(memory)
}

fn map_words<T: Words>(memory: BorrowedFd<'_>) -> io::Result<&'static T> {
    let expected = size_of::<T>();
    if usize::try_from(fstat(memory)?.st_size).is_ok_and(|size| size < expected) {
        ftruncate(memory, i64::try_from(expected).map_err(io::Error::other)?)?;
    }
    let length = std::num::NonZero::new(expected).ok_or(io::ErrorKind::InvalidInput)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where, so nothing of ours is replaced.
    let address = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, memory.as_fd(), 0)? };
    // SAFETY: the mapping is as long as `T`, page-aligned as `Words` promises is
    // enough, never unmapped, and backed by a memfd that only grows, so every access
    // stays inside it. `Words` also promises that every bit pattern is a value, and
    // that other processes may change them at any time.
    Ok(unsafe { address.cast::<T>().as_ref() })
}

/// Forgets everything after the banks, however long it is.
///
/// # Errors
///
/// `ENOSYS`, `EOPNOTSUPP`: none that a memfd has.
pub fn clear_tables(memory: BorrowedFd<'_>) -> io::Result<()> {
    let begin = i64::try_from(offset_of!(Shared, quarantine)).map_err(io::Error::other)?;
    let end = fstat(memory)?.st_size;
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(memory, hole, begin, end - begin)?;
    Ok(())
}

/// Brings the pages of `part` into memory, writable, and keeps them there.
///
/// # Errors
///
/// `ENOMEM`, `EPERM`: over `RLIMIT_MEMLOCK` without `CAP_IPC_LOCK`.
pub fn keep_resident<T>(part: &'static T) -> io::Result<()> {
    let address = NonNull::from(part).cast();
    // SAFETY: `part` is a live reference, so the range is mapped; locking reads
    // and changes no byte of it.
    unsafe { mlock(address, size_of::<T>())? };
    Ok(())
}

/// Takes the pages of `buffer` out of memory; they are zero when they are used again.
///
/// # Errors
///
/// `EINVAL`: they are locked, or no part of a memfd.
pub fn forget(buffer: &Buffer) -> io::Result<()> {
    let address = NonNull::from(buffer).cast();
    // SAFETY: the range is that of a live reference and stays mapped; its bytes
    // become zero, which is a value of the atomic integers that it is made of.
    unsafe { madvise(address, size_of::<Buffer>(), MmapAdvise::MADV_REMOVE)? };
    Ok(())
}
