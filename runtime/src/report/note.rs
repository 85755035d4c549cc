//! What was done otherwise than planned, and did not stop anything.

use serde::{Deserialize, Serialize};

/// Something that was done otherwise than planned, as one line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A fallback was taken and the container is the poorer for it: a warning.
    Fallback(String),
    /// Nothing anybody will miss, such as a file this kernel does not have: for
    /// those who debug.
    LeftOut(String),
}
