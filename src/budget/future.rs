//! One run of an async function with a budget.

use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use alloc_counter::{Counts, Local, Measuring, Window};

use crate::write::context::Entered;

use super::Site;
use super::run::{Run, Watch};

/// One run of an async function with a budget.
///
/// A variable of the function, declared before its future, so that it is dropped after the future. See
/// [`hold`](crate::write::traced::hold) for why it is not a part of the future.
#[doc(hidden)]
pub struct Running {
    spent: Spent,
    /// Taken when it is checked.
    run: Option<Run>,
    /// While the future is being dropped before it is ready.
    dropping: Option<Dropping>,
}

/// For `#[budget]` on an `async fn`: begins a run at its first poll.
#[doc(hidden)]
#[track_caller]
pub fn run_future(site: Site) -> Running {
    Running {
        spent: Spent::default(),
        run: Some(Run::of(site, Location::caller(), Watch::of_future)),
        dropping: None,
    }
}

impl Running {
    fn begin_drop(&mut self) {
        if let Some(run) = &mut self.run {
            self.dropping = Some(Dropping::begin(run));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(dropping) = self.dropping.take() {
            let (counts, peak_bytes) = dropping.end(self.run.as_mut());
            self.spent.add(counts, peak_bytes);
            self.spent.check(self.run.take(), true);
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.run.fmt(f)
    }
}

/// Measures the drop of a future. It does by hand what a [`Measuring`] does, which is not `Send` and
/// so can't be part of a future.
struct Dropping {
    start: Option<(Counts, Window)>,
    entered: Option<Entered>,
}

impl Dropping {
    fn begin(run: &mut Run) -> Self {
        let local = alloc_counter::is_installed().then(Local::current).flatten();
        Self {
            start: local.map(|local| (local.counts(), local.open_window())),
            entered: run.resume_to_drop(),
        }
    }

    fn end(self, run: Option<&mut Run>) -> (Option<Counts>, Option<u64>) {
        match run {
            Some(run) => run.pause(self.entered),
            None => drop(self.entered),
        }
        let (Some(local), Some((start, window))) = (Local::current(), self.start) else {
            return (None, None);
        };
        let counts = local.counts() - start;
        let highest = local.close_window(window);
        // The highest level is never below that at the start.
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
    /// Runs before the function's future is dropped.
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

    fn check(&self, run: Option<Run>, is_cancelled: bool) {
        if let Some(mut run) = run {
            run.check(self.counts, self.peak_bytes, is_cancelled);
        }
    }
}

/// Adds a poll's figures, even if it panics.
struct Polling<'a> {
    running: &'a mut Running,
    measuring: Measuring,
    entered: Option<Entered>,
    is_over: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let Running { spent, run, .. } = &mut *self.running;
        if let Some(run) = run {
            run.pause(self.entered.take());
        }
        let measured = self.measuring.stop();
        spent.add(measured.counts, measured.peak_bytes);
        if self.is_over {
            spent.check(run.take(), false);
        }
    }
}

impl<F: Future + Unpin> Future for InBudget<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let measuring = Measuring::start();
        let mut polling = Polling {
            entered: this.running.run.as_mut().and_then(Run::resume),
            running: this.running,
            measuring,
            is_over: true,
        };
        let polled = Pin::new(&mut this.future).poll(context);
        polling.is_over = polled.is_ready();
        drop(polling);
        polled
    }
}
