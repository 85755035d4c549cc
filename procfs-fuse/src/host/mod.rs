//! The host's own files as types: text in, numbers out; pure.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]
