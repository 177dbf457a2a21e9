//! The reasons for which a command fails.

use std::fmt;
use std::io::{self, Write as _};

use tracer::report::json;

#[derive(Debug)]
pub(crate) enum Failure {
    /// A file can't be opened or read.
    Input(String, io::Error),
    /// A line of a file is not a report.
    Line(String, json::Error),
    /// A file has no report.
    Empty(String),
    /// The output file exists already.
    Exists(String),
    /// A file, or standard output, can't be written.
    Output(String, io::Error),
    /// The request can't be met with these reports.
    Impossible(String),
    /// A rule of `diff` is broken; the message is out already.
    RuleBroken,
}

impl Failure {
    /// Returns whether the reader of the output has closed it.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Writes a message to standard error, if there is one.
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
