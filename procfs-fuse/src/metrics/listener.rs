//! Where scrapers ask: a Unix socket beside the lock file, and a TCP port where one
//! was asked for.
//!
//! The daemon makes the sockets before its first worker and they pass through exec, so
//! a worker's death closes none: who asks meanwhile waits in the kernel's queue for the
//! next worker. One thread of the worker answers, one scraper after the other, each
//! with a time limit; it sleeps in poll(2), so nobody who asks nothing wakes anybody.
//!
//! What a scraper says is read to its end and not looked at: there is one answer.
//! An error concerns that scraper alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::exposition;
use crate::log::limited;
use crate::shared::{Shared, descriptors};
use crate::sys::descriptor;

/// How long a scraper may take to ask and to listen: 1 second for each. It is on this
/// machine, or near.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest question, in bytes; curl's has 80.
const LONGEST_QUESTION: usize = 8192;

/// Permissions of the socket: root's.
const MODE: u32 = 0o600;

/// Makes the socket at `path` and leaves it for the workers, unless it was left already. A
/// file that an earlier daemon has left there is replaced: the caller holds the lock.
///
/// # Errors
///
/// `InvalidInput`: the path is longer than 107 bytes.
pub fn leave_socket(path: &Path) -> io::Result<()> {
    if descriptor::borrowed(descriptors::METRICS).is_ok() {
        return Ok(());
    }
    let socket = bind(path)?;
    // Who asked may have gone before it is accepted.
    socket.set_nonblocking(true)?;
    descriptor::place(socket.as_fd(), descriptors::METRICS)
}

/// Makes a socket for root at `path`, in the place of one that an earlier daemon has left.
///
/// # Errors
///
/// `InvalidInput`: the path is longer than 107 bytes.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let _not_there = fs::remove_file(path);
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, PermissionsExt::from_mode(MODE))?;
    Ok(socket)
}

/// The same with a TCP port.
///
/// # Errors
///
/// `EADDRINUSE`: somebody else listens there.
pub fn leave_port(port: SocketAddr) -> io::Result<()> {
    if descriptor::borrowed(descriptors::METRICS_PORT).is_ok() {
        return Ok(());
    }
    let socket = TcpListener::bind(port)?;
    socket.set_nonblocking(true)?;
    descriptor::place(socket.as_fd(), descriptors::METRICS_PORT)
}

/// The sockets that a worker was started with; none where they could not be made.
#[derive(Debug)]
pub struct Sockets(Vec<Socket>);

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Takes the sockets over.
pub fn inherited() -> Sockets {
    let taken = |number: RawFd| -> Option<OwnedFd> { descriptor::inherited(number).ok() };
    let unix = taken(descriptors::METRICS).map(|fd| Socket::Unix(fd.into()));
    let tcp = taken(descriptors::METRICS_PORT).map(|fd| Socket::Tcp(fd.into()));
    Sockets(unix.into_iter().chain(tcp).collect())
}

impl Sockets {
    /// True when nobody can ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers scrapers for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When the kernel gives no more connections.
    pub fn answer(&self, shared: &'static Shared) -> io::Result<()> {
        loop {
            let waiting =
                self.0.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            let mut waiting: Vec<_> = waiting.collect();
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let asked = waiting.iter().map(|fd| fd.any().unwrap_or(false));
            for (socket, asked) in self.0.iter().zip(asked) {
                if asked && let Err(error) = socket.answer(shared) {
                    limited!(debug, %error, "a scraper was not answered");
                }
            }
        }
    }
}

impl Socket {
    fn answer(&self, shared: &'static Shared) -> io::Result<()> {
        match self {
            Self::Unix(socket) => {
                let (scraper, _address) = socket.accept()?;
                scraper.set_read_timeout(Some(PATIENCE))?;
                scraper.set_write_timeout(Some(PATIENCE))?;
                answer(scraper, shared)
            }
            Self::Tcp(socket) => {
                let (scraper, _address) = socket.accept()?;
                scraper.set_read_timeout(Some(PATIENCE))?;
                scraper.set_write_timeout(Some(PATIENCE))?;
                answer(scraper, shared)
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
        }
    }
}

fn answer(mut scraper: impl Read + Write, shared: &'static Shared) -> io::Result<()> {
    hear_out(&mut scraper, Instant::now() + PATIENCE)?;
    let keeper = std::os::unix::process::parent_id();
    let text = exposition::text(shared, keeper).map_err(io::Error::other)?;
    write!(
        scraper,
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        exposition::CONTENT_TYPE,
        text.len()
    )?;
    scraper.write_all(text.as_bytes())
}

/// Reads a request of HTTP up to the empty line at its end, which must come before `deadline`.
fn hear_out(scraper: &mut impl Read, deadline: Instant) -> io::Result<()> {
    let mut question = [0; LONGEST_QUESTION];
    let mut length = 0;
    loop {
        let room = question.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            return Err(io::Error::other("the question is too long"));
        }
        match scraper.read(room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
        if question.get(..length).unwrap_or_default().ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;
    use crate::sys::shared_memory;

    fn asked(question: &[u8]) -> (io::Result<()>, String) {
        let shared = shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap();
        let (mut scraper, ours) = UnixStream::pair().unwrap();
        let answering = thread::spawn(move || answer(ours, shared));
        scraper.write_all(question).unwrap();
        scraper.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        scraper.read_to_string(&mut text).unwrap();
        (answering.join().unwrap(), text)
    }

    #[test]
    fn whoever_asks_is_told_everything() {
        let (result, text) = asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        result.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(
            head.contains("Content-Type: application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        assert!(body.starts_with("# HELP porthole_build"), "{body}");
    }

    #[test]
    fn half_a_question_has_no_answer() {
        let (result, text) = asked(b"GET /metrics HTTP/1.1\r\n");
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(text, "");
    }

    #[test]
    fn who_asks_letter_by_letter_keeps_nobody_waiting() {
        let mut slow = io::repeat(b'x').take(100);
        let error = hear_out(&mut slow, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_question_has_an_end() {
        let (result, _text) = asked(&[b'x'; LONGEST_QUESTION]);
        assert_eq!(result.unwrap_err().to_string(), "the question is too long");
    }
}
