//! The command itself: found in `PATH`, executed.
//!
//! Its exit codes are docker's: 127 for a program that is not there, 126 for one
//! that cannot be executed. The words are the ones that container engines look
//! for, in lower case.

use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

use crate::plan::Process;
use crate::report::Fault;

/// Where programs are looked for when the environment has no `PATH`: docker's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Becomes the command of `process`, or says why not.
pub(super) fn execute(process: &Process) -> Result<Infallible, Fault> {
    let name = process.args.first().map(String::as_str).unwrap_or_default();
    let args = c_strings(&process.args).map_err(|error| Fault::new(name, error))?;
    let env = c_strings(&process.env).map_err(|error| Fault::new("the environment", error))?;
    let path = search_path(&process.env);
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
    use crate::report::Step;

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
