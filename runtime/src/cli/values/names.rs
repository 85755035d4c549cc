//! `--name` and `--hostname`.

use crate::cli::refusal::Refusal;

/// Long enough for anybody; short enough for a file name with room around it.
const LONGEST_NAME: usize = 128;

/// `HOST_NAME_MAX`: what `sethostname(2)` accepts.
const LONGEST_HOSTNAME: usize = 64;

/// `--name NAME`, by docker's rule: it starts with a letter or digit and goes on
/// with those or `_`, `.`, `-`.
///
/// # Errors
///
/// [`Refusal`] when it is not such a name.
pub fn container(text: &str) -> Result<String, Refusal> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !starts_well || !text.chars().all(allowed) || text.len() > LONGEST_NAME {
        return Err(Refusal::new(format!("--name {text:?}"), "not a container's name").instead(
            format!(
                "a letter or digit, then letters, digits, '_', '.', '-', at most {LONGEST_NAME} in all"
            ),
        ));
    }
    Ok(text.to_owned())
}

/// `--hostname NAME`.
///
/// # Errors
///
/// [`Refusal`] when it is not a host name.
pub fn hostname(text: &str) -> Result<String, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    if text.is_empty()
        || text.starts_with('-')
        || !text.chars().all(allowed)
        || text.len() > LONGEST_HOSTNAME
    {
        return Err(Refusal::new(format!("--hostname {text:?}"), "not a host name")
            .instead(format!("letters, digits, '.', '-', at most {LONGEST_HOSTNAME} in all")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in ["web", "web-1", "Web_1.x", "0"] {
            assert_eq!(container(name), Ok(name.to_owned()));
        }
        for name in ["web", "web-1.example.org", "0"] {
            assert_eq!(hostname(name), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_could_be_a_path_or_an_option_are_refused() {
        for name in ["", "-web", "../web", "a/b", "a b", ".", "wéb", &"a".repeat(129)] {
            assert_eq!(
                container(name).unwrap_err().to_string(),
                format!(
                    "--name {name:?}: not a container's name (a letter or digit, then letters, digits, '_', '.', '-', at most 128 in all)"
                )
            );
        }
        for name in ["", "-h", "a b", "a_b", &"a".repeat(65)] {
            assert_eq!(
                hostname(name).unwrap_err().to_string(),
                format!(
                    "--hostname {name:?}: not a host name (letters, digits, '.', '-', at most 64 in all)"
                )
            );
        }
    }
}
