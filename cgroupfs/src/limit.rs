//! Limits in bytes or counts: `memory.max`, `memory.limit_in_bytes`, `pids.max`, ...
//!
//! v2 says "max" for no limit; v1 says the largest number of bytes that is a
//! whole number of pages. Both become [`Limit::Unlimited`].

use crate::format::FormatError;

/// An upper bound that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No bound at this level; an ancestor may still have one.
    Unlimited,
    /// At most this much; bytes for memory, a count for pids.
    AtMost(u64),
}

/// v1 memory limits at or above this mean "none".
///
/// The kernel writes `PAGE_COUNTER_MAX * PAGE_SIZE`, that is `i64::MAX` rounded
/// down to whole pages; with the largest page size Linux supports (64 KiB) that
/// is not below this number.
const V1_UNLIMITED_FROM: u64 = i64::MAX as u64 & !0xffff;

impl Limit {
    /// The bound, when there is one.
    pub fn bound(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(bound) => Some(bound),
        }
    }

    /// The bound, or `otherwise` when there is none or it is smaller.
    pub fn at_most(self, otherwise: u64) -> u64 {
        self.bound().map_or(otherwise, |bound| bound.min(otherwise))
    }
}

/// Parses a v2 limit: `"<number|max>\n"`.
///
/// # Errors
///
/// [`FormatError`] when the text is neither a number nor "max".
pub fn parse_v2(text: &str) -> Result<Limit, FormatError> {
    match text.trim_end() {
        "max" => Ok(Limit::Unlimited),
        number => number
            .parse()
            .map(Limit::AtMost)
            .map_err(|_not_a_number| FormatError::new("a number or \"max\"", text)),
    }
}

/// Parses a v1 limit in bytes: `"<number>\n"`, where a number close to
/// `i64::MAX` means none.
///
/// # Errors
///
/// [`FormatError`] when the text is not a number.
pub fn parse_v1(text: &str) -> Result<Limit, FormatError> {
    let bytes: u64 = text
        .trim_end()
        .parse()
        .map_err(|_not_a_number| FormatError::new("a number of bytes", text))?;
    Ok(if bytes >= V1_UNLIMITED_FROM { Limit::Unlimited } else { Limit::AtMost(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_limits() {
        assert_eq!(parse_v2("max\n"), Ok(Limit::Unlimited));
        assert_eq!(parse_v2("0\n"), Ok(Limit::AtMost(0)));
        assert_eq!(parse_v2("536870912\n"), Ok(Limit::AtMost(512 << 20)));
        for text in ["", "\n", "-1", "12k", "max max", "1.5"] {
            assert_eq!(parse_v2(text).unwrap_err().found, text.trim_end(), "input: {text:?}");
        }
    }

    #[test]
    fn v1_no_limit_is_the_largest_whole_number_of_pages() {
        assert_eq!(parse_v1("9223372036854771712\n"), Ok(Limit::Unlimited)); // 4 KiB pages
        assert_eq!(parse_v1("9223372036854710272\n"), Ok(Limit::Unlimited)); // 64 KiB pages
        assert_eq!(parse_v1("536870912\n"), Ok(Limit::AtMost(512 << 20)));
        for text in ["", "max\n", "-1\n"] {
            assert_eq!(parse_v1(text).unwrap_err().found, text.trim_end(), "input: {text:?}");
        }
    }
}
