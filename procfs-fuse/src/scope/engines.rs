//! How container engines name the cgroups of their containers.
//!
//! Only needed where no pid namespace tells: a container that shares the host's
//! (`--pid=host`), and the way from a group inside of a container out to the
//! container's own.

/// Length of the ids of docker, containerd, CRI-O, podman and porthole.
const ID_LENGTH: usize = 64;

/// Names that end with an id: `<prefix><id>`, under systemd `<prefix><id>.scope`.
const PREFIXES: [&str; 7] =
    ["", "docker-", "cri-containerd-", "crio-", "libpod-", "nerdctl-", "porthole-"];

/// Names that end with what the user called the container.
const NAMED: [&str; 2] = ["lxc.payload.", "systemd-nspawn@"];

/// True when an engine gives this name to the group of a container; helpers of
/// engines (`crio-conmon-<id>`, `lxc.monitor.<name>`) are the host's.
pub fn is_container(component: &str) -> bool {
    let without_suffix = component.strip_suffix(".scope").unwrap_or(component);
    PREFIXES
        .iter()
        .filter_map(|prefix| without_suffix.strip_prefix(prefix))
        .chain(without_suffix.rsplit_once(':').map(|(_slice_and_prefix, id)| id))
        .any(is_id)
        || NAMED
            .iter()
            .any(|prefix| component.strip_prefix(prefix).is_some_and(|name| !name.is_empty()))
        || is_machine(component)
}

/// `systemd-machined` registers containers as `machine-<name>.scope`, virtual
/// machines as `machine-qemu\x2d<number>\x2d<name>.scope`.
fn is_machine(component: &str) -> bool {
    component
        .strip_prefix("machine-")
        .is_some_and(|name| name.ends_with(".scope") && !name.starts_with("qemu"))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[track_caller]
    fn check(pattern: &str, expected: bool) {
        let component = pattern.replace("ID", ID);
        assert_eq!(is_container(&component), expected, "{component}");
    }

    #[test]
    fn containers_of_every_engine() {
        for pattern in [
            "ID",                                            // docker, containerd: cgroupfs driver
            "docker-ID.scope",                               // docker: systemd driver
            "cri-containerd-ID.scope",                       // containerd under Kubernetes
            "crio-ID.scope",                                 // CRI-O: systemd driver
            "crio-ID",                                       // CRI-O: cgroupfs driver
            "libpod-ID.scope",                               // podman
            "nerdctl-ID.scope",                              // nerdctl
            "porthole-ID.scope",                             // us under systemd
            "kubelet-kubepods-pod1.slice:cri-containerd:ID", // systemd path given to cgroupfs
            "lxc.payload.web",                               // LXC, LXD, Incus
            "machine-web.scope",                             // nspawn through machined
            "systemd-nspawn@web.service",                    // nspawn as a service
        ] {
            check(pattern, true);
        }
    }

    #[test]
    fn what_is_not_a_container() {
        for pattern in [
            "",
            "docker",
            "user.slice",
            "session-3.scope",
            "docker.service",
            "crio-conmon-ID.scope",
            "libpod-conmon-ID.scope",
            "lxc.monitor.web",
            "lxc.payload.",
            "0123456789abcdef",
            "IDID",
            "kubepods-burstable-pod0d2ee3dd.slice",
            "machine-qemu\\x2d1\\x2dvm.scope",
            "machine.slice",
        ] {
            check(pattern, false);
        }
    }
}
