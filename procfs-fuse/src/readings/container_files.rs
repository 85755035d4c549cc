//! The interface files of one container, and what they say now.
//!
//! Opened at their first reading and kept, so that a reading is a `pread` each.
//! Only what a file of the catalogue needs is read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cgroupfs::controller::Controller;
use cgroupfs::cpu::{BandwidthFiles, CpusetFiles};
use cgroupfs::io::{IoFiles, IoUsage};
use cgroupfs::memory::MemoryFiles;
use cgroupfs::memory_stat::MemoryStat;
use cgroupfs::pressure::{PressureFiles, Resource};

use super::activity_files::ActivityFiles;
use super::shared::Shared;
use super::{Container, Cpu, Memory, Needs, ReadingError};
use crate::scope::Groups;

/// Everything that is read about one container.
#[derive(Debug)]
pub struct ContainerFiles {
    memory: Option<MemoryFiles>,
    memory_stat: Shared<Option<MemoryStat>>,
    bandwidth: Option<BandwidthFiles>,
    cpuset: Option<CpusetFiles>,
    memory_nodes: Option<CpusetFiles>,
    io: Option<IoFiles>,
    pressure: Option<PressureFiles>,
    activity: Arc<ActivityFiles>,
}

impl ContainerFiles {
    /// The files of the container with these groups; nothing is opened yet.
    ///
    /// `proc` is where processes are; one reading of `memory.stat` answers for
    /// `memory_stat_window`.
    pub fn new(proc: &Path, groups: &Groups, memory_stat_window: Duration) -> Self {
        Self {
            memory: groups.get(Controller::Memory).map(MemoryFiles::new),
            memory_stat: Shared::new(memory_stat_window),
            bandwidth: groups.get(Controller::Cpu).map(BandwidthFiles::new),
            cpuset: groups.get(Controller::Cpuset).map(CpusetFiles::new),
            memory_nodes: groups.get(Controller::Cpuset).map(CpusetFiles::memory_nodes),
            io: groups.get(Controller::Blkio).map(IoFiles::new),
            pressure: groups.iter().find_map(|(_, group)| PressureFiles::new(group)),
            activity: Arc::new(ActivityFiles::new(proc, groups)),
        }
    }

    /// Those that tell what it does.
    pub fn activity(&self) -> &Arc<ActivityFiles> {
        &self.activity
    }

    /// What the files say now; `depth` is how many pid namespaces below ours the
    /// reader is. Load and start are known elsewhere and left out.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] of the first file that fails.
    pub fn read(&self, needs: Needs, depth: u32) -> Result<Container, ReadingError> {
        Ok(Container {
            memory: if needs.contains(Needs::MEMORY) { self.memory(needs)? } else { None },
            cpu: self.cpu(needs)?,
            tasks: if needs.contains(Needs::TASKS) { self.activity.tasks(depth)? } else { None },
            io: if needs.contains(Needs::IO) { self.io()? } else { None },
            pressure: self.pressure(needs)?,
            ..Container::default()
        })
    }

    fn io(&self) -> Result<Option<IoUsage>, ReadingError> {
        Ok(self.io.as_ref().map(IoFiles::read).transpose()?.flatten())
    }

    fn pressure(&self, needs: Needs) -> Result<Option<String>, ReadingError> {
        let resources = [
            (Needs::CPU_PRESSURE, Resource::Cpu),
            (Needs::IO_PRESSURE, Resource::Io),
            (Needs::IRQ_PRESSURE, Resource::Irq),
            (Needs::MEMORY_PRESSURE, Resource::Memory),
        ];
        let needed = resources.into_iter().find(|(need, _)| needs.contains(*need));
        let (Some(files), Some((_, resource))) = (&self.pressure, needed) else { return Ok(None) };
        Ok(files.read(resource)?)
    }

    fn memory(&self, needs: Needs) -> Result<Option<Memory>, ReadingError> {
        let Some(files) = &self.memory else { return Ok(None) };
        let levels = files.levels(needs.contains(Needs::SWAP))?;
        // No level has the controller: nothing is limited or counted.
        if levels.is_empty() {
            return Ok(None);
        }
        let stat = if needs.contains(Needs::MEMORY_STAT) {
            self.memory_stat.get(|| files.stat())?
        } else {
            None
        };
        Ok(Some(Memory { levels, stat }))
    }

    fn cpu(&self, needs: Needs) -> Result<Option<Cpu>, ReadingError> {
        if !needs.intersects(Needs::CPU_LIMITS | Needs::CPU_USAGE | Needs::NODES) {
            return Ok(None);
        }
        let mut cpu = Cpu::default();
        if needs.contains(Needs::CPU_LIMITS) {
            let bandwidth = self.bandwidth.as_ref().map(BandwidthFiles::read).transpose()?;
            cpu.bandwidth = bandwidth.unwrap_or_default();
            cpu.cpuset = self.cpuset.as_ref().map_or(Ok(None), CpusetFiles::read)?;
        }
        if needs.contains(Needs::NODES) {
            cpu.memory_nodes = self.memory_nodes.as_ref().map_or(Ok(None), CpusetFiles::read)?;
        }
        if needs.contains(Needs::CPU_USAGE) {
            cpu.usage = self.activity.cpu_usage()?;
        }
        Ok(Some(cpu))
    }
}
