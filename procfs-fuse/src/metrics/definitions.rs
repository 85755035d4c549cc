//! The metrics: a table, so that another metric is another row.
//!
//! "Fed by" names the word in the code by which a number is counted or kept, so that
//! tidy finds a metric that nothing feeds any more.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name. That of a counter ends in `_total`, and a unit stands before that.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What its labels are called.
    pub labels: &'static [&'static str],
    /// Whether one can build on it.
    pub stability: Stability,
    /// What it says.
    pub help: &'static str,
}

/// The kinds of metrics that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows, and begins anew with a new mount.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Always 1: what it says is in its labels.
    Info,
}

/// Whether a metric may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Name, labels and meaning stay for as long as the major version does.
    Stable,
    /// May change with any version: it tells of how the daemon is made.
    Internal,
}

use Kind::{Counter, Gauge, Histogram, Info};
use Stability::{Internal, Stable};

/// Every metric, in the order in which they are told.
pub static METRICS: &[Metric] = &[
    BUILD,
    READS,
    READ_DURATION,
    FALLBACKS,
    REQUESTS,
    WAITED_REQUESTS,
    CONTAINERS,
    TAKEOVERS,
    UPGRADES,
    REFUSED_UPGRADES,
    STUCK_WORKERS,
    QUARANTINES,
    QUARANTINED,
    QUARANTINED_ANSWERS,
    HEALED_MOUNTS,
    UNRECORDED_OPENS,
    CALLS,
    CALL_TAKEOVERS,
    TABLE_USED,
    TABLE_SIZE,
    TABLES_RENEWED,
    MOUNTED_AT,
    CPU_SECONDS,
    RESIDENT_BYTES,
    OPEN_DESCRIPTORS,
];

/// Fed by `CARGO_PKG_VERSION`.
pub(super) const BUILD: Metric = Metric {
    name: "porthole_build_info",
    kind: Info,
    labels: &["version"],
    stability: Stable,
    help: "Version of the worker that answers",
};

/// Fed by `counters.read(`.
pub(super) const READS: Metric = Metric {
    name: "porthole_reads_total",
    kind: Counter,
    labels: &["file", "outcome"],
    stability: Stable,
    help: "Reads of a file by what they were answered with",
};

/// Fed by `counters.read(`.
pub(super) const READ_DURATION: Metric = Metric {
    name: "porthole_read_duration_seconds",
    kind: Histogram,
    labels: &["file"],
    stability: Stable,
    help: "Time from a read's arrival in the daemon to its answer",
};

/// Fed by `counters.fallback(`.
pub(super) const FALLBACKS: Metric = Metric {
    name: "porthole_fallbacks_total",
    kind: Counter,
    labels: &["reason"],
    stability: Stable,
    help: "Opens and reads for which the host's text was chosen because something failed",
};

/// Fed by `counters.request(`.
pub(super) const REQUESTS: Metric = Metric {
    name: "porthole_requests_total",
    kind: Counter,
    labels: &["operation"],
    stability: Stable,
    help: "Requests of the kernel by operation",
};

/// Fed by `counters.waited(`.
pub(super) const WAITED_REQUESTS: Metric = Metric {
    name: "porthole_waited_requests_total",
    kind: Counter,
    labels: &[],
    stability: Internal,
    help: "Requests that waited for their turn, because more was asked than answered",
};

/// Fed by `containers.set(`.
pub(super) const CONTAINERS: Metric = Metric {
    name: "porthole_containers",
    kind: Gauge,
    labels: &[],
    stability: Stable,
    help: "Containers that have read a file and are not known to be gone",
};

/// Fed by `header.takeovers`.
pub(super) const TAKEOVERS: Metric = Metric {
    name: "porthole_takeovers_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Workers that were replaced because they died or hung",
};

/// Fed by `header.upgrades`.
pub(super) const UPGRADES: Metric = Metric {
    name: "porthole_upgrades_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Upgrades that were done",
};

/// Fed by `header.refused_upgrades`.
pub(super) const REFUSED_UPGRADES: Metric = Metric {
    name: "porthole_refused_upgrades_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Upgrades that failed and changed nothing",
};

/// Fed by `State::Hung`.
pub(super) const STUCK_WORKERS: Metric = Metric {
    name: "porthole_stuck_workers",
    kind: Gauge,
    labels: &[],
    stability: Stable,
    help: "Workers that were killed and are not dead yet",
};

/// Fed by `quarantines.add(`.
pub(super) const QUARANTINES: Metric = Metric {
    name: "porthole_quarantines_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Pairs of container and file that killed two workers",
};

/// Fed by `quarantine.strike(`.
pub(super) const QUARANTINED: Metric = Metric {
    name: "porthole_quarantined",
    kind: Gauge,
    labels: &[],
    stability: Stable,
    help: "Pairs of container and file that are answered with the host's text now",
};

/// Fed by `header.quarantined_answers`.
pub(super) const QUARANTINED_ANSWERS: Metric = Metric {
    name: "porthole_quarantined_answers_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Requests answered with the host's text because of a quarantine",
};

/// Fed by `healed_mounts.add(`.
pub(super) const HEALED_MOUNTS: Metric = Metric {
    name: "porthole_healed_mounts_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Dead files in running containers that this daemon has replaced",
};

/// Fed by `header.unrecorded_opens`.
pub(super) const UNRECORDED_OPENS: Metric = Metric {
    name: "porthole_unrecorded_opens_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Files opened while the table of open files, or a container's share of it, was full",
};

/// Fed by `beside.count(`.
pub(super) const CALLS: Metric = Metric {
    name: "porthole_calls_total",
    kind: Counter,
    labels: &["call", "outcome"],
    stability: Stable,
    help: "System calls of containers by what they were answered with",
};

/// Fed by `calls.takeovers.add(`.
pub(super) const CALL_TAKEOVERS: Metric = Metric {
    name: "porthole_call_takeovers_total",
    kind: Counter,
    labels: &[],
    stability: Stable,
    help: "Processes that answer system calls that were replaced because they died or hung",
};

/// Fed by `record.publish(`.
pub(super) const TABLE_USED: Metric = Metric {
    name: "porthole_table_used",
    kind: Gauge,
    labels: &["table"],
    stability: Internal,
    help: "Places in use of the tables that outlive workers",
};

/// Fed by `RECORDS`.
pub(super) const TABLE_SIZE: Metric = Metric {
    name: "porthole_table_size",
    kind: Gauge,
    labels: &["table"],
    stability: Internal,
    help: "Places that the tables have",
};

/// Fed by `header.era`.
pub(super) const TABLES_RENEWED: Metric = Metric {
    name: "porthole_tables_renewed_total",
    kind: Counter,
    labels: &[],
    stability: Internal,
    help: "How often the tables were begun anew for another version",
};

/// Fed by `header.mounted_at`.
pub(super) const MOUNTED_AT: Metric = Metric {
    name: "porthole_mounted_timestamp_seconds",
    kind: Gauge,
    labels: &[],
    stability: Stable,
    help: "When the tree was mounted, in seconds since 1970",
};

/// Fed by `bank.pid`.
pub(super) const CPU_SECONDS: Metric = Metric {
    name: "porthole_process_cpu_seconds_total",
    kind: Counter,
    labels: &["process"],
    stability: Stable,
    help: "CPU time of the keeper and of the worker that serves now",
};

/// Fed by `bank.pid`.
pub(super) const RESIDENT_BYTES: Metric = Metric {
    name: "porthole_process_resident_memory_bytes",
    kind: Gauge,
    labels: &["process"],
    stability: Stable,
    help: "Resident memory, what both share counted for each",
};

/// Fed by `bank.pid`.
pub(super) const OPEN_DESCRIPTORS: Metric = Metric {
    name: "porthole_process_open_fds",
    kind: Gauge,
    labels: &["process"],
    stability: Stable,
    help: "Open descriptors",
};

impl Kind {
    /// As docs/METRICS.md says it.
    pub fn word(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
            Info => "info",
        }
    }
}

impl Stability {
    /// As docs/METRICS.md says it.
    pub fn word(self) -> &'static str {
        match self {
            Stable => "stable",
            Internal => "internal",
        }
    }
}
