//! A bar chart as SVG; pure.
//!
//! Ours and no crate's: one kind of picture is drawn, of some twenty rectangles and as many
//! words, and it must be readable on a light page and on a dark one, which takes a style
//! sheet and no drawing library (docs/decisions/crates.md).

use std::fmt::Write as _;

/// Groups of bars; all groups have the same bars.
#[derive(Debug)]
pub struct Chart<'a> {
    /// What the bars show, and its unit.
    pub title: &'a str,
    /// What the bars of a group are called.
    pub bars: &'a [&'a str],
    /// The groups, each with the length of its bars.
    pub groups: Vec<(&'a str, Vec<f64>)>,
}

/// Height of a bar, in pixels.
const BAR: f64 = 13.0;
/// Room between groups.
const GAP: f64 = 12.0;
/// Where bars begin.
const LEFT: f64 = 110.0;
/// Length of the longest bar.
const LONGEST: f64 = 470.0;
/// Room for the title and what the colours mean.
const HEAD: f64 = 58.0;
/// Width of the picture: room for a number behind the longest bar.
const WIDTH: f64 = 660.0;

/// Colours that can be told apart by who confuses red and green.
const COLOURS: [&str; 5] = ["#8a8a8a", "#56b4e9", "#d55e00", "#0072b2", "#009e73"];

const STYLE: &str = "text{font:12px sans-serif;fill:#24292f}.title{font-weight:bold}\
                     @media(prefers-color-scheme:dark){text{fill:#e6edf3}}";

/// The picture.
pub fn svg(chart: &Chart<'_>) -> String {
    let longest = chart.groups.iter().flat_map(|(_, bars)| bars).copied().fold(0.0, f64::max);
    let mut body = String::new();
    let mut y = HEAD;
    for (group, values) in &chart.groups {
        let middle = y + BAR * count(values.len()) / 2.0 + 4.0;
        text(&mut body, (LEFT - 8.0, middle), "end", group);
        for (value, colour) in values.iter().zip(COLOURS) {
            let length = if longest > 0.0 { value / longest * LONGEST } else { 0.0 };
            rectangle(&mut body, (LEFT, y), (length.max(1.0), BAR - 2.0), colour);
            text(&mut body, (LEFT + length + 5.0, y + BAR - 3.0), "start", &number(*value));
            y += BAR;
        }
        y += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"8\" y=\"18\">{title}</text>\n{}{body}</svg>\n",
        legend(chart.bars),
        title = escaped(chart.title),
    )
}

fn legend(bars: &[&str]) -> String {
    let mut legend = String::new();
    let mut x = 8.0;
    for (bar, colour) in bars.iter().zip(COLOURS) {
        rectangle(&mut legend, (x, 30.0), (11.0, 11.0), colour);
        text(&mut legend, (x + 16.0, 40.0), "start", bar);
        x += 36.0 + 7.0 * count(bar.len());
    }
    legend
}

fn rectangle(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
    let _infallible = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escaped(text);
    let _infallible =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// Three digits that matter.
pub fn number(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.1}"),
        10.0..10_000.0 => format!("{value:.0}"),
        _ => format!("{:.0}k", value / 1000.0),
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_the_largest_number() {
        let groups = vec![("meminfo", vec![10.0, 40.0]), ("a<b", vec![300.0, 20.0])];
        let svg = svg(&Chart { title: "p50 & more", bars: &["kernel", "ours"], groups });
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{svg}");
        assert!(svg.contains("width=\"470.0\" height=\"11.0\" fill=\"#8a8a8a\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2 + 4);
        assert!(svg.contains(">a&lt;b</text>") && svg.contains("p50 &amp; more"), "{svg}");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!([0.51, 9.9, 42.4, 26_500.0].map(number), ["0.5", "9.9", "42", "26k"]);
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let groups = vec![("meminfo", vec![0.0])];
        assert!(svg(&Chart { title: "", bars: &["x"], groups }).contains("<rect"));
    }
}
