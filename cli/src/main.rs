//! `tracer`: what reports say, from files of JSON lines.
//!
//! Exits with 0; with 1 if `diff` finds a rule broken; with 2 if the input or the arguments are bad,
//! and then no file is half written; and quietly with 141, as a shell shows the signal of a closed
//! pipe, if what reads its output has ended.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod destination;
mod failure;
mod input;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Show(arguments) => commands::show::run(&arguments),
        Command::Hotspots(arguments) => commands::hotspots::run(&arguments),
        Command::Flamegraph(arguments) => commands::flamegraph::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Diff(arguments) => commands::diff::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::RuleBroken) => ExitCode::from(1),
        Err(failure) if failure.is_closed_pipe() => ExitCode::from(CLOSED_PIPE),
        Err(failure) => {
            failure::say(&failure);
            ExitCode::from(2)
        }
    }
}

/// 128 and the number of SIGPIPE, with which other programs end.
const CLOSED_PIPE: u8 = 141;
