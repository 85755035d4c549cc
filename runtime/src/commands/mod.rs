//! One file per command: it decides with `cli`, acts with `container` and
//! `process`, and speaks with `message`.

mod attend;
mod daemon;
mod exec;
mod holder;
mod inspect;
mod kill;
mod logs;
mod preflight;
mod ps;
mod rm;
mod run;
mod stop;
mod surroundings;
mod update;

use std::env;
use std::process::ExitCode;

use crate::cli::{self, Command, Options, usage};
use crate::container::{Store, collect};
use crate::message::{Failure, REFUSED, answer, line, tell};
use crate::sys::fork;

/// What a command answers: the exit code, or why it could not do what it was asked.
type Answer = Result<u8, Failure>;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let code = match cli::parse(env::args_os()) {
        Ok(options) => run_command(&options).unwrap_or_else(|failure| {
            tell(&failure.line);
            failure.code
        }),
        // Help that nobody can read is of no use, and no reason to complain.
        Err(usage::Answer::Help(text)) => answer(&text).map_or(REFUSED, |()| 0),
        Err(usage::Answer::Refused(refusal)) => {
            tell(&refusal.to_string());
            REFUSED
        }
    };
    ExitCode::from(code)
}

fn run_command(options: &Options) -> Answer {
    // A parent that ignores its children's end has passed that on to us.
    fork::children_can_be_waited_for()?;
    let state_dir = &options.state_dir;
    match &options.command {
        Command::Run(run) => run::run(run, state_dir),
        Command::Exec(exec) => exec::exec(exec, &store(options)?),
        Command::Update(update) => update::update(update, &store(options)?),
        Command::Ps(ps) => ps::ps(ps, &store(options)?),
        Command::Logs(logs) => logs::logs(logs, &store(options)?),
        Command::Stop(stop) => stop::stop(stop, &store(options)?),
        Command::Kill(kill) => kill::kill(kill, &store(options)?),
        Command::Rm(rm) => rm::rm(rm, &store(options)?),
        Command::Inspect(inspect) => inspect::inspect(inspect, &store(options)?),
    }
}

/// The store, cleared of what killed monitors have left.
fn store(options: &Options) -> Result<Store, Failure> {
    let store = Store::open(&options.state_dir)?;
    clear_up(&store)?;
    Ok(store)
}

/// Clears up after monitors that were killed, and tells what could not be.
fn clear_up(store: &Store) -> Result<(), Failure> {
    for error in collect::abandoned(store)? {
        tell(&line(&error, None));
    }
    Ok(())
}

/// Does something to each of several containers; a failure does not keep the
/// others from it. The answer is 1 when there was one, as with docker.
fn each(references: &[String], action: &mut dyn FnMut(&str) -> Result<(), Failure>) -> Answer {
    let mut code = 0;
    for reference in references {
        match action(reference) {
            Ok(()) => answer(&format!("{reference}\n"))?,
            Err(failure) => {
                tell(&failure.line);
                code = 1;
            }
        }
    }
    Ok(code)
}
