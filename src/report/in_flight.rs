//! Traces in flight, as plain data.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

use crate::report::duration::push_exactly;
use crate::report::{CallReport, Outcome, Report, text};
use crate::store::ids::TraceId;
use crate::store::trace::Trace;

/// Trace in flight, as returned by [`in_flight`].
///
/// `Display` is a line for the trace and one for each open call, as in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// The [trace's number](Trace::id).
    pub trace: u64,
    /// The [id](Trace::trace_id) by which all services know the trace.
    pub trace_id: Option<TraceId>,
    /// When the trace began.
    pub started: SystemTime,
    /// Time since then.
    pub age: Duration,
    /// What the trace has allocated and freed until now; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The open calls, in order of start; [`parent`](CallReport::parent) is an index into this list.
    pub open: Vec<CallReport>,
}

/// Returns the traces in flight in this process, the oldest first: those with a scope that is not
/// dropped, or an instrumented future that is neither ready nor dropped.
///
/// May be called on any thread at any time, and stops no other thread. Open calls beyond a trace's
/// [limits](crate::Limits) are in its total, but not in [`InFlight::open`]. Cost: a report of each trace
/// in flight; nothing while it is not called.
///
/// ```
/// use tracer::{Trace, call, in_flight};
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// let call = call!("ca7a87c4");
/// let [now] = &in_flight()[..] else { panic!() };
/// assert_eq!((now.trace, now.open[0].id.as_deref()), (trace.id(), Some("ca7a87c4")));
/// drop(call);
/// drop(scope);
/// assert!(in_flight().is_empty());
/// ```
pub fn in_flight() -> Vec<InFlight> {
    let mut in_flight: Vec<_> = Trace::all_in_flight()
        .map(|trace| {
            let report = trace.report();
            // Read last, so that no call in the report is older than its trace.
            (trace.started(), InFlight::of(trace.age(), report))
        })
        .collect();
    in_flight.sort_by_key(|(started, it)| (*started, it.trace));
    in_flight.into_iter().map(|(_, it)| it).collect()
}

impl InFlight {
    pub(crate) fn of(age: Duration, report: Report) -> Self {
        let mut places = vec![None; report.calls.len()];
        let mut open: Vec<CallReport> = Vec::new();
        for (index, mut call) in report.calls.into_iter().enumerate() {
            // If the call around has stopped, the nearest open one around that.
            let around = call.parent.and_then(|parent| places[parent]);
            if call.outcome == Outcome::Running {
                call.parent = around;
                places[index] = Some(open.len());
                open.push(call);
            } else {
                places[index] = around;
            }
        }
        Self {
            trace: report.trace,
            trace_id: report.trace_id,
            started: report.started,
            age,
            total: report.total,
            open,
        }
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("trace {}", self.trace);
        if let Some(id) = self.trace_id {
            // Writing to a string can't fail.
            let _ = write!(text, " {id}");
        }
        text.push_str(": ");
        push_exactly(self.age, &mut text);
        text.push_str(" running");
        text::push_allocates(self.total.as_ref(), &mut text);
        for call in &self.open {
            text::push_call(call, &mut text);
        }
        f.write_str(&text)
    }
}
