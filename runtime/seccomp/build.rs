//! Compiles the table of system calls into the filter that containers get.
//!
//! libseccomp takes some 12 ms of CPU time to make this filter, more than all
//! the rest of starting a container, and the table does not change between two
//! containers. So it is made when `porthole` is built, and is part of it: a
//! program that has no need of libseccomp where it runs.
//!
//! One filter for the machine's own calls and, on x86-64, those of 32-bit
//! programs. Calls of any other kind (x32) are answered as by a kernel that was
//! built without it.

mod table;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::{env, fs};

use libseccomp::{ScmpAction, ScmpArch, ScmpFilterContext, ScmpSyscall};
use table::{ALLOWED, NEWER, REFUSED, Rule, conditional};

/// What no table speaks of is a call of a kernel newer than this program: a
/// program tries it, is told that there is none, and does without.
const UNKNOWN: ScmpAction = ScmpAction::Errno(libc::ENOSYS);

const REFUSE: ScmpAction = ScmpAction::Errno(libc::EPERM);

/// Makes libseccomp write a binary tree instead of a list: a call costs some 9
/// comparisons instead of up to 300.
const BINARY_TREE: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=seccomp");
    let program = Path::new(&env::var("OUT_DIR")?).join("seccomp.bpf");
    filter(target()?)?.export_bpf(File::create(&program)?)?;
    if fs::metadata(&program)?.len() == 0 {
        return Err("libseccomp has written an empty filter".into());
    }
    Ok(())
}

/// The architecture that is built for.
fn target() -> Result<ScmpArch, Box<dyn Error>> {
    match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => Ok(ScmpArch::X8664),
        "aarch64" => Ok(ScmpArch::Aarch64),
        other => Err(format!("seccomp/table.rs has not been read for {other}").into()),
    }
}

fn filter(target: ScmpArch) -> Result<ScmpFilterContext, Box<dyn Error>> {
    let mut filter = ScmpFilterContext::new(UNKNOWN)?;
    filter.set_act_badarch(UNKNOWN)?;
    filter.set_ctl_optimize(BINARY_TREE)?;
    if target == ScmpArch::native() {
        // The library has no names for these and cannot translate them for
        // another architecture, so they come before any is added.
        for number in NEWER {
            filter.add_rule(ScmpAction::Allow, ScmpSyscall::from(number))?;
        }
    } else {
        println!("cargo:warning=cross-built: system calls newer than libseccomp are ENOSYS");
        filter.add_arch(target)?;
        filter.remove_arch(ScmpArch::native())?;
    }
    if target == ScmpArch::X8664 {
        filter.add_arch(ScmpArch::X86)?;
    }
    add_unconditional(&mut filter)?;
    for Rule { call, allowed, when } in conditional() {
        let action = if allowed { ScmpAction::Allow } else { REFUSE };
        filter.add_rule_conditional(action, ScmpSyscall::from_name(call)?, &[when])?;
    }
    Ok(filter)
}

fn add_unconditional(filter: &mut ScmpFilterContext) -> Result<(), Box<dyn Error>> {
    let mut seen = BTreeSet::new();
    for (action, groups) in [(ScmpAction::Allow, &ALLOWED[..]), (REFUSE, &REFUSED[..])] {
        for name in groups.iter().copied().flatten() {
            if !seen.insert(*name) {
                return Err(format!("{name} is in seccomp/table.rs twice").into());
            }
            let call = ScmpSyscall::from_name(name)
                .map_err(|error| format!("libseccomp does not know {name}: {error}"))?;
            filter.add_rule(action, call)?;
        }
    }
    Ok(())
}
