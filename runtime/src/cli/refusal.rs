//! Words on the command line that cannot be carried out.
//!
//! A [`Refusal`] names the thing, the reason and the way out, in one line. It is
//! made before anything is done, so there is never anything to undo.

use std::fmt;

/// Why the words of the command line are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The words as they were given, such as `-m 4`.
    what: String,
    /// What is wrong with them.
    reason: String,
    /// What to write instead.
    way_out: Option<String>,
}

impl Refusal {
    /// `what` is refused because of `reason`.
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into(), way_out: None }
    }

    /// The refusal with what to write instead.
    #[must_use]
    pub fn instead(mut self, way_out: impl Into<String>) -> Self {
        self.way_out = Some(way_out.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, reason, way_out } = self;
        write!(f, "{what}: {reason}")?;
        match way_out {
            Some(way_out) => write!(f, " ({way_out})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
