//! What the tests share: needs, cgroups, containers, processes.
