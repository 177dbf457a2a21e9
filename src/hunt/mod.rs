//! Hunting allocations in a whole program: one line at its start, a table at its end.
//!
//! It imports what makes reports and what shows them. No module imports it.

mod form;

use std::env;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::panic::Location;

use alloc_counter::Sites;

use crate::hotspots::{By, Hotspots};
use crate::report::Report;
use crate::sites::Unresolved;
use crate::store::interned::NewCallsite;
use crate::store::limits::Limits;
use crate::store::trace::Trace;
use crate::write::call::Call;
use crate::write::current::Scope;

use form::{Form, VARIABLE};

/// A program has more sites than a request.
const MOST_SITES: usize = 1 << 16;

/// Guard of a [`hunt`], which ends when this is dropped.
#[derive(Debug)]
#[must_use = "the hunt ends when this is dropped: bind it to a variable, as in `let _hunt = tracer::hunt();`"]
pub struct Hunt {
    form: Form,
    // Dropped in this order.
    call: Option<Call>,
    scope: Option<Scope>,
    trace: Trace,
}

/// Records which functions and lines allocate, from here until the guard is dropped, and shows them on standard
/// error: two lines for a whole program.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: tracer::Counting = tracer::Counting::system();
///
/// fn main() {
///     let _hunt = tracer::hunt();
///     println!("{}", "work".repeat(3));
/// }
/// ```
///
/// It is a trace of its own with [exact sites](Sites::exact), current on this thread, with one call `hunt` around
/// everything. Other threads and tasks are in it if they [carry the trace](crate::in_current_trace). Functions
/// with [`#[traced]`](macro@crate::traced) are in the table, too; in a report they are added up by
/// [path](crate::Report::folded).
///
/// The environment variable `TRACER_HUNT` says what is made of it:
///
/// | `TRACER_HUNT` | |
/// |---|---|
/// | `table`, or not set | a [table](Hotspots::table) on standard error, by allocations |
/// | `json=FILE` | a report for the command `tracer`; so are the other [formats](crate::export::Format), such as `pprof=FILE` |
/// | `flamegraph=FILE` | a flame graph of the allocations, with the feature `flamegraph` |
/// | `off` | nothing is recorded |
///
/// A bad value is named on standard error, and there is a table. If the file can't be written, there is also a table.
/// An existing file is replaced. Nothing is shown if the program ends by [`std::process::exit`], by a signal, or
/// by a panic that aborts.
///
/// Cost: a quarter of a microsecond for each allocation, some 6 if dependencies are not optimised. At the end it reads the program's debug information: see
/// [`Report::resolved`]. For lines, a release build needs `debug = "line-tables-only"` in its profile.
#[track_caller]
pub fn hunt() -> Hunt {
    let form = env::var_os(VARIABLE).map_or(Ok(Form::Table), Form::parse);
    let form = form.unwrap_or_else(|error| {
        say(error);
        Form::Table
    });
    if form == Form::Off {
        return Hunt {
            form,
            call: None,
            scope: None,
            trace: Trace::empty(),
        };
    }
    if !alloc_counter::is_installed() {
        say(
            "nothing is counted: expected `#[global_allocator] static ALLOCATOR: tracer::Counting = \
             tracer::Counting::system();` in the program",
        );
    }
    let place = Location::caller();
    let callsite = NewCallsite {
        name: "hunt",
        file: place.file(),
        line: place.line(),
        ..NewCallsite::default()
    };
    // All calls but this one are added up by their paths, so a site takes one place however many tasks and calls
    // come to it.
    let limits = Limits::default().calls(1).strands(1).sites(MOST_SITES);
    let trace = Trace::builder().limits(limits).sites(Sites::exact());
    let trace = trace.build();
    let scope = trace.inject();
    Hunt {
        form,
        call: Some(Call::open(callsite.intern())),
        scope: Some(scope),
        trace,
    }
}

impl Drop for Hunt {
    fn drop(&mut self) {
        if self.form == Form::Off {
            return;
        }
        self.call = None;
        self.scope = None;
        let report = self.trace.report().resolved();
        if let Err(error) = self.form.write(&report) {
            say(error);
            show(&report);
        } else if self.form == Form::Table {
            show(&report);
        }
    }
}

fn show(report: &Report) {
    let mut hotspots = Hotspots::with_sites();
    hotspots.add(report);
    // Standard error may be closed, which is no reason to panic.
    let table = hotspots.table().by(By::SelfAllocations);
    let _ = write!(io::stderr(), "{table}");
    if let Some(lost) = report
        .sites_not_recorded
        .filter(|lost| lost.allocates() > 0)
    {
        say(format_args!(
            "allocations at places that were not recorded: {}",
            lost.allocates()
        ));
    }
    if let Some(why) = why_without_lines(report) {
        say(format_args!(
            "lines are missing ({why}): set `debug = \"line-tables-only\"` in the profile, and do not strip the program. \
             `tracer symbolize` finds them for `{VARIABLE}=json=FILE` in the file that was not stripped."
        ));
    }
}

/// Returns why there is no line at all, if so.
fn why_without_lines(report: &Report) -> Option<Unresolved> {
    let of_calls = report.calls.iter().flat_map(|call| &call.sites);
    let places = of_calls.flatten().filter_map(|site| site.place());
    let places: Vec<_> = places.collect();
    if places.iter().any(|place| place.line.is_some()) {
        return None;
    }
    places.iter().find_map(|place| place.unresolved)
}

fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "tracer: hunt: {what}");
}
