//! What is mounted where in a container.
//!
//! Everything goes by descriptors: what comes from the host is opened as a
//! detached copy first (`sources`), the new root is built in a tmpfs that no
//! path leads to (`stage`), and a place inside it is looked up by a resolver
//! that cannot leave it (`inside`). A symbolic link in an image or a volume
//! leads nowhere but into the container.
//!
//! What this module does not do: decide what is mounted (`plan/`), serve the
//! files of the view (the daemon).

pub(crate) mod cgroup_files;
pub(crate) mod devices;
pub(crate) mod enter;
pub(crate) mod etc;
pub(crate) mod inside;
pub(crate) mod kernel_files;
pub(crate) mod layers;
pub(crate) mod masks;
pub(crate) mod mounting;
pub(crate) mod new_root;
pub(crate) mod private_tree;
pub(crate) mod sources;
pub(crate) mod stage;
pub(crate) mod view;
pub(crate) mod volumes;
pub(crate) mod whole;
