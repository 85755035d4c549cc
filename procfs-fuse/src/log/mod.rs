//! Logs: one line per event on standard error, as text or as JSON.
//!
//! Levels: *error*: someone must act; *warn*: we fell back to something; *info*:
//! life cycle; *debug*: per request. What a container can cause goes through
//! [`limited!`](limit), so that no container can fill the host's disk.

pub mod limit;

use std::io;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

pub(crate) use limit::limited;

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Time, level, message, fields.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least important level that is still written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Someone must act.
    Error,
    /// We fell back to something.
    Warn,
    /// Life cycle.
    #[default]
    Info,
    /// Per request.
    Debug,
}

/// Begins to write log lines to standard error; call once.
pub fn start(format: Format, level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    // What fuser tells of its own steps is of no use to who runs a daemon.
    let told =
        Targets::new().with_default(level).with_target("fuser", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry();
    match format {
        Format::Text => registry.with(lines.with_filter(told)).init(),
        Format::Json => registry.with(lines.json().with_filter(told)).init(),
    }
}
