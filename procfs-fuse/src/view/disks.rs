//! The block devices that a container has used, and how much.
//!
//! Devices that it has not used are not shown: they are the host's. Partitions
//! neither: a cgroup counts by whole device. `/proc/diskstats` and
//! `/proc/partitions` name the same devices.

use cgroupfs::io::{Device, DeviceIo, IoUsage};

use crate::host::disks::{Disk, diskstats, partition};

/// One line of the container's `/proc/diskstats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage<'a> {
    /// The device, and how many columns its line has.
    pub disk: Disk<'a>,
    /// What the container has read and written. Merges, times and what is in
    /// flight are not counted by cgroup; the file's columns for them are 0.
    pub io: DeviceIo,
}

/// The container's `/sys/block/*/stat` of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockStat {
    /// How many columns the host's has: as in [`Disk`].
    pub columns: usize,
    /// What the container has read and written: nothing of a device that it has not
    /// used, whose file is there because the kernel's directory is.
    pub io: DeviceIo,
}

/// What the container has done with `device`.
pub fn of(host_text: &str, device: &Device, io: &IoUsage) -> BlockStat {
    let columns = host_text.split_ascii_whitespace().count();
    BlockStat { columns, io: io.get(device).copied().unwrap_or_default() }
}

/// The disks that the container has used, in the host's order.
pub fn used<'a>(host_text: &'a str, io: &IoUsage) -> Vec<DiskUsage<'a>> {
    diskstats(host_text)
        .filter_map(|disk| io.get(&disk.device).map(|io| DiskUsage { disk, io: *io }))
        .collect()
}

/// The lines of the container's `/proc/partitions`: the heading and the disks
/// that it has used.
pub fn partitions<'a>(host_text: &'a str, io: &IoUsage) -> Vec<&'a str> {
    let is_shown = |line: &&str| partition(line).is_none_or(|device| io.contains_key(&device));
    host_text.lines().filter(is_shown).collect()
}

/// KiB read and written in all: `pgpgin` and `pgpgout` of `/proc/vmstat`; `None`
/// for other names and where the container's IO is not known.
pub fn paged(name: &str, io: Option<&IoUsage>) -> Option<u64> {
    let bytes = |transfer: fn(&DeviceIo) -> u64| {
        io.map(|io| io.values().map(transfer).fold(0, u64::saturating_add) / 1024)
    };
    match name {
        "pgpgin" => bytes(|io| io.read.bytes),
        "pgpgout" => bytes(|io| io.write.bytes),
        _another => None,
    }
}

#[cfg(test)]
mod tests {
    use cgroupfs::io::{Device, Transfer};

    use super::*;

    fn usage() -> IoUsage {
        let read = Transfer { bytes: 1 << 20, operations: 3 };
        let write = Transfer { bytes: 5 << 10, operations: 1 };
        let io = DeviceIo { read, write, ..DeviceIo::default() };
        IoUsage::from([(Device { major: 254, minor: 0 }, io)])
    }

    /// lxcfs on v2: the host's file.
    #[test]
    fn only_devices_that_were_used_are_shown() {
        let host = " 254 0 vda 1 2 3 4 5 6 7 8 9 10 11\n 254 1 vda1 1 2 3 4\n 7 0 loop0 0\n";
        let io = usage();
        let names: Vec<_> = used(host, &io).iter().map(|usage| usage.disk.name).collect();
        assert_eq!(names, ["vda"]);
    }

    #[test]
    fn both_files_name_the_same_devices() {
        let host = "major minor  #blocks  name\n\n 254        0  99 vda\n 254        1  98 vda1\n";
        let expected = ["major minor  #blocks  name", "", " 254        0  99 vda"];
        assert_eq!(partitions(host, &usage()), expected);
    }

    #[test]
    fn a_device_that_was_not_used_has_counted_nothing() {
        let (disk, loops) = (Device { major: 254, minor: 0 }, Device { major: 7, minor: 0 });
        let io = usage();
        let expected = BlockStat { columns: 11, io: io[&disk] };
        assert_eq!(of("1 2 3 4 5 6 7 8 9 10 11\n", &disk, &io), expected);
        let expected = BlockStat { columns: 2, io: DeviceIo::default() };
        assert_eq!(of("     1        2\n", &loops, &io), expected);
    }

    #[test]
    fn paging_is_in_kib() {
        assert_eq!(paged("pgpgin", Some(&usage())), Some(1024));
        assert_eq!(paged("pgpgout", Some(&usage())), Some(5));
        assert_eq!(paged("pgpgout", None), None);
        assert_eq!(paged("pgfree", Some(&usage())), None);
    }
}
