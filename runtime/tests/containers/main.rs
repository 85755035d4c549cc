//! Containers, started for real: what is in them, and what is not.
//!
//! Each test starts one through `porthole::process` and looks at it from the
//! inside, with the host's own programs. What a test needs and this machine
//! lacks is said, and with `PORTHOLE_TESTS_SKIP=never` it is a failure.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test program without the harness is production code to clippy"
)]

mod isolation;
mod launcher;
mod provision;
mod world;

use std::path::Path;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("launch") {
        std::process::exit(launcher::main(&args.next().expect("an order")));
    }
    libtest_mimic::run(&Arguments::from_args(), trials()).exit();
}

/// What a test cannot do without.
#[derive(Debug, Clone, Copy)]
enum Need {
    Root,
    /// A static busybox, to make an image of.
    Busybox,
}

impl Need {
    /// Why it is not met, and what would meet it.
    fn unmet(self) -> Option<&'static str> {
        let (met, unmet) = match self {
            Self::Root => (nix::unistd::geteuid().is_root(), "not root (run it with sudo)"),
            Self::Busybox => (
                Path::new("/bin/busybox").exists(),
                "/bin/busybox is missing (apt-get install busybox-static)",
            ),
        };
        (!met).then_some(unmet)
    }
}

fn trial(name: &str, needs: &'static [Need], test: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        let Some(unmet) = needs.iter().find_map(|need| need.unmet()) else {
            test();
            return Ok(Completion::Completed);
        };
        if std::env::var("PORTHOLE_TESTS_SKIP").as_deref() == Ok("never") {
            return Err(Failed::from(unmet));
        }
        Ok(Completion::ignored_with(unmet))
    })
}

/// Trials of functions, by their own names.
macro_rules! trials {
    ($($needs:expr => $module:ident: $($test:ident),+;)+) => {
        vec![$($(trial(concat!(stringify!($module), "::", stringify!($test)), $needs, $module::$test)),+),+]
    };
}

fn trials() -> Vec<Trial> {
    trials! {
        &[Need::Root] => isolation:
            nothing_of_the_host_is_mounted,
            homes_and_temporary_files_are_its_own,
            rights_are_dockers_defaults_without_device_nodes,
            device_nodes_cannot_be_made,
            another_user_has_no_capabilities,
            new_namespaces_are_refused_by_the_filter,
            cve_2016_9962_a_later_process_is_in_the_container_alone,
            cve_2019_5736_init_hides_our_program,
            cve_2019_16884_a_volume_may_not_cover_the_kernels_files,
            cve_2024_21626_no_descriptor_comes_along,
            cve_2025_52881_the_view_lies_on_the_kernels_files_and_below_masks,
            nothing_outlives_a_killed_launcher;
        &[Need::Root, Need::Busybox] => isolation:
            cve_2019_19921_proc_may_not_be_a_link,
            cve_2026_41579_dev_may_not_be_a_link,
            cve_2021_30465_a_volume_stays_inside,
            cve_2025_31133_masks_are_not_of_the_image;
        &[Need::Root] => provision:
            the_hosts_programs_run,
            the_hosts_usr_can_be_written_over,
            a_read_only_root_is_read_only,
            volumes_are_mounted_and_made,
            a_missing_volume_is_named,
            clocks_begin_with_the_container,
            loopback_is_up,
            cgroups_are_seen_from_the_containers_own,
            init_reaps_orphans_and_forwards_signals,
            a_command_that_is_killed_says_so,
            exit_codes_are_dockers;
        &[Need::Root, Need::Busybox] => provision:
            a_directory_is_a_root_that_is_not_written_to;
    }
}
