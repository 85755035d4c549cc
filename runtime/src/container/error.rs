//! What can go wrong between us and the state directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::cli::run::SHORT_ID;

/// A state that could not be read, written, found or used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A state file that this version cannot read.
    #[error("{} is not a state that this version knows", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where its text is wrong.
        source: serde_json::Error,
    },
    /// Another container has the name.
    #[error("--name {name}: container {} has it already", short(holder))]
    NameInUse {
        /// The name.
        name: String,
        /// Id of the container that has it.
        holder: String,
    },
    /// No container is called that.
    #[error("{reference}: there is no such container")]
    NotFound {
        /// What was given: a name, an id, or the beginning of one.
        reference: String,
    },
    /// The beginning of an id that several containers share.
    #[error("{reference}: {count} containers have an id that begins so")]
    Ambiguous {
        /// What was given.
        reference: String,
        /// How many there are.
        count: usize,
    },
    /// The container has ended.
    #[error("{reference}: the container is not running")]
    NotRunning {
        /// What was given.
        reference: String,
    },
    /// The container has not ended.
    #[error("{reference}: the container is running")]
    Running {
        /// What was given.
        reference: String,
    },
}

impl StateError {
    /// The error of an operation on `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("porthole needs root, try: sudo porthole ...".to_owned())
            }
            Self::Io { .. } => None,
            Self::Format { .. } => Some("was it written by another version?".to_owned()),
            Self::NameInUse { name, .. } => {
                Some(format!("remove that one with: porthole rm -f {name}, or choose another name"))
            }
            Self::NotFound { .. } | Self::Ambiguous { .. } | Self::NotRunning { .. } => {
                Some("see: porthole ps -a".to_owned())
            }
            Self::Running { reference } => Some(format!(
                "end it first with: porthole stop {reference}, or use: porthole rm -f {reference}"
            )),
        }
    }
}

/// The beginning of an id that people are shown.
pub fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &StateError, message: &str, hint: &str) {
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint().as_deref(), Some(hint));
    }

    #[test]
    fn messages_name_the_container_and_the_way_out() {
        check(
            &StateError::NameInUse { name: "web".into(), holder: "0123456789abcdef".repeat(4) },
            "--name web: container 0123456789ab has it already",
            "remove that one with: porthole rm -f web, or choose another name",
        );
        check(
            &StateError::NotFound { reference: "web".into() },
            "web: there is no such container",
            "see: porthole ps -a",
        );
        check(
            &StateError::Running { reference: "web".into() },
            "web: the container is running",
            "end it first with: porthole stop web, or use: porthole rm -f web",
        );
    }
}
