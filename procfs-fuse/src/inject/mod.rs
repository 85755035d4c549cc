//! Files into containers that run already.
//!
//! [`mod@run`] is the story: for each mount namespace, read its table, decide
//! (`plan`, pure), act (`act`, `place`). [`heal()`] is what a daemon calls when it
//! starts: it does the same for all containers whose files are dead, in a
//! process of its own. That process and not the daemon walks through the mount,
//! because a daemon that waits for its own answer waits for ever.
//!
//! What this folder does not do: mount the tree (`daemon`), or say what is in a
//! file (`serve`).

mod act;
mod error;
mod heal;
mod home;
mod namespaces;
mod owners;
mod place;
mod plan;
mod probe;
mod report;
mod run;
mod survey;
mod workers;

pub use error::InjectError;
pub use heal::heal;
pub use probe::answer;
pub use report::{NamespaceReport, Report, Said};
pub use run::{Order, run};
