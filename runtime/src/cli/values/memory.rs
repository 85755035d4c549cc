//! Sizes of memory: `-m 512m`, `--memory-swap 1g`.
//!
//! As docker reads them: a number, a fraction allowed, and one of the letters
//! b, k, m, g, t (powers of 1024, either case, `b` or `ib` may follow). Without a
//! letter the number is bytes.

use cgroupfs::limit::Limit;

use crate::cli::refusal::Refusal;

/// Below this a container cannot even start its first process; docker's minimum.
const LEAST_MEMORY: u64 = 6 << 20;

/// What follows the digits of a size, and how many bytes one of it is.
const UNITS: [(&str, u64); 5] =
    [("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40)];

/// `-m SIZE`, in bytes.
///
/// # Errors
///
/// [`Refusal`] when the text is not a size or the size is below what a container
/// needs.
pub fn memory(text: &str) -> Result<u64, Refusal> {
    let what = format!("-m {text}");
    let size = size(text).ok_or_else(|| not_a_size(&what))?;
    if size < LEAST_MEMORY {
        let refusal = Refusal::new(
            what,
            format!("{} is too little for a container, the least is 6m", in_words(size)),
        );
        return Err(refusal.instead(format!("did you mean {}?", with_larger_unit(text))));
    }
    Ok(size)
}

/// `--memory-swap SIZE`: memory and swap together, beside `memory` of `-m`; the
/// answer is swap alone.
///
/// Without the option a container may swap as much as it has memory, as with
/// docker. -1 is no limit.
///
/// # Errors
///
/// [`Refusal`] when the text is not a size, `-m` is missing, or the sum is below
/// the memory.
pub fn swap(text: Option<&str>, memory: Option<u64>) -> Result<Option<Limit>, Refusal> {
    let Some(text) = text else { return Ok(memory.map(Limit::AtMost)) };
    let what = format!("--memory-swap {text}");
    if text == "-1" {
        return Ok(Some(Limit::Unlimited));
    }
    let total = size(text).ok_or_else(|| not_a_size(&what))?;
    let Some(memory) = memory else {
        return Err(Refusal::new(what, "it is memory and swap together, and there is no -m")
            .instead("give -m too, such as -m 512m"));
    };
    match total.checked_sub(memory) {
        Some(swap) => Ok(Some(Limit::AtMost(swap))),
        None => Err(Refusal::new(
            what,
            format!("it is memory and swap together, and -m alone is {}", in_words(memory)),
        )
        .instead("give at least as much as -m; the same means no swap")),
    }
}

fn not_a_size(what: &str) -> Refusal {
    Refusal::new(what, "not a size")
        .instead("a number and one of b, k, m, g, t, such as 512m or 1.5g")
}

/// The bytes that `text` means; `None` when it is not a size or is above `u64`.
fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        "" | "b" => 1,
        unit => {
            let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
            UNITS.iter().find(|(name, _)| *name == letter && *name != "b")?.1
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = parse_digits(whole)?;
    let parts = fraction_of(fraction, unit)?;
    whole.checked_mul(unit)?.checked_add(parts)
}

fn parse_digits(text: &str) -> Option<u64> {
    // A sign would be accepted by `parse`.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `0.fraction` of `unit`, rounded down.
fn fraction_of(fraction: &str, unit: u64) -> Option<u64> {
    // Nine digits are finer than a byte of a gibibyte and cannot overflow u128.
    let digits = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    u64::try_from(u128::from(parse_digits(digits)?) * u128::from(unit) / scale).ok()
}

/// The number of `text` with the first unit that makes it enough.
fn with_larger_unit(text: &str) -> String {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    UNITS
        .iter()
        .map(|(letter, _)| format!("{number}{letter}"))
        .find(|larger| size(larger).is_some_and(|size| size >= LEAST_MEMORY))
        .unwrap_or_else(|| "6m".to_owned())
}

/// A size as a person writes it: `512m` when it is whole, else bytes.
fn in_words(size: u64) -> String {
    UNITS
        .iter()
        .skip(1)
        .rev()
        .find(|(_, unit)| size >= *unit && size.is_multiple_of(*unit))
        .map_or_else(
            || format!("{size} bytes"),
            |(letter, unit)| format!("{}{letter}", size / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes: u64) {
        assert_eq!(memory(text), Ok(bytes), "input: {text:?}");
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(memory(text).unwrap_err().to_string(), message, "input: {text:?}");
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        check("6291456", 6 << 20);
        check("6291456b", 6 << 20);
        check("8192k", 8 << 20);
        check("512m", 512 << 20);
        check("512M", 512 << 20);
        check("512MB", 512 << 20);
        check("512MiB", 512 << 20);
        check("1.5g", 1536 << 20);
        check("2t", 2 << 40);
    }

    #[test]
    fn too_little_memory_is_refused_with_a_size_that_would_do() {
        check_refused(
            "4",
            "-m 4: 4 bytes is too little for a container, the least is 6m (did you mean 4g?)",
        );
        check_refused(
            "512",
            "-m 512: 512 bytes is too little for a container, the least is 6m (did you mean 512m?)",
        );
        check_refused(
            "4m",
            "-m 4m: 4m is too little for a container, the least is 6m (did you mean 4g?)",
        );
        check_refused(
            "0",
            "-m 0: 0 bytes is too little for a container, the least is 6m (did you mean 6m?)",
        );
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in
            ["", "m", "-1", "+5g", "1e9", "12x", "1.2.3g", "99999999999t", "5 g", "1.m.", "mb"]
        {
            check_refused(
                text,
                &format!(
                    "-m {text}: not a size (a number and one of b, k, m, g, t, such as 512m or 1.5g)"
                ),
            );
        }
    }

    #[track_caller]
    fn check_swap(text: Option<&str>, memory: Option<u64>, swap_alone: Option<Limit>) {
        assert_eq!(swap(text, memory), Ok(swap_alone), "input: {text:?}");
    }

    #[test]
    fn swap_is_what_is_left_above_the_memory() {
        check_swap(None, None, None);
        check_swap(None, Some(512 << 20), Some(Limit::AtMost(512 << 20)));
        check_swap(Some("-1"), Some(512 << 20), Some(Limit::Unlimited));
        check_swap(Some("512m"), Some(512 << 20), Some(Limit::AtMost(0)));
        check_swap(Some("1g"), Some(512 << 20), Some(Limit::AtMost(512 << 20)));
    }

    #[test]
    fn swap_without_enough_memory_is_refused() {
        assert_eq!(
            swap(Some("1g"), None).unwrap_err().to_string(),
            "--memory-swap 1g: it is memory and swap together, and there is no -m (give -m too, such as -m 512m)"
        );
        assert_eq!(
            swap(Some("256m"), Some(512 << 20)).unwrap_err().to_string(),
            "--memory-swap 256m: it is memory and swap together, and -m alone is 512m (give at least as much as -m; the same means no swap)"
        );
    }
}
