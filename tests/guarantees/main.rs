//! The guarantees: what readers see while processes of the daemon die, hang, are
//! replaced, or cannot start, and after all of them were killed.
//!
//! The program is also what it starts in containers: see [`readers`], [`callers`],
//! [`greedy`], [`onlooker`] and [`sharing`].

#![allow(clippy::print_stderr, reason = "a test program talks to whoever runs it")]

mod callers;
mod calls;
mod contained;
mod crash;
mod fairness;
mod faults;
mod greedy;
mod hanging;
mod heal;
mod holders;
mod hostile;
mod inherited;
mod managed;
mod monitored;
mod neighbours;
mod onlooker;
mod orphaned;
mod private;
mod readers;
mod serving;
mod sharing;
mod silent;
mod stuck;
mod upgrade;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(mount_point) = std::env::var_os(readers::READER) {
        return readers::read(mount_point.as_ref());
    }
    if std::env::var_os(callers::CALLER).is_some() {
        return callers::call();
    }
    if let Some(root) = std::env::var_os(onlooker::NEIGHBOUR) {
        return onlooker::look(root.as_ref());
    }
    let other = private::main().or_else(greedy::main).or_else(hanging::main);
    if let Some(exit) = other.or_else(sharing::main) {
        return exit;
    }
    let trials = [
        calls::trials(),
        crash::trials(),
        fairness::trials(),
        faults::trials(),
        hanging::trials(),
        heal::trials(),
        holders::trials(),
        hostile::trials(),
        inherited::trials(),
        managed::trials(),
        neighbours::trials(),
        orphaned::trials(),
        private::trials(),
        sharing::trials(),
        stuck::trials(),
        upgrade::trials(),
    ];
    support::program::main(trials.into_iter().flatten().collect())
}
