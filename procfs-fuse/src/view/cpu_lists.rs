//! Lists of CPUs below `/sys/devices/system/cpu`, in the container's numbers.

use cgroupfs::cpu_list::{self, CpuList};

use super::cpu::Visible;
use crate::host::cpu_mask;

/// The ids of `physical` as the container knows them; CPUs that it does not see
/// are left out.
pub fn renumbered(physical: &CpuList, visible: &Visible) -> CpuList {
    let known = visible.physical.iter().zip(0_u32..);
    known.filter(|(id, _)| physical.contains(*id)).map(|(_, number)| number).collect()
}

/// The host's list in the container's numbers; `None` when it is no list
/// (`nohz_full` is "(null)" where the kernel was not told any).
pub fn renumbered_text(host_text: &str, visible: &Visible) -> Option<CpuList> {
    cpu_list::parse(host_text).ok().map(|physical| renumbered(&physical, visible))
}

/// The same for a list of single ids with spaces between them, as `cpufreq` has.
pub fn renumbered_words(host_text: &str, visible: &Visible) -> Option<CpuList> {
    let physical: Option<CpuList> =
        host_text.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
    physical.map(|physical| renumbered(&physical, visible))
}

/// A mask of CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The CPUs in it, in the container's numbers.
    pub cpus: CpuList,
    /// How many hexadecimal digits it has: the host's, for its possible CPUs.
    pub digits: usize,
}

/// The host's mask in the container's numbers; `None` when it is no mask.
pub fn renumbered_mask(host_text: &str, visible: &Visible) -> Option<Mask> {
    let cpus = renumbered(&cpu_mask::parse(host_text)?, visible);
    Some(Mask { cpus, digits: cpu_mask::digits(host_text) })
}

/// CPUs that could be but are not there: what is possible without what is
/// visible. `possible` stays the host's, whose parts are its online CPUs and its
/// `offline` file.
pub fn offline(host_text: &str, online: &CpuList, visible: &Visible) -> Option<CpuList> {
    let hosts = cpu_list::parse(host_text).ok()?;
    let ids = visible.ids();
    Some(hosts.iter().chain(online.iter()).filter(|id| !ids.contains(*id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        cpu_list::parse(text).unwrap()
    }

    #[track_caller]
    fn check(hosts: &str, physical: &str, expected: Option<&str>) {
        let visible = Visible { physical: list(physical) };
        let found = renumbered_text(hosts, &visible).map(|list| list.to_string());
        assert_eq!(found.as_deref(), expected, "{hosts} for {physical}");
    }

    #[test]
    fn lists_are_told_in_the_containers_numbers() {
        check("2-3\n", "1-2", Some("1"));
        check("0-3\n", "1,3", Some("0-1"));
        check("\n", "0-1", Some(""));
        check("0\n", "2", Some(""));
        check(" (null)\n", "0-1", None);
    }

    #[test]
    fn words_are_told_in_the_containers_numbers() {
        let visible = Visible { physical: list("2-3") };
        assert_eq!(renumbered_words("0 1 2 3\n", &visible), Some(list("0-1")));
        assert_eq!(renumbered_words("0-3\n", &visible), None);
    }

    #[test]
    fn masks_keep_the_hosts_width() {
        let visible = Visible { physical: list("1-2") };
        let expected = Mask { cpus: list("0-1"), digits: 8 };
        assert_eq!(renumbered_mask("0000000e\n", &visible), Some(expected));
    }

    #[test]
    fn offline_is_what_is_possible_and_not_visible() {
        let of = |hosts, online, physical| {
            let visible = Visible { physical: list(physical) };
            offline(hosts, &list(online), &visible).unwrap().to_string()
        };
        assert_eq!(of("\n", "0-3", "0-3"), "");
        assert_eq!(of("\n", "0-3", "2"), "1-3");
        assert_eq!(of("4-7\n", "0-3", "2-3"), "2-7");
    }
}
