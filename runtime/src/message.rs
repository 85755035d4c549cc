//! What `porthole` says to people: one line on standard error.
//!
//! An error becomes one line: what each error of its chain says, then the way
//! out in brackets.

use std::error::Error;
use std::io::{self, Write};

use nix::errno::Errno;

/// Exit code of `porthole` when it could not do what it was asked, as docker's.
pub const REFUSED: u8 = 125;

/// A command that could not be carried out: its line and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to tell the user.
    pub line: String,
    /// What `porthole` exits with.
    pub code: u8,
}

impl Failure {
    /// The failure that `error` is, with a way out.
    pub fn new(error: &(dyn Error + 'static), way_out: Option<&str>) -> Self {
        Self { line: line(error, way_out), code: REFUSED }
    }

    /// What went wrong with `object`.
    pub fn with(object: &str, error: &(dyn Error + 'static)) -> Self {
        Self { line: format!("{object}: {}", line(error, None)), code: REFUSED }
    }

    /// A failure in a few words, with a way out.
    pub fn of(words: &str, way_out: &str) -> Self {
        Self { line: format!("{words} ({way_out})"), code: REFUSED }
    }
}

/// Errors that know no way out.
macro_rules! without_way_out {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(&error, None)
            }
        }
    )*};
}
without_way_out!(crate::cli::refusal::Refusal, io::Error, Errno, serde_json::Error);

/// Errors that may know one.
macro_rules! with_way_out {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(&error, error.hint().as_deref())
            }
        }
    )*};
}
with_way_out!(crate::container::StateError, crate::cgroup::CgroupError);

impl From<crate::process::LaunchError> for Failure {
    fn from(error: crate::process::LaunchError) -> Self {
        Self { code: error.exit_code(), ..Self::new(&error, error.hint()) }
    }
}

/// `error` and its sources, then the way out.
pub fn line(error: &(dyn Error + 'static), way_out: Option<&str>) -> String {
    let mut parts = vec![words(error)];
    let mut source = error.source();
    while let Some(error) = source {
        parts.push(words(error));
        source = error.source();
    }
    let reason = parts.join(": ");
    match way_out {
        Some(way_out) => format!("{reason} ({way_out})"),
        None => reason,
    }
}

/// What one error says; the kernel's in lower case and without its number.
fn words(error: &(dyn Error + 'static)) -> String {
    let errno = match error.downcast_ref::<io::Error>() {
        Some(error) => error.raw_os_error().map(Errno::from_raw),
        None => error.downcast_ref::<Errno>().copied(),
    };
    errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase())
}

/// Answers what was asked for: `text`, on standard output.
///
/// # Errors
///
/// When standard output cannot be written to. A reader that has seen enough and
/// is gone is none.
pub fn answer(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::with("standard output", &error))
        }
        _written => Ok(()),
    }
}

/// Tells the user `line`.
pub fn tell(line: &str) {
    // Standard error that is closed hears nothing, and nobody else would.
    let _ = writeln!(io::stderr(), "porthole: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::StateError;

    #[test]
    fn a_chain_is_one_line_with_the_way_out_last() {
        let refused = io::Error::from_raw_os_error(libc::EACCES);
        let error = StateError::Io { path: "/run/porthole".into(), source: refused };
        assert_eq!(
            Failure::from(error),
            Failure {
                line:
                    "/run/porthole: permission denied (porthole needs root, try: sudo porthole ...)"
                        .into(),
                code: 125
            }
        );
    }
}
