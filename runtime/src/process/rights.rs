//! Becoming the user and giving up rights: the last steps before the command.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fstat, umask};
use nix::unistd::{Gid, Uid, fchdir, fchown, getcwd};

use super::talk::{ChildEnd, Message};
use crate::plan::{Calls, Process, Seccomp, Security};
use crate::report::{AtStep, Fault, LaunchError, Note, Object, Step};
use crate::rootfs::inside::Inside;
use crate::security::accounts::Account;
use crate::security::notify::{self, Loaded};
use crate::security::{capabilities, seccomp};
use crate::sys::keyring;

/// The umask that a login gives.
const UMASK: Mode = Mode::from_bits_truncate(0o022);

/// Terminals belong to the group `tty`, and go on doing so.
const SAME_GROUP: Option<Gid> = None;

/// Takes the working directory, the user and the rights that `process` shall
/// have, and no others; returns its environment.
///
/// To be called when the container's root is this process's. `parent` is told who
/// answers its system calls.
pub(super) fn settle(
    process: &Process,
    security: &Security,
    calls: Calls,
    parent: &ChildEnd,
) -> Result<Vec<String>, LaunchError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).of("/").at(Step::EnterRoot)?;
    let root = Inside::new(root);
    let account = Account::of(&process.user, &root).at(Step::BecomeUser)?;
    change_directory(&root, &process.cwd).at(Step::BecomeUser)?;
    drop(root);
    leave_keys().at(Step::GiveUpRights)?;
    own_files(process, &account).of("standard input, output and error").at(Step::BecomeUser)?;
    give_up(security, &account, calls, parent)?;
    umask(UMASK);
    Ok(with_home(&process.env, &account))
}

/// Goes to the working directory, which must be in the container: it may not be
/// a descriptor that leads out (CVE-2024-21626).
fn change_directory(root: &Inside, path: &Path) -> Result<(), Fault> {
    fchdir(root.directory(path)?).of(path.display())?;
    match getcwd() {
        // The kernel says "(unreachable)" of what is outside of the root.
        Ok(cwd) if cwd.starts_with("/") => Ok(()),
        Ok(_) => Err(Fault::new(path.display(), "it is not in the container")),
        Err(errno) => Err(errno).of(path.display()),
    }
}

/// Leaves the caller's session keyring: keys are not namespaced.
fn leave_keys() -> Result<(), Fault> {
    match keyring::join_new() {
        Ok(()) | Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno).of("the caller's keys"),
    }
}

fn give_up(
    security: &Security,
    account: &Account,
    calls: Calls,
    parent: &ChildEnd,
) -> Result<(), LaunchError> {
    capabilities::bound(&security.capabilities).at(Step::GiveUpRights)?;
    // Who can still gain privileges may load a filter only while it has this one.
    if !security.no_new_privileges {
        filter_calls(security, calls, parent)?;
    }
    account.become_it().of(format!("user {}", account.user)).at(Step::BecomeUser)?;
    capabilities::keep(&security.capabilities).at(Step::GiveUpRights)?;
    if security.no_new_privileges {
        prctl::set_no_new_privs().of("new privileges").at(Step::GiveUpRights)?;
        filter_calls(security, calls, parent)?;
    }
    // A change of user takes the death signal away, so it is set after it.
    prctl::set_pdeathsig(Signal::SIGKILL).of("a life of its own").at(Step::GiveUpRights)
}

fn filter_calls(security: &Security, calls: Calls, parent: &ChildEnd) -> Result<(), LaunchError> {
    if calls == Calls::AsFiles {
        hand_over_calls(parent)?;
    }
    match security.seccomp {
        Seccomp::Default => seccomp::load_default().at(Step::GiveUpRights),
        Seccomp::Unconfined => Ok(()),
    }
}

/// Has the parent see to it that system calls are answered, or tells it why they are not.
fn hand_over_calls(parent: &ChildEnd) -> Result<(), LaunchError> {
    let told = match notify::load().at(Step::GiveUpRights)? {
        Loaded::Listener(listener) => parent.send_listener(listener.as_fd()),
        Loaded::Not(reason) => parent.send(&Message::Note(Note::Fallback(format!(
            "nproc, sysinfo(2) and the like tell the host's numbers: {reason}"
        )))),
    };
    told.of("the parent").at(Step::HandOver)
}

/// Gives the process's own terminal, or pipes among its standard files, to the
/// user, so that it can open `/dev/stdout` again. Files of the host keep their
/// owner.
fn own_files(process: &Process, account: &Account) -> nix::Result<()> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    if process.terminal {
        return fchown(&stdin, Some(account.user), SAME_GROUP);
    }
    own_pipe(&stdin, account.user)?;
    own_pipe(&stdout, account.user)?;
    own_pipe(&stderr, account.user)
}

fn own_pipe(file: &impl std::os::fd::AsFd, user: Uid) -> nix::Result<()> {
    let status = match fstat(file) {
        Err(Errno::EBADF) => return Ok(()),
        status => status?,
    };
    let kind = status.st_mode & libc::S_IFMT;
    if status.st_uid == user.as_raw() || kind != libc::S_IFIFO {
        return Ok(());
    }
    fchown(file, Some(user), SAME_GROUP)
}

/// `env` with the user's home directory, when it names none.
fn with_home(env: &[String], account: &Account) -> Vec<String> {
    let mut env = env.to_vec();
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={}", account.home));
    }
    env
}
