//! The filter on system calls.
//!
//! Which calls, and why, is `runtime/seccomp/table.rs`; the program that the
//! kernel runs for each call is made from it by `runtime/seccomp/build.rs`, with
//! libseccomp, and is part of this binary.

use crate::report::{Fault, Object};
use crate::sys::seccomp::{Instruction, load};

/// The program as libseccomp writes it: instructions of 8 bytes, in the byte
/// order of the machine.
const DEFAULT_FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/seccomp.bpf"));

/// Puts the default filter in force for this process and what it starts; for
/// good. The process must have given up gaining privileges, or administer the
/// machine.
pub(crate) fn load_default() -> Result<(), Fault> {
    load(&instructions(DEFAULT_FILTER)).of("system calls")
}

fn instructions(program: &[u8]) -> Vec<Instruction> {
    let (instructions, _rest) = program.as_chunks();
    instructions.iter().map(|bytes| Instruction::from_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's limit for one filter; `BPF_MAXINSNS`.
    const MOST_INSTRUCTIONS: usize = 4096;

    #[test]
    fn the_filter_is_whole_and_small_enough_for_the_kernel() {
        assert_eq!(DEFAULT_FILTER.len() % size_of::<Instruction>(), 0);
        let count = instructions(DEFAULT_FILTER).len();
        assert!((100..=MOST_INSTRUCTIONS).contains(&count), "{count} instructions");
    }
}
