//! `porthole ps`.

use serde::Serialize;

use super::Answer;
use crate::cli::options::PsOptions;
use crate::cli::refusal::Refusal;
use crate::container::collect::now_unix_s;
use crate::container::error::short;
use crate::container::{State, Status, Store};
use crate::message::answer;

/// How much of a command the table shows, in characters.
const COMMAND_WIDTH: usize = 30;

/// Lists containers.
pub(super) fn ps(options: &PsOptions, store: &Store) -> Answer {
    let mut states = store.list()?;
    states.retain(|state| options.all || !matches!(state.status, Status::Exited { .. }));
    // The newest first, as with docker.
    states.reverse();
    let text = match options.format.as_str() {
        _ if options.quiet => {
            states.iter().map(|state| format!("{}\n", short(&state.plan.id))).collect()
        }
        "table" => table(&states, now_unix_s()),
        "json" => json(&states)?,
        other => {
            return Err(Refusal::new(format!("--format {other}"), "there is no such format")
                .instead("table or json")
                .into());
        }
    };
    answer(&text)?;
    Ok(0)
}

/// A container in the JSON of `porthole ps`.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: &'a str,
    name: Option<&'a str>,
    command: &'a [String],
    created_unix_s: u64,
    status: Status,
}

fn json(states: &[State]) -> Result<String, serde_json::Error> {
    let listed: Vec<Listed<'_>> = states
        .iter()
        .map(|state| Listed {
            id: &state.plan.id,
            name: state.name.as_deref(),
            command: &state.plan.process.args,
            created_unix_s: seconds(state.created_unix_ns),
            status: state.status,
        })
        .collect();
    serde_json::to_string_pretty(&listed).map(|text| text + "\n")
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000_000_000
}

fn table(states: &[State], now_unix_s: u64) -> String {
    let mut rows =
        vec![["CONTAINER ID", "COMMAND", "CREATED", "STATUS", "NAME"].map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        [
            short(&state.plan.id).to_owned(),
            shortened(&state.plan.process.args.join(" ")),
            ago(now_unix_s, seconds(state.created_unix_ns)),
            in_words(state.status, now_unix_s),
            state.name.clone().unwrap_or_default(),
        ]
    }));
    aligned(&rows)
}

/// Rows with every column as wide as its widest cell, the last one as it is.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("   ").trim_end());
        text.push('\n');
    }
    text
}

fn shortened(command: &str) -> String {
    // A control character would move the reader's cursor.
    let clean: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= COMMAND_WIDTH {
        return clean;
    }
    clean.chars().take(COMMAND_WIDTH - 1).chain(['…']).collect()
}

fn in_words(status: Status, now_unix_s: u64) -> String {
    match status {
        Status::Created => "Starting".to_owned(),
        Status::Running { .. } => "Running".to_owned(),
        Status::Exited { code, at_unix_s } => {
            format!("Exited ({code}) {}", ago(now_unix_s, at_unix_s))
        }
    }
}

/// How long ago `then` was, in its largest unit. A clock that was set back makes
/// it now.
fn ago(now_unix_s: u64, then: u64) -> String {
    let seconds = now_unix_s.saturating_sub(then);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [
            row(["ID", "COMMAND", "NAME"]),
            row(["1", "sleep 1000", "web"]),
            row(["22", "top", ""]),
        ];
        expect![[r"
            ID   COMMAND      NAME
            1    sleep 1000   web
            22   top
        "]]
        .assert_eq(&aligned(&rows));
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (seconds, words) in [
            (0, "0 seconds ago"),
            (1, "1 second ago"),
            (119, "1 minute ago"),
            (7_200, "2 hours ago"),
            (200_000, "2 days ago"),
        ] {
            assert_eq!(ago(1_000_000, 1_000_000 - seconds), words);
        }
        assert_eq!(ago(5, 9), "0 seconds ago");
    }

    #[test]
    fn statuses_are_told_in_words() {
        assert_eq!(in_words(Status::Created, 0), "Starting");
        assert_eq!(
            in_words(Status::Exited { code: 137, at_unix_s: 3 }, 5),
            "Exited (137) 2 seconds ago"
        );
    }

    #[test]
    fn long_or_wild_commands_stay_on_their_line() {
        assert_eq!(shortened("sh -c \"a\nb\x1b[2J\""), "sh -c \"a b [2J\"");
        assert_eq!(shortened(&"x".repeat(31)), format!("{}…", "x".repeat(29)));
    }
}
