//! The host's side of a container's standard input, output and error.
//!
//! The rule: a container never holds a terminal of the host, for it could change
//! or read what belongs to the user. What is no terminal (a file, a pipe) is
//! handed to the container as it is; bytes for a terminal go through us.
//!
//! What this module does not do: make the container's own terminal (`process`).

mod pump;
mod raw_mode;
mod relay;
mod signals;
mod streams;

pub use pump::Pump;
pub use raw_mode::RawMode;
pub use relay::{Forward, Relay, own_size};
pub use signals::Forwarded;
pub use streams::{Ours, attached, detached};
