//! What `/proc/TID/*` says about a task; text in, numbers out; pure.
//!
//! Kernel source of truth: fs/proc/array.c (`do_task_stat()`,
//! `proc_pid_status()`), kernel/time/namespace.c
//! (`proc_timens_show_offsets()`), fs/nsfs.c (names of namespaces).

use cgroupfs::format::FormatError;

const NS_PER_SEC: i64 = 1_000_000_000;

/// The fields of `/proc/TID/stat` behind the name of the program.
///
/// The name stands in parentheses and may itself hold spaces, parentheses and
/// line feeds: only the *last* `)` ends it.
fn fields_after_name(stat: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace())
}

/// Field 3 of `/proc/TID/stat`: `R` runs, `D` waits and cannot be interrupted...
pub(crate) fn state(stat: &str) -> Option<char> {
    fields_after_name(stat)?.next()?.chars().next()
}

/// Field 22 of `/proc/TID/stat`: when the task began, in clock ticks of
/// `CLOCK_BOOTTIME` (in the time namespace of whoever reads the file).
///
/// # Errors
///
/// [`FormatError`] when there is no such field or it is not a number.
pub(crate) fn start_ticks(stat: &str) -> Result<u64, FormatError> {
    const BEHIND_NAME: usize = 22 - 3;
    fields_after_name(stat)
        .and_then(|mut fields| fields.nth(BEHIND_NAME))
        .and_then(|ticks| ticks.parse().ok())
        .ok_or_else(|| FormatError::new("a start time in field 22", stat))
}

/// `NSpid:` of `/proc/TID/status`: the task's id in our pid namespace and in
/// each one below it that it is in; innermost last.
pub(crate) fn ids_by_namespace(status: &str) -> Vec<u32> {
    let ids = line(status, "NSpid:").unwrap_or_default();
    ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// `PPid:` of `/proc/TID/status`; 0 when the parent is outside our pid namespace.
pub(crate) fn parent(status: &str) -> Option<u32> {
    line(status, "PPid:")?.trim().parse().ok()
}

fn line<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

/// The number in the name of a namespace, `pid:[4026531836]`: equal numbers are
/// the same namespace.
pub(crate) fn namespace_number(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// The `boottime` line of `/proc/TID/timens_offsets`, in nanoseconds.
///
/// # Errors
///
/// [`FormatError`] when there is no such line of seconds and nanoseconds.
pub(crate) fn boottime_offset_ns(offsets: &str) -> Result<i64, FormatError> {
    let parse = || {
        let mut fields = line(offsets, "boottime")?.split_ascii_whitespace();
        let seconds: i64 = fields.next()?.parse().ok()?;
        let nanoseconds: i64 = fields.next()?.parse().ok()?;
        seconds.checked_mul(NS_PER_SEC)?.checked_add(nanoseconds)
    };
    parse().ok_or_else(|| FormatError::new("a line \"boottime <seconds> <nanoseconds>\"", offsets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat_of(name: &str) -> String {
        format!(
            "4242 ({name}) S 1 4242 4242 0 -1 4194560 100 0 0 0 5 7 0 0 20 0 1 0 987654 \
             1000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
        )
    }

    #[test]
    fn any_name_of_a_program_is_passed_over() {
        for name in ["top", "a b", "x) R 1 (y", "((()))", "", ") ) )", "line\nfeed"] {
            let stat = stat_of(name);
            assert_eq!(start_ticks(&stat), Ok(987_654), "name: {name:?}");
            assert_eq!(state(&stat), Some('S'), "name: {name:?}");
        }
    }

    #[test]
    fn a_cut_stat_is_refused() {
        for text in ["", "1 (a", "1 (a) S", "1 (a) S 1 2 3"] {
            assert_eq!(start_ticks(text).unwrap_err().found, text);
        }
        assert_eq!(state("1 (a)"), None);
    }

    #[test]
    fn status_lines() {
        let status = "Name:\tNSpid: 9\nPid:\t77\nPPid:\t70\nNSpid:\t77\t12\t1\n";
        assert_eq!(ids_by_namespace(status), [77, 12, 1]);
        assert_eq!(parent(status), Some(70));
        assert_eq!(ids_by_namespace("Name:\tx\n"), [] as [u32; 0]);
    }

    #[test]
    fn namespaces_have_numbers() {
        assert_eq!(namespace_number("pid:[4026531836]"), Some(4_026_531_836));
        for text in ["", "pid:", "pid:[x]", "pid:[1"] {
            assert_eq!(namespace_number(text), None, "input: {text:?}");
        }
    }

    #[test]
    fn offsets_of_a_time_namespace() {
        let text = "monotonic           1         2\nboottime          -90 500000000\n";
        assert_eq!(boottime_offset_ns(text), Ok(-89_500_000_000));
        let text = "monotonic           0         0\nboottime            7         0\n";
        assert_eq!(boottime_offset_ns(text), Ok(7_000_000_000));
        assert!(boottime_offset_ns("monotonic 0 0\n").is_err());
    }
}
