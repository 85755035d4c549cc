//! Rules about one file: its header, its size, its name.

use super::sources::Source;

/// Lines before the unit tests that a file may have.
const MOST_LINES: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

/// Every Rust file begins by saying what it is.
pub fn headers(sources: &[Source]) -> Vec<String> {
    let headless =
        sources.iter().filter(|source| source.is_rust() && !source.text.starts_with("//! "));
    headless.map(|source| format!("{}: does not begin with a `//!` header", source.path)).collect()
}

/// No Rust file holds more than one idea's worth of lines.
pub fn sizes(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.is_rust());
    let sized = rust.map(|source| (source, source.production().count()));
    let long = sized.filter(|(_source, lines)| *lines > MOST_LINES);
    long.map(|(source, lines)| {
        format!("{}: {lines} lines before its tests, the most is {MOST_LINES}", source.path)
    })
    .collect()
}

/// A file is named after its idea: not like its folder, and not "utils".
pub fn names(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.is_rust());
    rust.filter_map(|source| {
        let mut parts = source.path.trim_end_matches(".rs").rsplit('/');
        let (name, folder) = (parts.next()?, parts.next().unwrap_or_default());
        if EMPTY_NAMES.contains(&name) || (name == "mod" && EMPTY_NAMES.contains(&folder)) {
            return Some(format!("{}: the name says nothing about what is inside", source.path));
        }
        (name == folder).then(|| format!("{}: named like its folder", source.path))
    })
    .collect()
}

/// `unsafe` is only in folders called `sys`, so that it can be read in one place.
pub fn unsafe_code(sources: &[Source]) -> Vec<String> {
    let outside =
        sources.iter().filter(|source| source.is_rust() && !source.path.contains("/sys/"));
    let lines = outside.flat_map(|source| source.code().map(move |line| (source, line)));
    let unsafe_lines = lines.filter(|(_source, (_number, line))| {
        let line = line.trim_start();
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
            .iter()
            .any(|form| line.contains(form))
            || line.contains("allow(unsafe_code")
    });
    unsafe_lines
        .filter(|(source, _line)| !source.path.starts_with("tests/xtask/src/tidy/"))
        .map(|(source, (number, _line))| {
            format!("{}:{number}: unsafe code outside of a sys/ folder", source.path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn a_file_without_a_header_is_refused() {
        check(headers, "a/b.rs", "//! What it is.\n", &[]);
        check(headers, "a/b.rs", "use c;\n", &["a/b.rs: does not begin with a `//!` header"]);
        check(headers, "a/b.sh", "echo\n", &[]);
    }

    #[test]
    fn a_long_file_is_refused_but_tests_do_not_count() {
        let long = "a\n".repeat(601);
        check(sizes, "a/b.rs", &long, &["a/b.rs: 601 lines before its tests, the most is 600"]);
        let tested = format!("a\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        check(sizes, "a/b.rs", &tested, &[]);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        check(names, "src/view/memory.rs", "", &[]);
        check(names, "src/view/mod.rs", "", &[]);
        check(names, "src/view/view.rs", "", &["src/view/view.rs: named like its folder"]);
        let nothing = "src/utils/mod.rs: the name says nothing about what is inside";
        check(names, "src/utils/mod.rs", "", &[nothing]);
    }

    #[test]
    fn unsafe_code_has_its_place() {
        check(unsafe_code, "runtime/src/sys/clone.rs", "let x = unsafe { f() };\n", &[]);
        check(
            unsafe_code,
            "runtime/src/cli/run.rs",
            "//! x\nlet x = unsafe { f() };\n",
            &["runtime/src/cli/run.rs:2: unsafe code outside of a sys/ folder"],
        );
    }
}
