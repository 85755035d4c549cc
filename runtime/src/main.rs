//! `porthole`: the container runtime for people.

fn main() {}
