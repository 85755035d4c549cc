//! `porthole inspect`.

use super::Answer;
use crate::cli::options::InspectOptions;
use crate::container::Store;
use crate::message::answer;

/// Prints what is known about a container, as JSON.
pub(super) fn inspect(options: &InspectOptions, store: &Store) -> Answer {
    let state = store.find(&options.container)?;
    answer(&(serde_json::to_string_pretty(&state)? + "\n"))?;
    Ok(0)
}
