//! The steps between a plan and a running command, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step on the way to a running command; its text begins an error message and
/// is followed by an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The new process and its namespaces.
    Clone,
    /// The caller's gate: its cgroups.
    Gate,
    /// What the container gets from the host, before anything is changed.
    OpenSources,
    /// Its root file system.
    BuildRoot,
    /// `/proc`, `/sys`, `/dev` and the rest of what the kernel provides.
    MountKernelFiles,
    /// `-v`.
    MountVolumes,
    /// The files that tell its size.
    MountView,
    /// What it may not see or change of the kernel's files.
    Mask,
    /// Leaving the host's files behind.
    EnterRoot,
    /// Joining a running container.
    EnterNamespaces,
    /// Host name and loopback.
    SetUp,
    /// Standard input, output and error.
    OpenStdio,
    /// Users, groups and the working directory.
    BecomeUser,
    /// Capabilities, system calls.
    GiveUpRights,
    /// The listener for system calls that are answered.
    HandOver,
    /// The command itself.
    Execute,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Clone => "cannot make",
            Self::Gate => "cannot put into its cgroups",
            Self::OpenSources => "cannot open",
            Self::BuildRoot => "cannot build the root file system:",
            Self::MountKernelFiles => "cannot mount",
            Self::MountVolumes => "cannot mount volume",
            Self::MountView => "cannot mount the view on",
            Self::Mask => "cannot mask",
            Self::EnterRoot => "cannot enter",
            Self::EnterNamespaces => "cannot join",
            Self::SetUp => "cannot set",
            Self::OpenStdio => "cannot open",
            Self::BecomeUser => "cannot become",
            Self::GiveUpRights => "cannot give up",
            Self::HandOver => "cannot hand over",
            Self::Execute => "cannot execute",
        })
    }
}
