//! `tracer`: what reports say, from files of JSON lines.
//!
//! Exits with 0; with 1 where `diff` finds a rule broken; with 2 where the input or the arguments are
//! bad, and then nothing is half written.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
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
        Err(failure) => {
            eprintln!("tracer: {failure}");
            ExitCode::from(2)
        }
    }
}
