//! Reports: what a trace recorded, as plain data.

mod assemble;
#[cfg(feature = "chrome")]
pub mod chrome;
pub(crate) mod duration;
pub(crate) mod escape;
#[cfg(feature = "serde")]
pub mod json;
pub(crate) mod names;
mod percentiles;
mod request;
pub(crate) mod text;
mod tree;
pub(crate) mod units;
mod within;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

use crate::clock;
use crate::snapshot::Snapshot;
use crate::trace::Trace;

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
    /// Checkpoints, messages and calls of which nothing is known, because the trace or the process
    /// had no room for more. The totals of the calls around them are exact.
    pub dropped: u64,
    /// What the trace's records take: whole pages of 4,096 bytes, which other traces use again.
    pub memory_bytes: u64,
    /// What all strands of the trace allocated and freed, in calls and outside; `None` where no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The calls, in order of start; a call stands after the one in which it was opened.
    pub calls: Vec<CallReport>,
    /// Calls beyond the trace's [limits](crate::Limits), by the call around and by callsite. Those
    /// that are still running are in the figures of the call around.
    pub folded: Vec<FoldedReport>,
}

/// What several calls of one callsite did together: see [`Report::folded`].
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
    /// The nearest call around them that was recorded, as an index into [`Report::calls`]. Folded
    /// calls may stand in others of the same parent.
    pub parent: Option<usize>,
    /// How many calls there were.
    pub calls: u64,
    /// How many of them failed, panicked or were cancelled.
    pub failures: u64,
    /// Their times from start to stop, together.
    pub wall: Duration,
    /// The part of that in which they were polled.
    pub busy: Duration,
    /// What they allocated and freed on their own strands, calls inside included; `None` where no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The same without the calls inside ("self").
    pub own: Option<Counts>,
    /// Some of the allocations are not known to the last: see [`CallReport::partial`].
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
    /// [`busy`](Self::busy) less that of the calls inside, on the same strand.
    pub own_busy: Duration,
    /// What the call allocated and freed, calls inside and spawned strands included; `None` where
    /// no [`Counting`](crate::Counting) allocator is installed.
    pub total: Option<Counts>,
    /// The same without the calls inside ("self").
    pub own: Option<Counts>,
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
    /// The allocations are those known at some moment before the stop: the call was stopped on a
    /// thread that did not run its strand, or at the very end of its thread.
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
    /// Its future was dropped before it was ready.
    Cancelled,
    /// Not stopped when the report was taken.
    Running,
}

impl Outcome {
    /// Whether it is over, and did not end well.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Panicked | Self::Cancelled => true,
            Self::Ok | Self::Running => false,
        }
    }
}

impl Report {
    /// The report as a tree, aligned to be read by a person.
    pub fn tree(&self) -> Tree<'_> {
        Tree::of(self)
    }
}

impl Trace {
    /// How long ago the trace began; zero where it is empty.
    pub fn age(&self) -> Duration {
        self.started().map_or(Duration::ZERO, |started| {
            clock::between(started, clock::ticks())
        })
    }

    /// What the trace has recorded until now, from any thread and at any time; it goes on
    /// recording meanwhile.
    ///
    /// The report is the caller's memory: taken inside a call of the same trace, the allocations
    /// for it are in that call's figures. (Printing the trace with `{}` or `{:#}` is not.)
    ///
    /// Cost: some microseconds, and allocations in proportion to what was recorded.
    pub fn report(&self) -> Report {
        assemble::report(Snapshot::of(self))
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

/// What [`report`](Trace::report) says at this moment, in the format of [`Report`]. Allocations
/// for it are the tracer's own, and in no call's figures.
///
/// ```
/// use tracer::{Trace, call};
///
/// let trace = Trace::new();
/// assert_eq!(trace.to_string(), "allocates at call stack: 0, detailed call stack: ~");
/// let scope = trace.inject();
/// call!("first").stop();
/// drop(scope);
/// let text = trace.to_string();
/// assert!(text.starts_with("allocates at call stack: 0, detailed call stack:\n\tcall main [first]: "));
/// ```
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternate = f.alternate();
        let text = Excluded::new(|| {
            use fmt::Write as _;
            let report = self.report();
            // Room for most lines.
            let mut text = String::with_capacity(128 * (report.calls.len() + 1));
            // A string takes all that is written.
            let _ = if alternate {
                write!(text, "{report:#}")
            } else {
                write!(text, "{report}")
            };
            text
        });
        f.write_str(text.get())
    }
}

/// A text in the tracer's own memory.
struct Excluded(String);

impl Excluded {
    fn new(make: impl FnOnce() -> String) -> Self {
        Self(alloc_counter::exclude(make))
    }

    fn get(&self) -> &str {
        &self.0
    }
}

impl Drop for Excluded {
    fn drop(&mut self) {
        alloc_counter::exclude(|| drop(std::mem::take(&mut self.0)));
    }
}
