//! Paths by the numbers that the kernel was given for them.
//!
//! The kernel asks for a file by its number for as long as somebody has it open or
//! remembers its name. A number is computed from the path and does not lead back to
//! it, so what was given out is noted here, once, for the workers that follow. What
//! is not found here has to be looked for on the machine (`fuse::tree`).

use std::sync::atomic::{
    AtomicU8, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

/// Paths that can be noted: more than a machine with sixteen memory nodes has. What
/// is given out beyond is not noted.
const PATHS: usize = 4096;

/// Bytes of a path that can be noted; the longest of the kernel's have some ninety.
const LENGTH: usize = 120;

/// All paths; only what was used is in memory.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Paths([Noted; PATHS]);

/// One path.
#[derive(Debug)]
#[repr(C)]
struct Noted {
    number: AtomicU32,
    /// 0 while the path is not there; written last.
    length: AtomicU32,
    bytes: [AtomicU8; LENGTH],
}

impl Paths {
    /// Notes that `number` was given out for `path`, unless that is noted.
    ///
    /// One thread at a time may call it, but it may be killed at any instant.
    pub fn note(&self, number: u32, path: &str) {
        if path.len() > LENGTH {
            return;
        }
        let place = self.0.iter().find(|noted| noted.number() == Some(number) || noted.is_free());
        if let Some(free) = place.filter(|noted| noted.is_free()) {
            free.number.store(number, Relaxed);
            for (place, byte) in free.bytes.iter().zip(path.bytes()) {
                place.store(byte, Relaxed);
            }
            free.length.store(u32::try_from(path.len()).unwrap_or(0), SeqCst);
        }
    }

    /// The path for which `number` was given out, if that was noted.
    pub fn find(&self, number: u32) -> Option<String> {
        let used = self.0.iter().take_while(|noted| !noted.is_free());
        let noted = used.into_iter().find(|noted| noted.number() == Some(number))?;
        let length = usize::try_from(noted.length.load(SeqCst)).ok()?;
        let bytes = noted.bytes.iter().take(length).map(|byte| byte.load(Relaxed));
        String::from_utf8(bytes.collect()).ok()
    }
}

impl Noted {
    fn is_free(&self) -> bool {
        self.length.load(SeqCst) == 0
    }

    fn number(&self) -> Option<u32> {
        (!self.is_free()).then(|| self.number.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::shared_memory;

    #[test]
    fn what_was_noted_is_found() {
        let paths = &shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap().paths;
        assert_eq!(paths.find(1), None);
        for (number, path) in [(7, "a/b"), (9, "a"), (7, "not twice"), (8, &"x".repeat(121))] {
            paths.note(number, path);
        }
        let found = [7, 9, 8, 0].map(|number| paths.find(number));
        assert_eq!(found, [Some("a/b".to_owned()), Some("a".to_owned()), None, None]);
    }

    #[test]
    fn what_was_half_noted_is_noted_again() {
        let paths = &shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap().paths;
        paths.0[0].number.store(7, SeqCst);
        assert_eq!(paths.find(7), None);
        paths.note(7, "a/b");
        assert_eq!(paths.find(7).as_deref(), Some("a/b"));
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let paths = &shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap().paths;
        let count = u32::try_from(PATHS).unwrap();
        (0..=count).for_each(|number| paths.note(number, "a"));
        assert_eq!((paths.find(count - 1).as_deref(), paths.find(count)), (Some("a"), None));
    }
}
