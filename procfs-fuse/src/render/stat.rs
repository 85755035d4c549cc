//! `/proc/stat`; format of `show_stat()` in fs/proc/stat.c.

use itoa::Buffer;

use crate::view::stat::{Line, Ticks};

/// Appends the lines to `out`. The `cpu` line has two spaces after its keyword.
pub fn stat<'a>(lines: impl IntoIterator<Item = Line<'a>>, out: &mut String) {
    for line in lines {
        match line {
            Line::Cpu { number: None, ticks } => {
                out.push_str("cpu ");
                columns(ticks, out);
            }
            Line::Cpu { number: Some(number), ticks } => {
                out.push_str("cpu");
                out.push_str(Buffer::new().format(number));
                columns(ticks, out);
            }
            Line::Number { name, value } => {
                out.extend([name, " "]);
                out.push_str(Buffer::new().format(value));
            }
            Line::AsIs(text) => out.push_str(text),
        }
        out.push('\n');
    }
}

/// user nice system idle iowait irq softirq steal guest guest_nice
fn columns(ticks: Ticks, out: &mut String) {
    let Ticks { user, system, idle } = ticks;
    for column in [user, 0, system, idle, 0, 0, 0, 0, 0, 0] {
        out.push(' ');
        out.push_str(Buffer::new().format(column));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn lines_look_like_the_kernels() {
        let ticks = Ticks { user: 3000, system: 1000, idle: 16_000 };
        let mut out = String::new();
        stat(
            [
                Line::Cpu { number: None, ticks },
                Line::Cpu { number: Some(0), ticks },
                Line::AsIs("intr 9 0 1"),
                Line::Number { name: "btime", value: 1_795_308_069 },
                Line::Number { name: "procs_running", value: 1 },
            ],
            &mut out,
        );
        expect![[r#"
            cpu  3000 0 1000 16000 0 0 0 0 0 0
            cpu0 3000 0 1000 16000 0 0 0 0 0 0
            intr 9 0 1
            btime 1795308069
            procs_running 1
        "#]]
        .assert_eq(&out);
    }
}
