//! Reports: what a trace recorded, as plain data.

mod assemble;
#[cfg(feature = "chrome")]
pub mod chrome;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod in_flight;
#[cfg(feature = "serde")]
pub mod json;
pub(crate) mod names;
mod percentiles;
mod request;
pub(crate) mod self_time;
pub(crate) mod text;
mod trace;
mod tree;
pub(crate) mod units;
mod within;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

#[cfg(doc)]
use crate::store::trace::Trace;

pub use percentiles::Percentiles;
pub use request::{Compared, Request};
pub use tree::Tree;

/// What a trace had recorded when the report was taken.
///
/// Plain data, independent of the trace. `Display` is a line for each call, in order of start;
/// `{:#}` is a [tree](Report::tree).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The request that it is of, where a `Recorder` kept it.
    pub request: Option<Box<Request>>,
    /// The [trace's number](Trace::id); 0 for the report of an empty trace.
    pub trace: u64,
    /// When the trace began, reckoned back from the time of the report.
    pub started: SystemTime,
    /// From the trace's beginning to the end of its last call, or to the report where a call is
    /// still running.
    pub elapsed: Duration,
    /// How often the trace had to grow beyond the capacity that it was given.
    pub grown: u64,
    /// Checkpoints, messages, calls, scopes and futures of which nothing is known, because the trace or
    /// the process had no room for more. The totals of the calls around are exact, except for what those
    /// scopes and futures did.
    pub dropped: u64,
    /// What the trace's records take: whole pages of 4,096 bytes, which other traces use again.
    pub memory_bytes: u64,
    /// What all strands of the trace allocated and freed, in calls and outside; `None` where no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The calls, in order of start; a call stands after the one in which it was opened.
    pub calls: Vec<CallReport>,
    /// Calls beyond the trace's [limits](crate::Limits), added up by path; a path stands after the
    /// one around it.
    pub folded: Vec<FoldedReport>,
}

/// What several calls of one path did together: see [`Report::folded`].
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
    /// How many calls there were, those that are running included.
    pub calls: u64,
    /// How many of them had not stopped when the report was taken. Their figures until then are in
    /// the others.
    pub running: u64,
    /// How many of them failed or panicked.
    pub failures: u64,
    /// How many of them were cancelled.
    pub cancelled: u64,
    /// Their times from start to stop, together.
    pub wall: Duration,
    /// The part of that in which no folded call inside was open on the same strand.
    pub self_wall: Duration,
    /// The part of their times in which they were polled.
    pub busy: Duration,
    /// [`busy`](Self::busy) less that of the calls inside, on the same strand.
    pub self_busy: Duration,
    /// What they allocated and freed, calls inside and spawned strands included; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The part of that which was not in calls inside ("self").
    pub self_counts: Option<Counts>,
    /// One of them [went on](CallReport::moved) within another than the one in which it was opened.
    pub moved: bool,
    /// Some figure is not known to the last: a call is running, or see [`CallReport::partial`].
    pub partial: bool,
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
    /// The number, within the trace, of the line of execution in which the call was opened: an
    /// injected scope or an instrumented future, in the order in which they were made, from 0.
    pub strand: u32,
    /// The thread on which the call began.
    pub thread: Thread,
    /// From the trace's beginning to the call's start.
    pub start: Duration,
    /// From the call's start to its stop, or to the report where it is running.
    pub wall: Duration,
    /// The part of that in which the call's task was being polled. For a thread's scope it is the
    /// whole, less what a scope of the same trace on the same thread took over.
    pub busy: Duration,
    /// The part of [`wall`](Self::wall) in which no call inside was open, on this strand or on one
    /// spawned; see [`partial`](Self::partial) for spawned calls that were folded.
    pub self_wall: Duration,
    /// [`busy`](Self::busy) less that of the calls inside, on the same strand.
    pub self_busy: Duration,
    /// What the call allocated and freed, calls inside and spawned strands included; `None` where
    /// no [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The same without the calls inside ("self").
    pub self_counts: Option<Counts>,
    /// The highest point of live bytes above those at the call's start, on its own strand. A call
    /// that first frees what was there before it may have a lower one than a call inside. `None`
    /// also where it is not known, because scopes on the strand's thread were dropped in another
    /// order than that of nesting.
    pub peak_bytes: Option<u64>,
    /// How the call ended.
    pub outcome: Outcome,
    /// What all calls on this one's path did in this request, beside what they usually do, on the
    /// first of them, where a `Recorder` kept the report.
    pub compared: Option<Box<Compared>>,
    /// The call went on within another than the one in which it was opened, after that one had
    /// stopped or because its future was polled elsewhere. What it did there is in the other's
    /// figures and not in those of its parent, so it may have more than its parent.
    pub moved: bool,
    /// Some figure is not known to the last. The call was stopped on a thread that did not run its
    /// strand, or at the very end of its thread: its allocations are those known at some moment
    /// before. Or strands spawned from it had calls that were folded: the time of those is in its
    /// own time, as nobody knows how much of it they overlap. Or a folded call inside may have been
    /// open at the same time as a recorded one, as the branches of a `select!` are: the time of both
    /// is taken off its own time.
    pub partial: bool,
    /// The checkpoints, in order of time.
    pub checkpoints: Vec<CheckpointReport>,
}

/// A named moment inside a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The name given to [`checkpoint`](crate::Call::checkpoint).
    pub name: String,
    /// From the call's start to the checkpoint.
    pub at: Duration,
    /// The time since the checkpoint before; for the first, since the call's start.
    pub wall: Duration,
    /// What the call allocated and freed in that time, calls inside included, spawned strands
    /// not; `None` where no [`Counting`](crate::Counting) allocator is installed.
    pub counts: Option<Counts>,
}

/// The thread on which a call began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// The thread's number, in the order in which threads first recorded, from 1.
    pub number: u32,
    /// Its name, where it has one.
    pub name: Option<Cow<'static, str>>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stopped.
    Ok,
    /// Stopped, after it was [told to have failed](crate::Call::fail), with the message.
    Failed(String),
    /// Stopped by a panic that came through it. (One that is caught inside a destructor while
    /// another panic unwinds can't be told from that other one: a call which it comes through is
    /// [`Ok`](Self::Ok).)
    Panicked,
    /// Its future was dropped before it was ready. That is no failure: so end all branches of a
    /// `select!` but one.
    Cancelled,
    /// Not stopped when the report was taken.
    Running,
}

impl Outcome {
    /// Whether it is [`Failed`](Self::Failed) or [`Panicked`](Self::Panicked).
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Panicked => true,
            Self::Ok | Self::Cancelled | Self::Running => false,
        }
    }
}

/// The outcome of folded calls of which some failed; their messages are not known.
static FAILED: Outcome = Outcome::Failed(String::new());

impl Report {
    /// Returns how the request ended: as its recorder says, or, in a report without
    /// [`request`](Self::request), as its outermost calls say.
    ///
    /// Of several outermost calls, one that panicked decides, or else one that failed. If there is none, the
    /// request is running while one of them is, and cancelled only if all of them were: a branch of
    /// a `select!` that is dropped says nothing about the request. A call inside another one says
    /// nothing either, as the one around may have handled it.
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

    /// The report as a tree, aligned to be read by a person.
    pub fn tree(&self) -> Tree<'_> {
        Tree::of(self)
    }
}

/// A line for each call; with `#`, the tree.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            self.tree().fmt(f)
        } else {
            text::write(self, f)
        }
    }
}
