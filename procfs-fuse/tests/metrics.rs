//! docs/METRICS.md says what the table in the code says: a row for each metric, in
//! the same order. `cargo xtask tidy` sees to the rest.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the page has failed")]

use std::fs;
use std::path::Path;

use procfs_fuse::metrics::definitions::METRICS;
use procfs_fuse::shared::counters::{Asked, Outcome, Reason};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_has_a_row_for_each_metric() {
    let page = page();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `porthole_")).collect();
    let defined = METRICS.iter().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, kind) = (labels.join(" "), metric.kind.word());
        let stability = metric.stability.word();
        format!("| `{}` | {kind} | {labels} | {stability} | {} |", metric.name, metric.help)
    });
    let alerts = |row: &&&str| row.matches('|').count() == 3;
    let rows: Vec<_> = rows.iter().filter(|row| !alerts(row)).copied().collect();
    assert_eq!(rows, defined.collect::<Vec<_>>());
}

#[test]
fn the_page_has_every_value_of_a_label() {
    let page = page();
    let words = (Outcome::ALL.iter().map(|value| value.word()))
        .chain(Reason::ALL.iter().map(|value| value.word()))
        .chain(Asked::ALL.iter().map(|value| value.word()));
    for word in words {
        assert!(page.contains(&format!("`{word}`")), "docs/METRICS.md does not say `{word}`");
    }
}
