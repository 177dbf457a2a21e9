//! One run of a function with a budget.

use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{Location, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::thread::panicking;

use alloc_counter::{Counts, Exceeded, Measuring};

use crate::primitives::clock;
use crate::report::Report;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::trace::Trace;
use crate::write::checkpoint;
use crate::write::context::Entered;
use crate::write::current::fetch;
use crate::write::cursor::{self, Position};
use crate::write::execution::Execution;

use super::sites::RunSites;
use super::{About, EXCEEDED, Site};

thread_local! {
    /// The current panic was raised for a budget. What it allocates exceeds no budget.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether a trace is current.
#[inline]
fn is_traced() -> bool {
    cursor::here(|here| here.strand().is_some())
}

/// One run of a function with a budget.
pub(super) struct Run {
    site: Site,
    place: &'static Location<'static>,
    /// The innermost call if a trace is current, which is the function's own if it has one.
    call: Option<CallRef>,
    watch: Watch,
    /// The run began during a panic, so that panic does not come from inside the function.
    was_unwinding: bool,
}

impl Run {
    #[inline]
    pub(super) fn of(site: Site, place: &'static Location<'static>, watch: fn() -> Watch) -> Self {
        let was_unwinding = panicking();
        if !was_unwinding {
            IS_OURS.set(false);
        }
        let may_need_watch = RunSites::MAY_RECORD || !is_traced();
        Self {
            site,
            place,
            call: cursor::here(Position::innermost),
            watch: if may_need_watch && site.panics() {
                watch()
            } else {
                Watch(None)
            },
            was_unwinding,
        }
    }

    /// Enters the run's own trace, if it has one, and begins to record sites.
    pub(super) fn resume(&mut self) -> Option<Entered> {
        let watching = self.watch.0.as_deref_mut()?;
        let entered = watching.execution.as_ref().and_then(Execution::enter);
        watching.sites.enter();
        entered
    }

    /// Enters the run's own trace to drop what did not finish, and begins to record sites.
    pub(super) fn resume_to_drop(&mut self) -> Option<Entered> {
        let watching = self.watch.0.as_deref_mut()?;
        let execution = watching.execution.as_ref();
        let entered = execution.and_then(|execution| execution.enter_to_drop(true));
        watching.sites.enter();
        entered
    }

    /// Ends what [`resume`](Self::resume) has begun.
    pub(super) fn pause(&mut self, entered: Option<Entered>) {
        drop(entered);
        if let Some(watching) = self.watch.0.as_deref_mut() {
            watching.sites.leave();
        }
    }

    /// Compares what the run did with the budget.
    #[inline]
    pub(super) fn check(
        &mut self,
        counts: Option<Counts>,
        peak_bytes: Option<u64>,
        is_cancelled: bool,
    ) {
        let judged = self.site.budget.judge(self.place, counts, peak_bytes);
        if let Err(exceeded) = judged {
            self.exceeded(&exceeded, is_cancelled);
        }
    }

    #[cold]
    fn exceeded(&mut self, exceeded: &Exceeded, is_cancelled: bool) {
        if exceeded.counts().is_none() {
            // If the allocator is installed, the thread is ending and has lost its counters. A panic
            // would abort the process.
            if self.site.panics_uncounted() && !alloc_counter::is_installed() {
                let name = self.site.about.name;
                self.raise(alloc_counter::exclude(|| {
                    format!("{name}: {}", exceeded.figures())
                }));
            }
            return;
        }
        let has_panicked = panicking() && !self.was_unwinding;
        if has_panicked && IS_OURS.get() {
            return;
        }
        // A run that did not come to its end may well have allocated less.
        if (has_panicked || is_cancelled) && exceeded.is_below() {
            return;
        }
        EXCEEDED.fetch_add(1, Relaxed);
        if let Some(call) = self.call {
            alloc_counter::exclude(|| {
                let side = if exceeded.is_below() { "under" } else { "over" };
                checkpoint::checkpoint(call, &format!("{side} budget: {}", exceeded.brief()));
            });
        }
        if self.site.panics() {
            let text = alloc_counter::exclude(|| self.text(exceeded));
            self.raise(text);
        }
    }

    /// Panics with an excluded text. During another panic, which would abort the process, prints to standard
    /// error instead.
    fn raise(&self, text: String) {
        if panicking() {
            // Printing panics if standard error is closed.
            let _ = alloc_counter::exclude(|| catch_unwind(|| eprintln!("{text}")));
            alloc_counter::exclude(|| drop(text));
        } else {
            IS_OURS.set(true);
            // Whoever catches the panic frees the text, so that one is not excluded.
            let programs = text.clone();
            alloc_counter::exclude(|| drop(text));
            (self.site.raise)(programs);
        }
    }

    fn text(&mut self, exceeded: &Exceeded) -> String {
        let About { name, arguments } = self.site.about;
        let mut text = format!("{name}: {}", exceeded.figures());
        if let Some(budget) = exceeded.accepting() {
            // Writing to a string doesn't fail.
            _ = write!(
                text,
                "\n  if that is intended: #[budget({arguments}{budget})]"
            );
        }
        if let Some(watching) = self.watch.0.as_deref_mut() {
            let lines = watching.sites.take();
            text += &lines.shown(exceeded, Some((name, self.place.file())));
        }
        let report = self.report();
        if report.calls.is_empty() {
            text + "\nno calls inside"
        } else {
            format!("{text}\nwhat ran inside: {report:#}")
        }
    }

    fn report(&self) -> Report {
        let watching = self.watch.0.as_deref();
        let own = watching.and_then(|watching| watching.execution.as_ref());
        let trace = own.map_or_else(fetch, |own| own.trace().clone());
        let report = trace.report();
        match (self.call, trace.started()) {
            (Some(call), Some(started)) => {
                let start = clock::between(started, call.record.start());
                let recorded = call.record.recorded();
                match recorded.and_then(|call| Callsite::get(call.callsite())) {
                    Some(callsite) => report.within(callsite, start),
                    None => report,
                }
            }
            _ => report,
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.site.fmt(f)
    }
}

/// What the message of a panic is made of, if the policy is to panic. Boxed, because release builds mostly
/// have none.
pub(super) struct Watch(Option<Box<Watching>>);

struct Watching {
    /// Until the end, if the function is not async.
    // Dropped first: see `Execution`.
    entered: Option<Entered>,
    /// In a trace of its own, if no trace is current.
    execution: Option<Execution>,
    sites: RunSites,
}

impl Watch {
    /// Begins to watch a future, which resumes it at every poll.
    #[cold]
    pub(super) fn of_future() -> Self {
        let execution = (!is_traced()).then(|| Execution::begin(&Trace::new()));
        let watching = alloc_counter::exclude(|| {
            Box::new(Watching {
                entered: None,
                execution,
                sites: RunSites::new(),
            })
        });
        Self(Some(watching))
    }

    /// Begins to watch until the end.
    #[cold]
    fn of_scope() -> Self {
        let mut watch = Self::of_future();
        if let Some(watching) = watch.0.as_deref_mut() {
            watching.entered = watching.execution.as_ref().and_then(Execution::enter);
            watching.sites.enter();
        }
        watch
    }
}

impl Drop for Watch {
    #[inline]
    fn drop(&mut self) {
        if let Some(watching) = self.0.take() {
            end(watching);
        }
    }
}

#[cold]
fn end(mut watching: Box<Watching>) {
    // Not within `exclude`, since there the thread's counters are not the program's.
    drop(watching.entered.take());
    alloc_counter::exclude(|| drop(watching));
}

/// Checks the budget of the function in whose body it is, when it is dropped.
#[doc(hidden)]
#[derive(Debug)]
pub struct Guard {
    run: Run,
    measuring: Measuring,
}

/// For `#[budget]` on a function. Inline, so that the counters are read where the body begins.
#[doc(hidden)]
#[inline]
#[track_caller]
pub fn enter(site: Site) -> Guard {
    Guard {
        run: Run::of(site, Location::caller(), Watch::of_scope),
        measuring: Measuring::start(),
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        let measured = self.measuring.stop();
        self.run.check(measured.counts, measured.peak_bytes, false);
    }
}
