//! The files of the repository, as the rules look at them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command;

/// One text file that git knows.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path in the repository.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// A file that a test makes up.
    #[cfg(test)]
    pub fn planted(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether it is Rust that is compiled, and not a fixture.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines before its unit tests.
    pub fn production(&self) -> impl Iterator<Item = &str> {
        let end = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or_default().lines()
    }

    /// The production lines without comments, each with its number.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.production().enumerate();
        numbered.map(|(index, line)| (index + 1, without_comment(line)))
    }
}

/// `line` up to its comment. A `//` in a string is taken for one too, which
/// hides the rest of the line from the rules: harmless, and far simpler.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _comment)| code)
}

/// Every text file of the repository that is tracked or will be: what
/// `.gitignore` names is not looked at.
pub fn all(workspace: &Path) -> Result<Vec<Source>> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = command::output(list.current_dir(workspace))?;
    let texts = names.split_terminator('\0').filter_map(|path| {
        // A file that was removed but is still in the index, or that is not text.
        let text = std::fs::read_to_string(workspace.join(path)).ok()?;
        Some(Source { path: path.to_owned(), text })
    });
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_comments_are_no_production_code() {
        let source = Source::planted(
            "a.rs",
            "//! Header.\nuse b; // why\n\n#[cfg(test)]\nmod tests {\n    use c;\n}\n",
        );
        let code: Vec<_> = source.code().filter(|(_number, line)| !line.is_empty()).collect();
        assert_eq!(code, [(2, "use b; ")]);
        assert_eq!(source.production().count(), 2);
    }
}
