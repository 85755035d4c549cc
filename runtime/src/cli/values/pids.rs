//! `--pids-limit N`: how many processes and threads a container may have.

use crate::cli::refusal::Refusal;

/// `--pids-limit N`; `None` for -1, which is no limit.
///
/// # Errors
///
/// [`Refusal`] when the text is not a number, or is zero: the container's own
/// first process counts.
pub fn limit(text: &str) -> Result<Option<u64>, Refusal> {
    if text == "-1" {
        return Ok(None);
    }
    match text.parse() {
        Ok(0) => Err(Refusal::new(
            format!("--pids-limit {text}"),
            "the container's first process counts, so the least is 1",
        )
        .instead("-1 means no limit")),
        Ok(count) => Ok(Some(count)),
        Err(_not_a_number) => {
            Err(Refusal::new(format!("--pids-limit {text}"), "not a number of processes")
                .instead("such as 100, or -1 for no limit"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counts() {
        assert_eq!(limit("1"), Ok(Some(1)));
        assert_eq!(limit("100"), Ok(Some(100)));
        assert_eq!(limit("-1"), Ok(None));
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(limit(text).unwrap_err().to_string(), message, "input: {text:?}");
    }

    #[test]
    fn limits_that_cannot_be_are_refused() {
        check_refused(
            "0",
            "--pids-limit 0: the container's first process counts, so the least is 1 (-1 means no limit)",
        );
        check_refused(
            "many",
            "--pids-limit many: not a number of processes (such as 100, or -1 for no limit)",
        );
    }
}
