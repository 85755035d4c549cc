//! Block IO of a group: `io.stat` (v2) and `blkio.throttle.*` (v1).
//!
//! Both count bytes and operations for each device, descendants included. Neither
//! knows times, merges or partitions.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst`, "IO
//! Interface Files"; `blkg_rwstat_recursive_sum()` in block/blk-cgroup-rwstat.c.

use std::collections::BTreeMap;

use crate::format::FormatError;
use crate::group::{Group, Version};
use crate::interface::{InterfaceFile, ReadError};

/// A block device by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// The device among the driver's.
    pub minor: u32,
}

/// What a group has read from and written to one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Reads.
    pub read: Transfer,
    /// Writes.
    pub write: Transfer,
    /// Blocks given back to the device.
    pub discard: Transfer,
}

/// IO of one kind since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes.
    pub bytes: u64,
    /// Operations that the device was given.
    pub operations: u64,
}

/// IO by device; a device that was not used is not there.
pub type IoUsage = BTreeMap<Device, DeviceIo>;

/// The files that tell a group's IO.
#[derive(Debug)]
pub enum IoFiles {
    /// `blkio.throttle.io_service_bytes_recursive` and `io_serviced_recursive`.
    V1 {
        /// Bytes.
        bytes: InterfaceFile,
        /// Operations.
        operations: InterfaceFile,
    },
    /// `io.stat`.
    V2(InterfaceFile),
}

impl IoFiles {
    /// The files of `group`; they are opened when they are first read.
    pub fn new(group: &Group) -> Self {
        let dir = group.dir().into();
        let file = |name| InterfaceFile::new(&dir, name);
        match group.version() {
            Version::V1 => Self::V1 {
                bytes: file("blkio.throttle.io_service_bytes_recursive"),
                operations: file("blkio.throttle.io_serviced_recursive"),
            },
            Version::V2 => Self::V2(file("io.stat")),
        }
    }

    /// IO so far; `None` when the controller is not enabled for the group.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first file that fails.
    pub fn read(&self) -> Result<Option<IoUsage>, ReadError> {
        let (bytes, operations) = match self {
            Self::V2(file) => return file.read_if_present(parse_v2),
            Self::V1 { bytes, operations } => (bytes, operations),
        };
        let Some(bytes) = bytes.read_if_present(parse_v1)? else { return Ok(None) };
        let operations = operations.read_if_present(parse_v1)?.unwrap_or_default();
        Ok(Some(joined(bytes, &operations)))
    }
}

/// Parses `io.stat`: lines of `"8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"`.
///
/// # Errors
///
/// [`FormatError`] with the line that does not begin with a device, or the word
/// of it that is no key and number. Keys that mean nothing to us are skipped.
pub fn parse_v2(text: &str) -> Result<IoUsage, FormatError> {
    let mut usage = IoUsage::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let mut io = DeviceIo::default();
        let device = words.next().map(parse_device).transpose()?;
        let device = device.ok_or_else(|| FormatError::new("a device", line))?;
        for word in words {
            let malformed = || FormatError::new("\"<key>=<number>\"", word);
            let (key, value) = word.split_once('=').ok_or_else(malformed)?;
            if let Some(field) = field_v2(&mut io, key) {
                *field = value.parse().map_err(|_not_a_number| malformed())?;
            }
        }
        // Some kernels list devices that were not used.
        if io != DeviceIo::default() {
            usage.insert(device, io);
        }
    }
    Ok(usage)
}

fn field_v2<'a>(io: &'a mut DeviceIo, key: &str) -> Option<&'a mut u64> {
    Some(match key {
        "rbytes" => &mut io.read.bytes,
        "wbytes" => &mut io.write.bytes,
        "dbytes" => &mut io.discard.bytes,
        "rios" => &mut io.read.operations,
        "wios" => &mut io.write.operations,
        "dios" => &mut io.discard.operations,
        _ => return None,
    })
}

/// One of v1's files: for each device the number of reads, writes and discards.
type CountsV1 = BTreeMap<Device, [u64; 3]>;

/// Lines of `"8:0 Read 1"`; `Sync`, `Async` and `Total` count the same again, and
/// the last line is the total of all devices.
fn parse_v1(text: &str) -> Result<CountsV1, FormatError> {
    let mut counts = CountsV1::new();
    for line in text.lines().filter(|line| !line.starts_with("Total")) {
        let malformed = || FormatError::new("\"<major>:<minor> <operation> <number>\"", line);
        let mut words = line.split_ascii_whitespace();
        let (Some(device), Some(operation), Some(number), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let [read, write, discard] = counts.entry(parse_device(device)?).or_default();
        let count = match operation {
            "Read" => read,
            "Write" => write,
            "Discard" => discard,
            _counted_above => continue,
        };
        *count = number.parse().map_err(|_not_a_number| malformed())?;
    }
    Ok(counts)
}

fn joined(bytes: CountsV1, operations: &CountsV1) -> IoUsage {
    let join = |(device, bytes): (Device, [u64; 3])| {
        let operations = operations.get(&device).copied().unwrap_or_default();
        let [read, write, discard] = [0, 1, 2].map(|kind: usize| Transfer {
            bytes: bytes.get(kind).copied().unwrap_or_default(),
            operations: operations.get(kind).copied().unwrap_or_default(),
        });
        (device, DeviceIo { read, write, discard })
    };
    bytes.into_iter().map(join).collect()
}

fn parse_device(text: &str) -> Result<Device, FormatError> {
    let parse = || {
        let (major, minor) = text.split_once(':')?;
        Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
    };
    parse().ok_or_else(|| FormatError::new("\"<major>:<minor>\"", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VDA: Device = Device { major: 254, minor: 0 };

    fn io(read: (u64, u64), write: (u64, u64), discard: (u64, u64)) -> DeviceIo {
        let transfer = |(bytes, operations)| Transfer { bytes, operations };
        DeviceIo { read: transfer(read), write: transfer(write), discard: transfer(discard) }
    }

    #[test]
    fn io_stat() {
        let text =
            "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0 cost.usage=7\n7:0 \n";
        let usage = parse_v2(text).unwrap();
        assert_eq!(usage, IoUsage::from([(VDA, io((4096, 1), (8192, 2), (0, 0)))]));
        for text in ["254 rbytes=1\n", "254:0 rbytes\n", "254:0 rbytes=x\n", "\n"] {
            assert!(parse_v2(text).is_err(), "input: {text:?}");
        }
    }

    #[test]
    fn blkio_throttle() {
        let bytes = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 9\nTotal 9\n";
        let operations = "254:0 Read 1\n254:0 Write 2\nTotal 3\n";
        let usage = joined(parse_v1(bytes).unwrap(), &parse_v1(operations).unwrap());
        assert_eq!(usage, IoUsage::from([(VDA, io((4096, 1), (8192, 2), (0, 0)))]));
        assert_eq!(parse_v1("Total 0\n"), Ok(CountsV1::new()));
        for text in ["254:0 Read\n", "254 Read 1\n", "254:0 Read 1 2\n", "254:0 Read x\n"] {
            assert!(parse_v1(text).is_err(), "input: {text:?}");
        }
    }
}
