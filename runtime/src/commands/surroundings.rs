//! What the decisions of `porthole run` depend on, read from the machine.

use std::env;
use std::fs;
use std::path::Path;

use cgroupfs::cpu_list::{self, CpuList};

use crate::cli::run::Surroundings;
use crate::container::{StateError, id};
use crate::message::Failure;

/// The kernel's list of CPUs that can be used.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Reads what is around us.
pub(super) fn read() -> Result<Surroundings<'static>, Failure> {
    Ok(Surroundings {
        id: id::fresh()?,
        directory: env::current_dir().map_err(StateError::io(Path::new("working directory")))?,
        online: online()?,
        environment: &|name| env::var(name).ok(),
    })
}

/// The machine's CPUs.
pub(super) fn online() -> Result<CpuList, Failure> {
    let text = fs::read_to_string(ONLINE).map_err(StateError::io(Path::new(ONLINE)))?;
    cpu_list::parse(&text).map_err(|error| Failure::new(&error, None))
}
