//! What a container sees of `/proc/slabinfo`: the heading.
//!
//! Slab caches are the kernel's, and no cgroup tells its share of each; the sum
//! is in meminfo where it is known.

/// The heading of the host's file: the version, and the names of the columns.
pub fn heading(host_text: &str) -> impl Iterator<Item = &str> {
    host_text.lines().take_while(|line| line.starts_with("slabinfo") || line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_left_out() {
        let host = "slabinfo - version: 2.1\n# name <active_objs>\nkmalloc-8k 1 2\n";
        let expected = ["slabinfo - version: 2.1", "# name <active_objs>"];
        assert_eq!(heading(host).collect::<Vec<_>>(), expected);
    }
}
