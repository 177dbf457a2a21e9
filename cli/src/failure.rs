//! Why a command did not do what it was to do.

use std::fmt;
use std::io::{self, Write as _};

use tracer::report::json;

#[derive(Debug)]
pub(crate) enum Failure {
    /// A file can't be opened or read.
    Input(String, io::Error),
    /// A line of a file is no report.
    Line(String, json::Error),
    /// A file has no report.
    Empty(String),
    /// What is to be written is there already.
    Exists(String),
    /// A file, or standard output, can't be written.
    Output(String, io::Error),
    /// What was asked for can't be done with these reports.
    Impossible(String),
    /// `diff` has said which.
    RuleBroken,
}

impl Failure {
    /// What reads the output has all that it wants.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Says something on standard error, if there is one.
pub(crate) fn say(what: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "tracer: {what}");
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(name, error) => write!(f, "{name}: {error}"),
            Self::Empty(name) => {
                write!(f, "{name}: no reports: expected a line of JSON for each")
            }
            Self::Exists(name) => {
                write!(
                    f,
                    "{name}: it exists: expected a new file, or --force to replace it"
                )
            }
            Self::Input(name, error) | Self::Output(name, error) => write!(f, "{name}: {error}"),
            Self::Impossible(why) => f.write_str(why),
            Self::RuleBroken => f.write_str("a rule is broken"),
        }
    }
}
