//! The command itself: what every process of a container comes to.
//!
//! Its exit codes are docker's: 127 for a program that is not there, 126 for one
//! that cannot be executed. The words are the ones that container engines look
//! for, in lower case.

use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

use super::talk::{ChildEnd, Message};
use super::{init, rights};
use crate::plan::{Calls, Process, Security};
use crate::report::{AtStep, Fault, LaunchError, Object, Step};

/// Where programs are looked for when the environment has no `PATH`: docker's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Gets into the container by `steps`, and becomes its `process`.
///
/// What comes back is an exit status: when a step failed, which `parent` has
/// been told, or when the process that `--init` looks after has ended.
pub(super) fn run(
    process: &Process,
    security: &Security,
    calls: Calls,
    parent: ChildEnd,
    steps: impl FnOnce(&ChildEnd) -> Result<(), LaunchError>,
) -> i32 {
    let settled = catch_unwind(AssertUnwindSafe(|| {
        steps(&parent)?;
        rights::settle(process, security, calls, &parent)
    }));
    let bug =
        |_panic| Err(Fault::new("the container's process", "a bug: it panicked").at(Step::Clone));
    match settled.unwrap_or_else(bug) {
        Err(error) => tell(&parent, error),
        Ok(env) if process.init => {
            // A failure that is not the command's own happens after its
            // conversation has ended: nobody but the exit status can tell it.
            let ended = init::run(parent, |parent| execute_or_tell(parent, &process.args, &env));
            ended.unwrap_or(i32::from(u8::MAX))
        }
        Ok(env) => execute_or_tell(&parent, &process.args, &env),
    }
}

/// Tells the parent why there will be no command; returns the exit status.
fn tell(parent: &ChildEnd, error: LaunchError) -> i32 {
    let exit_code = error.exit_code();
    // When the parent is gone there is nobody left to tell.
    let _told = parent.send(&Message::Failed(error));
    exit_code.into()
}

fn execute_or_tell(parent: &ChildEnd, args: &[String], env: &[String]) -> i32 {
    let ready = parent.send(&Message::Ready).of("the parent");
    match ready.and_then(|()| execute(args, env)).at(Step::Execute) {
        Ok(never) => match never {},
        Err(error) => tell(parent, error),
    }
}

/// Becomes the command `args` with the environment `env`, or says why not.
fn execute(args: &[String], env: &[String]) -> Result<Infallible, Fault> {
    let name = args.first().map(String::as_str).unwrap_or_default();
    let path = search_path(env);
    let args = c_strings(args).map_err(|error| Fault::new(name, error))?;
    let env = c_strings(env).map_err(|error| Fault::new("the environment", error))?;
    let mut refused = Errno::ENOENT;
    for candidate in candidates(name, path) {
        let program = CString::new(candidate).map_err(|error| Fault::new(name, error))?;
        let Err(errno) = execve(&program, &args, &env);
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // As execvp(3): go on looking, but say this if nothing is found.
            Errno::EACCES => refused = errno,
            errno => return Err(why(name, path, errno)),
        }
    }
    Err(why(name, path, refused))
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, NulError> {
    texts.iter().map(|text| CString::new(text.as_str())).collect()
}

/// The value of `PATH` in `env`.
fn search_path(env: &[String]) -> &str {
    env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH)
}

/// The files that `name` may mean, in the order in which they are tried. An
/// empty component of the path is the working directory.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.is_empty() || name.contains('/') {
        return vec![name.to_owned()];
    }
    let in_directory = |directory: &str| match directory {
        "" => format!("./{name}"),
        directory => format!("{directory}/{name}"),
    };
    path.split(':').map(in_directory).collect()
}

fn why(name: &str, path: &str, errno: Errno) -> Fault {
    match errno {
        Errno::ENOENT if !name.contains('/') => {
            Fault::new(name, format!("executable file not found in {path}"))
                .with_exit_code(NOT_FOUND)
        }
        Errno::ENOENT if Path::new(name).exists() => {
            Fault::new(name, "its interpreter or dynamic loader: no such file or directory")
                .with_exit_code(NOT_FOUND)
        }
        Errno::ENOENT | Errno::ENOTDIR => {
            Fault::new(name, "no such file or directory").with_exit_code(NOT_FOUND)
        }
        errno => Fault::new(name, errno.desc().to_lowercase()).with_exit_code(NOT_EXECUTABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        assert_eq!(candidates("top", "/usr/bin::/bin"), ["/usr/bin/top", "./top", "/bin/top"]);
        assert_eq!(candidates("./top", "/usr/bin"), ["./top"]);
    }

    #[track_caller]
    fn check(errno: Errno, name: &str, text: &str, exit_code: u8) {
        let error = why(name, "/usr/bin", errno).at(Step::Execute);
        assert_eq!((error.to_string().as_str(), error.exit_code()), (text, exit_code));
    }

    #[test]
    fn errors_have_the_words_and_codes_that_engines_look_for() {
        check(
            Errno::ENOENT,
            "topp",
            "cannot execute topp: executable file not found in /usr/bin",
            127,
        );
        check(
            Errno::ENOENT,
            "/nowhere/top",
            "cannot execute /nowhere/top: no such file or directory",
            127,
        );
        check(Errno::EACCES, "/etc", "cannot execute /etc: permission denied", 126);
        check(Errno::ENOEXEC, "/bin/x", "cannot execute /bin/x: exec format error", 126);
    }
}
