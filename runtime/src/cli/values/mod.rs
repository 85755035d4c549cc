//! The values of options: text to what it means, or a refusal.
//!
//! Each function here takes the words as the user wrote them and nothing else of
//! the machine than what it is handed, so every message is tested by its text.

pub mod cpus;
pub mod environment;
pub mod memory;
pub mod names;
pub mod pids;
pub mod security;
pub mod user;
pub mod volume;
