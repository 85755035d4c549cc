//! The error of every parser here: text that is not what the kernel documents.

/// Text that is not in the documented format.
///
/// Parsers take `&str` and know no path; the reader that has the path adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct FormatError {
    /// What the documentation says the text looks like.
    pub expected: &'static str,
    /// The text, or the line of it, that does not.
    pub found: String,
}

impl FormatError {
    /// An error about `found`, which should have been `expected`.
    pub fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.trim_end().to_owned() }
    }
}
