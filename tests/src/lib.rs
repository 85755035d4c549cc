//! Tests that need a machine; each `[[test]]` of this package is one program.
