//! What a container shall see: policy as pure functions of readings.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]
