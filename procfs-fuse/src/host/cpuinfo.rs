//! The host's `/proc/cpuinfo`: blocks of `key<tabs>: value`, one per online CPU,
//! each ended by an empty line.
//!
//! x86, arm64, riscv and ppc64 number their blocks with `processor`. s390 puts
//! all CPUs in one block and is passed on as it is.
//!
//! Kernel source of truth: `show_cpuinfo()` in arch/x86/kernel/cpu/proc.c and
//! `c_show()` in arch/arm64/kernel/cpuinfo.c.

use std::ops::Range;

use smallvec::SmallVec;

/// A part of the file that ends with an empty line, or the last: what is said in it, and
/// where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Its text, its last line feeds included.
    pub span: Range<usize>,
    /// The CPU it is about; `None` for what is about the whole machine (ppc64's tail).
    pub processor: Option<u32>,
    /// `physical id`: the package of the CPU, where the kernel says so.
    pub package: Option<u32>,
    /// `core id`: the core of the CPU in its package, likewise.
    pub core: Option<u32>,
    /// The values that number or count CPUs, in order.
    pub counts: SmallVec<[(Count, Range<usize>); 3]>,
}

/// What numbers or counts CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// `processor`: the CPU that the block is about.
    Processor,
    /// `siblings`: CPUs in its package.
    Siblings,
    /// `cpu cores`: cores in its package.
    Cores,
}

/// The blocks of the file, in order; together they are the whole text.
pub fn blocks(text: &str) -> impl Iterator<Item = Block> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let rest = text.get(begin..).filter(|rest| !rest.is_empty())?;
        let end = begin + rest.find("\n\n").map_or(rest.len(), |line| line + 2);
        let block = block(text, begin..end);
        begin = end;
        Some(block)
    })
}

fn block(text: &str, span: Range<usize>) -> Block {
    let mut block = Block { span: span.clone(), ..Block::default() };
    let mut begin = span.start;
    for line in text.get(span).unwrap_or_default().split_inclusive('\n') {
        block.note(line, begin);
        begin += line.len();
    }
    block
}

impl Block {
    /// Notes what the line that begins at `begin` says.
    fn note(&mut self, line: &str, begin: usize) {
        let Some((key, value)) = line.split_once(':') else { return };
        let value = value.trim();
        let number = || value.parse().ok();
        let count = match key.trim_end() {
            "processor" => {
                self.processor = number();
                Count::Processor
            }
            "physical id" => return self.package = number(),
            "core id" => return self.core = number(),
            "siblings" => Count::Siblings,
            "cpu cores" => Count::Cores,
            _another => return,
        };
        let end = begin + line.trim_end().len();
        self.counts.push((count, end - value.len()..end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "processor\t: 12\ncore id\t\t: 3\n\nprocessor\t: 5\nphysical id\t: 1\n\
                        siblings\t: 64\ncpu cores\t: 32\n\ntimebase\t: 512000000\n";

    #[test]
    fn blocks_are_the_whole_text() {
        let texts: Vec<_> = blocks(HOST).map(|block| &HOST[block.span]).collect();
        assert_eq!(texts.concat(), HOST);
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[2], "timebase\t: 512000000\n");
    }

    #[test]
    fn blocks_are_numbered_by_their_processor_line() {
        let found: Vec<_> =
            blocks(HOST).map(|block| (block.processor, block.package, block.core)).collect();
        let expected = [(Some(12), None, Some(3)), (Some(5), Some(1), None), (None, None, None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn where_cpus_are_counted_is_told() {
        let counts = |block: Block| -> Vec<_> {
            let text = |(count, place): (_, Range<usize>)| (count, &HOST[place]);
            block.counts.into_iter().map(text).collect()
        };
        let found: Vec<_> = blocks(HOST).map(counts).collect();
        assert_eq!(found[0], [(Count::Processor, "12")]);
        let all = [(Count::Processor, "5"), (Count::Siblings, "64"), (Count::Cores, "32")];
        assert_eq!(found[1], all);
        assert_eq!(found[2], []);
    }

    /// s390 has `processor 0: version = ...` in the block of the machine.
    #[test]
    fn another_key_that_begins_alike_is_another() {
        let text = "# processors    : 2\nprocessor 0: version = FF\ncore identifier : 3\n";
        let block = blocks(text).next().unwrap();
        assert_eq!(block, Block { span: 0..text.len(), ..Block::default() });
    }

    #[test]
    fn a_value_may_be_empty_or_have_colons() {
        let text = "power management:\nmodel name\t: A: B\nprocessor:\n";
        let block = blocks(text).next().unwrap();
        assert_eq!(block.processor, None);
        assert_eq!(block.counts.as_slice(), [(Count::Processor, 46..46)]);
    }
}
