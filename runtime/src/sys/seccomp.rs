//! Filters on system calls: `seccomp(2)`.

use nix::errno::Errno;

/// One instruction of a filter.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Instruction(libc::sock_filter);

impl Instruction {
    /// The instruction whose memory is `bytes`; `struct sock_filter` of
    /// `include/uapi/linux/filter.h`.
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        let [code_0, code_1, jt, jf, k @ ..] = bytes;
        let code = u16::from_ne_bytes([code_0, code_1]);
        Self(libc::sock_filter { code, jt, jf, k: u32::from_ne_bytes(k) })
    }
}

/// Puts `program` in force for this thread and what it starts;
/// `SECCOMP_SET_MODE_FILTER`, Linux 3.17.
///
/// # Errors
///
/// * `EACCES`: the thread can still gain privileges and may not administer the
///   machine.
/// * `EINVAL`: the program is not one.
/// * `ENOMEM`: the filters of the process are too long together.
pub(crate) fn load(program: &[Instruction]) -> nix::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    let length = u16::try_from(program.len()).map_err(|_too_long| Errno::EINVAL)?;
    // The kernel only reads; the C type has no way to say so.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: length, filter };
    // SAFETY: the kernel reads one sock_fprog, which points to as many
    // instructions as it says, all of which outlive the call; `Instruction` has
    // the layout of sock_filter.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            NO_FLAGS,
            &raw const program,
        )
    };
    Errno::result(ret).map(drop)
}
