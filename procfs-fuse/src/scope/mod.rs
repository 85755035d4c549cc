//! Whose container? From a caller's groups to the groups whose limits count.
//!
//! Decided for each controller by itself, since on v1 they are different trees:
//!
//! 1. In a pid namespace of its own: A is the group of that namespace's init, out
//!    to the group that its engine made (what is below is the container's
//!    inside). The caller's own group B counts only where it is *another*
//!    container that shares the pid namespace, as in a pod: then the child,
//!    towards B, of the common ancestor of A and B. Who was brought in from the
//!    host (`nsenter`: B is the root, a session, a service) is shown A.
//! 2. In the host's pid namespace: the outermost group of B's path that an engine
//!    names as a container's, else the host.
//!
//! The root of a hierarchy is nobody's container: a controller for which it is
//! the answer has no limits to show.
//!
//! What this folder does not do: read anything. [`caller`](crate::caller) has read
//! who asks, [`readings`](crate::readings) reads what the groups say.

pub mod engines;
mod groups;

pub use groups::Groups;

use cgroupfs::controller::Controller;
use cgroupfs::group::Group;
use cgroupfs::layout::{Layout, PlaceError};
use cgroupfs::membership::Membership;

use crate::caller::{Caller, PidNamespace};

/// The groups whose limits `caller` is shown; empty for the host.
///
/// # Errors
///
/// [`PlaceError`] when a group that counts cannot be found on disk.
pub fn groups_of(caller: &Caller, layout: &Layout) -> Result<Groups, PlaceError> {
    let init = match &caller.pid_namespace {
        PidNamespace::Host => None,
        PidNamespace::Other(membership) => Some(membership),
    };
    // Nearly everybody is in the groups of the init, which then need not be looked for too.
    let are_its = init == Some(&caller.membership);
    let counting = |controller| {
        let Some(own) = locate(layout, &caller.membership, controller)? else { return Ok(None) };
        let elsewhere = init.filter(|_init| !are_its);
        let elsewhere =
            elsewhere.map(|init| locate(layout, init, controller)).transpose()?.flatten();
        let init = if are_its { Some(&own) } else { elsewhere.as_ref() };
        let path = counting_path(own.path(), init.map(Group::path));
        Ok((path != "/").then(|| (controller, own.at(path))))
    };
    Controller::ALL.into_iter().map(counting).filter_map(Result::transpose).collect()
}

/// The group in the cgroup2 tree that counts for `caller`: the kernel counts pressure
/// there, on machines with every controller on v1 too. `None` for the host, and where
/// there is no such tree.
pub fn unified_group_of(caller: &Caller, layout: &Layout) -> Option<Group> {
    let own = layout.unified_group(&caller.membership)?;
    let counting = match &caller.pid_namespace {
        PidNamespace::Host => counting_path(own.path(), None),
        PidNamespace::Other(membership) => {
            counting_path(own.path(), Some(layout.unified_group(membership)?.path()))
        }
    };
    (counting != "/").then(|| own.at(counting))
}

/// The groups that somebody is in, for each controller that limits or counts them:
/// those of a container whose runtime says that they are.
///
/// # Errors
///
/// [`PlaceError`] when one of them cannot be found on disk.
pub fn own_groups(membership: &Membership, layout: &Layout) -> Result<Groups, PlaceError> {
    let own = |controller| {
        let own = locate(layout, membership, controller)?.filter(|own| !own.is_root());
        Ok(own.map(|own| (controller, own)))
    };
    Controller::ALL.into_iter().map(own).filter_map(Result::transpose).collect()
}

/// The group for `controller`; `None` also where its hierarchy is not mounted:
/// nobody can set limits there.
fn locate(
    layout: &Layout,
    membership: &Membership,
    controller: Controller,
) -> Result<Option<Group>, PlaceError> {
    match layout.group(membership, controller) {
        Err(PlaceError::NotMounted { .. }) => Ok(None),
        found => found,
    }
}

/// The path of the group that counts for a caller in the group `own`, whose pid
/// namespace has its init in the group `init` (`None`: the host's pid namespace);
/// `/` when none does.
fn counting_path(own: &str, init: Option<&str>) -> String {
    let Some(init) = init.filter(|init| *init != "/") else {
        return outermost_container(own);
    };
    let container = without_inside(init);
    if is_at_or_below(own, container) || (is_hosts(own) && own != container) {
        return container.to_owned();
    }
    sibling_towards(own, container)
}

/// Rule 2.
fn outermost_container(own: &str) -> String {
    let components: Vec<_> = components(own).collect();
    match components.iter().position(|component| engines::is_container(component)) {
        Some(index) => path_of(components.into_iter().take(index + 1)),
        None => "/".to_owned(),
    }
}

/// The container's own group, from the group `init` of its first process: cut
/// behind what the engine made, or else before the `init.scope` of a systemd.
fn without_inside(init: &str) -> &str {
    let mut end = 0;
    let mut engine_end = None;
    for component in components(init) {
        end += 1 + component.len();
        if engines::is_container(component) {
            engine_end = Some(end);
        }
    }
    let container = match engine_end {
        Some(end) => init.get(..end).unwrap_or(init),
        None => init.strip_suffix("/init.scope").unwrap_or(init),
    };
    if container.is_empty() { init } else { container }
}

/// True for groups in which people and services of the host are, and containers
/// are not.
fn is_hosts(path: &str) -> bool {
    !components(path).any(engines::is_container)
        && (path == "/"
            || components(path).any(|component| {
                component == "user.slice"
                    || component.ends_with(".service")
                    || (component.starts_with("session-") && component.ends_with(".scope"))
            }))
}

/// The child, towards `own`, of the common ancestor of `own` and `container`;
/// `container` when `own` is itself that ancestor.
fn sibling_towards(own: &str, container: &str) -> String {
    let shared =
        components(own).zip(components(container)).take_while(|(own, its)| own == its).count();
    match components(own).nth(shared) {
        Some(_child) => path_of(components(own).take(shared + 1)),
        None => container.to_owned(),
    }
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

fn path_of<'a>(components: impl Iterator<Item = &'a str>) -> String {
    components.fold(String::new(), |path, component| path + "/" + component)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// `A` and `B` stand for ids of containers.
    fn expand(path: &str) -> String {
        path.replace('A', A).replace('B', B)
    }

    /// Caller in `own`, init of its pid namespace in `init`.
    #[track_caller]
    fn check(own: &str, init: &str, expected: &str) {
        let counting = counting_path(&expand(own), Some(&expand(init)));
        assert_eq!(counting, expand(expected), "own {own}, init {init}");
    }

    /// Caller in `own`, in the host's pid namespace.
    #[track_caller]
    fn check_on_host(own: &str, expected: &str) {
        assert_eq!(counting_path(&expand(own), None), expand(expected), "own {own}");
    }

    #[test]
    fn a_process_of_the_container_is_in_it() {
        check("/docker/A", "/docker/A", "/docker/A");
        check("/any/name", "/any/name", "/any/name");
    }

    #[test]
    fn groups_inside_of_the_container_are_its_inside() {
        check("/docker/A/app/worker", "/docker/A", "/docker/A");
        check("/any/name/nested", "/any/name", "/any/name");
    }

    #[test]
    fn init_scope_is_the_inside_of_a_systemd_container() {
        check(
            "/lxc.payload.web/system.slice/x.service",
            "/lxc.payload.web/init.scope",
            "/lxc.payload.web",
        );
        check("/box/system.slice/x.service", "/box/init.scope", "/box");
        check("/box/init.scope", "/box/init.scope", "/box");
    }

    #[test]
    fn what_the_engine_made_is_the_container_also_when_init_is_deeper() {
        check(
            "/machine.slice/libpod-A.scope/container",
            "/machine.slice/libpod-A.scope/container",
            "/machine.slice/libpod-A.scope",
        );
        check("/docker/A/init", "/docker/A/init", "/docker/A");
    }

    #[test]
    fn a_container_in_a_container_is_the_inner_one() {
        check("/docker/A/docker/B", "/docker/A/docker/B", "/docker/A/docker/B");
    }

    #[test]
    fn who_entered_from_a_session_is_shown_the_container() {
        check(
            "/user.slice/user-0.slice/session-3.scope",
            "/system.slice/docker-A.scope",
            "/system.slice/docker-A.scope",
        );
    }

    #[test]
    fn who_entered_from_the_root_or_a_service_is_shown_the_container() {
        check("/", "/docker/A", "/docker/A");
        check(
            "/system.slice/ssh.service",
            "/system.slice/docker-A.scope",
            "/system.slice/docker-A.scope",
        );
    }

    #[test]
    fn who_entered_from_a_group_above_is_shown_the_container() {
        check("/kubepods/pod1", "/kubepods/pod1/A", "/kubepods/pod1/A");
    }

    #[test]
    fn a_rootless_container_below_a_session_is_a_container() {
        let container = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-A.scope";
        check(&format!("{container}/container"), &format!("{container}/container"), container);
    }

    #[test]
    fn containers_of_a_pod_that_share_a_pid_namespace_have_their_own() {
        check(
            "/kubepods/burstable/pod1/B",
            "/kubepods/burstable/pod1/A",
            "/kubepods/burstable/pod1/B",
        );
        check(
            "/kubepods/burstable/pod1/B/inside",
            "/kubepods/burstable/pod1/A",
            "/kubepods/burstable/pod1/B",
        );
        check("/pods/one/app", "/pods/one/pause", "/pods/one/app");
    }

    #[test]
    fn a_rootless_pod_too() {
        let pod = "/user.slice/user-1000.slice/user@1000.service/user.slice/pod.slice";
        check(
            &format!("{pod}/libpod-B.scope"),
            &format!("{pod}/libpod-A.scope"),
            &format!("{pod}/libpod-B.scope"),
        );
    }

    #[test]
    fn a_name_that_only_begins_alike_is_another_group() {
        check("/pods/web-2", "/pods/web", "/pods/web-2");
    }

    #[test]
    fn an_init_in_the_root_limits_nobody() {
        check("/", "/", "/");
        check("/user.slice/x", "/", "/");
        check("/docker/A/x", "/", "/docker/A");
    }

    #[test]
    fn host_processes_are_the_hosts() {
        for own in ["/", "/system.slice/ssh.service", "/user.slice/user-0.slice/session-1.scope"] {
            check_on_host(own, "/");
        }
    }

    #[test]
    fn a_container_in_the_hosts_pid_namespace_is_known_by_its_engine() {
        check_on_host("/docker/A", "/docker/A");
        check_on_host("/system.slice/docker-A.scope/inside", "/system.slice/docker-A.scope");
        check_on_host(
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-A.scope",
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-A.scope",
        );
    }

    #[test]
    fn of_nested_engines_the_outermost_counts_in_the_hosts_pid_namespace() {
        check_on_host("/docker/A/docker/B", "/docker/A");
    }

    #[test]
    fn each_controller_is_decided_by_itself() {
        let mountinfo = "35 31 0:32 / /mem rw - cgroup cgroup rw,memory\n\
                         36 31 0:33 / /cpu rw - cgroup cgroup rw,cpu\n";
        let layout = cgroupfs::layout::parse(mountinfo, std::path::Path::new("/")).unwrap();
        let member = |text| cgroupfs::membership::parse(text).unwrap();
        let caller = Caller {
            membership: member("3:cpuset:/x\n2:memory:/box/in\n1:cpu:/\n"),
            pid_namespace: PidNamespace::Other(member("3:cpuset:/x\n2:memory:/box\n1:cpu:/\n")),
        };
        let groups = groups_of(&caller, &layout).unwrap();
        let found: Vec<_> =
            groups.iter().map(|(controller, group)| (controller, group.dir())).collect();
        // cpu is in the root, cpuset's hierarchy is not mounted.
        assert_eq!(found, [(Controller::Memory, std::path::PathBuf::from("/mem/box"))]);
    }
}
