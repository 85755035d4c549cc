//! The metrics as text. The format is that of `prometheus-client`; the numbers are
//! ours, looked at anew for each text.
//!
//! Format: OpenMetrics 1.0, which Prometheus reads since version 2.5.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::definitions::{self as metric, Kind, Metric};
use super::occupancy::Occupancy;
use super::processes::{self, Process};
use crate::catalog::CATALOG;
use crate::shared::Shared;
use crate::shared::calls::{Answered, SystemCall};
use crate::shared::counters::{Asked, BOUNDS_NS, FileReads, Outcome, Reason};
use crate::sys::clock;

/// What the answer to a scraper says it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Nanoseconds in a second.
const NS_PER_SEC: f64 = 1e9;

/// The text of all metrics of the daemon with this memory, whose keeper has this pid.
///
/// # Errors
///
/// None that writing into a string has.
pub fn text(shared: &'static Shared, keeper: u32) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Look::at(shared, keeper)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// One look at everything that is told.
#[derive(Debug)]
struct Look {
    shared: &'static Shared,
    occupancy: Occupancy,
    processes: Vec<Process>,
}

/// Labels with their values.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Look {
    fn at(shared: &'static Shared, keeper: u32) -> Self {
        let occupancy = Occupancy::of(shared, clock::boottime_ns());
        let processes = processes::all(Path::new("/proc"), shared, keeper);
        Self { shared, occupancy, processes }
    }
}

impl Collector for Look {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        self.reads(out)?;
        self.life(out)?;
        self.calls(out)?;
        self.tables(out)?;
        self.costs(out)
    }
}

impl Look {
    /// What was asked and how it was answered.
    fn reads(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters = &self.shared.counters;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        begin(out, &metric::BUILD)?.encode_info(&version)?;
        // A file that nobody has read would be many lines of zeros.
        let reads = |row| Some(counters.reads(row)).filter(|reads| *reads != FileReads::default());
        let files: Vec<_> = (CATALOG.iter().enumerate())
            .filter_map(|(row, entry)| Some((entry.path, reads(row)?)))
            .collect();
        let mut family = begin(out, &metric::READS)?;
        for (file, reads) in &files {
            for (outcome, count) in Outcome::ALL.iter().zip(reads.outcomes) {
                let labels = [(FILE, *file), (OUTCOME, outcome.word())];
                counter(&mut family, &labels, count)?;
            }
        }
        let mut family = begin(out, &metric::READ_DURATION)?;
        for (file, reads) in &files {
            histogram(&mut family, &[(FILE, *file)], reads)?;
        }
        let mut family = begin(out, &metric::FALLBACKS)?;
        for reason in Reason::ALL {
            counter(&mut family, &[("reason", reason.word())], counters.fallbacks(*reason))?;
        }
        let mut family = begin(out, &metric::REQUESTS)?;
        for asked in Asked::ALL {
            counter(&mut family, &[("operation", asked.word())], counters.requests(*asked))?;
        }
        count(out, &metric::WAITED_REQUESTS, counters.all_waited())?;
        gauge(out, &metric::CONTAINERS, self.occupancy.containers)
    }

    /// What has happened to workers and their memory.
    fn life(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Shared { header, counters, .. } = self.shared;
        count(out, &metric::TAKEOVERS, header.takeovers.load(SeqCst))?;
        count(out, &metric::UPGRADES, header.upgrades.load(SeqCst))?;
        count(out, &metric::REFUSED_UPGRADES, header.refused_upgrades.load(SeqCst))?;
        gauge(out, &metric::STUCK_WORKERS, self.occupancy.stuck_workers)?;
        count(out, &metric::QUARANTINES, counters.quarantines.get())?;
        gauge(out, &metric::QUARANTINED, self.occupancy.quarantined)?;
        count(out, &metric::QUARANTINED_ANSWERS, header.quarantined_answers.load(SeqCst))?;
        count(out, &metric::HEALED_MOUNTS, counters.healed_mounts.get())?;
        count(out, &metric::UNRECORDED_OPENS, header.unrecorded_opens.load(SeqCst))
    }

    /// What was asked by system call and how it was answered.
    fn calls(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let calls = &self.shared.counters.calls;
        let mut family = begin(out, &metric::CALLS)?;
        for call in SystemCall::ALL {
            for outcome in Answered::ALL {
                let labels = [("call", call.word()), (OUTCOME, outcome.word())];
                counter(&mut family, &labels, calls.counted(*call, *outcome))?;
            }
        }
        count(out, &metric::CALL_TAKEOVERS, calls.takeovers.get())
    }

    /// How full the memory is.
    fn tables(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Occupancy { open_files, texts, histories, private_trees, listeners, waiting, .. } =
            self.occupancy;
        let tables = [
            ("open_files", open_files),
            ("texts", texts),
            ("histories", histories),
            ("private_trees", private_trees),
            ("listeners", listeners),
            ("waiting", waiting),
        ];
        let mut family = begin(out, &metric::TABLE_USED)?;
        for (name, table) in tables {
            family.encode_family(&[("table", name)])?.encode_gauge(&table.used)?;
        }
        let mut family = begin(out, &metric::TABLE_SIZE)?;
        for (name, table) in tables {
            family.encode_family(&[("table", name)])?.encode_gauge(&table.size)?;
        }
        let header = &self.shared.header;
        count(out, &metric::TABLES_RENEWED, header.era.load(SeqCst))?;
        gauge(out, &metric::MOUNTED_AT, header.mounted_at.load(SeqCst))
    }

    /// What the processes cost.
    fn costs(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = begin(out, &metric::CPU_SECONDS)?;
        for process in &self.processes {
            let labels = [(PROCESS, process.role)];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, f64>(&process.cpu_seconds, None)?;
        }
        let mut family = begin(out, &metric::RESIDENT_BYTES)?;
        for process in &self.processes {
            let labels = [(PROCESS, process.role)];
            family.encode_family(&labels)?.encode_gauge(&process.resident_bytes)?;
        }
        let mut family = begin(out, &metric::OPEN_DESCRIPTORS)?;
        for process in &self.processes {
            let labels = [(PROCESS, process.role)];
            family.encode_family(&labels)?.encode_gauge(&process.open_descriptors)?;
        }
        Ok(())
    }
}

const FILE: &str = "file";
const OUTCOME: &str = "outcome";
const PROCESS: &str = "process";

/// Tells what a metric is; the format adds the end of a counter's name by itself.
fn begin<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    metric: &'static Metric,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let (end, kind) = match metric.kind {
        Kind::Counter => ("_total", MetricType::Counter),
        Kind::Gauge => ("", MetricType::Gauge),
        Kind::Histogram => ("", MetricType::Histogram),
        Kind::Info => ("_info", MetricType::Info),
    };
    let name = metric.name.strip_suffix(end).unwrap_or(metric.name);
    out.encode_descriptor(name, metric.help, None, kind)
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    count: u64,
) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn count(out: &mut DescriptorEncoder<'_>, metric: &'static Metric, count: u64) -> fmt::Result {
    begin(out, metric)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn gauge(out: &mut DescriptorEncoder<'_>, metric: &'static Metric, value: u64) -> fmt::Result {
    begin(out, metric)?.encode_gauge(&value)
}

#[expect(clippy::cast_precision_loss, reason = "a duration that a float cannot count is 100 days")]
fn histogram<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    reads: &FileReads,
) -> fmt::Result {
    let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / NS_PER_SEC).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(reads.durations).collect();
    let sum = reads.duration_ns as f64 / NS_PER_SEC;
    let count = reads.durations.iter().sum();
    let mut one = family.encode_family(labels)?;
    one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::super::definitions::METRICS;
    use super::*;
    use crate::sys::shared_memory;

    fn memory() -> &'static Shared {
        shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap()
    }

    #[track_caller]
    fn check(text: &str, line: &str) {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }

    #[test]
    fn every_metric_of_the_table_is_told_and_no_other() {
        let text = text(memory(), std::process::id()).unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let told: Vec<_> = types.map(|line| line.split_once(' ').unwrap()).collect();
        let end = |kind| match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        let defined = METRICS.iter().map(|metric| {
            (metric.name.strip_suffix(end(metric.kind)).unwrap(), metric.kind.word())
        });
        assert_eq!(told, defined.collect::<Vec<_>>());
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn labels_are_those_of_the_table() {
        let shared = memory();
        shared.counters.read(0, Outcome::Container, Duration::ZERO);
        shared.banks[0].pid.store(std::process::id(), SeqCst);
        shared.banks[0].set_state(crate::shared::slots::State::Serving);
        let text = text(shared, std::process::id()).unwrap();
        for metric in METRICS {
            let mut lines = text.lines().filter(|line| line.starts_with(metric.name));
            let line = lines.next().unwrap_or_else(|| panic!("no {}", metric.name));
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let names = labels.split("=\"").filter_map(|part| part.rsplit([',', '{']).next());
            let names: Vec<_> =
                names.filter(|name| !name.is_empty() && !name.contains('"')).collect();
            assert_eq!(names, metric.labels, "{line}");
        }
    }

    #[test]
    fn a_read_is_told_by_file_and_outcome() {
        let shared = memory();
        let row = CATALOG.iter().position(|entry| entry.path == "proc/meminfo").unwrap();
        shared.counters.read(row, Outcome::Container, Duration::from_micros(30));
        shared.counters.read(row, Outcome::Container, Duration::from_micros(70));
        shared.counters.read(row, Outcome::Fallback, Duration::from_secs(2));
        let text = text(shared, 0).unwrap();
        let file = "file=\"proc/meminfo\"";
        check(&text, &format!("porthole_reads_total{{{file},outcome=\"container\"}} 2"));
        check(&text, &format!("porthole_reads_total{{{file},outcome=\"fallback\"}} 1"));
        let bucket =
            |le: &str| format!("porthole_read_duration_seconds_bucket{{le=\"{le}\",{file}}}");
        check(&text, &format!("{} 1", bucket("0.00005")));
        check(&text, &format!("{} 2", bucket("0.0001")));
        check(&text, &format!("{} 2", bucket("0.5")));
        check(&text, &format!("{} 3", bucket("+Inf")));
        check(&text, &format!("porthole_read_duration_seconds_count{{{file}}} 3"));
        assert!(!text.contains("proc/stat"), "a file that nobody has read is told\n{text}");
    }
}
