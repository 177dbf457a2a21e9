//! Budgets on functions: what `#[budget]` checks, and what follows.

use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::task::{Context, Poll};

use alloc_counter::{Budget, Counts, Exceeded, Measured, Measuring};
use pin_project_lite::pin_project;

use crate::callsite::Callsite;
use crate::chunk::CallRef;
use crate::clock;
use crate::context::{self, Scope};
use crate::future::Instrumented;
use crate::notes;
use crate::position;
use crate::report::Report;
use crate::trace::Trace;

/// What happens where a function exceeds its budget: see [`on_exceeded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnExceeded {
    /// The function panics with what was allowed, what happened, and the tree of what ran inside.
    /// Where it panics anyway, that is told on standard error instead.
    Panic,
    /// The function's call in the current trace gets a checkpoint that says so.
    Mark,
}

static POLICY: AtomicU8 = AtomicU8::new(BY_BUILD);
const BY_BUILD: u8 = 0;
const PANIC: u8 = 1;
const MARK: u8 = 2;

static EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// Says for the whole process what happens where a function exceeds its budget.
///
/// Unless told, functions panic where they were compiled with debug assertions or as tests, and are
/// marked where they were compiled otherwise, as in a release: a budget fails a test, and never
/// a service.
pub fn on_exceeded(policy: OnExceeded) {
    let policy = match policy {
        OnExceeded::Panic => PANIC,
        OnExceeded::Mark => MARK,
    };
    POLICY.store(policy, Relaxed);
}

/// How often functions have exceeded their budgets in this process, whatever followed.
pub fn exceeded() -> u64 {
    EXCEEDED.load(Relaxed)
}

/// A function with a budget, as the attribute knows it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub name: &'static str,
    pub budget: Budget,
    /// Compiled with debug assertions or as a test.
    pub is_debug: bool,
}

/// One run of such a function.
struct Run {
    site: Site,
    place: &'static Location<'static>,
    panics: bool,
    /// The function's own call, where a trace is current.
    call: Option<CallRef>,
    /// Otherwise, where it is to be told what ran inside.
    own: Trace,
}

impl Run {
    fn of(site: Site, place: &'static Location<'static>) -> Self {
        let panics = match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => site.is_debug,
        };
        let (is_traced, call) = position::here(|here| (here.strand().is_some(), here.innermost()));
        Self {
            site,
            place,
            panics,
            call,
            own: if is_traced || !panics {
                Trace::empty()
            } else {
                Trace::new()
            },
        }
    }

    fn check(&self, counts: Option<Counts>, peak_bytes: Option<u64>) {
        let judged = self.site.budget.judge(self.place, counts, peak_bytes);
        if let Err(exceeded) = judged {
            self.exceeded(&exceeded);
        }
    }

    #[cold]
    fn exceeded(&self, exceeded: &Exceeded) {
        // In a service that counts nothing there is nothing to say.
        if exceeded.counts().is_none() && !self.panics {
            return;
        }
        EXCEEDED.fetch_add(1, Relaxed);
        if let Some(call) = self.call {
            alloc_counter::exclude(|| {
                notes::checkpoint(call, &format!("over budget: {}", exceeded.brief()));
            });
        }
        if self.panics {
            let text = alloc_counter::exclude(|| self.text(exceeded));
            if std::thread::panicking() {
                eprintln!("{text}");
            } else {
                panic!("{text}");
            }
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
        let trace = if self.own.is_empty() {
            context::fetch()
        } else {
            self.own.clone()
        };
        let report = trace.report();
        match (self.call, trace.started()) {
            (Some(call), Some(started)) => {
                let start = clock::between(started, call.record.start());
                match Callsite::get(call.record.callsite()) {
                    Some(callsite) => report.within(callsite, start),
                    None => report,
                }
            }
            _ => report,
        }
    }
}

/// Checks the budget of the function in whose body it is, when it is dropped.
#[doc(hidden)]
#[derive(Debug)]
pub struct Guard {
    run: Option<Run>,
    measuring: Option<Measuring>,
    _scope: Option<Scope>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.site.fmt(f)
    }
}

/// For `#[budget]` on a function.
#[doc(hidden)]
#[track_caller]
pub fn enter(site: Site) -> Guard {
    let run = Run::of(site, Location::caller());
    let scope = (!run.own.is_empty()).then(|| run.own.inject());
    Guard {
        run: Some(run),
        measuring: Some(Measuring::start()),
        _scope: scope,
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let measured = self.measuring.take().map(Measuring::stop);
        if let (Some(run), Some(measured)) = (self.run.take(), measured) {
            run.check(measured.counts, measured.peak_bytes);
        }
    }
}

pin_project! {
    /// Checks the budget of an async function.
    #[doc(hidden)]
    pub struct InBudget<F> {
        #[pin]
        future: Option<Instrumented<F>>,
        spent: Spent,
        run: Option<Run>,
    }

    impl<F> PinnedDrop for InBudget<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.run.is_some() {
                let measuring = Measuring::start();
                this.future.set(None);
                this.spent.add(&measuring.stop());
                this.spent.check(this.run.take());
            }
        }
    }
}

/// For `#[budget]` on an `async fn`, as it is polled first.
#[doc(hidden)]
#[track_caller]
pub fn enter_future<F: Future>(site: Site, future: F) -> InBudget<F> {
    let run = Run::of(site, Location::caller());
    InBudget {
        future: Some(run.own.instrument(future)),
        spent: Spent::default(),
        run: Some(run),
    }
}

/// What the polls of a future did until now.
#[derive(Clone, Copy)]
struct Spent {
    counts: Option<Counts>,
    peak_bytes: Option<u64>,
}

impl Default for Spent {
    fn default() -> Self {
        Self {
            counts: Some(Counts::ZERO),
            peak_bytes: Some(0),
        }
    }
}

impl Spent {
    fn add(&mut self, poll: &Measured<()>) {
        let live = self.counts.map(|counts| counts.net_bytes());
        self.peak_bytes = match (self.peak_bytes, live, poll.peak_bytes) {
            (Some(peak), Some(live), Some(above)) => {
                // The poll began at the level at which the one before ended.
                let level = live.saturating_add_unsigned(above);
                Some(peak.max(u64::try_from(level).unwrap_or(0)))
            }
            _ => None,
        };
        self.counts = match (self.counts, poll.counts) {
            (Some(counts), Some(more)) => Some(counts + more),
            _ => None,
        };
    }

    fn check(&self, run: Option<Run>) {
        if let Some(run) = run {
            run.check(self.counts, self.peak_bytes);
        }
    }
}

/// Adds a poll in any case, be it that a panic comes through it.
struct Polling<'a> {
    spent: &'a mut Spent,
    run: &'a mut Option<Run>,
    measuring: Option<Measuring>,
    is_over: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if let Some(measuring) = self.measuring.take() {
            self.spent.add(&measuring.stop());
        }
        if self.is_over {
            self.spent.check(self.run.take());
        }
    }
}

impl<F: Future> Future for InBudget<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // There until the drop.
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Pending;
        };
        let mut polling = Polling {
            spent: this.spent,
            run: this.run,
            measuring: Some(Measuring::start()),
            is_over: true,
        };
        let polled = future.poll(context);
        polling.is_over = polled.is_ready();
        drop(polling);
        polled
    }
}

impl<F> std::fmt::Debug for InBudget<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InBudget").finish_non_exhaustive()
    }
}
