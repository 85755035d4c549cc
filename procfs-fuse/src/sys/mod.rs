//! System calls that neither the standard library nor nix offers; the only
//! folder of this crate with `unsafe`. One file per family of call.

#![allow(unsafe_code)]

pub mod pid_namespace;
