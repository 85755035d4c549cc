//! The memory allocator of the C library: what it keeps of what was given back to it.

/// Gives pages of the heap that hold nothing back to the kernel. The allocator itself does so at
/// the end of the heap alone, from 128 KiB on.
///
/// Each of its arenas is locked for as long as that takes, some hundred microseconds for
/// some MiB: call it where no read waits.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        const KEPT_AT_THE_END: libc::size_t = 0;
        // SAFETY: malloc_trim takes a number, locks what it looks at, and touches pages alone
        // that hold no allocation.
        let _was_any = unsafe { libc::malloc_trim(KEPT_AT_THE_END) };
    }
}
