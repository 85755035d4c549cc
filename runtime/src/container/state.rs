//! What is known about a container: the text of `ID/state.json`.
//!
//! A reader passes over fields it does not know, so that an older `porthole`
//! lists the containers of a newer one. A change that an old reader would
//! misunderstand raises [`VERSION`].

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::plan::Plan;

/// The version of the format that this program writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// A container, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this format.
    pub version: u32,
    /// `--name`.
    pub name: Option<String>,
    /// When it was made, in nanoseconds since 1970: those of one second keep their order.
    pub created_unix_ns: u64,
    /// It stays here when its command has ended.
    pub keep: bool,
    /// Its output is kept in a file.
    pub recorded: bool,
    /// What it does.
    pub status: Status,
    /// What was decided about it.
    pub plan: Plan,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum Status {
    /// It is being made; nothing of it runs yet.
    Created,
    /// Its command runs.
    Running {
        /// Its first process.
        init: Identity,
    },
    /// Its command has ended.
    Exited {
        /// Exit code of the command, or 128 + the signal that ended it.
        code: u8,
        /// When, in seconds since 1970.
        at_unix_s: u64,
    },
}

impl State {
    /// What people call it: its name, else the beginning of its id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| super::error::short(&self.plan.id))
    }

    /// Its first process while its command runs.
    pub fn init(&self) -> Option<Identity> {
        match self.status {
            Status::Running { init } => Some(init),
            Status::Created | Status::Exited { .. } => None,
        }
    }
}
