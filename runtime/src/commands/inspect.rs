//! `porthole inspect`.

use super::Answer;
use crate::cli::options::InspectOptions;
use crate::container::Store;

/// Prints what is known about a container, as JSON.
pub(super) fn inspect(options: &InspectOptions, store: &Store) -> Answer {
    let state = store.find(&options.container)?;
    println!("{}", serde_json::to_string_pretty(&state)?);
    Ok(0)
}
