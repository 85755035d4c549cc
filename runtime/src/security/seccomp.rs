//! The filter on system calls, made from the table with libseccomp.
//!
//! One program for the machine's own calls and, on x86-64, those of 32-bit
//! programs. Calls of any other kind (x32) are answered as by a kernel that was
//! built without it.

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpFilterContext, ScmpSyscall};

use super::seccomp_table::{ALLOWED, NEWER, REFUSED, Rule, conditional};
use crate::report::Fault;

/// What no table speaks of is a call of a kernel newer than this program: a
/// program tries it, is told that there is none, and does without.
const UNKNOWN: ScmpAction = ScmpAction::Errno(libc::ENOSYS);

const REFUSE: ScmpAction = ScmpAction::Errno(libc::EPERM);

/// Makes libseccomp write a binary tree instead of a list: a call costs some 9
/// comparisons instead of up to 300.
const BINARY_TREE: u32 = 2;

/// A filter that has been made and is not in force yet.
#[derive(Debug)]
pub(crate) struct Filter(ScmpFilterContext);

impl Filter {
    /// Makes the default filter.
    pub(crate) fn default_filter() -> Result<Self, Fault> {
        build().map(Self).map_err(|error| fault(&error))
    }

    /// Puts it in force for this process and what it starts; for good.
    pub(crate) fn load(&self) -> Result<(), Fault> {
        self.0.load().map_err(|error| fault(&error))
    }
}

fn build() -> Result<ScmpFilterContext, SeccompError> {
    let mut filter = ScmpFilterContext::new(UNKNOWN)?;
    filter.set_act_badarch(UNKNOWN)?;
    // Whether programs may gain rights is not the filter's business.
    filter.set_ctl_nnp(false)?;
    filter.set_ctl_optimize(BINARY_TREE)?;
    // The library has no names for these and cannot translate them for 32-bit
    // programs, so they come before those are added.
    for number in NEWER {
        filter.add_rule(ScmpAction::Allow, ScmpSyscall::from(number))?;
    }
    if cfg!(target_arch = "x86_64") {
        filter.add_arch(ScmpArch::X86)?;
    }
    for (action, groups) in [(ScmpAction::Allow, &ALLOWED[..]), (REFUSE, &REFUSED[..])] {
        for name in groups.iter().copied().flatten() {
            filter.add_rule(action, ScmpSyscall::from_name(name)?)?;
        }
    }
    for Rule { call, allowed, when } in conditional() {
        let action = if allowed { ScmpAction::Allow } else { REFUSE };
        filter.add_rule_conditional(action, ScmpSyscall::from_name(call)?, &[when])?;
    }
    Ok(filter)
}

fn fault(error: &SeccompError) -> Fault {
    Fault::new("the system call filter", error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_makes_a_filter() {
        let program = tempfile::tempfile().unwrap();
        build().unwrap().export_bpf(&program).unwrap();
        assert_ne!(program.metadata().unwrap().len(), 0);
    }

    #[test]
    fn every_name_is_known_and_has_one_answer() {
        let groups = ALLOWED.iter().chain(REFUSED.iter());
        let names: Vec<&str> = groups.copied().flatten().copied().collect();
        let different: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(different.len(), names.len(), "a name is in the table twice");
        let unknown: Vec<_> =
            names.into_iter().filter(|name| ScmpSyscall::from_name(name).is_err()).collect();
        assert!(unknown.is_empty(), "libseccomp does not know {unknown:?}");
    }
}
