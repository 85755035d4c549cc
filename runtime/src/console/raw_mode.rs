//! The user's terminal while a container's terminal is shown in it.

use std::os::fd::OwnedFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// A terminal in raw mode: every key goes to the container as it is. Its former
/// mode comes back when this is dropped, which is why signals that would end us
/// are received as data ([`Forwarded`](super::Forwarded)) and errors are returned.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Puts `terminal` into raw mode.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: it is no terminal.
    pub fn enter(terminal: OwnedFd) -> nix::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone has no mode to bring back.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use nix::pty::openpty;
    use nix::sys::termios::LocalFlags;

    use super::*;

    #[test]
    fn the_former_mode_comes_back() {
        let pty = openpty(None, None).unwrap();
        let canonical = || {
            tcgetattr(&pty.slave)
                .unwrap()
                .local_flags
                .contains(LocalFlags::ICANON | LocalFlags::ECHO)
        };
        assert!(canonical());
        let raw = RawMode::enter(pty.slave.try_clone().unwrap()).unwrap();
        assert!(!canonical());
        drop(raw);
        assert!(canonical());
    }
}
