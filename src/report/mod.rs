//! Reports: what a trace recorded, as plain data.

mod assemble;
#[cfg(feature = "hotspots")]
pub(crate) mod call_sum;
mod digits;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod in_flight;
#[cfg(feature = "serde")]
pub mod json;
#[cfg(any(feature = "search", feature = "sentry"))]
pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod outline;
mod percentiles;
mod request;
pub(crate) mod self_time;
pub(crate) mod site;
#[cfg(feature = "sites")]
mod site_table;
pub(crate) mod text;
pub(crate) mod together;
mod trace;
pub(crate) mod tree;
pub(crate) mod units;
mod within;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

use crate::store::ids::{SpanId, TraceId};
#[cfg(doc)]
use crate::store::trace::Trace;

pub use crate::store::checkpoint_name::CheckpointName;
pub use percentiles::Percentiles;
#[cfg(feature = "web")]
pub(crate) use request::NOTABLE_BYTES;
pub use request::{Compared, Request};
pub use site::SiteReport;
#[cfg(feature = "sites")]
pub use site_table::SiteTable;
pub use tree::Tree;

/// What a trace had recorded at one moment, as plain data.
///
/// Independent of the trace. `Display` is a line for each call, in order of start; `{:#}` is a
/// [tree](Report::tree), in which calls that repeat are one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The request, if a `Recorder` kept the report.
    pub request: Option<Box<Request>>,
    /// The [trace's number](Trace::id); 0 for the report of an empty trace.
    pub trace: u64,
    /// The [id](Trace::trace_id) by which all services know the trace; `None` for an empty trace, and in files of
    /// earlier versions.
    pub trace_id: Option<TraceId>,
    /// The id of the request itself, around its outermost calls, within [`trace_id`](Self::trace_id).
    pub span_id: Option<SpanId>,
    /// The id of the call, in the service that called this one, from which the request came; `None` if it came
    /// without one.
    pub parent_span: Option<SpanId>,
    /// What other services noted in the caller's header `tracestate`; `None` if there was nothing.
    pub tracestate: Option<String>,
    /// When the trace began, computed from the wall clock at the time of the report.
    pub started: SystemTime,
    /// Time from the trace's beginning to the end of its last call, or to the report if a call is still
    /// running.
    pub elapsed: Duration,
    /// How many times the trace grew beyond the capacity that it was given.
    pub grown: u64,
    /// Number of checkpoints, messages, calls, scopes and futures that were not recorded, because the
    /// trace or the process had no room for more. The totals of the calls around are exact, except for
    /// what those scopes and futures did.
    pub dropped: u64,
    /// Memory of the trace's records, in bytes: whole pages of 4,096 bytes, which other traces reuse.
    pub memory_bytes: u64,
    /// What all strands of the trace allocated and freed, inside and outside calls; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed. Its [`net_bytes`](Counts::net_bytes) are what the
    /// request keeps.
    pub total: Option<Counts>,
    /// What the subscriber of `tracing` allocated and freed while it was told of the trace's spans and
    /// events, which is not in [`total`](Self::total). `None` if the subscriber is not wrapped by
    /// `tracing::subscriber`, if it was told of nothing, if this is a part of a trace, or if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub subscriber: Option<Counts>,
    /// The calls, in order of start; a call comes after the one in which it was opened.
    pub calls: Vec<CallReport>,
    /// Calls beyond the trace's [limits](crate::Limits), summed by path; a path comes after the one around
    /// it.
    pub folded: Vec<FoldedReport>,
    /// The allocation sites outside of all calls, as in [`CallReport::sites`].
    pub sites: Option<Vec<SiteReport>>,
    /// What was allocated at sites that were not recorded: those beyond the trace's
    /// [limit](crate::Limits::sites). `None` if the trace records no sites, or no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub sites_not_recorded: Option<Counts>,
}

/// Sum of the folded calls of one path: see [`Report::folded`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoldedReport {
    /// The function's name, without its path.
    pub name: Cow<'static, str>,
    /// The path of its module.
    pub module: Cow<'static, str>,
    /// The source file in which the calls were opened.
    pub file: Cow<'static, str>,
    /// The line in that file.
    pub line: u32,
    /// The nearest call around them that was recorded, as an index into [`Report::calls`].
    pub parent: Option<usize>,
    /// The folded calls in which they were opened, as an index into [`Report::folded`]; `None` if
    /// they were opened in [`parent`](Self::parent) itself.
    pub within: Option<usize>,
    /// Number of calls, including those that are running.
    pub calls: u64,
    /// Number of calls that had not stopped when the report was taken. What they did until then is in the
    /// other figures.
    pub running: u64,
    /// Number of calls that failed or panicked.
    pub failures: u64,
    /// Number of calls that were cancelled.
    pub cancelled: u64,
    /// Sum of their times from start to stop.
    pub wall: Duration,
    /// The part of [`wall`](Self::wall) in which no folded call inside was open on the same strand.
    pub self_wall: Duration,
    /// The part of [`wall`](Self::wall) in which they were polled.
    pub busy: Duration,
    /// [`busy`](Self::busy) less that of the calls inside, on the same strand.
    pub self_busy: Duration,
    /// What they allocated and freed, including calls inside and spawned strands; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The part of [`total`](Self::total) that was not in calls inside ("self").
    pub self_counts: Option<Counts>,
    /// Whether one of them [moved](CallReport::moved) into another call than the one in which it was
    /// opened.
    pub moved: bool,
    /// Whether some figure is not exact: a call is running, or for the reasons of
    /// [`CallReport::partial`].
    pub partial: bool,
    /// The places where they allocated, as in [`CallReport::sites`].
    pub sites: Option<Vec<SiteReport>>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallReport {
    /// The function's name, without its path.
    pub name: Cow<'static, str>,
    /// The path of its module.
    pub module: Cow<'static, str>,
    /// The source file in which the call was opened.
    pub file: Cow<'static, str>,
    /// The line in that file.
    pub line: u32,
    /// The id given to [`call!`](crate::call!).
    pub id: Option<String>,
    /// The labels given to [`call!`](crate::call!), with their values.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The call in which this one was opened, or from which its strand was spawned, as an index
    /// into [`Report::calls`].
    pub parent: Option<usize>,
    /// The call's id within [`Report::trace_id`]; `None` in files of earlier versions. Services that were called
    /// in it know it as their [`parent_span`](Report::parent_span).
    pub span_id: Option<SpanId>,
    /// The number, within the trace, of the line of execution in which the call was opened: an
    /// injected scope or an instrumented future, in the order in which they were made, from 0.
    pub strand: u32,
    /// The thread on which the call began.
    pub thread: Thread,
    /// Time from the trace's beginning to the call's start.
    pub start: Duration,
    /// Time from the call's start to its stop, or to the report if it is running.
    pub wall: Duration,
    /// The part of [`wall`](Self::wall) in which the call's task was polled. For a call of a thread's scope,
    /// all of it, except while another scope of the same trace was entered on the thread.
    pub busy: Duration,
    /// The part of [`wall`](Self::wall) in which no call inside was open, on this strand or on spawned
    /// ones; see [`partial`](Self::partial) for spawned calls that were folded.
    pub self_wall: Duration,
    /// [`busy`](Self::busy) less that of the calls inside, on the same strand.
    pub self_busy: Duration,
    /// What the call allocated and freed, including calls inside and spawned strands; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed. Its [`net_bytes`](Counts::net_bytes) are what the
    /// call keeps, or returns.
    pub total: Option<Counts>,
    /// The part of [`total`](Self::total) that was not in calls inside ("self").
    pub self_counts: Option<Counts>,
    /// Highest live bytes above those at the call's start, on its own strand. A call that first frees
    /// older memory may have a lower peak than a call inside. `None` if nothing is counted, and if the peak
    /// is not known because scopes on the strand's thread were not dropped in the reverse order of their
    /// creation.
    pub peak_bytes: Option<u64>,
    /// How the call ended.
    pub outcome: Outcome,
    /// Comparison of all calls on this call's path in this request with what is usual. Set on the first
    /// call of each path, if a `Recorder` kept the report.
    pub compared: Option<Box<Compared>>,
    /// Whether the call moved into another call than the one in which it was opened, because that one
    /// stopped or its future was polled elsewhere. What it did there is in the figures of that other call
    /// and not in its parent's, so it may have more than its parent.
    pub moved: bool,
    /// Whether some figure is not exact, for one of these reasons:
    ///
    /// - The call was stopped on a thread that did not run its strand, or while its thread ended: its
    ///   allocations are those known shortly before.
    /// - Strands spawned from it had folded calls: their time is in its self time, because the overlap is
    ///   not known.
    /// - A folded call inside may have overlapped a recorded one, as branches of a `select!` do: the time
    ///   of both is subtracted from its self time.
    pub partial: bool,
    /// The checkpoints, in order of time.
    pub checkpoints: Vec<CheckpointReport>,
    /// The places in the code that allocated in this call and in no call inside, the heaviest first. Exact ones
    /// sum to [`self_counts`](Self::self_counts), if [all were recorded](Report::sites_not_recorded).
    ///
    /// `None` if the trace [records no sites](crate::TraceBuilder), if another thread recorded sites of the
    /// call's strand when the report was taken (exact ones while it ran, those of a sample from the first one
    /// on), or if no [`Counting`](crate::Counting) allocator is installed.
    pub sites: Option<Vec<SiteReport>>,
}

/// Named moment inside a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The name given to [`checkpoint`](crate::Call::checkpoint).
    pub name: CheckpointName,
    /// Time from the call's start to the checkpoint.
    pub at: Duration,
    /// Time since the previous checkpoint; for the first, since the call's start.
    pub wall: Duration,
    /// What the call allocated and freed in that time, including calls inside but not spawned strands;
    /// `None` if no [`Counting`](crate::Counting) allocator is installed.
    pub counts: Option<Counts>,
}

/// Thread on which a call began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// The thread's number, in the order in which threads first recorded, from 1.
    pub number: u32,
    /// The thread's name, if it has one.
    pub name: Option<Cow<'static, str>>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call stopped.
    Ok,
    /// The call stopped after it was [marked as failed](crate::Call::fail), with this message.
    Failed(String),
    /// A panic unwound through the call. A panic that is raised and caught inside a destructor, while
    /// another panic unwinds, is not seen: a call that it unwinds through is [`Ok`](Self::Ok).
    Panicked,
    /// The call's future was dropped before it was ready. Not a failure: all branches of a `select!` but
    /// one end this way.
    Cancelled,
    /// The call had not stopped when the report was taken.
    Running,
}

impl Outcome {
    /// Returns whether it is [`Failed`](Self::Failed) or [`Panicked`](Self::Panicked).
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Panicked => true,
            Self::Ok | Self::Cancelled | Self::Running => false,
        }
    }
}

/// Outcome of folded calls of which some failed; their messages are not kept.
static FAILED: Outcome = Outcome::Failed(String::new());

impl Report {
    /// Returns the name of the request's route; an empty one of a report without a request.
    #[cfg(feature = "search")]
    pub(crate) fn name(&self) -> &str {
        self.request.as_ref().map_or("", |it| &it.name)
    }

    /// Returns the time of the request, or, without one, that to the end of the last call.
    #[cfg(feature = "search")]
    pub(crate) fn wall(&self) -> Duration {
        self.request.as_ref().map_or(self.elapsed, |it| it.wall)
    }

    /// Returns the bytes that the trace allocated; 0 if nothing was counted.
    #[cfg(feature = "web")]
    pub(crate) fn bytes_allocated(&self) -> u64 {
        self.total.map_or(0, |total| total.bytes_allocated)
    }

    /// Returns how the request ended: the outcome that its recorder has, or, without
    /// [`request`](Self::request), that of the outermost calls.
    ///
    /// An outermost call that panicked decides, else one that failed, else one that is running. The request
    /// is cancelled only if all outermost calls were: a dropped branch of a `select!` does not decide.
    /// Neither does a call inside another one, which may have handled the error.
    ///
    /// ```
    /// use tracer::{Outcome, Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// let handle = call!("handle");
    /// call!("first try").fail("connection reset");
    /// call!("second try").stop();
    /// handle.stop();
    /// drop(scope);
    /// assert_eq!(trace.report().outcome(), &Outcome::Ok);
    /// ```
    pub fn outcome(&self) -> &Outcome {
        if let Some(request) = &self.request {
            return &request.outcome;
        }
        let calls = || { self.calls.iter() }.filter(|call| call.parent.is_none());
        let is_outermost = |it: &&FoldedReport| it.parent.is_none() && it.within.is_none();
        let folded = || self.folded.iter().filter(is_outermost);
        let panicked = calls().find(|call| call.outcome == Outcome::Panicked);
        if let Some(call) = panicked.or_else(|| calls().find(|it| it.outcome.is_failure())) {
            return &call.outcome;
        }
        if folded().any(|folded| folded.failures > 0) {
            return &FAILED;
        }
        let is_any = calls().next().is_some() || folded().next().is_some();
        let is_running = calls().any(|call| call.outcome == Outcome::Running);
        if is_running || folded().any(|folded| folded.running > 0) {
            &Outcome::Running
        } else if is_any
            && calls().all(|call| call.outcome == Outcome::Cancelled)
            && folded().all(|folded| folded.cancelled == folded.calls)
        {
            &Outcome::Cancelled
        } else {
            &Outcome::Ok
        }
    }

    /// Returns the report as an aligned tree, for people.
    pub fn tree(&self) -> Tree<'_> {
        Tree::of(self)
    }
}

/// Displays a line for each call; with `#`, the tree.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            self.tree().fmt(f)
        } else {
            f.write_str(&text::lines(self))
        }
    }
}
