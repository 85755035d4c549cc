//! What is asked of a machine whose processor is a program: the same as of any
//! other, but for time.
//!
//! In the VM programs run up to twenty times slower (docs/DEVELOPMENT.md). One
//! rule for all tests: there, a time is [`SLOWDOWN`] times as long, whether it is
//! promised or is a pause between two events; and what is repeated many times is
//! repeated a [`FEWER`]th as often. Of the values that one test goes through, the quick
//! tier takes two there ([`tried`]).
//!
//! What does not follow it: how long a test waits for what must come, which is
//! long enough for every machine.

use std::time::Duration;

use crate::needs::{Need, is_imitated};

/// How many times slower an imitated processor may be.
const SLOWDOWN: u32 = 20;

/// 200 kills there for 1,000 here.
const FEWER: u32 = 5;

/// `native` as long as it may take on this machine.
pub fn time(native: Duration) -> Duration {
    if is_imitated() { native * SLOWDOWN } else { native }
}

/// `native` repetitions, or as many as this machine is asked for.
pub fn repetitions(native: u32) -> u32 {
    if is_imitated() { native.div_ceil(FEWER) } else { native }
}

/// Those of `values` that are tried: all, or in the quick tier on an imitated processor
/// the first and the last.
pub fn tried<T>(values: &[T]) -> impl Iterator<Item = &T> {
    let step = if Need::Speed.check().is_ok() { 1 } else { values.len().saturating_sub(1).max(1) };
    values.iter().step_by(step)
}
