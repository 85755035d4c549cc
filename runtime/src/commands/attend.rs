//! Staying with a container in the foreground until it ends.

use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::Signal;

use super::{Answer, clear_up};
use crate::cli::run::Request;
use crate::console::{Forwarded, Ours, Relay};
use crate::container::Store;
use crate::container::report::{Channel, Order, Report};
use crate::message::{Failure, tell};

/// After this many times SIGINT or SIGTERM the container is killed: process 1
/// ignores a signal that it has no handler for. As docker's.
const PATIENCE: u32 = 3;

/// Relays bytes and signals until the container has ended: its exit code.
pub(super) fn attend(
    request: &Request,
    store: &Store,
    channel: &Channel,
    signals: Forwarded,
    ours: Ours,
) -> Answer {
    let mut relay = Relay::new(signals, ours)?;
    let mut insistence = Insistence::default();
    loop {
        relay.until(channel.as_fd(), &mut |signal| insistence.forward(channel, signal))?;
        match channel.receive()? {
            Some((Report::Started { warnings }, terminal)) => {
                warnings.iter().for_each(|line| tell(line));
                if let Some(terminal) = terminal {
                    relay.show(terminal, request.interactive)?;
                }
            }
            Some((Report::Ended { code, warnings }, _)) => {
                relay.finish()?;
                warnings.iter().for_each(|line| tell(line));
                return Ok(code);
            }
            Some((Report::Failed { message, code }, _)) => {
                return Err(Failure { line: message, code });
            }
            None => {
                relay.finish()?;
                // Its end of the channel may be closed before its lock is.
                store.wait_for_owner(&request.plan.id)?;
                clear_up(store)?;
                return Err(Failure::of(
                    "the monitor of the container was killed, and the container with it",
                    "nothing is left behind",
                ));
            }
        }
    }
}

/// How often the user has asked the container to end.
#[derive(Debug, Default)]
struct Insistence {
    asked: u32,
}

impl Insistence {
    /// Hands a signal on; the third request to end becomes SIGKILL.
    fn forward(&mut self, channel: &Channel, signal: Signal) -> io::Result<()> {
        let signal = self.insist(signal);
        if signal == Signal::SIGKILL {
            tell(&format!("asked to end {PATIENCE} times, the container is killed"));
        }
        // A monitor that is gone is noticed where its reports are received.
        match channel.send(&Order::Signal(signal as i32), None) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn insist(&mut self, signal: Signal) -> Signal {
        if !matches!(signal, Signal::SIGINT | Signal::SIGTERM) {
            return signal;
        }
        self.asked += 1;
        if self.asked < PATIENCE { signal } else { Signal::SIGKILL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_request_to_end_is_not_a_request() {
        let mut insistence = Insistence::default();
        let signals = [Signal::SIGINT, Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT];
        let sent = signals.map(|signal| insistence.insist(signal));
        assert_eq!(sent, [Signal::SIGINT, Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGKILL]);
    }
}
