//! Decimal numbers, as `seq_put_decimal_ull()` writes them.
//!
//! Files of the kernel are numbers for the most part, and a container's are made for
//! each read: this is several times as fast as `write!`.

/// Digits of the largest number.
const MOST: usize = 20;

/// Appends `number`.
pub(super) fn plain(number: u64, out: &mut String) {
    right(number, 0, out);
}

/// Appends `number`, after as many spaces as make it `width` columns wide.
pub(super) fn right(number: u64, width: usize, out: &mut String) {
    const SPACES: &str = "                    ";
    let mut digits = [0_u8; MOST];
    let mut rest = number;
    let mut count = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    out.push_str(SPACES.get(..width.saturating_sub(count)).unwrap_or(SPACES));
    let digits = digits.get(MOST - count..).unwrap_or_default();
    out.push_str(str::from_utf8(digits).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_write() {
        for number in [0, 9, 10, 99, 12_345_678, 123_456_789, u64::MAX - 1, u64::MAX] {
            for width in [0, 1, 8, 20] {
                let mut out = String::from("x");
                right(number, width, &mut out);
                assert_eq!(out, format!("x{number:width$}"));
            }
            let mut out = String::new();
            plain(number, &mut out);
            assert_eq!(out, number.to_string());
        }
    }
}
