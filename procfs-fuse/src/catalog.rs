//! The files that the daemon serves: a table, so that another file is another row.
//!
//! A row says where the file is, what the kernel's own file allows, what must be
//! read for it, and the pure function from readings to text. The tree of
//! directories is derived from the paths.
//!
//! The functions below the table are the whole way of a file: view, then
//! render. Where a reading is missing the host's text is served as it is: a
//! container is never worse off than without us.

use crate::history::History;
use crate::readings::{Needs, Sample};
use crate::{render, view};

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
pub static CATALOG: &[Entry] = &[Entry {
    path: "proc/meminfo",
    mode: 0o444,
    needs: Needs::MEMORY.union(Needs::MEMORY_STAT),
    render: meminfo,
}];

fn meminfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::meminfo::meminfo(
        &view::meminfo::lines(&sample.host_text, memory, &sample.host.memory),
        out,
    );
}
