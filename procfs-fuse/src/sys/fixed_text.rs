//! Text in a fixed buffer, for who must not allocate.

use std::fmt::{self, Write};

/// Room for the longest text there is, a status: a path of 4,096 bytes, escaped,
/// and some numbers.
const ROOM: usize = 8192;

/// Text; writing more than fits is an error.
#[derive(Debug)]
pub struct Text {
    buffer: [u8; ROOM],
    length: usize,
}

impl Text {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "a default of 8 KiB on the stack is none")]
    pub fn new() -> Self {
        Self { buffer: [0; ROOM], length: 0 }
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).ok_or(fmt::Error)?;
        let place = self.buffer.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
