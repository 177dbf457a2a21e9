//! Why a command did not do what it was to do.

use std::fmt;
use std::io;

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
            Self::Output(name, error) if error.kind() == io::ErrorKind::BrokenPipe => {
                write!(f, "{name}: closed before all was written")
            }
            Self::Input(name, error) | Self::Output(name, error) => write!(f, "{name}: {error}"),
            Self::Impossible(why) => f.write_str(why),
            Self::RuleBroken => f.write_str("a rule is broken"),
        }
    }
}
