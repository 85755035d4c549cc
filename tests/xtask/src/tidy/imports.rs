//! Who may use whom: the import table of the design, as rules.
//!
//! Data flows one way through the daemon, and the runtime decides before it
//! acts. A module that reaches backwards or sideways breaks that silently, so
//! every mention of `crate::`, of another crate, and of the standard library's
//! IO is held against the table below. Unit tests may use what they like.

use super::sources::Source;

/// One row of the table.
struct Row {
    /// The folder, or the file without its ending.
    module: &'static str,
    /// Modules of the same crate it may use besides itself; `None`: see `never`.
    may_use: Option<&'static [&'static str]>,
    /// Modules of the same crate and paths of other crates that it may not name.
    never: &'static [&'static str],
}

/// What pure code may not name: anything that does IO or asks for the time.
const IO: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::thread",
    "std::os::fd",
    "nix",
    "libc",
    "fuser",
    "cgroups_rs",
    "Instant::now",
    "SystemTime::now",
];

/// The part of [`IO`] that touches files and processes.
const NO_FILES: &[&str] = &["std::fs", "std::process", "std::thread", "libc", "cgroups_rs"];

/// What the parts of the runtime that act may not use: what was typed, and the
/// parts that decide.
const DECIDED_BEFORE: &[&str] = &["cli", "commands"];

const fn pure(module: &'static str, may_use: &'static [&'static str]) -> Row {
    Row { module, may_use: Some(may_use), never: IO }
}

const fn acts(module: &'static str) -> Row {
    Row { module, may_use: None, never: DECIDED_BEFORE }
}

const TABLE: &[Row] = &[
    pure("procfs-fuse/src/render", &["view"]),
    pure("procfs-fuse/src/view", &["history", "host", "readings"]),
    pure("procfs-fuse/src/history", &["host", "readings"]),
    pure("procfs-fuse/src/host", &[]),
    pure("procfs-fuse/src/catalog", &["history", "readings", "render", "view"]),
    Row {
        module: "procfs-fuse/src/readings",
        may_use: None,
        never: &["view", "render", "fuse", "daemon", "serve", "catalog", "fuser"],
    },
    Row {
        module: "procfs-fuse/src/caller",
        may_use: None,
        never: &["view", "render", "fuse", "daemon", "serve", "catalog", "fuser"],
    },
    Row {
        module: "procfs-fuse/src/scope",
        may_use: None,
        never: &["view", "render", "fuse", "daemon", "serve", "catalog", "fuser"],
    },
    Row { module: "procfs-fuse/src/serve", may_use: None, never: &["fuse", "daemon", "fuser"] },
    Row {
        module: "procfs-fuse/src/fuse",
        may_use: None,
        never: &["view", "render", "readings", "daemon"],
    },
    Row {
        module: "procfs-fuse/src/metrics",
        may_use: Some(&["catalog", "log", "readings", "shared", "sys"]),
        never: &["fuser"],
    },
    pure("procfs-fuse/src/answer/call", &[]),
    pure("procfs-fuse/src/answer/layout", &["answer", "view"]),
    Row {
        module: "procfs-fuse/src/answer",
        may_use: None,
        never: &["fuse", "daemon", "inject", "keeper", "render"],
    },
    Row { module: "procfs-fuse/src/keeper", may_use: Some(&["sys", "shared"]), never: &["fuser"] },
    pure("procfs-fuse/src/inject/plan", &["catalog", "host"]),
    Row {
        module: "procfs-fuse/src/inject",
        may_use: None,
        never: &["fuse", "daemon", "view", "render", "readings"],
    },
    pure("procfs-fuse/src/daemon/doctor/checks", &["host"]),
    Row { module: "procfs-fuse/src/daemon", may_use: None, never: &["fuser", "view", "render"] },
    pure("cgroupfs/src/bandwidth", &["format"]),
    pure("cgroupfs/src/cpu_list", &["format"]),
    pure("cgroupfs/src/limit", &["format"]),
    pure("cgroupfs/src/memory_stat", &["format"]),
    pure("runtime/src/plan", &["spec"]),
    pure("runtime/src/spec", &["plan"]),
    // It names signals as nix does, and nothing else of the kernel.
    Row { module: "runtime/src/cli", may_use: Some(&["plan", "spec"]), never: NO_FILES },
    acts("runtime/src/cgroup"),
    acts("runtime/src/process"),
    acts("runtime/src/rootfs"),
    acts("runtime/src/security"),
];

/// Everything that the table forbids and the sources do.
pub fn rule(sources: &[Source]) -> Vec<String> {
    let rust = || sources.iter().filter(|source| source.is_rust());
    let rows = TABLE.iter().flat_map(|row| {
        rust()
            .filter(|source| is_in(&source.path, row.module))
            .flat_map(|source| violations(source, row))
    });
    rows.chain(rust().flat_map(fuser_outside)).collect()
}

/// `fuser` is the daemon's edge, and nobody else knows it.
fn fuser_outside(source: &Source) -> Vec<String> {
    if is_in(&source.path, "procfs-fuse/src/fuse")
        || source.path.starts_with("tests/xtask/src/tidy/")
    {
        return Vec::new();
    }
    let named = source.code().filter(|(_number, line)| names(line, "fuser"));
    named
        .map(|(number, _line)| format!("{}:{number}: only fuse/ may name `fuser`", source.path))
        .collect()
}

/// Whether the file at `path` is the module or a part of it.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn violations(source: &Source, row: &Row) -> Vec<String> {
    let own = row.module.rsplit('/').next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in source.code() {
        let mut refuse = |name: &str| {
            found.push(format!("{}:{number}: {own} may not use `{name}`", source.path));
        };
        for used in used_modules(line) {
            let listed = row.may_use.is_none_or(|may_use| may_use.contains(&used) || used == own);
            if !listed || row.never.contains(&used) {
                refuse(used);
            }
        }
        for path in row.never.iter().filter(|path| is_elsewhere(path) && names(line, path)) {
            refuse(path);
        }
    }
    found
}

/// Whether a forbidden name is a path of another crate, and not a module of ours.
fn is_elsewhere(name: &str) -> bool {
    IO.contains(&name) || name == "fuser"
}

/// Whether `line` names `path` as a path of its own, not as a part of a word.
fn names(line: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(path).any(|(start, _match)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + path.len()..).unwrap_or_default();
        let ends = path.contains("::") && !after.starts_with(is_word);
        // A crate is used as `name::`; a local variable of that name is not a use.
        !before.is_some_and(|c| is_word(c) || c == ':') && (ends || after.starts_with("::"))
    })
}

/// The modules of this crate that `line` names: `a` and `b` of `crate::{a, b::c}`.
fn used_modules(line: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for (_before, rest) in line
        .match_indices("crate::")
        .map(|(start, name)| (start, line.get(start + name.len()..).unwrap_or_default()))
    {
        match rest.strip_prefix('{') {
            Some(list) => used.extend(list.split(',').map(first_word)),
            None => used.push(first_word(rest)),
        }
    }
    used.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    used
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn data_flows_one_way() {
        check(rule, "procfs-fuse/src/render/stat.rs", "use crate::view::stat::Line;\n", &[]);
        check(
            rule,
            "procfs-fuse/src/render/stat.rs",
            "use crate::readings::Sample;\n",
            &["procfs-fuse/src/render/stat.rs:1: render may not use `readings`"],
        );
        check(
            rule,
            "procfs-fuse/src/view/mod.rs",
            "use crate::{host, render};\n",
            &["procfs-fuse/src/view/mod.rs:1: view may not use `render`"],
        );
        check(
            rule,
            "procfs-fuse/src/fuse/tree.rs",
            "let text = crate::render::stat(x);\n",
            &["procfs-fuse/src/fuse/tree.rs:1: fuse may not use `render`"],
        );
    }

    #[test]
    fn pure_code_does_no_io() {
        check(
            rule,
            "runtime/src/plan/mod.rs",
            "use std::fs::File;\nlet x = libc::getpid();\n",
            &[
                "runtime/src/plan/mod.rs:1: plan may not use `std::fs`",
                "runtime/src/plan/mod.rs:2: plan may not use `libc`",
            ],
        );
        check(
            rule,
            "runtime/src/plan/mod.rs",
            "/// Not std::fs.\nlet nix = 1;\nlet f = std::fsx;\n",
            &[],
        );
    }

    #[test]
    fn what_acts_does_not_know_what_was_typed() {
        check(
            rule,
            "runtime/src/cgroup/mod.rs",
            "use crate::cli::Options;\n",
            &["runtime/src/cgroup/mod.rs:1: cgroup may not use `cli`"],
        );
    }

    #[test]
    fn fuser_is_named_at_the_edge_only() {
        check(rule, "procfs-fuse/src/fuse/session.rs", "use fuser::Session;\n", &[]);
        check(
            rule,
            "procfs-fuse/src/lib.rs",
            "pub use fuser::Session;\n",
            &["procfs-fuse/src/lib.rs:1: only fuse/ may name `fuser`"],
        );
    }

    #[test]
    fn tests_may_use_what_they_like() {
        let tested = "use crate::view;\n\n#[cfg(test)]\nmod tests {\n    use crate::daemon;\n}\n";
        check(rule, "procfs-fuse/src/render/stat.rs", tested, &[]);
    }
}
