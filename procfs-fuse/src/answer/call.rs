//! Which call it is, and how its caller lays out memory; pure.
//!
//! A call is known by its number *and* its architecture: 116 is `sysinfo` for a 32-bit
//! program and `sched_yield`'s neighbour for nobody. Numbers are the kernel's
//! `arch/*/entry/syscalls/*.tbl`, architectures its `include/uapi/linux/audit.h`.
//!
//! The runtime's filter has the same numbers (`runtime/src/security/notify.rs`); a call
//! that only one of the two knows is left to the kernel.

/// `__X32_SYSCALL_BIT`: a 64-bit kernel's call by a program with 32-bit pointers. Its
/// structures are the 64-bit ones for all calls that are answered here.
const X32: u32 = 0x4000_0000;

/// Sizes of the caller's `long`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 64 bits.
    Long64,
    /// 32 bits: a program of the older architecture on a 64-bit kernel.
    Long32,
}

/// A call that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `sysinfo(place)`.
    SysInfo {
        /// Where the caller wants the structure.
        place: u64,
        /// How its structure is laid out.
        width: Width,
    },
    /// `sched_getaffinity(pid, length, place)`.
    GetAffinity(Affinity),
    /// `sched_setaffinity(pid, length, place)`.
    SetAffinity(Affinity),
}

/// The arguments of both calls about affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity {
    /// Whose, as the caller's pid namespace numbers threads; 0 for its own.
    pub pid: i32,
    /// Bytes that the caller has for the mask.
    pub length: u32,
    /// Where the mask is.
    pub place: u64,
    /// How large the caller's words are.
    pub width: Width,
}

/// A call as the kernel reports it; `struct seccomp_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// The number.
    pub number: u32,
    /// The first three arguments; none of the calls has more.
    pub arguments: [u64; 3],
}

/// The numbers of one architecture.
struct Numbers {
    architecture: u32,
    width: Width,
    sysinfo: u32,
    set_affinity: u32,
    get_affinity: u32,
}

const fn numbers(
    architecture: u32,
    width: Width,
    [sysinfo, set_affinity, get_affinity]: [u32; 3],
) -> Numbers {
    Numbers { architecture, width, sysinfo, set_affinity, get_affinity }
}

/// x86-64 (with x32), i386, arm64, 32-bit arm.
const KNOWN: [Numbers; 4] = [
    numbers(0xC000_003E, Width::Long64, [99, 203, 204]),
    numbers(0x4000_0003, Width::Long32, [116, 241, 242]),
    numbers(0xC000_00B7, Width::Long64, [179, 122, 123]),
    numbers(0x4000_0028, Width::Long32, [116, 241, 242]),
];

impl Width {
    /// Bytes of the caller's `long`.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Long64 => 8,
            Self::Long32 => 4,
        }
    }
}

impl Raw {
    /// What is asked for; `None` when it is nothing that is answered here.
    pub fn call(&self) -> Option<Call> {
        let known = KNOWN.iter().find(|known| known.architecture == self.architecture)?;
        let number = match known.width {
            Width::Long64 => self.number & !X32,
            Width::Long32 => self.number,
        };
        let [first, second, third] = self.arguments;
        let width = known.width;
        let affinity = || Affinity {
            pid: low(first).cast_signed(),
            length: low(second),
            place: pointer(third, width),
            width,
        };
        if number == known.sysinfo {
            Some(Call::SysInfo { place: pointer(first, width), width })
        } else if number == known.get_affinity {
            Some(Call::GetAffinity(affinity()))
        } else if number == known.set_affinity {
            Some(Call::SetAffinity(affinity()))
        } else {
            None
        }
    }
}

/// What an argument of type `int` is: the kernel looks at no more of the register.
fn low(argument: u64) -> u32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn pointer(argument: u64, width: Width) -> u64 {
    match width {
        Width::Long64 => argument,
        Width::Long32 => low(argument).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xC000_003E;
    const I386: u32 = 0x4000_0003;

    #[track_caller]
    fn check(architecture: u32, number: u32, expected: Option<Call>) {
        let arguments = [0xFFFF_FFFF_0000_0007, 0xABCD_0000_0080, 0x7FFF_0000_1000];
        assert_eq!(Raw { architecture, number, arguments }.call(), expected);
    }

    #[test]
    fn a_number_means_what_its_architecture_says() {
        let affinity =
            Affinity { pid: 7, length: 128, place: 0x7FFF_0000_1000, width: Width::Long64 };
        check(X86_64, 203, Some(Call::SetAffinity(affinity)));
        check(X86_64, 204, Some(Call::GetAffinity(affinity)));
        let place = 0xFFFF_FFFF_0000_0007;
        check(X86_64, 99, Some(Call::SysInfo { place, width: Width::Long64 }));
        check(X86_64, 116, None);
        check(I386, 99, None);
        check(0, 99, None);
    }

    #[test]
    fn x32_has_the_structures_of_64_bits() {
        let place = 0xFFFF_FFFF_0000_0007;
        check(X86_64, 99 | X32, Some(Call::SysInfo { place, width: Width::Long64 }));
    }

    #[test]
    fn pointers_of_32_bits_are_no_longer() {
        check(I386, 116, Some(Call::SysInfo { place: 7, width: Width::Long32 }));
        let affinity = Affinity { pid: 7, length: 128, place: 0x1000, width: Width::Long32 };
        check(I386, 242, Some(Call::GetAffinity(affinity)));
    }
}
