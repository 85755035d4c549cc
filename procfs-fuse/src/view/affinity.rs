//! Which CPUs a thread may run on, as its container numbers them, and back.
//!
//! A container that knows its CPUs as 0..N-1 is told so by `sched_getaffinity(2)` too,
//! and pins itself to what it was told. Only numbers change hands: what a thread may run
//! on at all is the cpuset's to decide, and stays so.
//!
//! A quota hides CPUs that the scheduler goes on using. So a thread that may run on
//! every CPU it can see is let run on every CPU there is: else all containers of one
//! CPU would crowd on the machine's first.

use cgroupfs::cpu_list::CpuList;

use super::cpu::Visible;

/// What a thread that may run on the physical CPUs `allowed` is told; never empty.
///
/// One that somebody outside has pinned to CPUs that the container does not see is told
/// as many of the first ones.
pub fn shown(allowed: &CpuList, visible: &Visible) -> CpuList {
    let numbered = (0_u32..).zip(visible.physical.iter());
    let shown: CpuList = numbered
        .filter(|(_number, cpu)| allowed.contains(*cpu))
        .map(|(number, _)| number)
        .collect();
    if !shown.is_empty() {
        return shown;
    }
    let count = u32::try_from(allowed.count()).unwrap_or(u32::MAX);
    CpuList::first(count.clamp(1, visible.count()))
}

/// Where a thread is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// Wherever the cpuset lets it.
    Anywhere,
    /// On these physical CPUs.
    On(CpuList),
}

/// What a container means that asks for the CPUs `asked`, by its own numbers; `None`
/// when it has none of them, for which the kernel has `EINVAL`.
pub fn placed(asked: &CpuList, visible: &Visible) -> Option<Placed> {
    let numbered = (0_u32..).zip(visible.physical.iter());
    let physical: CpuList =
        numbered.filter(|(number, _cpu)| asked.contains(*number)).map(|(_, cpu)| cpu).collect();
    if physical.is_empty() {
        None
    } else if physical == visible.physical {
        Some(Placed::Anywhere)
    } else {
        Some(Placed::On(physical))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        cgroupfs::cpu_list::parse(text).unwrap()
    }

    fn seeing(physical: &str) -> Visible {
        Visible { physical: list(physical) }
    }

    #[track_caller]
    fn check_shown(allowed: &str, physical: &str, expected: &str) {
        assert_eq!(shown(&list(allowed), &seeing(physical)).to_string(), expected);
    }

    #[track_caller]
    fn check_placed(asked: &str, physical: &str, expected: Option<&Placed>) {
        assert_eq!(placed(&list(asked), &seeing(physical)).as_ref(), expected);
    }

    #[test]
    fn a_thread_that_may_run_anywhere_is_told_all_it_sees() {
        check_shown("0-7", "0", "0");
        check_shown("4-7", "4-5", "0-1");
        check_shown("0-3", "0-3", "0-3");
    }

    #[test]
    fn a_pinned_thread_is_told_where() {
        check_shown("5", "4-7", "1");
        check_shown("4,7", "4-7", "0,3");
    }

    #[test]
    fn who_is_pinned_out_of_sight_is_told_as_many() {
        check_shown("6", "0-1", "0");
        check_shown("4-7", "0-1", "0-1");
        check_shown("", "0-1", "0");
    }

    #[test]
    fn numbers_are_translated() {
        check_placed("1", "4-7", Some(&Placed::On(list("5"))));
        check_placed("0,3", "4-7", Some(&Placed::On(list("4,7"))));
        check_placed("1", "0-3", Some(&Placed::On(list("1"))));
    }

    /// What `sched_setaffinity(0, sched_getaffinity(0))` does.
    #[test]
    fn everything_that_is_seen_is_everything_there_is() {
        check_placed("0", "0", Some(&Placed::Anywhere));
        check_placed("0-1023", "4-5", Some(&Placed::Anywhere));
    }

    #[test]
    fn cpus_that_are_not_seen_are_not_there() {
        check_placed("1", "0", None);
        check_placed("", "0-3", None);
        check_placed("0,9", "4-7", Some(&Placed::On(list("4"))));
    }
}
