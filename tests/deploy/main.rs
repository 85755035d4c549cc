//! What `deploy/` and the documents promise, tried: manifests against schemas,
//! the unit against systemd, the docker lines against a dockerd.
//!
//! Everything that is started here has its own sockets, folders and control
//! groups, and is gone afterwards.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test program fails by panicking, and prints for people"
)]

mod containers;
mod documents;
mod files;
mod healing;
mod image;
mod manifests;
mod tools_image;
mod unit;

use std::process::ExitCode;

use libtest_mimic::Trial;
use support::{Need, trial};

const DOCKER: &[Need] = &[
    Need::Workspace,
    Need::Container,
    Need::Program("dockerd", "docker.io"),
    Need::Program("busybox", "busybox-static"),
    Need::Program("top", "procps"),
];
const NESTED: &[Need] = &[
    Need::Workspace,
    Need::Container,
    Need::UserNamespaces,
    Need::Program("dockerd", "docker.io"),
    Need::Program("busybox", "busybox-static"),
];
/// The pod's list is read out of its YAML.
const LISTS: &[Need] = &[
    Need::Workspace,
    Need::Tool("kubernetes-validate/bin/python"),
    Need::Container,
    Need::Program("dockerd", "docker.io"),
    Need::Program("busybox", "busybox-static"),
    Need::Program("top", "procps"),
];
const COMPOSE: &[Need] = &[
    Need::Workspace,
    Need::Container,
    Need::Program("dockerd", "docker.io"),
    Need::Program("docker-compose", "docker-compose"),
];
/// Building the image compiles everything once more, statically.
const IMAGE: &[Need] = &[
    Need::Workspace,
    Need::Full,
    Need::Container,
    Need::Program("dockerd", "docker.io"),
    Need::Program("readelf", "binutils"),
];
const SCHEMAS: &[Need] =
    &[Need::Workspace, Need::Tool("kubernetes-validate/bin/kubernetes-validate")];
const SYSTEMD: &[Need] = &[Need::Workspace, Need::Program("systemd-analyze", "systemd")];
const KUBECTL: &[Need] = &[Need::Workspace, Need::Program("kubectl", "kubernetes-client")];

fn main() -> ExitCode {
    let trials = [manifests(), unit(), documents(), containers()].into_iter().flatten().collect();
    support::program::main_and_then(trials, containers::stop)
}

fn manifests() -> Vec<Trial> {
    use manifests::*;
    vec![
        trial("every_version_accepts_the_manifests", SCHEMAS, every_version_accepts_the_manifests),
        trial("a_misspelt_word_is_refused", SCHEMAS, a_misspelt_word_is_refused),
        trial("the_daemon_set_reaches_the_node", SCHEMAS, the_daemon_set_reaches_the_node),
        trial("kustomize_builds_the_folder", KUBECTL, kustomize_builds_the_folder),
    ]
}

fn unit() -> Vec<Trial> {
    use unit::*;
    vec![
        trial(
            "systemd_has_nothing_to_say_about_the_unit",
            SYSTEMD,
            systemd_has_nothing_to_say_about_the_unit,
        ),
        trial("systemd_notices_a_misspelt_setting", SYSTEMD, systemd_notices_a_misspelt_setting),
        trial(
            "mounts_of_the_service_are_seen_by_everybody",
            &[Need::Workspace],
            mounts_of_the_service_are_seen_by_everybody,
        ),
        trial(
            "the_unit_starts_before_every_engine",
            &[Need::Workspace],
            the_unit_starts_before_every_engine,
        ),
    ]
}

fn documents() -> Vec<Trial> {
    use documents::*;
    vec![
        trial("no_link_is_broken", &[Need::Workspace], no_link_is_broken),
        trial(
            "every_test_that_the_guarantees_name_exists",
            &[Need::Workspace],
            every_test_that_the_guarantees_name_exists,
        ),
        trial(
            "every_guarantee_says_how_it_is_proved",
            &[Need::Workspace],
            every_guarantee_says_how_it_is_proved,
        ),
        trial(
            "every_test_that_a_defect_of_lxcfs_has_exists",
            &[Need::Workspace],
            every_test_that_a_defect_of_lxcfs_has_exists,
        ),
    ]
}

fn containers() -> Vec<Trial> {
    use containers::*;
    vec![
        trial("the_docker_line_shows_the_limits", DOCKER, the_docker_line_shows_the_limits),
        trial("without_the_files_the_host_is_seen", DOCKER, without_the_files_the_host_is_seen),
        trial("run_sh_mounts_what_runc_allows", DOCKER, run_sh_mounts_what_runc_allows),
        trial(
            "run_sh_refuses_without_a_daemon",
            &[Need::Workspace],
            run_sh_refuses_without_a_daemon,
        ),
        trial(
            "containers_in_containers_are_as_the_readme_says",
            NESTED,
            containers_in_containers_are_as_the_readme_says,
        ),
        trial("a_fractional_quota_is_rounded_up", DOCKER, a_fractional_quota_is_rounded_up),
        trial("the_compose_file_shows_the_limits", COMPOSE, the_compose_file_shows_the_limits),
        trial(
            "the_next_daemon_heals_a_running_container",
            DOCKER,
            healing::the_next_daemon_heals_a_running_container,
        ),
        trial("the_image_is_the_same_each_time", IMAGE, image::the_image_is_the_same_each_time),
        trial("the_image_serves_other_containers", IMAGE, image::the_image_serves_other_containers),
        trial("every_list_has_the_same_files", LISTS, every_list_has_the_same_files),
    ]
}
