//! `kill -s SIGNAL` and `stop -t SECONDS`.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::refusal::Refusal;

/// A signal by name, with or without `SIG`, or by number.
///
/// # Errors
///
/// [`Refusal`] when there is no such signal.
pub fn signal(text: &str) -> Result<Signal, Refusal> {
    let upper = text.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper.clone() } else { format!("SIG{upper}") };
    let by_number = || text.parse().ok().and_then(|number: i32| Signal::try_from(number).ok());
    full.parse().ok().or_else(by_number).ok_or_else(|| {
        Refusal::new(format!("-s {text}"), "there is no such signal")
            .instead("a name or number, such as TERM or 15")
    })
}

/// Seconds to wait; a whole number.
///
/// # Errors
///
/// [`Refusal`] when it is not one.
pub fn seconds(text: &str) -> Result<Duration, Refusal> {
    text.parse().map(|seconds: u32| Duration::from_secs(seconds.into())).map_err(|_not_a_number| {
        Refusal::new(format!("-t {text}"), "not a whole number of seconds").instead("such as 10")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_names_or_numbers() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(signal(text), Ok(Signal::SIGTERM), "input: {text:?}");
        }
        for text in ["", "0", "65", "SIGNOTHING", "-9"] {
            assert_eq!(
                signal(text).unwrap_err().to_string(),
                format!(
                    "-s {text}: there is no such signal (a name or number, such as TERM or 15)"
                )
            );
        }
    }

    #[test]
    fn seconds_are_whole() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(
            seconds("1.5").unwrap_err().to_string(),
            "-t 1.5: not a whole number of seconds (such as 10)"
        );
    }
}
