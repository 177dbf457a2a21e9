//! One run of a function with a budget.

use std::cell::Cell;
use std::panic::{Location, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::thread::panicking;

use alloc_counter::{Counts, Exceeded, Measuring};

use crate::primitives::clock;
use crate::report::Report;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::trace::Trace;
use crate::write::annotate;
use crate::write::context::Entered;
use crate::write::current::fetch;
use crate::write::cursor;
use crate::write::execution::Execution;

use super::{EXCEEDED, Site};

thread_local! {
    /// The current panic was raised for a budget. What it allocates exceeds no budget.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// One run of a function with a budget.
pub(super) struct Run {
    site: Site,
    place: &'static Location<'static>,
    /// The innermost call if a trace is current, which is the function's own if it has one.
    call: Option<CallRef>,
    /// If no trace is current.
    own: OwnTrace,
    /// The run began during a panic, so that panic does not come from inside the function.
    was_unwinding: bool,
}

impl Run {
    #[inline]
    pub(super) fn of(
        site: Site,
        place: &'static Location<'static>,
        own: fn(&Site) -> OwnTrace,
    ) -> Self {
        let was_unwinding = panicking();
        if !was_unwinding {
            IS_OURS.set(false);
        }
        let (is_traced, call) = cursor::here(|here| (here.strand().is_some(), here.innermost()));
        Self {
            site,
            place,
            call,
            own: if is_traced {
                OwnTrace(None)
            } else {
                own(&site)
            },
            was_unwinding,
        }
    }

    /// Returns the execution in the run's own trace.
    pub(super) fn execution(&self) -> Option<&Execution> {
        self.own.0.as_deref().map(|own| &own.execution)
    }

    /// Compares what the run did with the budget.
    #[inline]
    pub(super) fn check(&self, counts: Option<Counts>, peak_bytes: Option<u64>) {
        let judged = self.site.budget.judge(self.place, counts, peak_bytes);
        if let Err(exceeded) = judged {
            self.exceeded(&exceeded);
        }
    }

    #[cold]
    fn exceeded(&self, exceeded: &Exceeded) {
        if exceeded.counts().is_none() {
            // If the allocator is installed, the thread is ending and has lost its counters. A panic
            // would abort the process.
            if self.site.panics_uncounted() && !alloc_counter::is_installed() {
                self.raise(&format!("{}: {exceeded}", self.site.name));
            }
            return;
        }
        if panicking() && !self.was_unwinding && IS_OURS.get() {
            return;
        }
        EXCEEDED.fetch_add(1, Relaxed);
        if let Some(call) = self.call {
            alloc_counter::exclude(|| {
                annotate::checkpoint(call, &format!("over budget: {}", exceeded.brief()));
            });
        }
        if self.site.panics() {
            self.raise(&alloc_counter::exclude(|| self.text(exceeded)));
        }
    }

    /// Panics. During another panic, which would abort the process, prints to standard error instead.
    fn raise(&self, text: &str) {
        if panicking() {
            // Printing panics if standard error is closed.
            let _ = alloc_counter::exclude(|| catch_unwind(|| eprintln!("{text}")));
        } else {
            IS_OURS.set(true);
            // Whoever catches the panic frees the text, so it is not excluded.
            (self.site.raise)(text.to_owned());
        }
    }

    fn text(&self, exceeded: &Exceeded) -> String {
        let report = self.report();
        let name = self.site.name;
        if report.calls.is_empty() {
            format!("{name}: {exceeded}\nno calls inside")
        } else {
            format!("{name}: {exceeded}\nwhat ran inside: {report:#}")
        }
    }

    fn report(&self) -> Report {
        let own = self.execution().map(Execution::trace);
        let trace = own.map_or_else(fetch, Trace::clone);
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

/// A trace for the report of a panic, if the policy is to panic. Boxed, because release builds mostly
/// have none.
pub(super) struct OwnTrace(Option<Box<Own>>);

struct Own {
    /// Until the end, if the function is not async.
    // Dropped first: see `Execution`.
    entered: Option<Entered>,
    execution: Execution,
}

impl OwnTrace {
    /// Begins a trace for a future, which enters it at every poll.
    pub(super) fn of(site: &Site) -> Self {
        if site.panics() {
            Self::begin()
        } else {
            Self(None)
        }
    }

    #[cold]
    fn begin() -> Self {
        let execution = Execution::begin(&Trace::new());
        let own = alloc_counter::exclude(|| {
            Box::new(Own {
                entered: None,
                execution,
            })
        });
        Self(Some(own))
    }

    /// Begins a trace and enters it until the end.
    fn entered(site: &Site) -> Self {
        let mut own = Self::of(site);
        if let Some(own) = own.0.as_deref_mut() {
            own.entered = own.execution.enter();
        }
        own
    }
}

impl Drop for OwnTrace {
    #[inline]
    fn drop(&mut self) {
        if let Some(own) = self.0.take() {
            end(own);
        }
    }
}

#[cold]
fn end(mut own: Box<Own>) {
    // Not within `exclude`, since there the thread's counters are not the program's.
    drop(own.entered.take());
    alloc_counter::exclude(|| drop(own));
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
        run: Run::of(site, Location::caller(), OwnTrace::entered),
        measuring: Measuring::start(),
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        let measured = self.measuring.stop();
        self.run.check(measured.counts, measured.peak_bytes);
    }
}
