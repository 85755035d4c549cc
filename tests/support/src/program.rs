//! One test program: trials that say what they need, and the check that nothing
//! was left behind.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::leaks::Before;
use crate::needs::Need;
use crate::{Verdict, daemon};

/// Held for reading by each trial, for writing by one that must run alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// A trial that may run beside others.
pub fn trial(
    name: &str,
    needs: &'static [Need],
    test: impl FnOnce() -> Verdict + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        when_met(needs, || {
            let _beside_others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
            test()
        })
    })
}

/// A trial that measures, so that nothing of ours may run beside it.
pub fn alone(name: &str, needs: &'static [Need], test: fn() -> Verdict) -> Trial {
    Trial::ignorable_test(name, move || {
        when_met(needs, || {
            let _nobody_else = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            test()
        })
    })
}

/// What a test found of the machine while it ran: so nothing is proved, and it does not
/// count as passed.
#[derive(Debug)]
pub struct Unproved(pub String);

impl fmt::Display for Unproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unproved {}

/// A test's verdict as the harness knows it.
fn completion(verdict: Verdict) -> Result<Completion, Failed> {
    match verdict {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast::<Unproved>() {
            Ok(unproved) => Ok(Completion::ignored_with(unproved.0)),
            Err(error) => Err(format!("{error:?}").into()),
        },
    }
}

/// Runs `test` when the machine has what it needs.
fn when_met(needs: &[Need], test: impl FnOnce() -> Verdict) -> Result<Completion, Failed> {
    let unmet = needs.iter().find_map(|need| Some((need, need.check().err()?)));
    match unmet {
        None => completion(test()),
        Some((need, reason)) if !may_skip(*need) => {
            Err(format!("cannot run here: {reason}").into())
        }
        Some((_need, reason)) => Ok(Completion::ignored_with(reason)),
    }
}

/// Whether a test with this need unmet may be skipped: not with
/// `PORTHOLE_TESTS_SKIP=never`. `elsewhere` is for whoever runs the same
/// program on several kinds of machine and sees to it that each test runs on one.
fn may_skip(need: Need) -> bool {
    match std::env::var("PORTHOLE_TESTS_SKIP").as_deref() {
        Ok("never") => false,
        Ok("elsewhere") => need.is_met_elsewhere(),
        _ => true,
    }
}

/// The `main` of a test program.
///
/// Runs the trials, stops the daemon that they shared, and fails also when a
/// mount, a cgroup or a process of theirs is still there.
pub fn main(trials: Vec<Trial>) -> ExitCode {
    main_and_then(trials, || ())
}

/// The same for trials that share something else too, which `stop` ends.
pub fn main_and_then(trials: Vec<Trial>, stop: impl FnOnce()) -> ExitCode {
    let arguments = Arguments::from_args();
    let before = Before::look();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let stopped = daemon::stop_shared();
    stop();
    if arguments.list {
        return conclusion.exit_code();
    }
    let leaks = before.leaks();
    for leak in stopped.err().into_iter().map(|error| format!("{error:?}")).chain(leaks.clone()) {
        eprintln!("left behind: {leak}");
    }
    if leaks.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_whose_need_is_unmet_does_not_pass() {
        let needs = [Need::File("/proc/self", "procfs"), Need::File("/no/such", "package")];
        match when_met(&needs, || unreachable!("it must not run")) {
            Ok(Completion::Ignored { reason }) => {
                assert_eq!(reason.unwrap(), "no /no/such (apt-get install package)");
            }
            Err(failed) => assert_eq!(
                failed.message(),
                Some("cannot run here: no /no/such (apt-get install package)")
            ),
            Ok(Completion::Completed) => panic!("it counted as passed"),
        }
    }

    #[test]
    fn what_proves_nothing_does_not_pass() {
        let reason = "other programs keep this machine busy";
        match when_met(&[], || Err(Unproved(reason.to_owned()).into())) {
            Ok(Completion::Ignored { reason: told }) => assert_eq!(told.as_deref(), Some(reason)),
            _counted => panic!("it counts"),
        }
    }

    #[test]
    fn a_failure_carries_its_evidence() {
        let failed = when_met(&[], || anyhow::bail!("MemTotal is 5, not 4")).err().unwrap();
        assert!(failed.message().unwrap().starts_with("MemTotal is 5, not 4"));
    }
}
