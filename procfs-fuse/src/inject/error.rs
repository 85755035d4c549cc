//! Why files could not be put into containers.

use std::io;
use std::path::PathBuf;

use nix::unistd::Pid;

use crate::hint::Hint;

/// Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(Pid),
    /// The process is in no container.
    #[error(
        "process {0} is in the host's own mount namespace; files mounted there would change the host"
    )]
    Host(Pid),
    /// There is no /proc to mount on.
    #[error("process {0} has no proc mounted on its /proc")]
    NoProc(Pid),
    /// The tree is not where it is said to be.
    #[error("no portholefs is mounted on {}", .0.display())]
    NotMounted(PathBuf),
    /// Something of the host's could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The mount namespace could not be entered.
    #[error("cannot enter a mount namespace")]
    Enter(#[source] io::Error),
    /// A mount could not be asked whether it is dead.
    #[error("cannot start the process that asks whether a mount is dead")]
    Probe(#[source] io::Error),
}

impl Hint for InjectError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProcess(_) | Self::Host(_) | Self::NoProc(_) => Some(
                "the pid of a process in a container: docker inspect -f {{.State.Pid}} NAME"
                    .to_owned(),
            ),
            Self::NotMounted(path) => Some(format!("portholefs serve {}", path.display())),
            Self::Open { source, .. } | Self::Enter(source)
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(
                    "run it as root, with CAP_SYS_ADMIN, CAP_SYS_CHROOT and CAP_SYS_PTRACE"
                        .to_owned(),
                )
            }
            Self::Open { .. } | Self::Enter(_) | Self::Probe(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::one_line;

    #[test]
    fn messages_name_the_process_the_reason_and_the_way_out() {
        assert_eq!(
            one_line(&InjectError::Host(Pid::from_raw(1))),
            "process 1 is in the host's own mount namespace; files mounted there would change the host (try: the pid of a process in a container: docker inspect -f {{.State.Pid}} NAME)"
        );
        assert_eq!(
            one_line(&InjectError::NotMounted("/var/lib/porthole/fs".into())),
            "no portholefs is mounted on /var/lib/porthole/fs (try: portholefs serve /var/lib/porthole/fs)"
        );
        let refused = io::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(
            one_line(&InjectError::Enter(refused)),
            "cannot enter a mount namespace: Operation not permitted (os error 1) (try: run it as root, with CAP_SYS_ADMIN, CAP_SYS_CHROOT and CAP_SYS_PTRACE)"
        );
    }
}
