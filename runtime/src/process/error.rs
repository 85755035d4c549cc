//! Why a process could not be started: the step, its object, the reason.

use super::Step;

/// Exit code of `porthole` itself when the container could not be made, as docker's.
const NOT_MADE: u8 = 125;

/// Why the command of a container does not run.
///
/// Reads `mounting proc on /proc: operation not permitted`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} {object}: {reason}")]
pub struct LaunchError {
    step: Step,
    object: String,
    reason: String,
    hint: Option<String>,
    exit_code: u8,
}

impl LaunchError {
    pub(crate) fn new(step: Step, object: impl Into<String>, reason: impl Into<String>) -> Self {
        let (object, reason) = (object.into(), reason.into());
        Self { step, object, reason, hint: None, exit_code: NOT_MADE }
    }

    /// The step that failed.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What `porthole` exits with, as docker does: 127 when the command was not
    /// found, 126 when it cannot be executed, else 125.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
