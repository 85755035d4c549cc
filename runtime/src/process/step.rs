//! The steps between a plan and a running command, by name.

use std::fmt;

/// A step on the way to a running command; its text begins an error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new process and its namespaces.
    Clone,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Clone => "making the first process of",
        })
    }
}
