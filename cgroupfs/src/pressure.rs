//! Pressure stall information of a group: `cpu.pressure` and its like, v2 only.
//!
//! The text is passed on as it is: it has the format of `/proc/pressure/*`.
//!
//! Kernel source of truth: `Documentation/accounting/psi.rst`.

use crate::group::{Group, Version};
use crate::interface::{InterfaceFile, ReadError};

/// What tasks may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Block IO.
    Io,
    /// Interrupts; Linux 6.1 with CONFIG_IRQ_TIME_ACCOUNTING.
    Irq,
    /// Memory.
    Memory,
}

/// The pressure files of a group.
#[derive(Debug)]
pub struct PressureFiles {
    cpu: InterfaceFile,
    io: InterfaceFile,
    irq: InterfaceFile,
    memory: InterfaceFile,
}

impl PressureFiles {
    /// The files of `group`, opened when they are first read; `None` on v1, which
    /// has no such files.
    pub fn new(group: &Group) -> Option<Self> {
        let dir = group.dir().into();
        let file = |name| InterfaceFile::new(&dir, name);
        (group.version() == Version::V2).then(|| Self {
            cpu: file("cpu.pressure"),
            io: file("io.pressure"),
            irq: file("irq.pressure"),
            memory: file("memory.pressure"),
        })
    }

    /// The text about one resource; `None` when the group has no such file.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it cannot be read.
    pub fn read(&self, resource: Resource) -> Result<Option<String>, ReadError> {
        let file = match resource {
            Resource::Cpu => &self.cpu,
            Resource::Io => &self.io,
            Resource::Irq => &self.irq,
            Resource::Memory => &self.memory,
        };
        file.read_if_present(|text| Ok(text.to_owned()))
    }
}
