//! What a file says: a view as text, in the kernel's own format; pure.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]
