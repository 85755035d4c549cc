//! The container's own tree of the daemon's files, where the daemon makes one.
//!
//! A read of a file of the shared tree is answered for whoever asks, who must be found
//! out each time. The files of a private tree were bound to the container's control
//! groups when it was made: nobody needs to be found out, and `meminfo` is answered by
//! the kernel itself for some milliseconds. It is asked for by a line on the daemon's
//! socket, docs/PRIVATE-TREES.md, by a process that is in the groups.
//!
//! What this module does not do: mount the files ([`view`](super::view)). A daemon
//! that makes no private trees is no fault: the shared files say the same.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::report::{Fault, Note};
use crate::sys::fd_passing;

use super::mounting::attach;
use super::stage::Stage;
use super::view::ViewFiles;

/// How long the daemon may take to answer; it takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// Workers that may die while they answer, before the shared files are taken.
const MOST_TRIES: u8 = 3;

/// What is asked, with the version of the protocol.
const QUESTION: &[u8] = b"private 1\n";

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 256;

/// Mounts in which the container's directory is, attached nowhere yet.
struct Offer {
    name: String,
    /// All files; then, where there are any, those that the kernel keeps for a moment.
    mounts: Vec<OwnedFd>,
}

/// Has the files of `view` be those of a tree of the container's own, if the daemon that
/// is mounted at `mount_point` makes one.
pub(crate) fn take(
    view: &mut ViewFiles,
    mount_point: &Path,
    stage: &Stage,
) -> Result<Option<Note>, Fault> {
    let offer = match ask(mount_point) {
        Ok(offer) => offer,
        Err(error) => {
            let text = format!("the files are those of the tree that all share: {error}");
            return Ok(Some(Note::LeftOut(text)));
        }
    };
    for (number, mount) in offer.mounts.iter().enumerate() {
        let place = format!("view{number}");
        attach(mount, stage.directory(&place)?.as_fd(), &place)?;
        view.replace_by(&PathBuf::from(place).join(&offer.name))?;
    }
    Ok(None)
}

fn ask(mount_point: &Path) -> io::Result<Offer> {
    let name = mount_point.file_name().unwrap_or_default().to_string_lossy();
    let socket = mount_point.with_file_name(format!(".{name}.sock"));
    let mut tries = 1;
    loop {
        match ask_once(&socket) {
            // The worker that was asked died; the next one answers.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && tries < MOST_TRIES => {
                tries += 1;
            }
            answered => return answered,
        }
    }
}

fn ask_once(socket: &Path) -> io::Result<Offer> {
    let mut socket = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("the daemon makes no others"),
        _another => error,
    })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(QUESTION)?;
    let mut text = [0; LONGEST_ANSWER];
    let (length, mounts) = fd_passing::receive_all(socket.as_fd(), &mut text)?;
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
    understand(&text, mounts)
}

fn understand(text: &str, mounts: Vec<OwnedFd>) -> io::Result<Offer> {
    if text.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = text.trim_end();
    match text.strip_prefix("ok 1 ") {
        Some(name) if !mounts.is_empty() && is_a_name(name) => {
            Ok(Offer { name: name.to_owned(), mounts })
        }
        _no => Err(io::Error::other(text.strip_prefix("no 1 ").unwrap_or(text))),
    }
}

/// True for what can be the name of one directory.
fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, mounts: usize, expected: Result<&str, &str>) {
        let mount = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let offer = understand(text, (0..mounts).map(|_mount| mount()).collect());
        let name = offer.map(|offer| offer.name).map_err(|error| error.to_string());
        assert_eq!(name.as_deref().map_err(String::as_str), expected, "{text:?}");
    }

    #[test]
    fn an_offer_has_a_name_and_a_mount() {
        check("ok 1 00000001abc\n", 1, Ok("00000001abc"));
        check("ok 1 00000001abc\n", 2, Ok("00000001abc"));
        check("ok 1 00000001abc\n", 0, Err("ok 1 00000001abc"));
        check("ok 1 ../x\n", 1, Err("ok 1 ../x"));
    }

    #[test]
    fn a_refusal_says_why() {
        check("no 1 only root may ask\n", 0, Err("only root may ask"));
        check("ok 2 later\n", 1, Err("ok 2 later"));
        check("", 0, Err("unexpected end of file"));
    }
}
