//! Reads reports line by line.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde_json::error::Category;

use crate::report::Report;
use crate::report::escape::Escaped;

/// Reports from lines of JSON, read one at a time: the memory needed is that of the longest line.
///
/// After a line that is none, the next one is read: who wants to stop stops, who wants to pass over
/// it goes on. Empty lines are passed over, and so is the mark of byte order with which some
/// programs begin a file of UTF-8. An error of the input itself is the last item.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    is_over: bool,
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl<R: BufRead> Lines<R> {
    /// The longest line that is read. A trace at its default limits takes some 10 MiB.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Of what is read from `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            is_over: false,
        }
    }

    /// Reads the next line; `false` where there is none.
    fn read(&mut self) -> Result<bool, Problem> {
        self.line.clear();
        let limit = Self::MAX_BYTES as u64 + 1;
        let read = self
            .input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line);
        match read.map_err(Problem::Input)? {
            0 => Ok(false),
            _ if self.line.len() <= Self::MAX_BYTES || self.line.ends_with(b"\n") => Ok(true),
            _ => {
                self.pass_over_rest()?;
                Err(Problem::TooLong)
            }
        }
    }

    fn pass_over_rest(&mut self) -> Result<(), Problem> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Problem::Input(error)),
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = buffer.len();
            self.input.consume(end.map_or(length, |end| end + 1));
            if end.is_some() || length == 0 {
                return Ok(());
            }
        }
    }

    fn next_report(&mut self) -> Result<Option<Report>, Problem> {
        loop {
            self.number += 1;
            if !self.read()? {
                return Ok(None);
            }
            let line = match self.line.strip_prefix(BYTE_ORDER_MARK) {
                Some(line) if self.number == 1 => line,
                _ => &self.line,
            };
            if !line.trim_ascii().is_empty() {
                return parse(line).map(Some);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Report, Problem> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return Err(Problem::NotUtf8(error.valid_up_to() + 1)),
    };
    serde_json::from_str(text).map_err(|error| {
        if error.classify() == Category::Eof {
            Problem::BreaksOff(text.trim_end().len())
        } else {
            Problem::NotReport(error)
        }
    })
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Report, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_report();
        self.is_over = matches!(next, Ok(None) | Err(Problem::Input(_)));
        let line = self.number;
        next.map_err(|problem| Error { line, problem }).transpose()
    }
}

/// A line that is no report, or an input that can't be read. Says where, and what was expected.
#[derive(Debug)]
pub struct Error {
    line: u64,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Input(io::Error),
    TooLong,
    /// At this byte.
    NotUtf8(usize),
    /// After so many bytes.
    BreaksOff(usize),
    NotReport(serde_json::Error),
}

impl Error {
    /// The number of the line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the input could not be read, rather than that the line is no report.
    pub fn is_io(&self) -> bool {
        matches!(self.problem, Problem::Input(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match &self.problem {
            Problem::Input(error) => write!(f, ": {error}"),
            Problem::TooLong => {
                let most = Lines::<&[u8]>::MAX_BYTES >> 20;
                write!(f, ": expected a line of at most {most} MiB")
            }
            Problem::NotUtf8(byte) => write!(f, ", byte {byte}: expected UTF-8"),
            Problem::BreaksOff(bytes) => {
                write!(
                    f,
                    " breaks off after {bytes} bytes: expected the rest of a report"
                )
            }
            Problem::NotReport(error) => {
                if error.column() > 0 {
                    write!(f, ", column {}", error.column())?;
                }
                let kind = match error.classify() {
                    Category::Data => "not a report of version 1",
                    _ => "not JSON",
                };
                write!(f, ": {kind}: {}", Unplaced(error))
            }
        }
    }
}

/// Characters of a message.
const MOST_SHOWN: usize = 300;

/// What serde says, without the place that it puts behind, whose line is always 1.
struct Unplaced<'a>(&'a serde_json::Error);

impl fmt::Display for Unplaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let place = format!(" at line {} column {}", self.0.line(), self.0.column());
        // It may quote what was in the file.
        let text: String = { text.strip_suffix(&place).unwrap_or(&text).chars() }
            .take(MOST_SHOWN)
            .collect();
        Escaped(&text).fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Input(error) => Some(error),
            Problem::NotReport(error) => Some(error),
            _ => None,
        }
    }
}
