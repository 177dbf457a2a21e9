//! Reads reports line by line.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::error::Category;

use crate::report::Report;
use crate::report::escape::Escaped;

/// Reports from lines of JSON, read one at a time. It needs the memory of the largest report, and 1 MiB
/// for its line.
///
/// After a line that is not a report, iteration goes on with the next line, so a caller can stop at an
/// error or skip it. Empty lines are skipped, and so is a byte order mark at the beginning of a UTF-8
/// file. An error of the input itself is the last item.
#[derive(Debug)]
pub struct Lines<R> {
    pub(super) input: R,
    /// The line that was read last, or its start.
    pub(super) line: Vec<u8>,
    number: u64,
    is_over: bool,
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Longer lines are parsed while they are read, and are not kept in memory.
const BUFFERED: usize = 1 << 20;

impl<R: BufRead> Lines<R> {
    /// The longest line that is read, 1 GiB, and the longest that is written. A trace at its default
    /// limits takes some 10 MiB.
    pub const MAX_BYTES: usize = 1 << 30;

    /// Reads lines from `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            is_over: false,
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

    /// Reads the next line that is not blank, or its start; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, Problem> {
        loop {
            self.number += 1;
            self.line.clear();
            let mut start = self.input.by_ref().take(BUFFERED as u64);
            let read = start.read_until(b'\n', &mut self.line);
            if read.map_err(Problem::Input)? == 0 {
                return Ok(None);
            }
            let is_all = self.line.len() < BUFFERED || self.line.ends_with(b"\n");
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            let is_blank = self.line.trim_ascii().is_empty();
            if !is_all {
                return Ok(Some(Line::Long { is_blank }));
            }
            if !is_blank {
                return Ok(Some(Line::Whole));
            }
        }
    }

    fn next_report(&mut self) -> Result<Option<Report>, Problem> {
        loop {
            match self.next_line()? {
                None => return Ok(None),
                Some(Line::Whole) => return parse(&self.line).map(Some),
                Some(Line::Long { is_blank }) => {
                    if let Some(report) = self.parse_long(is_blank, false, Self::MAX_BYTES)? {
                        return Ok(Some(report));
                    }
                }
            }
        }
    }

    pub(super) fn next_with<T>(
        &mut self,
        next: impl FnOnce(&mut Self) -> Result<Option<T>, Problem>,
    ) -> Option<Result<T, Error>> {
        if self.is_over {
            return None;
        }
        let next = next(self);
        self.is_over = matches!(next, Ok(None) | Err(Problem::Input(_)));
        let line = self.number;
        next.map_err(|problem| Error { line, problem }).transpose()
    }

    /// Parses a line whose start has been read, or all of it (`is_over`) without its end; `None` if all of it is
    /// blank.
    pub(super) fn parse_long(
        &mut self,
        is_blank: bool,
        is_over: bool,
        most: usize,
    ) -> Result<Option<Report>, Problem> {
        let mut rest = Rest {
            input: &mut self.input,
            bytes: self.line.len(),
            most,
            is_blank,
            is_over,
        };
        let text = io::BufReader::with_capacity(64 << 10, self.line.chain(&mut rest));
        let mut json = serde_json::Deserializer::from_reader(text);
        let parsed = Report::deserialize(&mut json);
        let parsed = parsed.and_then(|report| json.end().map(|()| report));
        let Rest {
            bytes,
            is_blank,
            is_over,
            ..
        } = rest;
        let error = match parsed {
            Ok(report) => return Ok(Some(report)),
            Err(error) => error,
        };
        let category = error.classify();
        if category == Category::Io {
            return Err(Problem::Input(error.into()));
        }
        if !is_over {
            self.pass_over_rest()?;
        }
        match category {
            _ if bytes > most => Err(Problem::TooLong),
            Category::Eof if is_blank => Ok(None),
            Category::Eof => Err(Problem::BreaksOff(bytes)),
            _ => Err(Problem::NotReport(error)),
        }
    }
}

/// A line that was read.
pub(super) enum Line {
    Whole,
    /// Only its start was read.
    Long {
        is_blank: bool,
    },
}

/// The rest of a line.
struct Rest<'a, R> {
    input: &'a mut R,
    /// How many bytes were read, including the start.
    bytes: usize,
    most: usize,
    is_blank: bool,
    /// Whether the end of the line was read.
    is_over: bool,
}

impl<R: BufRead> Read for Rest<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || self.bytes > self.most {
            return Ok(0);
        }
        let there = self.input.fill_buf()?;
        let there = &there[..there.len().min(buffer.len())];
        let end = there.iter().position(|byte| *byte == b'\n');
        let text = &there[..end.unwrap_or(there.len())];
        buffer[..text.len()].copy_from_slice(text);
        self.is_blank = self.is_blank && text.trim_ascii().is_empty();
        self.is_over = end.is_some();
        let length = text.len();
        self.input.consume(length + usize::from(self.is_over));
        self.bytes += length;
        Ok(length)
    }
}

fn parse(line: &[u8]) -> Result<Report, Problem> {
    let text = utf8(line)?;
    match Report::written(text) {
        Some(report) => Ok(report),
        None => parse_any(text),
    }
}

pub(super) fn utf8(line: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(line).map_err(|error| Problem::NotUtf8(error.valid_up_to() + 1))
}

/// Parses a line that anyone may have written.
pub(super) fn parse_any(text: &str) -> Result<Report, Problem> {
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
        self.next_with(Self::next_report)
    }
}

/// Error of [`Lines`]: a line that is not a report, or an input that can't be read. Its message says
/// where, and what was expected.
#[derive(Debug)]
pub struct Error {
    line: u64,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Input(io::Error),
    TooLong,
    /// The line is not UTF-8 at this byte.
    NotUtf8(usize),
    /// The line ends after this many bytes.
    BreaksOff(usize),
    NotReport(serde_json::Error),
}

impl Error {
    /// Returns the number of the line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns `true` if the input could not be read, and `false` if the line is not a report.
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
                let most = Lines::<&[u8]>::MAX_BYTES >> 30;
                write!(f, ": expected a line of at most {most} GiB")
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

/// The most characters of a message that are shown.
const MOST_SHOWN: usize = 300;

/// The message of serde without the place at its end, whose line is always 1.
struct Unplaced<'a>(&'a serde_json::Error);

impl fmt::Display for Unplaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let place = format!(" at line {} column {}", self.0.line(), self.0.column());
        // Cut and escaped, since it may quote the file.
        let text: String = { text.strip_suffix(&place).unwrap_or(&text).chars() }
            .take(MOST_SHOWN)
            .collect();
        Escaped(&text).fmt(f)
    }
}

impl std::error::Error for Error {
    /// Returns the source of the cause: the message contains the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Input(error) => error.source(),
            Problem::NotReport(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_has_a_limit() {
        let text = "x".repeat(3 * BUFFERED);
        let input = format!("{{\"tracer_report\":1,\"more\":\"{text}\nnext\n");
        let input = input.as_bytes();
        for (most, told) in [
            (2 * BUFFERED, "line 1: expected a line of at most 1 GiB"),
            (
                4 * BUFFERED,
                "line 1 breaks off after 3145755 bytes: expected the rest of a report",
            ),
        ] {
            let mut lines = Lines::new(input);
            lines.line = input[..BUFFERED].to_vec();
            lines.input = &input[BUFFERED..];
            let problem = lines.parse_long(false, false, most).unwrap_err();
            assert_eq!(Error { line: 1, problem }.to_string(), told);
            assert_eq!(lines.input, b"next\n");
        }
    }

    #[test]
    fn a_long_blank_line_is_passed_over() {
        let input = [vec![b' '; 2 * BUFFERED], vec![b'\n']].concat();
        assert!(Lines::new(&input[..]).next().is_none());
    }
}
