//! Why a command does not run: the step, its object, the reason.

use std::fmt::Display;
use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Step;

/// Exit code of `porthole` itself when the container could not be made, as docker's.
const NOT_MADE: u8 = 125;

/// Why the command of a container does not run.
///
/// Reads `cannot mount /proc: operation not permitted`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{step} {}: {}", fault.object, fault.reason)]
pub struct LaunchError {
    step: Step,
    fault: Fault,
}

impl LaunchError {
    /// The step that failed.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What `porthole` exits with, as docker does: 127 when the command was not
    /// found, 126 when it cannot be executed, else 125.
    pub fn exit_code(&self) -> u8 {
        self.fault.exit_code
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.fault.hint.as_deref()
    }
}

/// What went wrong with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    object: String,
    reason: String,
    hint: Option<String>,
    exit_code: u8,
}

impl Fault {
    /// `object` cannot be had because of `reason`.
    pub(crate) fn new(object: impl Display, reason: impl Display) -> Self {
        let (object, reason) = (object.to_string(), reason.to_string());
        Self { object, reason, hint: None, exit_code: NOT_MADE }
    }

    /// The same, with a way out for the user.
    pub(crate) fn with_hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// The same, for a command that ends with `exit_code`.
    pub(crate) fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// Why.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The same, as what went wrong at `step`.
    pub(crate) fn at(self, step: Step) -> LaunchError {
        LaunchError { step, fault: self }
    }
}

/// Names the object of a system call that failed.
pub(crate) trait Object<T> {
    /// The error as a [`Fault`] of `object`.
    fn of(self, object: impl Display) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Object<T> for Result<T, E> {
    fn of(self, object: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(object, reason(&error.into())))
    }
}

/// Names the step at which something went wrong.
pub(crate) trait AtStep<T> {
    /// The fault as what went wrong at `step`.
    fn at(self, step: Step) -> Result<T, LaunchError>;
}

impl<T> AtStep<T> for Result<T, Fault> {
    fn at(self, step: Step) -> Result<T, LaunchError> {
        self.map_err(|fault| fault.at(step))
    }
}

/// The kernel's words for an error, in lower case, without its number.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_step_object_and_reason() {
        let failed: nix::Result<()> = Err(Errno::EPERM);
        let error = failed.of("/proc").at(Step::MountKernelFiles).unwrap_err();
        assert_eq!(error.to_string(), "cannot mount /proc: operation not permitted");
        assert_eq!(error.exit_code(), 125);
    }

    #[test]
    fn an_error_survives_its_way_from_child_to_parent() {
        let sent = Fault::new("top", "no such file").with_exit_code(127).with_hint("install it");
        let sent = sent.at(Step::Execute);
        let text = serde_json::to_string(&sent).unwrap();
        let received: LaunchError = serde_json::from_str(&text).unwrap();
        assert_eq!(received, sent);
        assert_eq!(received.hint(), Some("install it"));
    }
}
