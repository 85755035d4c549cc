//! Rules about texts: no path of the machine they were written on, links that
//! lead somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::sources::Source;

/// No file names a folder of the machine: the clone itself, or `target`.
pub fn machine_paths(sources: &[Source], folders: &[&Path]) -> Vec<String> {
    let folders: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    let mut found = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            if folders.iter().any(|folder| line.contains(&**folder)) || names_a_home(line) {
                found.push(format!(
                    "{}:{}: names a folder of this machine",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    found
}

/// Whether `line` names somebody's home folder.
fn names_a_home(line: &str) -> bool {
    let mut homes = line.split("/home/").skip(1);
    homes.any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains('/'))
}

/// Every relative link of a Markdown file leads to a file of the repository.
pub fn links(sources: &[Source]) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for source in sources {
        paths.extend(Path::new(&source.path).ancestors().map(Path::to_owned));
    }
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for target in relative_links(&source.text) {
            let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
            if !paths.contains(&resolved(folder, target)) {
                found.push(format!("{}: the link to {target} leads nowhere", source.path));
            }
        }
    }
    found
}

/// The targets of `[text](target#place)` that are neither URLs nor places in
/// the same file.
fn relative_links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = ends.filter_map(|target| target.split('#').next());
    files.filter(|file| !file.is_empty() && !file.contains(':') && !file.contains(' ')).collect()
}

/// `target` as seen from `folder`, without `..`.
fn resolved(folder: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_refused() {
        let rule = |sources: &[Source]| machine_paths(sources, &[Path::new("/builds/clone")]);
        check(rule, "README.md", "see /proc/meminfo\n", &[]);
        let refused = "README.md:1: names a folder of this machine";
        check(rule, "README.md", "cd /builds/clone/target\n", &[refused]);
        check(rule, "README.md", &["run /home", "/me/bin/x\n"].concat(), &[refused]);
        check(rule, "README.md", "the folders /root and /home are empty\n", &[]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused() {
        check(
            links,
            "docs/A.md",
            "see [this](A.md#part), [that](../docs/A.md), [web](https://x.y/z)",
            &[],
        );
        check(
            links,
            "docs/A.md",
            "see [gone](B.md)",
            &["docs/A.md: the link to B.md leads nowhere"],
        );
    }
}
