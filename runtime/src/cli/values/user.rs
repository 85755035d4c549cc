//! `-u USER[:GROUP]`.

use crate::cli::refusal::Refusal;
use crate::plan::User;

/// The words of `-u USER[:GROUP]`; root when there are none.
///
/// They are looked up in the container's own files, by `process`.
///
/// # Errors
///
/// [`Refusal`] when a side of the colon is empty or there are two colons.
pub fn user(text: Option<&str>) -> Result<User, Refusal> {
    let Some(text) = text else { return Ok(User { user: "0".to_owned(), group: None }) };
    let mut words = text.split(':');
    let (user, group, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
    if user.is_empty() || group.is_some_and(str::is_empty) || rest.is_some() {
        return Err(Refusal::new(format!("-u {text:?}"), "not a user")
            .instead("USER or USER:GROUP, names or numbers of the container's"));
    }
    Ok(User { user: user.to_owned(), group: group.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: Option<&str>, name: &str, group: Option<&str>) {
        let expected = User { user: name.to_owned(), group: group.map(str::to_owned) };
        assert_eq!(user(text), Ok(expected), "input: {text:?}");
    }

    #[test]
    fn users_are_names_or_numbers() {
        check(None, "0", None);
        check(Some("nobody"), "nobody", None);
        check(Some("1000:100"), "1000", Some("100"));
    }

    #[test]
    fn half_a_user_is_refused() {
        for text in ["", ":", "1000:", ":100", "1:2:3"] {
            assert_eq!(
                user(Some(text)).unwrap_err().to_string(),
                format!(
                    "-u {text:?}: not a user (USER or USER:GROUP, names or numbers of the container's)"
                )
            );
        }
    }
}
