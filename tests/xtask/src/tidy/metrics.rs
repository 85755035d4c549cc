//! Metrics: each is in the table of docs/METRICS.md, something feeds it, and nobody
//! builds on one that is not there.
//!
//! The table in the code says what feeds a metric, as the word by which that is done:
//! ``/// Fed by `header.takeovers`.`` Some other file must have it in its code.

use serde_json::Value;

use super::sources::Source;

/// The table in the code.
const DEFINITIONS: &str = "procfs-fuse/src/metrics/definitions.rs";

/// The table for people.
const PAGE: &str = "docs/METRICS.md";

/// How the names of our metrics begin.
const PREFIX: &str = "porthole_";

/// What Prometheus adds to the name of a histogram.
const SERIES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Folders in which metrics are only told, and not counted.
const TELLERS: &str = "procfs-fuse/src/metrics/";

/// One metric as the code defines it.
#[derive(Debug)]
struct Metric<'a> {
    name: &'a str,
    fed_by: &'a str,
}

/// Everything that is wrong with metrics, their table and what is built on them.
pub fn rule(sources: &[Source]) -> Vec<String> {
    let find = |path: &str| sources.iter().find(|source| source.path == path);
    let Some(definitions) = find(DEFINITIONS) else { return Vec::new() };
    let metrics = defined(&definitions.text);
    let page = find(PAGE).map_or("", |page| &page.text);
    let mut found = Vec::new();
    for Metric { name, fed_by } in &metrics {
        if !rows(page).any(|row| row == *name) {
            found.push(format!("{PAGE}: no row for {name}"));
        }
        if !is_fed(sources, fed_by) {
            found.push(format!("{DEFINITIONS}: nothing feeds {name}: no code has `{fed_by}`"));
        }
    }
    let is_defined = |name: &str| metrics.iter().any(|metric| is_series_of(name, metric.name));
    for source in sources.iter().filter(|source| builds_on_metrics(&source.path)) {
        if is_json(&source.path) && serde_json::from_str::<Value>(&source.text).is_err() {
            found.push(format!("{}: is not JSON", source.path));
        }
        for name in names(&source.text).filter(|name| !is_defined(name)) {
            found.push(format!("{}: there is no metric {name}", source.path));
        }
    }
    found
}

/// The metrics of the table in the code.
fn defined(text: &str) -> Vec<Metric<'_>> {
    let mut fed_by = "";
    let mut metrics = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(word) = line.strip_prefix("/// Fed by `") {
            fed_by = word.split('`').next().unwrap_or_default();
        } else if let Some(name) = line.strip_prefix("name: \"") {
            metrics.push(Metric { name: name.trim_end_matches("\","), fed_by });
            fed_by = "";
        }
    }
    metrics
}

/// The metrics that the page has rows for.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|row| row.0))
}

/// Whether code that counts has the word. A metric without one is fed by nothing.
fn is_fed(sources: &[Source], word: &str) -> bool {
    let counts = |source: &&Source| source.is_rust() && !source.path.starts_with(TELLERS);
    let product = |source: &&Source| source.path.starts_with("procfs-fuse/src/");
    let mut counting = sources.iter().filter(counts).filter(product);
    !word.is_empty() && counting.any(|source| source.code().any(|(_, line)| line.contains(word)))
}

/// Whether a file names metrics for others to build on.
fn builds_on_metrics(path: &str) -> bool {
    path == PAGE || is_json(path)
}

fn is_json(path: &str) -> bool {
    path.starts_with("deploy/") && path.ends_with(".json")
}

/// The names of our metrics in `text`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(move |c| !is_word(c));
    words.filter(|word| word.starts_with(PREFIX))
}

/// Whether `name` is the metric, or a series of it.
fn is_series_of(name: &str, metric: &str) -> bool {
    name.strip_prefix(metric).is_some_and(|end| end.is_empty() || SERIES.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "/// Fed by `header.x`.\nA: Metric = Metric {\n    name: \"porthole_a_total\",\n}";

    #[track_caller]
    fn check(table: &str, page: &str, code: &str, dashboard: &str, expected: &[&str]) {
        let sources = [
            Source::planted(DEFINITIONS, table),
            Source::planted(PAGE, page),
            Source::planted("procfs-fuse/src/keeper/mod.rs", code),
            Source::planted("deploy/grafana/a.json", dashboard),
        ];
        assert_eq!(rule(&sources), expected);
    }

    const PAGE_ROW: &str = "| `porthole_a_total` | counter |\n";
    const COUNTS: &str = "count(&header.x);\n";

    #[test]
    fn a_metric_with_a_row_that_something_feeds_is_right() {
        check(TABLE, PAGE_ROW, COUNTS, "\"rate(porthole_a_total[5m])\"", &[]);
    }

    #[test]
    fn a_metric_that_nothing_feeds_is_refused() {
        let refused =
            format!("{DEFINITIONS}: nothing feeds porthole_a_total: no code has `header.x`");
        check(TABLE, PAGE_ROW, "// header.x\n", "{}", &[&refused]);
        let unsaid = TABLE.replace("/// Fed by `header.x`.\n", "");
        let refused = format!("{DEFINITIONS}: nothing feeds porthole_a_total: no code has ``");
        check(&unsaid, PAGE_ROW, COUNTS, "{}", &[&refused]);
    }

    #[test]
    fn the_page_and_the_code_have_the_same_metrics() {
        check(TABLE, "", COUNTS, "{}", &["docs/METRICS.md: no row for porthole_a_total"]);
        let more = format!("{PAGE_ROW}| `porthole_b` | gauge |\n");
        check(TABLE, &more, COUNTS, "{}", &["docs/METRICS.md: there is no metric porthole_b"]);
    }

    #[test]
    fn a_dashboard_names_what_there_is() {
        let histogram = TABLE.replace("porthole_a_total", "porthole_a");
        let row = PAGE_ROW.replace("porthole_a_total", "porthole_a");
        check(&histogram, &row, COUNTS, "\"porthole_a_bucket\"", &[]);
        let refused = "deploy/grafana/a.json: there is no metric porthole_a_max";
        check(&histogram, &row, COUNTS, "\"porthole_a_max\"", &[refused]);
        check(TABLE, PAGE_ROW, COUNTS, "{", &["deploy/grafana/a.json: is not JSON"]);
    }
}
