//! The lines that allocated in a run with a budget, for the message of a breach.

use std::cell::Cell;
use std::fmt::Write as _;

use alloc_counter::{Counts, Exceeded, Overhead, Owner, Site, SiteLog, SiteRoom, Sites};

use crate::report::site::Function;
use crate::report::{Report, SiteTable};
use crate::store::sites::new_key;
use crate::store::trace::Trace;

/// The most places of a run.
const MOST_SITES: usize = 65_536;
/// Of further allocations in a run there are no lines. So a run takes at most 5 ms more, and a fifth of a second if
/// this is compiled without optimisation.
const SITES: Sites = Sites::first(10_000);

/// The most runs inside one another that a thread records: half of what it can, so that traces and
/// [`alloc::sites`](alloc_counter::sites()) find room inside of them.
const MOST_INSIDE: usize = 32;

thread_local! {
    /// How many runs this thread records.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Records what a run allocates, by places.
///
/// It has a log of its own, so that its sites are those of the run, whatever the current trace records.
#[derive(Debug)]
pub(super) struct RunSites {
    key: u64,
    /// While the run does not record.
    log: Option<SiteLog>,
    /// The thread could not record a part of the run.
    was_refused: bool,
}

impl RunSites {
    /// Whether there is anything to record.
    pub(super) const MAY_RECORD: bool = true;

    pub(super) fn new() -> Self {
        let owner = |_| Owner::Is(0);
        Self {
            key: new_key(),
            log: Some(SiteLog::new(SITES, SiteRoom::new(MOST_SITES), owner)),
            was_refused: false,
        }
    }

    /// Begins to record what this thread allocates, until it [leaves](Self::leave).
    pub(super) fn enter(&mut self) {
        let inside = INSIDE.get();
        if inside < MOST_INSIDE
            && let Some(log) = self.log.take()
        {
            self.log = log.enter(self.key);
        }
        if self.log.is_none() {
            INSIDE.set(inside + 1);
        } else {
            self.was_refused = true;
        }
    }

    /// Stops recording.
    pub(super) fn leave(&mut self) {
        if self.log.is_none() {
            self.log = SiteLog::leave(self.key);
            if self.log.is_some() {
                INSIDE.set(INSIDE.get().saturating_sub(1));
            }
        }
    }

    /// Returns what was recorded until now.
    pub(super) fn take(&mut self) -> Lines {
        self.leave();
        let log = self.log.take();
        Lines {
            was_refused: self.was_refused || log.is_none(),
            not_recorded: log.as_ref().map_or(Counts::ZERO, SiteLog::not_recorded),
            sites: alloc_counter::exclude(|| {
                let sites = log.map(|log| log.sites().map(|(_, site)| site).collect());
                Overhead::new(sites.unwrap_or_default())
            }),
        }
    }
}

impl Drop for RunSites {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Makes a trace that records what [`recorded`] does.
pub(super) fn new_trace() -> Trace {
    Trace::builder().sites(SITES).build()
}

/// Looks up the lines of a report.
pub(super) fn resolved(report: Report) -> Report {
    report.resolved()
}

/// Runs `work`, and returns the lines that allocated.
pub(super) fn recorded<T>(work: impl FnOnce() -> T) -> (T, Lines) {
    let sited = SITES.record(work);
    let lines = Lines {
        was_refused: sited.sites.is_none(),
        not_recorded: sited.not_recorded,
        sites: sited.sites.unwrap_or_default(),
    };
    (sited.value, lines)
}

/// The places that allocated in a run. Their functions and lines are looked up when they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    sites: Overhead<Vec<Site>>,
    not_recorded: Counts,
    was_refused: bool,
}

impl Lines {
    /// Returns a table of the heaviest: by the figure of a broken limit, as far as the function with this name
    /// and file. Each line of the text follows a line's end.
    pub(super) fn shown(&self, exceeded: &Exceeded, function: Option<(&str, &str)>) -> String {
        let mut text = String::new();
        if exceeded.counts().is_none() {
            return text;
        }
        if !self.sites.is_empty() {
            let mut table = SiteTable::new(&self.sites);
            if let Some((name, file)) = function {
                let module = "";
                table = table.within(&Function { name, file, module });
            }
            if exceeded.is_of_allocations() {
                table = table.by_allocates();
            }
            // Writing to a string doesn't fail.
            _ = write!(text, "\nallocated at {}", table.to_string().trim_end());
        }
        if self.was_refused {
            text += "\nlines were not recorded: this thread records too many stretches of code inside one another";
        } else if self.not_recorded != Counts::ZERO {
            _ = write!(
                text,
                "\nand at lines that were not recorded: {}",
                self.not_recorded
            );
        }
        text
    }
}
