//! What sums need of the report on a line, without making a report of it.

use alloc_counter::Counts;

use crate::report::call_sum::CallSum;
use crate::report::{FoldedReport, Report};

use super::call::CallInJson;
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
}
