//! Captures of real machines, rendered and compared.
//!
//! `UPDATE_EXPECT=1 cargo test` writes what is rendered now: read the diff.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use procfs_fuse::capture;

fn captures() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut captures: Vec<_> =
        fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    captures.sort();
    captures
}

#[test]
fn every_capture_is_rendered_as_expected() {
    let mut compared = 0;
    for capture in captures() {
        for path in capture::files(&capture).unwrap() {
            let text = capture::render(&capture, &path).unwrap();
            let expected = capture.join("expected").join(&path);
            // For a capture that was just added; nothing else makes the folders.
            fs::create_dir_all(expected.parent().unwrap()).unwrap();
            expect_file![expected].assert_eq(&text);
            compared += 1;
        }
    }
    assert!(compared > 0, "there are no captures");
}

/// A capture whose reader is not found in a container would be compared with the
/// host's own files, and pass.
#[test]
fn every_captured_reader_is_in_a_container() {
    for capture in captures() {
        let host = fs::read_to_string(capture.join("host/proc/meminfo")).unwrap();
        assert_ne!(capture::render(&capture, "proc/meminfo").unwrap(), host, "{capture:?}");
    }
}
