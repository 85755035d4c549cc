//! What others see of how this program was started: `/proc/PID/cmdline`.

use std::ptr;

use nix::errno::Errno;

/// Puts `title` in the place of this process's command line, cut to its length.
///
/// For a process that lives on in a container: what it was started with on the
/// host, environment variables among it, is nobody's business there.
///
/// # Errors
///
/// `EINVAL`: `/proc/self/stat` does not say where the command line is.
pub(crate) fn replace(title: &str) -> std::io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (start, end) = bounds(&stat).ok_or(Errno::EINVAL)?;
    let Some(length) = end.checked_sub(start).filter(|length| *length > 0) else { return Ok(()) };
    let shown = title.len().min(length - 1);
    let memory = ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel says that our command line lies in these `length`
    // bytes, which are our own, writable stack. Rust's standard library keeps
    // pointers to the strings in it, which stay strings that end in a 0.
    unsafe { ptr::write_bytes(memory, 0, length) };
    // SAFETY: `shown` bytes are fewer than `length`, and `title` lies elsewhere.
    unsafe { ptr::copy_nonoverlapping(title.as_ptr(), memory, shown) };
    Ok(())
}

/// Fields 48 and 49 of `/proc/PID/stat`, `arg_start` and `arg_end`; the second
/// field is in parentheses and may contain anything.
fn bounds(stat: &str) -> Option<(usize, usize)> {
    const FROM_STATE_TO_ARG_START: usize = 45;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace().skip(FROM_STATE_TO_ARG_START);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_where_the_kernel_says() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (start, end) = bounds(&stat).unwrap();
        let length = std::fs::read("/proc/self/cmdline").unwrap().len();
        assert_eq!(end - start, length);
    }
}
