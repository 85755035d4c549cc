//! Where the hierarchies are mounted: looked at once a second at most, and understood when
//! something was mounted since.
//!
//! What this module does not do: understand it; that is [`cgroupfs::layout`].

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cgroupfs::layout::{self, Layout};
use parking_lot::Mutex;

use super::Fault;
use crate::readings::{HostFiles, HostText, Shared};

/// The file that tells what is mounted, as we see it.
const MOUNTINFO: &str = "proc/self/mountinfo";

/// How long one look answers: hierarchies hardly ever move.
const SHARING: Duration = Duration::from_secs(1);

/// What is mounted, as of the last look.
#[derive(Debug)]
pub(super) struct Mounted {
    layout: Shared<Arc<Layout>>,
    /// What the file said, and what that meant.
    understood: Mutex<Option<(HostText, Arc<Layout>)>>,
}

impl Mounted {
    /// Nothing was looked at yet.
    pub(super) fn new() -> Self {
        Self { layout: Shared::new(SHARING), understood: Mutex::default() }
    }

    /// Where they are below `root`, the files of which are `host`: the same value for as long
    /// as the file says the same.
    pub(super) fn layout(&self, host: &HostFiles, root: &Path) -> Result<Arc<Layout>, Fault> {
        self.layout.get(|| self.understand(host.text(MOUNTINFO).map_err(Fault::Mounts)?, root))
    }

    fn understand(&self, text: HostText, root: &Path) -> Result<Arc<Layout>, Fault> {
        let mut understood = self.understood.lock();
        if let Some((before, layout)) = &*understood
            && **before == *text
        {
            return Ok(Arc::clone(layout));
        }
        let malformed = |error| Fault::Mounts(io::Error::other(error));
        let layout = Arc::new(layout::parse(&text, root).map_err(malformed)?);
        *understood = Some((text, Arc::clone(&layout)));
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: &str = "35 31 0:32 / /mem rw - cgroup cgroup rw,memory\n";

    #[test]
    fn the_same_text_is_understood_once() {
        let mounted = Mounted::new();
        let layout = |text: &str| mounted.understand(text.into(), Path::new("/")).unwrap();
        let first = layout(MEMORY);
        assert!(Arc::ptr_eq(&first, &layout(MEMORY)));
        let another = layout(&MEMORY.replace("/mem", "/memory"));
        assert!(first != another && !Arc::ptr_eq(&first, &another));
    }
}
