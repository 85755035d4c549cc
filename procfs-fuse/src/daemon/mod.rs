//! Around the keeper: what happens before it takes over, and the commands that
//! talk to it.
//!
//! [`mod@serve`] is the story; [`preflight`] checks the machine, [`lock`] sees to it
//! that a mount point has one daemon, [`mount_point`] makes the place ready,
//! [`orphans`] finds what a killed keeper left and [`adopt`] continues it, [`stored`] what
//! the service manager kept, [`background`] is `--daemon`,
//! [`abort_file`] the last resort, [`worker_group`] what keeps the
//! keeper from being killed along with its workers, [`calls`] the holder of listeners.
//! [`health`], [`doctor`], [`overview`], [`memory`] and [`upgrade`] come from outside.

mod abort_file;
pub mod adopt;
pub mod background;
pub mod calls;
pub mod command_lines;
pub mod doctor;
pub mod health;
pub mod lock;
pub mod memory;
pub mod mount_point;
pub mod orphans;
pub mod overview;
pub mod preflight;
mod serve;
pub mod service_manager;
pub mod stored;
pub mod upgrade;
pub mod worker_group;

pub use crate::hint::{Hint, one_line};
pub use serve::{ServeError, ServeOptions, serve};
