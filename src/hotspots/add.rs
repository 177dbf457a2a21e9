//! Adding reports, and the lines of files.

#[cfg(feature = "serde")]
use std::io::BufRead;

use alloc_counter::Counts;

use crate::report::call_sum::CallSum;
use crate::report::duration::nanoseconds;
#[cfg(feature = "serde")]
use crate::report::json::{Error, Lines, ToSum};
use crate::report::{FoldedReport, Report};

use super::totals::add_counts;
use super::{Frame, Hotspots};

impl Hotspots {
    /// Adds a report.
    pub fn add(&mut self, report: &Report) {
        let calls = report.calls.iter().map(CallSum::of);
        let folded = self.add_sums(report.total, calls, &report.folded);
        if self.has_sites {
            self.add_sites(report, &folded);
        }
    }

    /// Adds the next report of a file, as [`add`](Self::add) does; `None` at the end.
    ///
    /// Cost: three times faster than to read a [`Report`] and add it, if this crate wrote the line, because nothing is
    /// copied of it. With [sites](Self::with_sites), a report is read; it is not [resolved](Report::resolved).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Lines`]. Nothing is added of a line that is not a report, and the next
    /// one can be added.
    ///
    /// ```
    /// use tracer::hotspots::Hotspots;
    /// use tracer::report::json;
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// call!("load").stop();
    /// drop(scope);
    /// let mut file = Vec::new();
    /// json::write_line(&trace.report(), &mut file)?;
    ///
    /// let mut hotspots = Hotspots::new();
    /// let mut lines = json::Lines::new(&file[..]);
    /// while let Some(added) = hotspots.add_next(&mut lines) {
    ///     added?;
    /// }
    /// assert_eq!(hotspots.reports(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "serde")]
    pub fn add_next<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Option<Result<(), Error>> {
        if self.has_sites {
            let report = lines.next()?;
            return Some(report.map(|report| self.add(&report)));
        }
        lines.next_sums(|next| match next {
            ToSum::Sums(it) => drop(self.add_sums(it.total, it.calls.into_iter(), &it.folded)),
            ToSum::Report(report) => self.add(&report),
        })
    }

    /// Returns the paths of the folded calls.
    fn add_sums<'a>(
        &mut self,
        total: Option<Counts>,
        calls: impl Iterator<Item = CallSum<'a>>,
        folded: &[FoldedReport],
    ) -> Vec<usize> {
        self.reports += 1;
        add_counts(&mut self.counts, total);
        self.places.clear();
        // Children come after their parents, and in order of start.
        for call in calls {
            // The fields are public, so a parent may be any number.
            let parent = call.parent.filter(|parent| *parent < self.places.len());
            let function = self.functions.number(Frame {
                name: &call.name,
                module: &call.module,
                file: &call.file,
                line: call.line,
                is_site: false,
            });
            let around = parent.map(|parent| self.places[parent]);
            let path = self.paths.number(around, function);
            // Not the totals of the outermost calls: what a call did after it moved is not in its parent.
            self.in_calls += call.self_counts.unwrap_or_default();
            self.places.push(path);
            let node = self.paths.get_mut(path);
            node.totals.add_call(&call, node.is_within);
            let function = self.functions.get_mut(function);
            function.totals.add_call(&call, node.is_within);
            function.wall.record(nanoseconds(call.wall));
            if let Some(total) = call.total {
                function.allocates.record(total.allocates());
            }
        }
        self.add_folded(folded)
    }

    /// Returns the paths of the folded calls.
    fn add_folded(&mut self, folded: &[FoldedReport]) -> Vec<usize> {
        let mut folded_paths: Vec<usize> = Vec::with_capacity(folded.len());
        for folded in folded {
            let function = self.functions.number(Frame {
                name: &folded.name,
                module: &folded.module,
                file: &folded.file,
                line: folded.line,
                is_site: false,
            });
            let around = match folded.within {
                Some(within) => folded_paths.get(within),
                None => folded.parent.and_then(|parent| self.places.get(parent)),
            };
            let path = self.paths.number(around.copied(), function);
            self.in_calls += folded.self_counts.unwrap_or_default();
            folded_paths.push(path);
            let node = self.paths.get_mut(path);
            node.totals.add_folded(folded, node.is_within);
            let function = self.functions.get_mut(function);
            function.totals.add_folded(folded, node.is_within);
        }
        folded_paths
    }
}
