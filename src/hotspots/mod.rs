//! Hotspots: many reports, summed by function and by path.
//!
//! Which function allocates, on which path, how much, and is it more than before? [`Hotspots`] sums any
//! number of reports, in memory that grows with the number of distinct paths only. The feature `tables`
//! adds tables, and [`Diff`] with its rules.

mod add;
mod by;
mod functions;
mod paths;
mod sites;
mod spread;
mod totals;

#[cfg(any(feature = "flamegraph", feature = "tables", feature = "web"))]
mod units;

#[cfg(feature = "tables")]
mod grid;

#[cfg(feature = "tables")]
mod table;

#[cfg(all(feature = "serde", any(feature = "tables", feature = "web")))]
pub(crate) mod json;

#[cfg(feature = "tables")]
mod rule;

#[cfg(feature = "tables")]
mod diff;

#[cfg(feature = "tables")]
mod changes;

use std::cmp::Reverse;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::escape::Escaped;
#[cfg(any(feature = "tables", feature = "web"))]
use crate::report::names::Names;

use functions::Functions;
use paths::Paths;
use totals::add_counts;

pub use crate::report::Percentiles;
#[cfg(feature = "flamegraph")]
pub(crate) use by::Unit;
pub use by::{By, UnknownFigure};
#[cfg(feature = "tables")]
pub use changes::Changes;
#[cfg(feature = "tables")]
pub use diff::{Breach, Change, Diff};
#[cfg(feature = "tables")]
pub use rule::{Rule, RuleError};
#[cfg(feature = "tables")]
pub use table::Table;
pub use totals::Totals;

/// Sums of many reports, by function and by path.
///
/// A function is a place in the code that opens calls: name, module, file and line. A path is a
/// sequence of functions, each called by the one before it; it tells one function in two flows apart.
///
/// Cost: some 100 ns for each call added, and memory for each distinct path.
///
/// ```
/// use tracer::hotspots::{By, Hotspots};
/// use tracer::{Counting, Trace, call};
///
/// # #[global_allocator] static A: Counting = Counting::system();
/// let mut hotspots = Hotspots::new();
/// for request in 1..=3 {
///     let trace = Trace::new();
///     let scope = trace.inject();
///     let handle = call!();
///     for _ in 0..request {
///         let _call = call!();
///         std::hint::black_box(vec![0_u8; 100]);
///     }
///     handle.stop();
///     drop(scope);
///     hotspots.add(&trace.report());
/// }
/// let worst = &hotspots.functions(By::SelfBytes)[0];
/// assert_eq!((worst.totals.calls, worst.totals.self_counts.unwrap().bytes_allocated), (6, 600));
/// ```
#[doc(alias = "profile")]
#[derive(Clone, Debug, Default)]
pub struct Hotspots {
    reports: u64,
    counts: Option<Counts>,
    /// Counts of what was done in calls.
    in_calls: Counts,
    functions: Functions,
    paths: Paths,
    /// Whether paths go on into allocation sites.
    has_sites: bool,
    /// The path of each call of the report that is being added; kept to reuse its memory.
    places: Vec<usize>,
}

/// A place in the code that opens calls, or a line that allocates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The function's name, without its path.
    pub name: &'a str,
    /// The path of its module; empty for a line of a method of a generic type, whose `name` is the whole path.
    pub module: &'a str,
    /// Whether this is a line on the way to an [allocation site](Hotspots::with_sites).
    pub is_site: bool,
    /// The source file in which the calls were opened.
    pub file: &'a str,
    /// The line in that file; 0 if it is not known.
    pub line: u32,
}

impl Frame<'_> {
    /// Returns `module::name`, on one line; of a site, `module::name:line`.
    pub(crate) fn qualified(&self) -> String {
        let line = self.site_line();
        match (self.module, self.name) {
            ("", "") => "?".to_owned(),
            ("", name) => format!("{}{line}", Escaped(name)),
            (module, name) => format!("{}::{}{line}", Escaped(module), Escaped(name)),
        }
    }

    /// Returns `:line` of a site, and nothing of a call.
    pub(crate) fn site_line(&self) -> String {
        if self.is_site && self.line > 0 {
            format!(":{}", self.line)
        } else {
            String::new()
        }
    }
}

/// A function and what its calls did, on all paths.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hotspot<'a> {
    /// The function.
    pub frame: Frame<'a>,
    /// Totals of its calls.
    pub totals: &'a Totals,
    /// Distribution of the times from start to stop, without [folded](crate::Report::folded) calls, of which
    /// only sums are known; `None` if all calls were folded.
    pub wall: Option<Percentiles<Duration>>,
    /// Distribution of the requests for memory of a call, calls inside included, without folded calls;
    /// `None` if nothing was counted.
    pub allocates: Option<Percentiles<u64>>,
}

/// A path and what the calls at its end did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Path<'a> {
    /// The function at its end.
    pub frame: Frame<'a>,
    /// The path that leads there: an index into [`Hotspots::paths`], always a smaller one.
    pub parent: Option<usize>,
    /// Number of functions that lead there.
    pub depth: usize,
    /// Totals of the calls.
    pub totals: &'a Totals,
}

impl Hotspots {
    /// Makes hotspots of no reports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes hotspots of no reports whose paths go on below each call, through the functions that its
    /// [allocation sites](crate::CallReport::sites) are in, to the lines that allocated.
    ///
    /// A function of a site is a [`Frame`] with [`is_site`](Frame::is_site). Those of the standard library are left
    /// out. A line has what was allocated there as its own figures, and a call keeps what was allocated at no
    /// recorded site. Estimated figures are estimated here, too. Look up the sites of a report before you add it:
    /// [`Report::resolved`](crate::Report::resolved).
    pub fn with_sites() -> Self {
        Self {
            has_sites: true,
            ..Self::default()
        }
    }

    /// Adds the hotspots of other reports.
    pub fn merge(&mut self, other: &Self) {
        self.reports = self.reports.saturating_add(other.reports);
        add_counts(&mut self.counts, other.counts);
        self.in_calls += other.in_calls;
        let mut numbers = Vec::new();
        for from in other.functions.iter() {
            let number = self.functions.number(from.frame());
            let function = self.functions.get_mut(number);
            function.totals.add(&from.totals);
            function.wall.add(&from.wall);
            function.allocates.add(&from.allocates);
            numbers.push(number);
        }
        let mut paths: Vec<usize> = Vec::new();
        for from in other.paths.iter() {
            let parent = from.parent.map(|parent| paths[parent]);
            let path = self.paths.number(parent, numbers[from.function]);
            self.paths.get_mut(path).totals.add(&from.totals);
            paths.push(path);
        }
    }

    /// Adds requests that were already summed by path: their number and their totals.
    #[cfg(feature = "recorder")]
    pub(crate) fn add_requests(&mut self, requests: u64, counts: Option<Counts>) {
        self.reports = self.reports.saturating_add(requests);
        add_counts(&mut self.counts, counts);
    }

    /// Adds the totals of one path below the path with this number; returns its own number.
    #[cfg(feature = "recorder")]
    pub(crate) fn add_path(
        &mut self,
        parent: Option<usize>,
        frame: Frame<'_>,
        totals: &Totals,
    ) -> usize {
        let function = self.functions.number(frame);
        let path = self.paths.number(parent, function);
        let node = self.paths.get_mut(path);
        let mut totals = totals.clone();
        if parent.is_none() {
            self.in_calls += totals.total.unwrap_or_default();
        }
        if node.is_within {
            // They are in the totals of the call around.
            totals.wall = Duration::ZERO;
            totals.busy = Duration::ZERO;
            totals.total = totals.total.map(|_| Counts::ZERO);
            totals.net_bytes = totals.net_bytes.map(|_| 0);
        }
        node.totals.add(&totals);
        self.functions.get_mut(function).totals.add(&totals);
        path
    }

    /// Returns the number of reports that were added.
    pub fn reports(&self) -> u64 {
        self.reports
    }

    /// Returns the figure of all functions together: the sum, or the highest of peaks.
    #[cfg(feature = "tables")]
    fn whole(&self, by: By) -> u64 {
        match (by, self.counts) {
            (By::Allocations | By::SelfAllocations, counts) => {
                counts.map_or(0, |it| it.allocates())
            }
            (By::Bytes | By::SelfBytes, counts) => counts.map_or(0, |it| it.bytes_allocated),
            _ => {
                let by = by.own().unwrap_or(by);
                let figures = self.functions.iter().map(|it| by.of(&it.totals));
                match by {
                    By::NetBytes => self
                        .counts
                        .map_or(0, |it| it.net_bytes().max(0).cast_unsigned()),
                    By::Peak => figures.max().unwrap_or(0),
                    _ => figures.fold(0, u64::saturating_add),
                }
            }
        }
    }

    /// Returns what the traces allocated and freed, inside and outside calls; `None` if nothing was
    /// counted.
    pub fn counts(&self) -> Option<Counts> {
        self.counts
    }

    /// Returns whether there are reports and nothing was counted in any of them.
    #[cfg(any(feature = "flamegraph", feature = "pprof"))]
    pub(crate) fn is_uncounted(&self) -> bool {
        self.reports > 0 && self.counts.is_none()
    }

    /// Returns what the traces allocated and freed outside calls; `None` if nothing was counted.
    pub fn outside_calls(&self) -> Option<Counts> {
        self.counts
            .map(|counts| counts.saturating_sub(self.in_calls))
    }

    /// Returns the names of the functions.
    #[cfg(any(feature = "tables", feature = "web"))]
    pub(crate) fn names(&self) -> Names<'_> {
        Names::of(self.frames().map(|it| (it.module, it.name)))
    }

    #[cfg(any(feature = "tables", feature = "web"))]
    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.functions.iter().map(|function| function.frame())
    }

    /// Returns the functions, the highest figure first; equal ones by name, module, file and line.
    pub fn functions(&self, by: By) -> Vec<Hotspot<'_>> {
        let functions = self.functions.iter();
        let mut functions: Vec<_> = functions
            .map(|function| Hotspot {
                frame: function.frame(),
                totals: &function.totals,
                wall: function
                    .wall
                    .percentiles()
                    .map(|wall| wall.map(Duration::from_nanos)),
                allocates: function.allocates.percentiles(),
            })
            .collect();
        functions.sort_by_key(|it| (Reverse(by.of(it.totals)), it.frame));
        functions
    }

    /// Returns the paths as a tree, depth first: each after the path that leads to it, siblings by name,
    /// module, file and line.
    pub fn paths(&self) -> Vec<Path<'_>> {
        let frame = |number: usize| {
            let node = self.paths.get(number);
            self.functions.get(node.function).frame()
        };
        let mut sequence: Vec<usize> = (0..self.paths.len()).collect();
        sequence.sort_by_cached_key(|number| Reverse(frame(*number)));
        let mut inside: Vec<Vec<usize>> = vec![Vec::new(); self.paths.len()];
        let mut next: Vec<(usize, Option<usize>, usize)> = Vec::new();
        for number in sequence {
            match self.paths.get(number).parent {
                Some(parent) => inside[parent].push(number),
                None => next.push((number, None, 0)),
            }
        }
        let mut paths = Vec::with_capacity(self.paths.len());
        while let Some((number, parent, depth)) = next.pop() {
            let place = paths.len();
            let children = inside[number].iter();
            next.extend(children.map(|child| (*child, Some(place), depth + 1)));
            paths.push(Path {
                frame: frame(number),
                parent,
                depth,
                totals: &self.paths.get(number).totals,
            });
        }
        paths
    }
}
