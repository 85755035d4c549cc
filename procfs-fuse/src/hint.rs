//! Errors that can say what the user may do about them.

use std::error::Error;
use std::fmt::Write as _;

/// An error that can say what the user may do about it.
pub trait Hint: Error {
    /// The way out, as a command or a place to look; `None` when there is none to name.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// One line for the user: the chain of causes, then the way out.
pub fn one_line(error: &dyn Hint) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _infallible = write!(line, ": {cause}");
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        let _infallible = write!(line, " (try: {hint})");
    }
    line
}
