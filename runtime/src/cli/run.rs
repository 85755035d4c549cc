//! `porthole run`: its words become a [`Plan`] and what the caller does beside it.

use std::path::PathBuf;

use cgroupfs::cpu_list::CpuList;

use super::options::{ProcessOptions, RunOptions};
use super::refusal::Refusal;
use super::{limits, values};
use crate::plan::{Calls, Clock, Network, Plan, Process, Root, RootSource, View, Volume};

/// How many digits of an id stand for it, as in docker.
pub const SHORT_ID: usize = 12;

/// What a decision depends on beside the words: read once, by the caller.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Surroundings<'a> {
    /// A fresh id for the container: 64 hexadecimal digits.
    pub id: String,
    /// The working directory, where relative paths begin.
    pub directory: PathBuf,
    /// The machine's CPUs.
    pub online: CpuList,
    /// The environment of this process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// What `porthole run` shall do.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The container.
    pub plan: Plan,
    /// `--name`.
    pub name: Option<String>,
    /// `-i`: standard input is passed on.
    pub interactive: bool,
    /// `-d`: the container is left running.
    pub detach: bool,
    /// The state is kept when the command has ended.
    pub keep: bool,
}

/// Decides what `options` mean.
///
/// # Errors
///
/// [`Refusal`] for the first word that cannot be carried out.
pub fn request(options: &RunOptions, around: &Surroundings<'_>) -> Result<Request, Refusal> {
    let name = options.name.as_deref().map(values::names::container).transpose()?;
    let keep = !options.rm && (options.detach || name.is_some());
    let plan = plan(options, around)?;
    Ok(Request {
        plan,
        name,
        interactive: options.process.interactive,
        detach: options.detach,
        keep,
    })
}

fn plan(options: &RunOptions, around: &Surroundings<'_>) -> Result<Plan, Refusal> {
    let hostname = match &options.hostname {
        Some(name) => values::names::hostname(name)?,
        None => around.id.chars().take(SHORT_ID).collect(),
    };
    let inside = Inside { hostname: Some(&hostname), init: options.init };
    let process = process(&options.process, &options.command, &inside, around.environment)?;
    Ok(Plan {
        id: around.id.clone(),
        root: root(options, around),
        volumes: volumes(options, around)?,
        process,
        network: network(&options.net)?,
        clock: Clock::Container,
        security: values::security::security(&options.security_opts)?,
        resources: limits::of_new(&options.limits, &around.online)?,
        view: view(options, around),
        calls: calls(options),
        hostname,
    })
}

/// What a process is told of the container around it.
#[derive(Debug)]
pub struct Inside<'a> {
    /// Host name for the environment; `None` when the container set it already.
    pub hostname: Option<&'a str>,
    /// A small init runs above the process.
    pub init: bool,
}

/// Decides about a process: the container's first, or one of `porthole exec`.
///
/// # Errors
///
/// [`Refusal`] for the first word that cannot be carried out.
pub fn process(
    options: &ProcessOptions,
    command: &[String],
    inside: &Inside<'_>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Process, Refusal> {
    let nameless = command.first().is_none_or(|program| program.is_empty());
    if nameless {
        return Err(Refusal::new("command", "it is empty").instead("such as: porthole run -- top"));
    }
    Ok(Process {
        args: command.to_vec(),
        env: values::environment::of_command(
            &options.env,
            inside.hostname,
            options.tty,
            environment,
        )?,
        cwd: values::volume::working_directory(options.workdir.as_deref())?,
        user: values::user::user(options.user.as_deref())?,
        terminal: options.tty,
        init: inside.init,
    })
}

fn root(options: &RunOptions, around: &Surroundings<'_>) -> Root {
    let source = match &options.rootfs {
        Some(directory) => RootSource::Directory(around.directory.join(directory)),
        None => RootSource::HostSystem,
    };
    Root { source, read_only: options.read_only }
}

fn volumes(options: &RunOptions, around: &Surroundings<'_>) -> Result<Vec<Volume>, Refusal> {
    options.volumes.iter().map(|text| values::volume::volume(text, &around.directory)).collect()
}

fn network(text: &str) -> Result<Network, Refusal> {
    match text {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err(Refusal::new(format!("--net {text}"), "not a network that there is")
            .instead("none or host")),
    }
}

/// Who sees the host's files sees its answers to system calls, too.
fn calls(options: &RunOptions) -> Calls {
    if options.no_view || options.no_syscall_view { Calls::Host } else { Calls::AsFiles }
}

fn view(options: &RunOptions, around: &Surroundings<'_>) -> View {
    if options.no_view { View::Host } else { View::Mounted(around.directory.join(&options.view)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};
    use crate::plan::Resources;

    fn decide(words: &[&str]) -> Result<Request, String> {
        let words = ["porthole", "run"].iter().chain(words);
        let Command::Run(options) = parse(words.map(Into::into)).unwrap().command else {
            panic!("not run")
        };
        let around = Surroundings {
            id: "0123456789abcdef".repeat(4),
            directory: "/here".into(),
            online: CpuList::first(2),
            environment: &|_name| None,
        };
        request(&options, &around).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn limits_become_resources() {
        let words = [
            "-m",
            "512m",
            "--cpus",
            "1.5",
            "--cpuset-cpus",
            "0",
            "--pids-limit",
            "64",
            "--",
            "top",
        ];
        let resources = decide(&words).unwrap().plan.resources;
        assert_eq!(resources.memory, Some(512 << 20));
        assert_eq!(resources.swap, Some(cgroupfs::limit::Limit::AtMost(512 << 20)));
        assert_eq!(resources.cpu_quota_us.map(std::num::NonZero::get), Some(150_000));
        assert_eq!(resources.cpuset, Some(CpuList::first(1)));
        assert_eq!(resources.pids, Some(64));
    }

    #[test]
    fn without_options_nothing_is_limited() {
        let request = decide(&["top"]).unwrap();
        assert_eq!(request.plan.resources, Resources::default());
        assert_eq!(request.plan.root, Root { source: RootSource::HostSystem, read_only: false });
        assert_eq!(request.plan.network, Network::None);
        assert_eq!(request.plan.hostname, "0123456789ab");
    }

    #[test]
    fn the_command_keeps_its_own_options() {
        let args = |words: &[&str]| decide(words).unwrap().plan.process.args;
        assert_eq!(args(&["--", "top", "-b", "-n1"]), ["top", "-b", "-n1"]);
        assert_eq!(args(&["-it", "top", "-b", "--", "-m"]), ["top", "-b", "--", "-m"]);
    }

    #[test]
    fn what_has_a_name_or_runs_in_the_background_is_kept() {
        let keep = |words: &[&str]| decide(words).unwrap().keep;
        assert!(!keep(&["true"]));
        assert!(keep(&["--name", "web", "true"]));
        assert!(keep(&["-d", "true"]));
        assert!(!keep(&["--rm", "--name", "web", "-d", "true"]));
    }

    #[test]
    fn relative_paths_begin_where_we_are() {
        let plan = decide(&["--rootfs", "alpine", "--view", "fs", "sh"]).unwrap().plan;
        assert_eq!(plan.root.source, RootSource::Directory("/here/alpine".into()));
        assert_eq!(plan.view, View::Mounted("/here/fs".into()));
        assert_eq!(decide(&["--no-view", "sh"]).unwrap().plan.view, View::Host);
    }

    #[test]
    fn whole_instances_are_for_the_unmasked_who_have_a_view() {
        let keeps = |words: &[&str]| decide(words).unwrap().plan.keeps_whole_instances();
        assert!(keeps(&["--security-opt", "systempaths=unconfined", "sh"]));
        assert!(!keeps(&["--security-opt", "systempaths=unconfined", "--no-view", "sh"]));
        assert!(!keeps(&["--security-opt", "seccomp=unconfined", "sh"]));
        assert!(!keeps(&["sh"]));
    }

    #[test]
    fn the_first_wrong_word_is_named() {
        let refused = |words: &[&str]| decide(words).unwrap_err();
        assert_eq!(
            refused(&["--net", "bridge", "sh"]),
            "--net bridge: not a network that there is (none or host)"
        );
        assert_eq!(refused(&[""]), "command: it is empty (such as: porthole run -- top)");
        assert_eq!(
            refused(&["--cpus", "-1", "sh"]),
            "--cpus -1: not a number of CPUs (such as 2, 1.5 or 0.25)"
        );
    }
}
