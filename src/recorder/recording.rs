//! One request, from its beginning to its end.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::clock;
use crate::context::Scope;
use crate::future::Instrumented;
use crate::own::Own;
use crate::report::Outcome;
use crate::report::duration::nanoseconds;
use crate::state::End;
use crate::tally::Tally;
use crate::text;
use crate::trace::Trace;

use super::bounded::bounded;
use super::finished::Finished;
use super::policy::{Ended, Reason};
use super::route::Route;
use super::shared::Shared;
use super::stripe::{Place, Totals};

/// A request that is being recorded: begun by [`Recorder::begin`](super::Recorder::begin), over when
/// it is [finished](Self::finish) or dropped.
///
/// What happens in its [trace](Self::trace) until then is looked at in the end; what still runs then
/// is shown as running.
#[must_use = "a recording that is dropped at once is over at once"]
pub struct Recording {
    trace: Trace,
    /// When it began, in ticks.
    started: u64,
    route: Arc<Route>,
    id: Option<Arc<str>>,
    labels: Vec<(Cow<'static, str>, String)>,
    /// What it was told of its end.
    outcome: Option<Outcome>,
    /// A failure of which its calls may know more.
    is_general: bool,
    was_panicking: bool,
    /// Of the HTTP response.
    status: Option<u16>,
    /// Where it stands among those in flight.
    place: Option<Place>,
    is_over: bool,
    shared: Own<Arc<Shared>>,
}

/// A request has at most so many labels.
const MAX_LABELS: usize = 32;

impl Recording {
    pub(super) fn begin(shared: &Arc<Shared>, name: &str, id: Option<Arc<str>>) -> Self {
        alloc_counter::exclude(|| {
            let trace = Trace::with_limits(shared.capacity, shared.limits);
            let started = trace.started().unwrap_or_else(clock::ticks);
            let look_up = || shared.routes.get(&bounded(name), &shared.policy);
            let (route, place) = shared.stripes.begin(name, id.as_ref(), &trace, look_up);
            Self {
                shared: Own::new(Arc::clone(shared)),
                trace,
                started,
                route,
                id,
                labels: Vec::new(),
                outcome: None,
                is_general: false,
                was_panicking: std::thread::panicking(),
                status: None,
                place,
                is_over: false,
            }
        })
    }

    /// The trace in which the request is recorded: inject it, instrument futures with it, clone it.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Makes its trace [current on this thread](Trace::inject) until the scope is dropped.
    #[must_use = "a scope that is dropped at once records nothing"]
    pub fn inject(&self) -> Scope {
        self.trace.inject()
    }

    /// The request's name: the one it was begun with, or `(other)` where there were too many.
    pub fn name(&self) -> &str {
        &self.route.name
    }

    /// Which request it is. What is longer than 256 bytes is cut, here and in labels.
    pub fn id(&mut self, id: impl Display) {
        alloc_counter::exclude(|| {
            let id = text::Text::of(&id).to_string();
            let id: Arc<str> = bounded(&id).into();
            if let Some(place) = self.place {
                self.shared.stripes.identify(place, Arc::clone(&id));
            }
            self.id = Some(id);
        });
    }

    /// Says something more of the request; at most 32 times. A label said again is replaced.
    pub fn label(&mut self, name: impl Into<Cow<'static, str>>, value: impl Display) {
        alloc_counter::exclude(|| {
            let name = name.into();
            let name = match bounded(&name) {
                Cow::Borrowed(_) => name,
                Cow::Owned(cut) => Cow::Owned(cut),
            };
            let value = text::Text::of(&value).to_string();
            let value = bounded(&value).into_owned();
            if let Some(label) = self.labels.iter_mut().find(|(known, _)| *known == name) {
                label.1 = value;
            } else if self.labels.len() < MAX_LABELS {
                self.labels.push((name, value));
            }
        });
    }

    /// How the request ends, whatever its calls say. Without it, it ends as its first outermost call
    /// does that did not end well; or, where a panic drops it, [`Outcome::Panicked`].
    pub fn outcome(&mut self, outcome: Outcome) {
        alloc_counter::exclude(|| self.outcome = Some(outcome));
    }

    /// The same for one that has not failed.
    #[cfg(feature = "tower")]
    pub(crate) fn outcome_unless_failed(&mut self, outcome: Outcome) {
        if !matches!(self.outcome, Some(Outcome::Failed(_))) {
            self.outcome(outcome);
        }
    }

    /// Sets the status of the HTTP response, by which [policies](Ended::status) know it. It is no
    /// [label](Self::label), and no [outcome](Self::outcome).
    pub fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// The request has failed, with this message, of which 1,024 bytes are kept.
    pub fn fail(&mut self, why: impl Display) {
        alloc_counter::exclude(|| {
            let why = text::Text::of(&why).to_string();
            self.outcome = Some(Outcome::Failed(why));
            self.is_general = false;
        });
    }

    /// The same, where a call may know more of it.
    #[cfg(feature = "tower")]
    pub(crate) fn fail_in_general(&mut self, why: impl Display) {
        self.fail(why);
        self.is_general = true;
    }

    /// The request is over. The same as dropping it.
    ///
    /// Cost: some 50 ns for each call that was recorded; nobody waits for anything.
    pub fn finish(self) {}

    /// The same; where it is kept, `describe` labels it before.
    #[cfg(feature = "tower")]
    pub(crate) fn finish_with(mut self, describe: impl FnOnce(&mut Self)) {
        alloc_counter::exclude(|| self.end(describe));
    }

    /// A future that is polled in the trace, and with which the request is over: when it is ready;
    /// cancelled, where it is dropped before; panicked, where a panic comes through it.
    ///
    /// ```
    /// # use tracer::recorder::Recorder;
    /// # let recorder = Recorder::builder().start().unwrap();
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let answer = recorder.begin("answer").instrument(async { 42 }).await;
    /// assert_eq!((answer, recorder.statistics().ended), (42, 1));
    /// # });
    /// ```
    pub fn instrument<F: Future>(self, future: F) -> Recorded<F> {
        Recorded {
            future: self.trace.instrument(future),
            recording: Some(self),
            is_polled: false,
        }
    }
}

pin_project! {
    /// A future with which a request is over: see [`Recording::instrument`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Recorded<F> {
        // Dropped first: what it does while it is dropped is of the request.
        #[pin]
        future: Instrumented<F>,
        recording: Option<Recording>,
        is_polled: bool,
    }

    impl<F> PinnedDrop for Recorded<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(recording) = this.recording {
                let outcome = if *this.is_polled {
                    Outcome::Panicked
                } else {
                    Outcome::Cancelled
                };
                recording.outcome.get_or_insert(outcome);
            }
        }
    }
}

impl<F: Future> Future for Recorded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        *this.is_polled = true;
        let polled = this.future.poll(context);
        *this.is_polled = false;
        if polled.is_ready() {
            drop(this.recording.take());
        }
        polled
    }
}

impl<F> fmt::Debug for Recorded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("name", &self.route.name)
            .field("id", &self.id)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// Kept for its memory.
    static TALLY: Cell<Own<Tally>> = const { Cell::new(Own::new(Tally::new())) };
}

impl Drop for Recording {
    fn drop(&mut self) {
        alloc_counter::exclude(|| {
            if !self.is_over {
                self.end(|_| ());
            }
            // As they came.
            self.id = None;
            self.labels = Vec::new();
            self.outcome = None;
        });
    }
}

impl Recording {
    /// Where the request is kept, `describe` labels it before.
    fn end(&mut self, describe: impl FnOnce(&mut Self)) {
        self.is_over = true;
        // A rule of the program's own may end a request meanwhile, which has another one. At the very
        // end of a thread there is none to be kept.
        let tally = TALLY.try_with(|it| it.replace(Own::new(Tally::new())));
        let mut tally = tally.unwrap_or_else(|_| Own::new(Tally::new()));
        self.end_with(&mut tally, describe);
        let _ = TALLY.try_with(|it| it.set(tally));
    }

    fn end_with(&mut self, tally: &mut Tally, describe: impl FnOnce(&mut Self)) {
        let now = clock::ticks();
        tally.read(&self.trace);
        let wall = clock::between(self.started, now);
        let outcome = self.outcome.take().unwrap_or_else(|| {
            if std::thread::panicking() && !self.was_panicking {
                Outcome::Panicked
            } else {
                outcome_of(tally)
            }
        });
        let shared = &self.shared;
        let now = clock::nanoseconds(now);
        let ended = Ended {
            name: &self.route.name,
            id: self.id.as_deref(),
            wall,
            outcome: &outcome,
            total: shared.is_counted.then_some(tally.total),
            peak_bytes: shared.is_counted.then_some(tally.peak_bytes),
            calls: tally.calls.iter().map(|call| call.calls).sum(),
            status: self.status,
        };
        let tops = (&self.route.slowest, &self.route.heaviest);
        let reasons = shared
            .policy
            .judge(&ended, tops, now, &shared.policy_panics);
        let window = shared.window(now);
        drop(self.place.and_then(|place| shared.stripes.remove(place)));
        // None where this process was forked at the wrong moment: then nobody counts.
        if let Some(mut figures) = shared.stripes.figures() {
            let (of_route, scratch, room) = figures.of(&self.route);
            let baseline = &mut of_route.baseline;
            baseline.add(tally, nanoseconds(wall), &outcome, window, scratch, room);
            if reasons.is_empty() {
                of_route.totals.add(Totals::NOT_KEPT);
            }
        }
        if reasons.is_empty() {
            return;
        }
        // In the baseline before its report is built.
        describe(self);
        let is_taken = self.keep(tally, wall, outcome, reasons);
        if let Some(mut figures) = self.shared.stripes.figures() {
            let of_route = figures.of(&self.route).0;
            of_route.totals.add(if is_taken {
                Totals::KEPT
            } else {
                Totals::DROPPED
            });
        }
    }

    fn keep(
        &mut self,
        tally: &Tally,
        wall: Duration,
        outcome: Outcome,
        reasons: Vec<Reason>,
    ) -> bool {
        let finished = Finished {
            trace: self.trace.clone(),
            route: Arc::clone(&self.route),
            id: self.id.take(),
            labels: std::mem::take(&mut self.labels),
            wall,
            outcome,
            is_general: self.is_general,
            reasons,
        };
        let bytes = finished.bytes() + tally.memory_bytes();
        self.shared.queue.push(finished, bytes).is_ok()
    }
}

/// That of the first outermost call that did not end well.
fn outcome_of(tally: &Tally) -> Outcome {
    let mut ends = tally.outermost().map(|call| call.end);
    let end = ends.find(|end| !matches!(end, End::Ok | End::Open));
    match end {
        Some(End::Failed) => Outcome::Failed(String::new()),
        Some(End::Panicked) => Outcome::Panicked,
        Some(End::Cancelled) => Outcome::Cancelled,
        Some(End::Ok | End::Open) | None => Outcome::Ok,
    }
}
