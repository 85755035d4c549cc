//! The command line: docker's words for docker's things.
//!
//! Two steps, both pure. [`parse`] splits the words into a [`Command`] (texts,
//! nothing understood yet); then each command's own module here turns texts into
//! decisions, such as a [`plan::Plan`](crate::plan::Plan), or a
//! [`refusal::Refusal`]. What is decided is carried out by `commands`, never here.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod limits;
pub mod options;
pub mod refusal;
pub mod run;
pub mod signal;
pub mod usage;
pub mod values;

use std::ffi::OsString;

use clap::Parser;

pub use options::{Command, Options};

/// Splits the words of a command line, the program's own name first.
///
/// # Errors
///
/// [`usage::Answer`]: help that was asked for, or one line about words that are
/// no option or command.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Options, usage::Answer> {
    Options::try_parse_from(words).map_err(|error| usage::answer(&error))
}
