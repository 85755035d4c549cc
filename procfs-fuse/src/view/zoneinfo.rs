//! What each line of a container's `/proc/zoneinfo` says.
//!
//! Zones are the host's, and so is their shape. Their sizes and watermarks are
//! scaled, so that `managed` adds up to the container's `MemTotal` and `free` to
//! its `MemFree`. Gauges of pages are absent: no cgroup tells them by zone. The
//! per-CPU lists are those of the container's CPUs.

use super::cpu;
use super::memory;
use crate::host::zoneinfo::zones;
use crate::readings::{Memory, Sample};

/// One line of the container's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line whose number is new.
    Count {
        /// The line up to its number, spaces included.
        label: &'a str,
        /// The number.
        count: u64,
    },
    /// `protection: (0, 2956)`: pages that are kept from other zones' requests.
    Protection {
        /// The line up to and including its parenthesis.
        label: &'a str,
        /// One number for each zone.
        pages: Vec<u64>,
    },
    /// The host's line, as it is.
    AsIs(&'a str),
}

/// What one zone's lines are computed with.
struct Scale {
    /// The container's memory and the host's, in bytes.
    share: (u64, u64),
    /// The zone's part of the container's free memory, in pages.
    free: u64,
}

/// The lines of a container's file.
pub fn lines<'a>(sample: &'a Sample, memory: &Memory) -> Vec<Line<'a>> {
    let sizes = memory::sizes(memory, &sample.host.memory);
    let host_total = sample.host.memory.total;
    let visible = cpu::visible(sample);
    let mut lines = Vec::new();
    for zone in zones(&sample.host_text) {
        let free = scaled(zone.managed, (sizes.free, host_total));
        let scale = Scale { share: (sizes.total, host_total), free };
        let mut cpus = Cpus { visible: &visible.physical, number: 0, hidden: false };
        lines.extend(
            zone.text
                .lines()
                .filter_map(|line| cpus.line(line).unwrap_or_else(|| scale.line(line))),
        );
    }
    lines
}

fn scaled(count: u64, (part, whole): (u64, u64)) -> u64 {
    let scaled = u128::from(count) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

impl Scale {
    /// The line as the container sees it; `None` when it does not.
    fn line<'a>(&self, line: &'a str) -> Option<Line<'a>> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let count = |pages: &dyn Fn(u64) -> u64| {
            let (label, number) = split_number(line)?;
            Some(Line::Count { label, count: pages(number) })
        };
        let scaled_line = match name {
            "pages" | "nr_free_pages" => count(&|_hosts| self.free),
            "boost" | "min" | "low" | "high" | "promo" | "spanned" | "present" | "managed"
            | "cma" => count(&|hosts| scaled(hosts, self.share)),
            "protection:" => self.protection(line),
            name if name.starts_with("nr_") => return None,
            _another => None,
        };
        Some(scaled_line.unwrap_or(Line::AsIs(line)))
    }

    fn protection<'a>(&self, line: &'a str) -> Option<Line<'a>> {
        let (label, list) = line.split_at_checked(line.find('(')? + 1)?;
        let numbers = list.strip_suffix(')')?.split(", ");
        let pages = numbers.map(|number| Some(scaled(number.parse().ok()?, self.share)));
        Some(Line::Protection { label, pages: pages.collect::<Option<_>>()? })
    }
}

/// Splits a line before its last word, which is a number.
fn split_number(line: &str) -> Option<(&str, u64)> {
    let (label, number) = line.split_at_checked(line.rfind(' ')? + 1)?;
    Some((label, number.parse().ok()?))
}

/// Where we are among a zone's per-CPU lists.
struct Cpus<'a> {
    visible: &'a cgroupfs::cpu_list::CpuList,
    number: u64,
    hidden: bool,
}

impl Cpus<'_> {
    /// What becomes of a line of a per-CPU list: `Some(None)` when it is one of a
    /// CPU that is not visible; `None` when it is no such line.
    fn line<'a>(&mut self, line: &'a str) -> Option<Option<Line<'a>>> {
        let name = line.trim_start();
        if let Some(id) = name.strip_prefix("cpu: ") {
            self.hidden = !id.parse().is_ok_and(|id| self.visible.contains(id));
            if self.hidden {
                return Some(None);
            }
            let (label, _hosts) = split_number(line)?;
            let number = self.number;
            self.number += 1;
            return Some(Some(Line::Count { label, count: number }));
        }
        // What follows the last list is about the whole zone.
        if name.starts_with("node_unreclaimable") || name.starts_with("start_pfn") {
            self.hidden = false;
        }
        self.hidden.then_some(None)
    }
}

#[cfg(test)]
mod tests {
    use cgroupfs::limit::Limit;

    use super::*;
    use crate::readings::MemoryLevel;
    use crate::render;
    use crate::view::samples;

    /// 8 GiB in two zones of 2 and 6 GiB.
    const HOST: &str = "\
Node 0, zone    DMA32
  per-node stats
      nr_inactive_anon 79
      numa_hit     11472
  pages free     262144
        min      1120
        spanned  524288
        managed  524288
        protection: (0, 1024, 1024)
      nr_free_pages 262144
      nr_zone_active_anon 4
  pagesets
    cpu: 0
              count: 638
  vm stats threshold: 36
    cpu: 1
              count: 17
  vm stats threshold: 36
  node_unreclaimable:  0
  start_pfn:           4096
Node 0, zone   Normal
  pages free     262144
        managed  1572864
";

    #[test]
    fn zones_are_scaled_and_add_up() {
        let mut sample = samples::used(HOST, 1, 0, 0);
        sample.host.memory.free = 8 << 30;
        let level = MemoryLevel { limit: Limit::AtMost(1 << 30), usage: 512 << 20, swap: None };
        let memory = Memory { levels: vec![level].into(), stat: None };
        let mut out = String::new();
        render::zoneinfo::zoneinfo(&lines(&sample, &memory), &mut out);
        expect_test::expect![[r#"
            Node 0, zone    DMA32
              per-node stats
                  numa_hit     11472
              pages free     32768
                    min      140
                    spanned  65536
                    managed  65536
                    protection: (0, 128, 128)
                  nr_free_pages 32768
              pagesets
                cpu: 0
                          count: 638
              vm stats threshold: 36
              node_unreclaimable:  0
              start_pfn:           4096
            Node 0, zone   Normal
              pages free     98304
                    managed  196608
        "#]]
        .assert_eq(&out);
    }
}
