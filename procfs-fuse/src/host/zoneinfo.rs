//! The host's `/proc/zoneinfo`: for each zone of each memory node its counters,
//! watermarks and per-CPU lists.
//!
//! Kernel source of truth: `zoneinfo_show_print()` in mm/vmstat.c.

/// The part of the file about one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone<'a> {
    /// The whole part, beginning with its `Node 0, zone ...` line.
    pub text: &'a str,
    /// Pages that the allocator has for it; the sum of all is `MemTotal`.
    pub managed: u64,
}

/// The zones of the file, in order; together they are the whole text.
pub fn zones(text: &str) -> Vec<Zone<'_>> {
    let starts = text.match_indices("Node ").map(|(at, _)| at);
    let starts = starts.filter(|at| {
        at.checked_sub(1).is_none_or(|before| text.as_bytes().get(before) == Some(&b'\n'))
    });
    let mut starts = starts.peekable();
    let mut zones = Vec::new();
    while let Some(start) = starts.next() {
        let end = starts.peek().copied().unwrap_or(text.len());
        let text = text.get(start..end).unwrap_or_default();
        zones.push(Zone { text, managed: managed(text) });
    }
    zones
}

fn managed(zone: &str) -> u64 {
    let line = zone.lines().find_map(|line| line.trim_start().strip_prefix("managed"));
    line.and_then(|number| number.trim_start().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_begin_with_their_node() {
        let text = "Node 0, zone      DMA\n  pages free     3\n        managed  40\n\
                    Node 1, zone   Normal\n  per-node stats\n";
        let zones = zones(text);
        assert_eq!(zones.iter().map(|zone| zone.managed).collect::<Vec<_>>(), [40, 0]);
        assert_eq!(zones.iter().map(|zone| zone.text).collect::<String>(), text);
    }
}
