//! Ids of containers: 64 hexadecimal digits, as docker's.

use std::fs::File;
use std::io::{self, Read};

/// Bytes of an id; chance never gives the same twice.
const BYTES: usize = 32;

/// A fresh id.
///
/// # Errors
///
/// When `/dev/urandom` cannot be read.
pub fn fresh() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// True when `text` has the form of an id.
pub fn is_one(text: &str) -> bool {
    text.len() == 2 * BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert!(is_one(&one), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn other_names_are_no_ids() {
        for name in ["", "lock", &"a".repeat(63), &"A".repeat(64), &"g".repeat(64)] {
            assert!(!is_one(name), "{name}");
        }
    }
}
