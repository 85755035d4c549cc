//! The host's `/proc/stat`: lines of a keyword and numbers.
//!
//! Kernel source of truth: `show_stat()` in fs/proc/stat.c.

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// `cpu` or `cpuN`, the whole line.
    Cpu(&'a str),
    /// `btime`: when the machine began, in whole seconds since 1970.
    BootTime(i64),
    /// `procs_running`, the whole line: threads that run or wait for a CPU.
    Running(&'a str),
    /// `procs_blocked`, the whole line: threads that wait for IO.
    Blocked(&'a str),
    /// Any other line, as it is.
    Other(&'a str),
}

/// The lines of the file, in order.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(|line| match line.split_once(' ') {
        Some((keyword, _)) if is_cpu(keyword) => Line::Cpu(line),
        Some(("procs_running", _)) => Line::Running(line),
        Some(("procs_blocked", _)) => Line::Blocked(line),
        Some(("btime", seconds)) => seconds.parse().map_or(Line::Other(line), Line::BootTime),
        _another => Line::Other(line),
    })
}

fn is_cpu(keyword: &str) -> bool {
    keyword
        .strip_prefix("cpu")
        .is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_by_their_first_word() {
        let text = "cpu  1 2\ncpu0 1 2\ncpuset 1\nbtime 17\nbtime x\nprocs_running 3\n\n";
        let expected = [
            Line::Cpu("cpu  1 2"),
            Line::Cpu("cpu0 1 2"),
            Line::Other("cpuset 1"),
            Line::BootTime(17),
            Line::Other("btime x"),
            Line::Running("procs_running 3"),
            Line::Other(""),
        ];
        assert_eq!(lines(text).collect::<Vec<_>>(), expected);
    }
}
