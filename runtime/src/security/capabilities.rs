//! Capabilities: what user 0 may do in a container, and what no process there
//! may ever do.
//!
//! Inheritable and ambient sets are left empty: a non-empty inheritable set lets
//! programs with file capabilities gain what the container was not given
//! (CVE-2022-24769, CVE-2022-29162).
//!
//! Source of truth: `capabilities(7)`.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

use crate::report::Fault;

/// Takes all but `kept` out of the bounding set: nothing executed from here on
/// can have more. Done while CAP_SETPCAP is still there.
pub(crate) fn bound(kept: &[Capability]) -> Result<(), Fault> {
    for capability in caps::runtime::thread_all_supported() {
        if !kept.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability).map_err(|error| fault(&error))?;
        }
    }
    Ok(())
}

/// Leaves this process, if it is user 0, with `kept`; any other has none already.
pub(crate) fn keep(kept: &[Capability]) -> Result<(), Fault> {
    let nothing = CapsHashSet::new();
    let wanted: CapsHashSet = kept.iter().copied().collect();
    let permitted = caps::read(None, CapSet::Permitted).map_err(|error| fault(&error))?;
    let kept = permitted.intersection(&wanted).copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(|error| fault(&error))?;
    // The effective set first: it may never exceed the permitted one.
    for (set, capabilities) in
        [(CapSet::Inheritable, &nothing), (CapSet::Effective, &kept), (CapSet::Permitted, &kept)]
    {
        caps::set(None, set, capabilities).map_err(|error| fault(&error))?;
    }
    Ok(())
}

fn fault(error: &CapsError) -> Fault {
    Fault::new("capabilities", error)
}
