//! What clap has to say, in the form every other message has.
//!
//! Help and version go to standard output and are no fault. Everything else is
//! one line: what is wrong, and where to read more.

use clap::error::ErrorKind;

use super::refusal::Refusal;

/// An answer instead of a command to carry out.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Text that was asked for.
    Help(String),
    /// Words that make no command.
    Refused(Refusal),
}

/// Turns clap's error into an [`Answer`].
pub fn answer(error: &clap::Error) -> Answer {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Answer::Help(error.render().to_string())
        }
        _ => Answer::Refused(refusal(&error.render().to_string())),
    }
}

/// The refusal that clap's text means: its first paragraph, and the command
/// whose help its usage line names.
fn refusal(text: &str) -> Refusal {
    let paragraph: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let reason = paragraph.join(" ");
    let reason = reason.strip_prefix("error: ").unwrap_or(&reason);
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let command = usage.map_or_else(|| "porthole".to_owned(), command_of);
    Refusal::new("command line", reason).instead(format!("see: {command} --help"))
}

/// The words of a usage line before its first option.
fn command_of(usage: &str) -> String {
    let words = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    #[track_caller]
    fn check(words: &[&str], message: &str) {
        match parse(words.iter().map(Into::into)) {
            Err(Answer::Refused(refusal)) => assert_eq!(refusal.to_string(), message),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn words_that_make_no_command_are_one_line() {
        check(
            &["porthole", "run", "--memori", "512m", "--", "top"],
            "command line: unexpected argument '--memori' found (see: porthole run --help)",
        );
        check(
            &["porthole", "start"],
            "command line: unrecognized subcommand 'start' (see: porthole --help)",
        );
        check(
            &["porthole", "run", "-m", "512m"],
            "command line: the following required arguments were not provided: <COMMAND>... (see: porthole run --help)",
        );
        check(
            &["porthole", "run", "-m"],
            "command line: a value is required for '--memory <SIZE>' but none was supplied (see: porthole --help)",
        );
    }

    #[test]
    fn help_is_no_fault_and_has_examples() {
        for words in [&["porthole"][..], &["porthole", "--help"], &["porthole", "run", "--help"]] {
            match parse(words.iter().map(Into::into)) {
                Err(Answer::Help(text)) => {
                    assert!(text.contains("porthole run -m 512m --cpus 1 -it -- top"), "{text}");
                }
                other => panic!("{words:?} gave {other:?}"),
            }
        }
    }
}
