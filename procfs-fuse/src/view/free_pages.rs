//! What a container sees of the kernel's lists of free pages: that there are such
//! lists (`/proc/buddyinfo`, `/proc/pagetypeinfo`).
//!
//! They are the whole machine's, by zone and size of block. Nobody counts what part
//! of them is within a container's limit; how much it may still use is in meminfo.

/// What `/proc/pagetypeinfo` says before its lists: the size of a page block.
pub fn page_blocks(host_text: &str) -> impl Iterator<Item = &str> {
    host_text.lines().take_while(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_left_out() {
        let host = "Page block order: 9\nPages per block:  512\n\nFree pages count\nNode 0 1 2\n";
        let expected = ["Page block order: 9", "Pages per block:  512"];
        assert_eq!(page_blocks(host).collect::<Vec<_>>(), expected);
    }
}
