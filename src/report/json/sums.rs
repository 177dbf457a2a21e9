//! What sums need of the report on a line, without making a report of it.

use std::io::{BufRead, Read};

use alloc_counter::Counts;

use crate::report::call_sum::CallSum;
use crate::report::{FoldedReport, Report};

use super::call::CallInJson;
use super::lines::{Error, Line, Lines, Problem, parse_any, utf8};
use super::list::Part;
use super::report::{ReportInJson, check_indexes};
use super::written::Written;

/// What a line has for sums.
#[derive(Debug)]
pub(crate) enum ToSum<'a> {
    Sums(Sums<'a>),
    /// Another program wrote it, or it is very long.
    Report(Box<Report>),
}

/// A report without what is not added up. Its texts are those of the line.
#[derive(Debug)]
pub(crate) struct Sums<'a> {
    pub(crate) total: Option<Counts>,
    pub(crate) calls: Vec<CallSum<'a>>,
    pub(crate) folded: Vec<FoldedReport>,
}

impl<'a> Sums<'a> {
    /// Reads the report on a line that this crate wrote; `None` if another one wrote it, or if it is not a report of
    /// the present version.
    pub(super) fn written(line: &'a str) -> Option<Self> {
        let mut line = Written::new(line);
        let (report, calls, folded) =
            ReportInJson::written(&mut line, CallInJson::into_sum, FoldedReport::from_json)?;
        let parents = calls.iter().map(|call| call.parent);
        check_indexes(parents, &folded).ok()?;
        Some(Self {
            total: report.into_total(),
            calls,
            folded,
        })
    }

    /// Returns whether the start of a long line is that of a report that this crate wrote, at least for its first half:
    /// the end may be in the middle of anything.
    fn begin(start: &[u8]) -> bool {
        let start = { start.utf8_chunks().next() }.map_or("", |chunk| chunk.valid());
        let mut line = Written::new(start);
        let _ = ReportInJson::written(&mut line, |_| Some(()), |_| ());
        line.left() < start.len() / 2
    }
}

/// Longer lines are never in memory as a whole. A shorter one with its sums takes less than a report, and is only read
/// whole if it begins as a report.
const MOST_WHOLE: usize = 16 << 20;

impl<R: BufRead> Lines<R> {
    /// Hands the next report to `add`, as sums if that is possible; `None` at the end.
    pub(crate) fn next_sums(&mut self, add: impl FnOnce(ToSum<'_>)) -> Option<Result<(), Error>> {
        self.next_with(|lines| {
            loop {
                let (is_blank, is_over) = match lines.next_line()? {
                    None => return Ok(None),
                    Some(Line::Whole) => {
                        let text = utf8(&lines.line)?;
                        add(match Sums::written(text) {
                            Some(sums) => ToSum::Sums(sums),
                            None => ToSum::Report(Box::new(parse_any(text)?)),
                        });
                        return Ok(Some(()));
                    }
                    Some(Line::Long { is_blank }) => (is_blank, lines.read_whole()?),
                };
                if is_over {
                    let text = std::str::from_utf8(&lines.line);
                    if let Some(sums) = text.ok().and_then(Sums::written) {
                        add(ToSum::Sums(sums));
                        return Ok(Some(()));
                    }
                }
                if let Some(report) = lines.parse_long(is_blank, is_over, Self::MAX_BYTES)? {
                    add(ToSum::Report(Box::new(report)));
                    return Ok(Some(()));
                }
            }
        })
    }

    /// Reads the rest of a long line, if it is worth it. Returns whether there is no more of it.
    fn read_whole(&mut self) -> Result<bool, Problem> {
        if !Sums::begin(&self.line) {
            return Ok(false);
        }
        let more = MOST_WHOLE.saturating_sub(self.line.len());
        let mut rest = self.input.by_ref().take(more as u64);
        let read = rest.read_until(b'\n', &mut self.line);
        read.map_err(Problem::Input)?;
        Ok(self.line.pop_if(|last| *last == b'\n').is_some())
    }
}
