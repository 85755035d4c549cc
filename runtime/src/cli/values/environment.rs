//! `-e NAME=VALUE` and `-e NAME`, and the environment every container starts with.

use crate::cli::refusal::Refusal;

/// Where programs are looked up, as in docker.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The whole environment of a command: what every container gets, then `given`,
/// in its order; a later word replaces an earlier one of the same name.
///
/// A name alone takes the value that `inherited` has for it, and is left out when
/// there is none, as docker does. `HOME` is not here: it depends on the
/// container's own `/etc/passwd`, and `process` adds it.
///
/// # Errors
///
/// [`Refusal`] when a word has no name or holds a NUL byte.
pub fn of_command(
    given: &[String],
    hostname: Option<&str>,
    terminal: bool,
    inherited: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Refusal> {
    let mut all = vec![PATH.to_owned()];
    all.extend(hostname.map(|name| format!("HOSTNAME={name}")));
    all.extend(terminal.then(|| "TERM=xterm".to_owned()));
    for word in given {
        let name = name_of(word)?;
        all.retain(|earlier| earlier.split('=').next() != Some(name));
        if word.contains('=') {
            all.push(word.clone());
        } else {
            all.extend(inherited(name).map(|value| format!("{name}={value}")));
        }
    }
    Ok(all)
}

fn name_of(word: &str) -> Result<&str, Refusal> {
    let name = word.split('=').next().unwrap_or_default();
    if name.is_empty() || word.contains('\0') || name.contains(char::is_whitespace) {
        return Err(Refusal::new(format!("-e {word:?}"), "not an environment variable")
            .instead("NAME=VALUE, or NAME alone to pass on its value here"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(name: &str) -> Option<String> {
        (name == "LANG").then(|| "C.UTF-8".to_owned())
    }

    #[track_caller]
    fn check(given: &[&str], hostname: Option<&str>, terminal: bool, after_path: &[&str]) {
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        let all = of_command(&given, hostname, terminal, &inherited).unwrap();
        assert_eq!(all[0], PATH);
        assert_eq!(all[1..], *after_path, "input: {given:?}");
    }

    #[test]
    fn what_is_given_is_added_and_the_last_word_counts() {
        check(&[], Some("web"), true, &["HOSTNAME=web", "TERM=xterm"]);
        check(&["A=1", "A=2=3", "B="], None, false, &["A=2=3", "B="]);
        check(&["TERM=vt100"], None, true, &["TERM=vt100"]);
    }

    #[test]
    fn a_name_alone_takes_the_value_it_has_here() {
        check(&["LANG", "NOT_SET_HERE"], None, false, &["LANG=C.UTF-8"]);
    }

    #[test]
    fn path_can_be_replaced() {
        let all = of_command(&["PATH=/bin".to_owned()], None, false, &inherited).unwrap();
        assert_eq!(all, ["PATH=/bin"]);
    }

    #[test]
    fn words_without_a_name_are_refused() {
        for word in ["", "=1", "A B=1", "A=\0"] {
            let refusal = of_command(&[word.to_owned()], None, false, &inherited).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                format!(
                    "-e {word:?}: not an environment variable (NAME=VALUE, or NAME alone to pass on its value here)"
                )
            );
        }
    }
}
