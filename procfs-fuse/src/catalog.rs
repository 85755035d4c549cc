//! The files that the daemon serves: a table, so that another file is another row.
//!
//! A row says where the file is, what the kernel's own file allows, what must be
//! read for it, and the pure function from readings to text. The tree of
//! directories is derived from the paths.

use crate::history::History;
use crate::readings::{Needs, Sample};

/// One file of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Path below the mount point and below `/`: `"proc/meminfo"`.
    pub path: &'static str,
    /// Permission bits of the kernel's own file.
    pub mode: u16,
    /// What must be read before [`render`](Self::render) can run.
    pub needs: Needs,
    /// From readings to the text of the file; infallible and without IO.
    pub render: fn(&Sample, &mut History, &mut String),
}

/// Every file, in the order in which a directory lists them.
pub static CATALOG: &[Entry] = &[];
