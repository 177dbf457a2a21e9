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
    /// None of the reports is what `show` looks for; there are this many.
    NoneFound(u64),
    /// A rule of `diff` is broken; the message is out already.
    RuleBroken,
}

impl Failure {
    /// Returns whether the reader of the output has closed it.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Returns `1 line` or `2 lines`.
pub(crate) fn plural(number: u64, of: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {of}{end}")
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
            Self::NoneFound(reports) => {
                let reports = plural(*reports, "report");
                write!(f, "no request is found: looked at {reports}")
            }
            Self::RuleBroken => f.write_str("a rule is broken"),
        }
    }
}
