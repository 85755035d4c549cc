//! The host's block devices: lines of `/proc/diskstats` and `/proc/partitions`, and
//! `dev` of `/sys/block/*`.
//!
//! Kernel source of truth: `diskstats_show()` and `show_partition()` in
//! block/genhd.c.

use cgroupfs::io::Device;

/// One device's line of `/proc/diskstats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk<'a> {
    /// Its numbers.
    pub device: Device,
    /// Its name.
    pub name: &'a str,
    /// How many counters follow: 11; 15 since Linux 4.18, with discards; 17 since
    /// 5.5, with flushes.
    pub columns: usize,
}

/// The devices of `/proc/diskstats`, in order; other lines are left out.
pub fn diskstats(text: &str) -> impl Iterator<Item = Disk<'_>> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let device = numbers(&mut words)?;
        Some(Disk { device, name: words.next()?, columns: words.count() })
    })
}

/// The device of a line of `/proc/partitions`; `None` for the heading.
pub fn partition(line: &str) -> Option<Device> {
    numbers(&mut line.split_ascii_whitespace())
}

/// The device that a file `dev` names: `"254:0\n"`.
pub fn device(text: &str) -> Option<Device> {
    numbers(&mut text.trim_end().split(':'))
}

fn numbers<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Device> {
    Some(Device { major: words.next()?.parse().ok()?, minor: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_their_numbers() {
        let text = " 254       0 vda 1 2 3 4 5 6 7 8 9 10 11\nnonsense\n";
        let device = Device { major: 254, minor: 0 };
        let expected = Disk { device, name: "vda", columns: 11 };
        assert_eq!(diskstats(text).collect::<Vec<_>>(), [expected]);
        assert_eq!(partition(" 254        0  268435456 vda"), Some(device));
        assert_eq!(partition("major minor  #blocks  name"), None);
        assert_eq!(partition(""), None);
        assert_eq!(super::device("254:0\n"), Some(device));
        assert_eq!(super::device("254\n"), None);
    }
}
