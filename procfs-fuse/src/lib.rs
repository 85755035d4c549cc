//! The daemon behind `portholefs`: system files that tell a container its own size.
//!
//! Data flows one way:
//!
//! ```text
//!  FUSE request                                                               bytes
//!       |                                                                       ^
//!    fuse/ --> serve --> caller --> scope --> readings/ --> view/ --> render/
//!    (edge)  (the story) who asks?  whose     what the      what the  what the
//!                                   limits?   kernel says   container file says
//!                                                           shall see
//!               <---------------- IO -----------------> <------- pure ------->
//! ```
//!
//! `host/` (text of the host's files to types), `view/`, `history/` and
//! `render/` are pure: no files, no clock, no environment. `fuse/` is the only
//! place that names `fuser`; `sys/` the only place with `unsafe`.

pub mod answer;
pub mod caller;
pub mod capture;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod explain;
pub mod fuse;
pub mod hint;
pub mod history;
pub mod host;
pub mod inject;
pub mod keeper;
pub mod log;
pub mod metrics;
pub mod moment;
#[cfg(test)]
mod numbers;
pub mod private_mounts;
pub mod readings;
pub mod render;
#[cfg(test)]
mod round_trip;
pub mod sampler;
pub mod scope;
pub mod serve;
pub mod shared;
pub mod sys;
pub mod view;
