//! The filter that has system calls about the machine's size answered by portholefs.
//!
//! It stands beside the container's own filter, whichever that is: of two filters the
//! kernel obeys the stricter answer, and asking somebody is stricter than allowing. It
//! speaks of three calls and allows all others, which the kernel remembers for each
//! number (Linux 5.11), so that they cost nothing more.
//!
//! What this module does not do: answer (`procfs-fuse/src/answer`, whose `call.rs` has
//! the same numbers), or see to it that somebody does ([`holder`](super::holder)).
//!
//! Source of truth: `seccomp_unotify(2)`, `include/uapi/linux/audit.h`, and the kernel's
//! tables of system calls.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::report::{Fault, Object};
use crate::sys::seccomp::{Instruction, load_with_listener};

/// The calls of one architecture.
struct Calls {
    /// `AUDIT_ARCH_*`.
    architecture: u32,
    /// Bits of a number that say which call it is.
    number: u32,
    /// `sysinfo`, `sched_setaffinity`, `sched_getaffinity`.
    answered: [u32; 3],
}

const ALL_BITS: u32 = u32::MAX;

/// All but `__X32_SYSCALL_BIT`.
#[cfg(target_arch = "x86_64")]
const NOT_X32: u32 = !0x4000_0000;

/// What a container on this machine can call: x86-64 with x32, and i386.
#[cfg(target_arch = "x86_64")]
const KNOWN: &[Calls] = &[
    Calls { architecture: 0xC000_003E, number: NOT_X32, answered: [99, 203, 204] },
    Calls { architecture: 0x4000_0003, number: ALL_BITS, answered: [116, 241, 242] },
];

/// What a container on this machine can call: arm64, and 32-bit arm.
#[cfg(target_arch = "aarch64")]
const KNOWN: &[Calls] = &[
    Calls { architecture: 0xC000_00B7, number: ALL_BITS, answered: [179, 122, 123] },
    Calls { architecture: 0x4000_0028, number: ALL_BITS, answered: [116, 241, 242] },
];

/// What became of it.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// In force; whoever holds this is asked.
    Listener(OwnedFd),
    /// Not in force, for this reason.
    Not(&'static str),
}

/// Puts the filter in force for this process and what it starts; for good.
///
/// Must be answered from then on: without a holder of the listener the calls fail.
pub(crate) fn load() -> Result<Loaded, Fault> {
    match load_with_listener(&program()) {
        Ok(listener) => Ok(Loaded::Listener(listener)),
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            Ok(Loaded::Not("this kernel has nobody asked about them"))
        }
        Err(Errno::EBUSY) => Ok(Loaded::Not("somebody else answers calls of this container")),
        Err(errno) => Err(errno).of("system calls that are answered"),
    }
}

fn program() -> Vec<Instruction> {
    let blocks = KNOWN.iter().flat_map(block);
    blocks.chain([Instruction::answer(libc::SECCOMP_RET_ALLOW)]).collect()
}

/// Decides about the calls of one architecture, and goes on behind itself for others.
fn block(calls: &Calls) -> [Instruction; 9] {
    const HERE: u8 = 0;
    let [one, two, three] = calls.answered;
    [
        Instruction::load_architecture(),
        Instruction::jump_if(calls.architecture, HERE, 7),
        Instruction::load_number(),
        Instruction::and(calls.number),
        Instruction::jump_if(one, 3, HERE),
        Instruction::jump_if(two, 2, HERE),
        Instruction::jump_if(three, 1, HERE),
        Instruction::answer(libc::SECCOMP_RET_ALLOW),
        Instruction::answer(libc::SECCOMP_RET_USER_NOTIF),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, on the two words that it looks at.
    fn run(architecture: u32, number: u32) -> u32 {
        let (program, mut accumulator, mut at) = (program(), 0, 0);
        loop {
            let (code, jump_true, jump_false, operand) = program[at].parts();
            at += 1;
            match code {
                0x20 => accumulator = if operand == 0 { number } else { architecture },
                0x54 => accumulator &= operand,
                0x15 => {
                    at += usize::from(if accumulator == operand { jump_true } else { jump_false })
                }
                0x06 => return operand,
                other => panic!("unexpected instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn three_calls_of_each_architecture_are_answered_and_no_other() {
        for calls in KNOWN {
            for number in 0..500 {
                let is_answered = calls.answered.contains(&number);
                let expected = if is_answered {
                    libc::SECCOMP_RET_USER_NOTIF
                } else {
                    libc::SECCOMP_RET_ALLOW
                };
                assert_eq!(run(calls.architecture, number), expected, "call {number}");
            }
        }
        assert_eq!(run(0, 99), libc::SECCOMP_RET_ALLOW);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x32_is_answered_too() {
        assert_eq!(run(0xC000_003E, 0x4000_0000 | 204), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(run(0x4000_0003, 0x4000_0000 | 242), libc::SECCOMP_RET_ALLOW);
    }
}
