//! The host's `/proc/cpuinfo`: blocks of `key<tabs>: value`, one per online CPU,
//! each ended by an empty line.
//!
//! x86, arm64, riscv and ppc64 number their blocks with `processor`. s390 puts
//! all CPUs in one block and is passed on as it is.
//!
//! Kernel source of truth: `show_cpuinfo()` in arch/x86/kernel/cpu/proc.c and
//! `c_show()` in arch/arm64/kernel/cpuinfo.c.

/// A part of the file that ends with an empty line, or the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// The text of the block, its last line feeds included.
    pub text: &'a str,
    /// The CPU it is about; `None` for what is about the whole machine (ppc64's tail).
    pub processor: Option<u32>,
}

impl<'a> Block<'a> {
    /// The value of the line `key`, as the kernel wrote it.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.text.lines().find_map(|line| value_of(line, key))
    }
}

/// The value of `line` if it has the key `key`, behind which are tabs.
pub fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    // Nearly every line is another one: that is seen at its first letters.
    let rest = line.strip_prefix(key)?.trim_start();
    Some(rest.strip_prefix(':')?.trim_start())
}

/// The blocks of the file, in order; together they are the whole text.
pub fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    let texts = std::iter::from_fn(move || {
        let is_empty = |line: &usize| rest.as_bytes().get(line + 1) == Some(&b'\n');
        let end = rest.match_indices('\n').map(|(line, _)| line).find(is_empty);
        let (block, after) = rest.split_at_checked(end.map_or(rest.len(), |line| line + 2))?;
        rest = after;
        (!block.is_empty()).then_some(block)
    });
    texts.map(|text| {
        let unnumbered = Block { text, processor: None };
        let processor = unnumbered.value("processor").and_then(|number| number.parse().ok());
        Block { processor, ..unnumbered }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_numbered_by_their_processor_line() {
        let text = "processor\t: 0\ncore id\t\t: 3\n\nprocessor\t: 5\n\ntimebase\t: 512000000\n";
        let found: Vec<_> = blocks(text).map(|block| block.processor).collect();
        assert_eq!(found, [Some(0), Some(5), None]);
        assert_eq!(blocks(text).map(|block| block.text).collect::<String>(), text);
        assert_eq!(blocks(text).next().unwrap().value("core id"), Some("3"));
        assert_eq!(blocks(text).next().unwrap().value("core"), None);
    }

    #[test]
    fn a_value_may_be_empty_or_have_colons() {
        let text = "power management:\nmodel name\t: A: B\n";
        let block = blocks(text).next().unwrap();
        assert_eq!(block.value("power management"), Some(""));
        assert_eq!(block.value("model name"), Some("A: B"));
    }
}
