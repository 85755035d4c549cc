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
        self.text
            .lines()
            .filter_map(key_value)
            .find_map(|(found, value)| (found == key).then_some(value))
    }
}

/// Splits a line into its key without the tabs behind it, and its value.
fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim_end(), value.trim_start()))
}

/// The blocks of the file, in order; together they are the whole text.
pub fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    text.split_inclusive("\n\n").map(|text| {
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
