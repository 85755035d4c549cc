//! Containers, started for real: what is in them, and what is not.
//!
//! Each test starts one through `porthole::process` and looks at it from the
//! inside, with the host's own programs. Root is needed; without it the tests
//! are shown as ignored, with the reason.

mod launcher;

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("launch") {
        std::process::exit(launcher::main(&args.next().expect("a plan")));
    }
}
