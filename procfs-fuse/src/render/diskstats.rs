//! `/proc/diskstats` and `/sys/block/*/stat`; formats of `diskstats_show()` and
//! `part_stat_show()` in block/genhd.c.

use std::fmt::Write as _;

use cgroupfs::io::{DeviceIo, Transfer};

use crate::view::disks::{BlockStat, DiskUsage};

/// Bytes in one of the file's sectors, whatever the device's are.
const SECTOR: u64 = 512;

/// Appends a line for each disk to `out`, with as many columns as the host's has.
pub fn diskstats(disks: &[DiskUsage<'_>], out: &mut String) {
    for DiskUsage { disk, io } in disks {
        // Writing to a String cannot fail.
        let _infallible =
            write!(out, "{:4} {:7} {}", disk.device.major, disk.device.minor, disk.name);
        for column in columns(io).take(disk.columns) {
            let _infallible = write!(out, " {column}");
        }
        out.push('\n');
    }
}

/// Appends the line of one device, with as many columns as the host's has.
pub fn block_stat(stat: &BlockStat, out: &mut String) {
    for (place, column) in columns(&stat.io).take(stat.columns).enumerate() {
        let gap = if place == 0 { "" } else { " " };
        let _infallible = write!(out, "{gap}{column:8}");
    }
    out.push('\n');
}

/// Reads, writes, what is in flight and its times, discards, flushes.
fn columns(io: &DeviceIo) -> impl Iterator<Item = u64> {
    let [reads, writes, discards] = [io.read, io.write, io.discard].map(columns_of);
    let in_flight = [0; 3];
    let flushes = [0; 2];
    reads.into_iter().chain(writes).chain(in_flight).chain(discards).chain(flushes)
}

/// Operations, merges, sectors, milliseconds.
fn columns_of(transfer: Transfer) -> [u64; 4] {
    [transfer.operations, 0, transfer.bytes / SECTOR, 0]
}

#[cfg(test)]
mod tests {
    use cgroupfs::io::Device;

    use super::*;
    use crate::host::disks::Disk;

    const IO: DeviceIo = DeviceIo {
        read: Transfer { bytes: 10 * SECTOR, operations: 3 },
        write: Transfer { bytes: SECTOR, operations: 1 },
        discard: Transfer { bytes: 8 * SECTOR, operations: 2 },
    };

    #[track_caller]
    fn check(columns: usize, expected: &str) {
        let disk = Disk { device: Device { major: 254, minor: 0 }, name: "vda", columns };
        let mut out = String::new();
        diskstats(&[DiskUsage { disk, io: IO }], &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn a_device_alone_has_its_columns_under_each_other() {
        let mut out = String::new();
        block_stat(&BlockStat { columns: 11, io: IO }, &mut out);
        let line = "       3        0       10        0        1        0        1        0        \
                    0        0        0\n";
        assert_eq!(out, line);
    }

    #[test]
    fn a_line_has_the_columns_of_its_kernel() {
        check(11, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0\n");
        check(15, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0 2 0 8 0\n");
        check(17, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0 2 0 8 0 0 0\n");
    }
}
