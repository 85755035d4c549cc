//! Starting the VM, passing its console through, and finding its verdict.

use std::io::{BufRead, BufReader, IsTerminal as _, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::image::Run;
use super::kernel::Kernel;
use crate::command;

/// Memory of the VM, in MiB: more than the largest container of the tests (2 GiB).
const MEMORY_MIB: u32 = 3072;

/// CPUs of the VM, so that counts, cpusets and quotas can be told apart.
const CPUS: u32 = 4;

/// What the kernel is told. The counters of qemu's CPUs are one and the same, which
/// the kernel cannot know: without `tsc=reliable` every look at the time asks an
/// emulated device, and a FUSE request takes four times as long.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 quiet loglevel=3 \
                                tsc=reliable clocksource=tsc mitigations=off";

/// What the last line of the console said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The command ended with status 0.
    Success,
    /// It did not, or the VM could not be set up.
    Failure,
    /// The machine ended without a word.
    None,
}

/// What the VM printed, and its verdict.
#[derive(Debug)]
pub struct Console {
    /// All of it.
    pub text: String,
    /// What its last line said.
    pub verdict: Verdict,
}

/// Boots `kernel` under qemu.
pub fn qemu(kernel: &Kernel, run: &Run) -> Result<Console> {
    let stdin = std::io::stdin().is_terminal();
    let arguments = format!("{KERNEL_ARGUMENTS} VM_SWAP=/dev/vdb VM_STDIN={}", u8::from(stdin));
    let drive = |path: &Path| format!("file={},format=raw,if=virtio,cache=unsafe", path.display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", kernel.cpu])
        .args(["-smp", &CPUS.to_string(), "-m", &MEMORY_MIB.to_string()])
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&kernel.initramfs)
        .args(["-append", &arguments])
        .args(["-drive", &drive(&run.root_disk()), "-drive", &drive(&run.swap_disk())]);
    watch(&mut qemu, stdin)
}

/// Runs the machine to its end, printing its console.
fn watch(machine: &mut Command, stdin: bool) -> Result<Console> {
    machine.stdin(if stdin { Stdio::inherit() } else { Stdio::null() }).stdout(Stdio::piped());
    let line = command::line(machine);
    let mut machine = Guard(machine.spawn().with_context(|| format!("cannot run `{line}`"))?);
    let console = machine.0.stdout.take().context("the VM has no console")?;
    let console = read_console(BufReader::new(console), &mut std::io::stdout())?;
    machine.0.wait()?;
    Ok(console)
}

/// A child that does not outlive us.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Copies the console to `out` as it comes; the verdict is the last line of that form.
fn read_console(mut console: impl BufRead, out: &mut impl Write) -> Result<Console> {
    let mut text = String::new();
    loop {
        let chunk = console.fill_buf()?;
        if chunk.is_empty() {
            let verdict = text.lines().filter_map(parse_verdict).next_back();
            return Ok(Console { text, verdict: verdict.unwrap_or(Verdict::None) });
        }
        // The terminal's line discipline put the carriage returns there.
        let piece = String::from_utf8_lossy(chunk).replace('\r', "");
        let length = chunk.len();
        console.consume(length);
        out.write_all(piece.as_bytes())?;
        out.flush()?;
        text += &piece;
    }
}

/// `init: success` or `init: failure`, alone on a line.
fn parse_verdict(line: &str) -> Option<Verdict> {
    match line.trim_end().strip_prefix("init: ")? {
        "success" => Some(Verdict::Success),
        "failure" => Some(Verdict::Failure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(console: &str, expected: Verdict) {
        let mut shown = Vec::new();
        let read = read_console(console.as_bytes(), &mut shown).unwrap();
        assert_eq!(read.verdict, expected, "console: {console:?}");
        assert_eq!(String::from_utf8(shown).unwrap(), console.replace('\r', ""));
    }

    #[test]
    fn only_a_line_of_its_own_is_a_verdict() {
        check("hello\r\ninit: success\r\n", Verdict::Success);
        check("hello\r\ninit: failure\r\n[    9.0] reboot: Power down\r\n", Verdict::Failure);
        check("a test says init: success\r\n", Verdict::None);
    }

    #[test]
    fn a_machine_that_says_nothing_has_no_verdict() {
        check("", Verdict::None);
        check("Kernel panic - not syncing\r\n", Verdict::None);
    }
}
