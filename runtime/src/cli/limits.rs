//! The limits of a container: those that it begins with, and those that
//! `porthole update` gives it later.
//!
//! Both are the same words, read by the same `values`. What `update` does not name
//! stays: swap too, which is kept alone and not as the sum that docker's word is.

use cgroupfs::cpu_list::CpuList;
use cgroupfs::limit::Limit;

use super::options::LimitOptions;
use super::refusal::Refusal;
use super::values;
use crate::plan::Resources;

/// The limits of a new container; `online` are the machine's CPUs.
///
/// # Errors
///
/// [`Refusal`] for the first word that cannot be carried out.
pub fn of_new(options: &LimitOptions, online: &CpuList) -> Result<Resources, Refusal> {
    changed(options, &Resources::default(), online)
}

/// The limits of a container that has had those of `before`.
///
/// # Errors
///
/// [`Refusal`] for the first word that cannot be carried out.
pub fn changed(
    options: &LimitOptions,
    before: &Resources,
    online: &CpuList,
) -> Result<Resources, Refusal> {
    let memory = options.memory.as_deref().map(values::memory::memory).transpose()?;
    let memory = memory.or(before.memory);
    let quota_us = |text| values::cpus::quota_us(text, online);
    let cpuset = |text| values::cpus::cpuset(text, online);
    Ok(Resources {
        memory,
        swap: swap(options, before.swap, memory)?,
        cpu_quota_us: options.cpus.as_deref().map(quota_us).transpose()?.or(before.cpu_quota_us),
        cpuset: match options.cpuset_cpus.as_deref() {
            Some(text) => Some(cpuset(text)?),
            None => before.cpuset.clone(),
        },
        pids: match options.pids_limit.as_deref() {
            Some(text) => values::pids::limit(text)?,
            None => before.pids,
        },
    })
}

/// Swap alone, of a container that may use `memory` from now on.
fn swap(
    options: &LimitOptions,
    before: Option<Limit>,
    memory: Option<u64>,
) -> Result<Option<Limit>, Refusal> {
    let text = options.memory_swap.as_deref();
    match before {
        Some(before) if text.is_none() => Ok(Some(before)),
        _ => values::memory::swap(text, memory),
    }
}

/// Checks that there is something to change.
///
/// # Errors
///
/// [`Refusal`] when no limit is named.
pub fn check_named(options: &LimitOptions) -> Result<(), Refusal> {
    let LimitOptions { memory, memory_swap, cpus, cpuset_cpus, pids_limit } = options;
    if [memory, memory_swap, cpus, cpuset_cpus, pids_limit].into_iter().any(Option::is_some) {
        return Ok(());
    }
    Err(Refusal::new("update", "no limit is named")
        .instead("give one of -m, --memory-swap, --cpus, --cpuset-cpus, --pids-limit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn options(words: &[&str]) -> LimitOptions {
        let words = ["porthole", "update"].iter().chain(words).chain(&["web"]);
        let Command::Update(options) = parse(words.map(Into::into)).unwrap().command else {
            panic!("not update")
        };
        options.limits
    }

    fn before() -> Resources {
        of_new(&options(&["-m", "512m", "--cpus", "1", "--pids-limit", "9"]), &CpuList::first(2))
            .unwrap()
    }

    #[track_caller]
    fn check(words: &[&str], expected: &Resources) {
        let changed = changed(&options(words), &before(), &CpuList::first(2));
        assert_eq!(changed.as_ref(), Ok(expected), "words: {words:?}");
    }

    #[test]
    fn what_is_not_named_stays() {
        check(&["-m", "1g"], &Resources { memory: Some(1 << 30), ..before() });
        check(&["--pids-limit", "-1"], &Resources { pids: None, ..before() });
        let cpuset = Some(CpuList::first(1));
        check(&["--cpuset-cpus", "0"], &Resources { cpuset, ..before() });
    }

    #[test]
    fn memory_and_swap_together_are_beside_the_memory_that_there_is() {
        let swap = |mib: u64| Some(Limit::AtMost(mib << 20));
        check(&["--memory-swap", "768m"], &Resources { swap: swap(256), ..before() });
        let both = Resources { memory: Some(1 << 30), swap: swap(0), ..before() };
        check(&["-m", "1g", "--memory-swap", "1g"], &both);
    }

    #[test]
    fn a_first_limit_of_memory_limits_swap_as_run_does() {
        let changed = changed(&options(&["-m", "8m"]), &Resources::default(), &CpuList::first(2));
        assert_eq!(changed.unwrap().swap, Some(Limit::AtMost(8 << 20)));
    }

    #[test]
    fn nothing_to_change_is_refused() {
        assert_eq!(
            check_named(&options(&[])).unwrap_err().to_string(),
            "update: no limit is named (give one of -m, --memory-swap, --cpus, --cpuset-cpus, --pids-limit)"
        );
        assert_eq!(check_named(&options(&["--cpus", "1"])), Ok(()));
    }

    #[test]
    fn values_are_refused_as_run_refuses_them() {
        let refused = |words: &[&str]| {
            changed(&options(words), &before(), &CpuList::first(2)).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&["--memory-swap", "256m"]),
            "--memory-swap 256m: it is memory and swap together, and -m alone is 512m (give at least as much as -m; the same means no swap)"
        );
        assert_eq!(
            refused(&["--cpus", "99"]),
            "--cpus 99: this machine has 2 CPUs (give at most 2)"
        );
    }
}
