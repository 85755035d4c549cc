//! `-v SOURCE:TARGET[:ro]` and other paths.

use std::path::{Component, Path, PathBuf};

use crate::cli::refusal::Refusal;
use crate::plan::Volume;

/// `-v SOURCE:TARGET[:ro|:rw]`; `directory` is where a relative source begins.
///
/// # Errors
///
/// [`Refusal`] when it is not two or three words, the source looks like one of
/// docker's named volumes, or the target is not an absolute path below `/`.
pub fn volume(text: &str, directory: &Path) -> Result<Volume, Refusal> {
    let refuse = |reason: &str| {
        Refusal::new(format!("-v {text}"), reason)
            .instead("SOURCE:TARGET or SOURCE:TARGET:ro, such as /srv/data:/data:ro")
    };
    let mut words = text.split(':');
    let (Some(source), Some(target), mode, None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(refuse("not a volume"));
    };
    let read_only = match mode {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => return Err(refuse("the third word is not ro or rw")),
    };
    if !source.contains('/') && source != "." {
        return Err(refuse("the source is not a path, and there are no named volumes"));
    }
    let target = PathBuf::from(target);
    if !is_below_root(&target) {
        return Err(refuse("the target is not an absolute path below /"));
    }
    Ok(Volume { source: directory.join(source), target, read_only })
}

/// `-w DIR`: the working directory inside, without `.` and `..`, which are taken
/// as words, before any link inside is known.
///
/// # Errors
///
/// [`Refusal`] when it is not an absolute path.
pub fn working_directory(text: Option<&str>) -> Result<PathBuf, Refusal> {
    let Some(text) = text else { return Ok(PathBuf::from("/")) };
    if !text.starts_with('/') || text.contains('\0') {
        return Err(Refusal::new(format!("-w {text:?}"), "not an absolute path")
            .instead("such as /srv/data"));
    }
    Ok(cleaned(Path::new(text)))
}

/// `path` with each `..` and the name before it left out; above `/` is `/`.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(cleaned.pop()),
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// True for an absolute path that names something below `/` without `..`.
fn is_below_root(path: &Path) -> bool {
    let mut components = path.components();
    let names: Vec<_> = components.by_ref().skip(1).collect();
    path.is_absolute()
        && !names.is_empty()
        && names.iter().all(|name| matches!(name, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, source: &str, target: &str, read_only: bool) {
        let expected = Volume { source: source.into(), target: target.into(), read_only };
        assert_eq!(volume(text, Path::new("/here")), Ok(expected), "input: {text:?}");
    }

    #[test]
    fn volumes_are_two_paths_and_perhaps_a_mode() {
        check("/a:/b", "/a", "/b", false);
        check("/a:/b:rw", "/a", "/b", false);
        check("/a:/b/c:ro", "/a", "/b/c", true);
        check("./a:/b", "/here/./a", "/b", false);
        check(".:/b", "/here/.", "/b", false);
    }

    #[track_caller]
    fn check_refused(text: &str, reason: &str) {
        let way_out = "SOURCE:TARGET or SOURCE:TARGET:ro, such as /srv/data:/data:ro";
        assert_eq!(
            volume(text, Path::new("/here")).unwrap_err().to_string(),
            format!("-v {text}: {reason} ({way_out})")
        );
    }

    #[test]
    fn what_is_not_a_volume_is_refused() {
        check_refused("", "not a volume");
        check_refused("/a", "not a volume");
        check_refused("/a:/b:ro:z", "not a volume");
        check_refused("/a:/b:z", "the third word is not ro or rw");
        check_refused("data:/b", "the source is not a path, and there are no named volumes");
        for target in ["/", "b", "/../b", "/b/..", ""] {
            check_refused(&format!("/a:{target}"), "the target is not an absolute path below /");
        }
    }

    #[test]
    fn working_directories_are_absolute() {
        assert_eq!(working_directory(None), Ok("/".into()));
        assert_eq!(working_directory(Some("/srv")), Ok("/srv".into()));
        assert_eq!(working_directory(Some("/srv/a/.././b/")), Ok("/srv/b".into()));
        assert_eq!(working_directory(Some("/../..")), Ok("/".into()));
        assert_eq!(
            working_directory(Some("srv")).unwrap_err().to_string(),
            "-w \"srv\": not an absolute path (such as /srv/data)"
        );
    }
}
