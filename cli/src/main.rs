//! `tracer`: shows and compares reports, from files of JSON lines.
//!
//! Exits with 0; with 1 if `diff` finds a rule broken, or `show` nothing that was looked for; with 2 if the
//! input or the arguments are bad, and then no file is half written. If the reader of its output has ended,
//! it exits silently with 141, as a shell shows the signal of a closed pipe.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod destination;
mod failure;
mod input;
mod output;
#[cfg(feature = "top")]
mod top;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    let Arguments { command } = Arguments::of_process();
    let done = match command {
        Command::Show(arguments) => commands::show::run(&arguments),
        Command::Hotspots(arguments) => commands::hotspots::run(&arguments),
        Command::Flamegraph(arguments) => commands::flamegraph::run(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Diff(arguments) => commands::diff::run(&arguments),
        Command::Symbolize(arguments) => commands::symbolize::run(&arguments),
        #[cfg(feature = "top")]
        Command::Top(arguments) => commands::top::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::RuleBroken) => ExitCode::from(1),
        Err(failure) if failure.is_closed_pipe() => ExitCode::from(CLOSED_PIPE),
        Err(failure) => {
            failure::say(&failure);
            let is_none_found = matches!(failure, Failure::NoneFound(_));
            ExitCode::from(if is_none_found { 1 } else { 2 })
        }
    }
}

/// 128 plus the number of SIGPIPE, the status of other programs that end by it.
const CLOSED_PIPE: u8 = 141;
