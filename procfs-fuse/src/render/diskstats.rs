//! `/proc/diskstats`; format of `diskstats_show()` in block/genhd.c.

use std::fmt::Write as _;

use cgroupfs::io::Transfer;

use crate::view::disks::DiskUsage;

/// Bytes in one of the file's sectors, whatever the device's are.
const SECTOR: u64 = 512;

/// Appends a line for each disk to `out`, with as many columns as the host's has.
pub fn diskstats(disks: &[DiskUsage<'_>], out: &mut String) {
    for DiskUsage { disk, io } in disks {
        let [reads, writes, discards] = [io.read, io.write, io.discard].map(columns);
        // Reads, writes, what is in flight and its times, discards, flushes.
        let in_flight = [0; 3];
        let flushes = [0; 2];
        let all = reads.iter().chain(&writes).chain(&in_flight).chain(&discards).chain(&flushes);
        // Writing to a String cannot fail.
        let _infallible =
            write!(out, "{:4} {:7} {}", disk.device.major, disk.device.minor, disk.name);
        for column in all.take(disk.columns) {
            let _infallible = write!(out, " {column}");
        }
        out.push('\n');
    }
}

/// Operations, merges, sectors, milliseconds.
fn columns(transfer: Transfer) -> [u64; 4] {
    [transfer.operations, 0, transfer.bytes / SECTOR, 0]
}

#[cfg(test)]
mod tests {
    use cgroupfs::io::{Device, DeviceIo};

    use super::*;
    use crate::host::disks::Disk;

    #[track_caller]
    fn check(columns: usize, expected: &str) {
        let disk = Disk { device: Device { major: 254, minor: 0 }, name: "vda", columns };
        let read = Transfer { bytes: 10 * SECTOR, operations: 3 };
        let write = Transfer { bytes: SECTOR, operations: 1 };
        let discard = Transfer { bytes: 8 * SECTOR, operations: 2 };
        let mut out = String::new();
        diskstats(&[DiskUsage { disk, io: DeviceIo { read, write, discard } }], &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn a_line_has_the_columns_of_its_kernel() {
        check(11, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0\n");
        check(15, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0 2 0 8 0\n");
        check(17, " 254       0 vda 3 0 10 0 1 0 1 0 0 0 0 2 0 8 0 0 0\n");
    }
}
