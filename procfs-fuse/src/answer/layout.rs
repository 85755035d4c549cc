//! Answers as the caller's architecture lays them out; pure.
//!
//! Kernel source of truth: `struct sysinfo` in include/uapi/linux/sysinfo.h,
//! `COMPAT_SYSCALL_DEFINE1(sysinfo)` in kernel/sys.c, masks in kernel/sched/syscalls.c.

use cgroupfs::cpu_list::CpuList;

use super::call::Width;
use crate::view::sysinfo::SystemInfo;

/// Bits by which the kernel shifts a load that has 11 of fraction to one that has 16.
const LOAD_SHIFT: u32 = 16 - 11;

/// `struct sysinfo` for a caller with this `width`, on a machine with this `page_size`.
pub fn sysinfo(info: &SystemInfo, width: Width, page_size: u64) -> Vec<u8> {
    match width {
        Width::Long64 => sysinfo_64(info),
        Width::Long32 => sysinfo_32(info, page_size),
    }
}

/// Sizes in the order of the structure, up to `procs`.
fn sizes(info: &SystemInfo) -> [u64; 6] {
    [info.total, info.free, info.shared, info.buffers, info.swap_total, info.swap_free]
}

fn sysinfo_64(info: &SystemInfo) -> Vec<u8> {
    const BYTES: u32 = 1;
    let mut out = Vec::with_capacity(112);
    let mut long = |number: u64| out.extend(number.to_ne_bytes());
    long(info.uptime_s);
    info.loads.iter().for_each(|load| long(load << LOAD_SHIFT));
    sizes(info).into_iter().for_each(&mut long);
    out.extend(procs(info).to_ne_bytes());
    // `pad`, and what aligns the next word.
    out.extend([0; 6]);
    // `totalhigh`, `freehigh`: no such memory on 64 bits.
    out.extend([0; 16]);
    out.extend(BYTES.to_ne_bytes());
    out.extend([0; 4]);
    out
}

fn sysinfo_32(info: &SystemInfo, page_size: u64) -> Vec<u8> {
    let is_large = |size: u64| u32::try_from(size).is_err();
    let unit = if is_large(info.total) || is_large(info.swap_total) { page_size } else { 1 };
    let mut out = Vec::with_capacity(64);
    let mut word = |number: u64| out.extend(cut(number).to_ne_bytes());
    word(info.uptime_s);
    info.loads.iter().for_each(|load| word(load << LOAD_SHIFT));
    sizes(info).into_iter().for_each(|size| word(size / unit.max(1)));
    out.extend(procs(info).to_ne_bytes());
    out.extend([0; 2]);
    // `totalhigh`, `freehigh`.
    out.extend([0; 8]);
    out.extend(cut(unit).to_ne_bytes());
    // `_f`.
    out.extend([0; 8]);
    out
}

/// The 32 bits that there is room for, as the kernel cuts them.
fn cut(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// `procs` has 16 bits; the kernel lets larger numbers wrap, here they are the largest.
fn procs(info: &SystemInfo) -> u16 {
    u16::try_from(info.tasks).unwrap_or(u16::MAX)
}

/// A mask of `length` bytes with a bit for each of `cpus`.
pub fn mask(cpus: &CpuList, length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    for cpu in cpus.iter() {
        if let Some(byte) = bytes.get_mut(cpu as usize / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    bytes
}

/// The CPUs whose bits are set in a mask.
pub fn cpus(mask: &[u8]) -> CpuList {
    let of_byte = |(first, byte): (u32, u8)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| first + bit)
    };
    (0..).step_by(8).zip(mask.iter().copied()).flat_map(of_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: SystemInfo = SystemInfo {
        uptime_s: 77,
        loads: [2048, 1024, 1],
        total: 512 << 20,
        free: 400 << 20,
        shared: 3 << 20,
        buffers: 0,
        swap_total: 1 << 20,
        swap_free: 1 << 19,
        tasks: 70_000,
    };

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn long(bytes: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn the_structure_of_64_bits() {
        let bytes = sysinfo(&INFO, Width::Long64, 4096);
        assert_eq!(bytes.len(), 112);
        assert_eq!((long(&bytes, 0), long(&bytes, 8), long(&bytes, 16)), (77, 65536, 32768));
        assert_eq!(
            (long(&bytes, 32), long(&bytes, 40), long(&bytes, 48)),
            (512 << 20, 400 << 20, 3 << 20)
        );
        assert_eq!((long(&bytes, 64), long(&bytes, 72)), (1 << 20, 1 << 19));
        assert_eq!(u16::from_ne_bytes([bytes[80], bytes[81]]), u16::MAX);
        assert_eq!(word(&bytes, 104), 1);
    }

    #[test]
    fn the_structure_of_32_bits() {
        let bytes = sysinfo(&INFO, Width::Long32, 4096);
        assert_eq!(bytes.len(), 64);
        assert_eq!((word(&bytes, 0), word(&bytes, 4), word(&bytes, 16)), (77, 65536, 512 << 20));
        assert_eq!(word(&bytes, 52), 1);
    }

    #[test]
    fn what_does_not_fit_into_32_bits_is_told_in_pages() {
        let info = SystemInfo { total: 8 << 30, ..INFO };
        let bytes = sysinfo(&info, Width::Long32, 4096);
        assert_eq!((word(&bytes, 16), word(&bytes, 20)), (2 << 20, (400 << 20) / 4096));
        assert_eq!(word(&bytes, 52), 4096);
    }

    #[test]
    fn masks_are_lists_and_back() {
        let list = |text| cgroupfs::cpu_list::parse(text).unwrap();
        for text in ["", "0", "0-3,8", "7-8,63-64"] {
            assert_eq!(cpus(&mask(&list(text), 16)), list(text), "{text}");
        }
        assert_eq!(mask(&list("0,9"), 8), [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(mask(&list("0,64"), 8), [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
