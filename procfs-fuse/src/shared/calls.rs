//! What is counted about system calls that are answered, by whoever answers them.
//!
//! One answerer counts at a time, but for the moment in which one takes over from another;
//! its threads share these words, for a call costs a hundred times what that does.

use crate::shared::counters::{Counter, label};

label! {
    /// Which call it is.
    SystemCall {
        /// How much memory there is, and is left.
        SysInfo = "sysinfo",
        /// Which CPUs a thread may run on.
        GetAffinity = "sched_getaffinity",
        /// Having it run on some of them.
        SetAffinity = "sched_setaffinity",
    }
}

label! {
    /// What became of a call.
    Answered {
        /// The container's numbers.
        Container = "container",
        /// It fails, as it does without us: the caller has passed something wrong.
        Error = "error",
        /// The kernel's own answer: the caller is no container's, or something failed.
        Kernel = "kernel",
        /// Nobody waits for an answer any more.
        Gone = "gone",
    }
}

/// Listeners that can be held at once: a container has one, and one more for each
/// `porthole exec` while what that started lives.
pub const LISTENERS: usize = 2048;

/// Everything that is counted about calls.
#[derive(Debug)]
#[repr(C)]
pub struct Calls {
    counts: [[Counter; Answered::ALL.len()]; SystemCall::ALL.len()],
    /// Answerers that were replaced because they died or hung.
    pub takeovers: Counter,
    /// Listeners that are held; set and not counted.
    pub listeners: Counter,
}

impl Calls {
    /// Nothing counted yet.
    pub(super) const fn new() -> Self {
        Self {
            counts: [const { [const { Counter::new() }; Answered::ALL.len()] };
                SystemCall::ALL.len()],
            takeovers: Counter::new(),
            listeners: Counter::new(),
        }
    }

    /// Counts a call.
    pub fn count(&self, call: SystemCall, answered: Answered) {
        if let Some(counter) = self.counter(call, answered) {
            counter.add(1);
        }
    }

    /// Calls so far.
    pub fn counted(&self, call: SystemCall, answered: Answered) -> u64 {
        self.counter(call, answered).map_or(0, Counter::get)
    }

    fn counter(&self, call: SystemCall, answered: Answered) -> Option<&Counter> {
        self.counts.get(call as usize)?.get(answered as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_counted_by_what_became_of_it() {
        let calls = Calls::new();
        calls.count(SystemCall::SysInfo, Answered::Container);
        calls.count(SystemCall::SetAffinity, Answered::Gone);
        calls.count(SystemCall::SetAffinity, Answered::Gone);
        let counted = SystemCall::ALL.iter().map(|call| {
            Answered::ALL.iter().map(|answered| calls.counted(*call, *answered)).collect()
        });
        let counted: Vec<Vec<u64>> = counted.collect();
        assert_eq!(counted, [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2]]);
    }
}
