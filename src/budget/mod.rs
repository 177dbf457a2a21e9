//! Budgets on functions: what `#[budget]` checks, and what follows.

use std::cell::Cell;
use std::panic::{Location, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::task::{Context, Poll};
use std::thread::panicking;

use alloc_counter::{Budget, Counts, Exceeded, Local, Measuring, Window};

use crate::primitives::clock;
use crate::primitives::pool::Member;
use crate::report::Report;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::strand::Strand;
use crate::store::trace::Trace;
use crate::write::annotate;
use crate::write::context::{self, Entered};
use crate::write::cursor;

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
///
/// Where nothing is counted, functions panic that were compiled as tests, and all if told to: a budget
/// that can't fail is no test. A program in the making runs without [`Counting`](crate::Counting).
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

thread_local! {
    /// The panic under way is about a budget: what it allocates itself is nobody's breach.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// A function with a budget, as the attribute knows it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub name: &'static str,
    pub budget: Budget,
    /// Compiled as a test, and with debug assertions.
    pub is_test: bool,
    pub is_debug: bool,
    /// Panics with this text. It stands in the attribute's expansion, so that the panic's place is
    /// the attribute and not a line of this file.
    pub raise: fn(String) -> !,
}

impl Site {
    fn panics(&self) -> bool {
        match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => self.is_test || self.is_debug,
        }
    }

    /// Also where nothing is counted: only where this surely is a test.
    fn panics_uncounted(&self) -> bool {
        match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => self.is_test,
        }
    }
}

/// One run of such a function.
struct Run {
    site: Site,
    place: &'static Location<'static>,
    /// The function's own call, where a trace is current.
    call: Option<CallRef>,
    /// Otherwise, where it is to be told what ran inside.
    own: OwnTrace,
    /// It began while something was unwinding, which then does not come through it.
    was_unwinding: bool,
}

impl Run {
    #[inline]
    fn of(site: Site, place: &'static Location<'static>, own: fn(&Site) -> OwnTrace) -> Self {
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

    #[inline]
    fn check(&self, counts: Option<Counts>, peak_bytes: Option<u64>) {
        let judged = self.site.budget.judge(self.place, counts, peak_bytes);
        if let Err(exceeded) = judged {
            self.exceeded(&exceeded);
        }
    }

    #[cold]
    fn exceeded(&self, exceeded: &Exceeded) {
        if exceeded.counts().is_none() {
            // In a service that counts nothing there is nothing to say; where it is counted, these are
            // the last moments of a thread, in which a panic would end the process.
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

    /// Panics; during another panic, which would end the process, it is told on standard error instead.
    fn raise(&self, text: &str) {
        if panicking() {
            // Not even where there is no standard error.
            let _ = alloc_counter::exclude(|| catch_unwind(|| eprintln!("{text}")));
        } else {
            IS_OURS.set(true);
            // What catches it frees it.
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
        let trace = self.own.trace().map_or_else(context::fetch, Trace::clone);
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

/// A trace of the function's own. A word, as it is for tests only.
struct OwnTrace(Option<Box<Own>>);

struct Own {
    trace: Trace,
    strand: Option<&'static Member<Strand>>,
    /// Until the end, if the function is not async.
    entered: Option<Entered>,
}

impl OwnTrace {
    /// For a future, which enters it at every poll.
    fn of(site: &Site) -> Self {
        Self(site.panics().then(|| {
            let trace = Trace::new();
            let strand = trace.new_strand();
            alloc_counter::exclude(|| {
                Box::new(Own {
                    trace,
                    strand,
                    entered: None,
                })
            })
        }))
    }

    /// The same, entered here until the end.
    fn entered(site: &Site) -> Self {
        let mut own = Self::of(site);
        if let Some(own) = own.0.as_deref_mut() {
            own.entered = own.strand.map(Entered::new);
        }
        own
    }

    fn strand(&self) -> Option<&'static Member<Strand>> {
        self.0.as_deref()?.strand
    }

    fn trace(&self) -> Option<&Trace> {
        self.0.as_deref().map(|own| &own.trace)
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
    drop(own.entered.take());
    if let Some(strand) = own.strand {
        own.trace.end(strand);
    }
    alloc_counter::exclude(|| drop(own));
}

/// Checks the budget of the function in whose body it is, when it is dropped.
#[doc(hidden)]
#[derive(Debug)]
pub struct Guard {
    run: Run,
    measuring: Measuring,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.site.fmt(f)
    }
}

/// For `#[budget]` on a function. Inline, so that the readings are taken where they are to stand.
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

/// One run of an async function with a budget.
///
/// It is a variable of the function, as is the function's future: see
/// [`hold`](crate::write::future::hold). Its variable is the older one, so it is dropped after the future.
#[doc(hidden)]
pub struct Running {
    spent: Spent,
    /// Until it is checked.
    run: Option<Run>,
    /// While the future is being dropped before it is ready.
    dropping: Option<Dropping>,
}

/// For `#[budget]` on an `async fn`, as it is polled first.
#[doc(hidden)]
#[track_caller]
pub fn run_future(site: Site) -> Running {
    Running {
        spent: Spent::default(),
        run: Some(Run::of(site, Location::caller(), OwnTrace::of)),
        dropping: None,
    }
}

impl Running {
    fn begin_drop(&mut self) {
        if let Some(run) = &self.run {
            let strand = run.own.strand();
            self.dropping = Some(Dropping::begin(strand));
            if let Some(strand) = strand {
                strand.cancelling.begin();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(dropping) = self.dropping.take() {
            let (counts, peak_bytes) = dropping.end();
            self.spent.add(counts, peak_bytes);
            self.spent.check(self.run.take());
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.run.fmt(f)
    }
}

/// A future is being dropped. What a [`Measuring`] does, which itself could not be part of a future
/// that is sent.
struct Dropping {
    start: Option<(Counts, Window)>,
    entered: Option<Entered>,
}

impl Dropping {
    fn begin(strand: Option<&'static Member<Strand>>) -> Self {
        let local = alloc_counter::is_installed().then(Local::current).flatten();
        Self {
            start: local.map(|local| (local.counts(), local.open_window())),
            entered: strand.map(Entered::new),
        }
    }

    fn end(self) -> (Option<Counts>, Option<u64>) {
        drop(self.entered);
        let (Some(local), Some((start, window))) = (Local::current(), self.start) else {
            return (None, None);
        };
        let counts = local.counts() - start;
        let highest = local.close_window(window);
        // Not below: the level at the start is one of them.
        let above_start = |level: i64| level.wrapping_sub(start.net_bytes());
        let peak_bytes = highest.map(above_start).map(i64::cast_unsigned);
        (Some(counts), peak_bytes)
    }
}

/// For `#[budget]` on an `async fn`: polls its future, and measures what that does.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InBudget<'a, F> {
    future: F,
    running: &'a mut Running,
}

#[doc(hidden)]
pub fn in_budget<F: Future + Unpin>(running: &mut Running, future: F) -> InBudget<'_, F> {
    InBudget { future, running }
}

impl<F> Drop for InBudget<'_, F> {
    /// Where the function is dropped in the middle, before the future.
    fn drop(&mut self) {
        self.running.begin_drop();
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
    fn add(&mut self, counts: Option<Counts>, peak_bytes: Option<u64>) {
        let live = self.counts.map(|counts| counts.net_bytes());
        self.peak_bytes = match (self.peak_bytes, live, peak_bytes) {
            (Some(peak), Some(live), Some(above)) => {
                // The poll began at the level at which the one before ended.
                let level = live.saturating_add_unsigned(above);
                Some(peak.max(u64::try_from(level).unwrap_or(0)))
            }
            _ => None,
        };
        self.counts = match (self.counts, counts) {
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
    running: &'a mut Running,
    measuring: Measuring,
    is_over: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let measured = self.measuring.stop();
        let Running { spent, run, .. } = &mut *self.running;
        spent.add(measured.counts, measured.peak_bytes);
        if self.is_over {
            spent.check(run.take());
        }
    }
}

impl<F: Future + Unpin> Future for InBudget<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let strand = this.running.run.as_ref().and_then(|run| run.own.strand());
        let mut polling = Polling {
            running: this.running,
            measuring: Measuring::start(),
            is_over: true,
        };
        let entered = strand.map(Entered::new);
        let polled = Pin::new(&mut this.future).poll(context);
        drop(entered);
        polling.is_over = polled.is_ready();
        drop(polling);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as nobody has decided, which no test of this binary does.
    #[test]
    fn how_a_function_was_compiled_decides() {
        let reactions = |is_test, is_debug| {
            let site = Site {
                name: "f",
                budget: Budget::none(),
                is_test,
                is_debug,
                raise: |text| panic!("{text}"),
            };
            (site.panics(), site.panics_uncounted())
        };
        assert_eq!(reactions(false, false), (false, false));
        // A program in the making need not count.
        assert_eq!(reactions(false, true), (true, false));
        assert_eq!(reactions(true, false), (true, true));
        assert_eq!(reactions(true, true), (true, true));
    }
}
