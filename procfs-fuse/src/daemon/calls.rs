//! Starting and ending the process that holds listeners for system calls, beside a
//! mount point.
//!
//! It belongs to the mount point and not to the keeper: listeners must be held while
//! keepers come and go.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::answer::connection;
use crate::answer::holder::{self, HolderOptions};
use crate::config::calls_socket;
use crate::daemon::background::Announcement;
use crate::daemon::command_lines::Words;
use crate::sys::descriptor;

/// Holds listeners for containers with the files at `mount_point`, until there are none.
/// `common` is what answerers are told too: how to log.
///
/// # Errors
///
/// Why it cannot.
pub fn hold(
    mount_point: &Path,
    common: Vec<OsString>,
    announcement: Announcement,
    log_file: Option<&Path>,
) -> io::Result<()> {
    descriptor::close_from(descriptor::FIRST)?;
    let mount_point = std::path::absolute(mount_point)?;
    let log_file = log_file.map(std::path::absolute).transpose()?;
    announcement.detach()?;
    let words =
        Words { program: PathBuf::new(), common, keep: false, announce: false, mount_point };
    let options = HolderOptions {
        paths: calls_socket(&words.mount_point),
        program: std::env::current_exe()?,
        answerer: words.answerer(&[])?,
        fallback: words.answerer(&["--fallback"])?,
    };
    holder::run(options, || {
        announcement.redirect_log(log_file.as_deref())?;
        announcement.tell()
    })
}

/// Has the holder of `mount_point`, if there is one, end with its last container.
pub fn let_end(mount_point: &Path) {
    let (socket, _lock) = calls_socket(mount_point);
    let _there_is_none = connection::ask_to_end(&socket);
}

/// Has the installed version answer calls beside the daemon of `mount_point`, if they are
/// answered.
pub fn renew(mount_point: &Path) {
    let (socket, _lock) = calls_socket(mount_point);
    let _there_is_none = connection::ask_to_renew(&socket);
}
