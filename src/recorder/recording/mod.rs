//! A recording of one request, from its beginning to its end.

mod end;
mod future;

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;

use crate::primitives::clock;
use crate::primitives::excluded::Own;
use crate::primitives::text;
use crate::primitives::text::copied;
use crate::report::Outcome;
use crate::store::trace::Trace;
use crate::write::current::Scope;

#[cfg(feature = "sites")]
use super::arming::{self, ArmedPlace};
use super::bounded::{MAX_TEXT_BYTES, bounded};
use super::id::{Id, IdText};
use super::name::Name;
#[cfg(feature = "tower")]
use super::policy::SoFar;
#[cfg(feature = "tower")]
use super::queue::Refusal;
use super::shared::Shared;
use super::stripe::ActiveId;
#[cfg(feature = "tower")]
use super::stripe::{Ending, Fate};

use end::end;

pub use future::Recorded;

/// A request that is being recorded: begun by [`Recorder::begin`](super::Recorder::begin), over when it
/// is [finished](Self::finish) or dropped.
///
/// At its end the recorder reads its [trace](Self::trace). A call that is still open then is shown as
/// running.
#[must_use = "the request ends when the recording is dropped"]
pub struct Recording {
    trace: Trace,
    /// When it began, in ticks.
    started: u64,
    /// The route's number.
    route: usize,
    /// Its id, if the trace does not have it.
    id: Option<Id>,
    labels: Vec<(Cow<'static, str>, String)>,
    /// The outcome that the program set.
    outcome: Option<Outcome>,
    /// Whether its calls may know more about the failure.
    is_general: bool,
    was_panicking: bool,
    /// The status of the HTTP response.
    status: Option<u16>,
    /// Its entry in the list of requests in flight.
    active: Option<ActiveId>,
    is_over: bool,
    /// The place of an armed request that it takes.
    #[cfg(feature = "sites")]
    armed: Option<ArmedPlace>,
    shared: Own<Arc<Shared>>,
}

/// The most labels of a request.
const MAX_LABELS: usize = 32;

impl Recording {
    /// Begins a request. The caller is inside of [`alloc_counter::exclude`].
    pub(super) fn begin_inside(
        shared: &Arc<Shared>,
        name: Name<'_>,
        id: Option<IdText<'_>>,
    ) -> Self {
        let trace = shared.traces.build();
        let id = id.and_then(|id| own_id(&trace, id));
        let started = trace.started().unwrap_or_else(clock::ticks);
        let (routes, stripes) = (&shared.routes, &shared.stripes);
        let look_up = |name: &str| {
            let make_room = |number| stripes.make_room(number);
            routes.get(name, &shared.policy, make_room)
        };
        let (route, active) = stripes.begin(name, &trace, id.as_ref(), routes, look_up);
        #[cfg(feature = "sites")]
        let armed = arming::arm(shared, route, &trace, started);
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
            active,
            is_over: false,
            #[cfg(feature = "sites")]
            armed,
        }
    }

    /// Returns the trace in which the request is recorded, to be injected, cloned, or used to instrument
    /// futures.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Makes the request's trace [current on this thread](Trace::inject) until the scope is dropped.
    #[must_use = "a scope that is dropped at once records nothing"]
    pub fn inject(&self) -> Scope {
        self.trace.inject()
    }

    /// Gives the request a new name, for a server that knows the name only after it parsed the request.
    ///
    /// From now on the request counts under this name, also among the requests in flight, and at its end
    /// it is compared with requests of this name. A name longer than 256 bytes is cut.
    ///
    /// If the route of this name is armed (feature `sites`), the request records which lines allocate only if
    /// nothing ran in its trace before.
    ///
    /// Cost: about half of what [`begin`](super::Recorder::begin) costs.
    ///
    /// ```
    /// # use tracer::recorder::Recorder;
    /// # let recorder = Recorder::builder().start()?;
    /// let mut request = recorder.begin("(not parsed)");
    /// request.name("GET /orders/{id}");
    /// request.finish();
    /// let routes = recorder.routes();
    /// assert_eq!((routes.len(), &*routes[0].name), (1, "GET /orders/{id}"));
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn name(&mut self, name: &str) {
        alloc_counter::exclude(|| {
            let (routes, stripes) = (&self.shared.routes, &self.shared.stripes);
            let name = bounded(name);
            let look_up = || {
                let make_room = |number| stripes.make_room(number);
                routes.get(&name, &self.shared.policy, make_room)
            };
            if let Some(route) = stripes.rename(self.active, &name, routes, look_up) {
                self.route = route;
                #[cfg(feature = "sites")]
                if self.armed.is_none() {
                    self.armed = arming::arm(&self.shared, route, &self.trace, self.started);
                }
            }
        });
    }

    /// Returns the request's name: the last one given, or `(other)` if there were too many names.
    pub fn current_name(&self) -> &str {
        &self.shared.routes.at(self.route).name
    }

    /// Sets the request's id. An id longer than 256 bytes is cut.
    pub fn id(&mut self, id: impl Display) {
        alloc_counter::exclude(|| {
            let id = text::Text::of(&id);
            let id = own_id(&self.trace, IdText::of(id.as_str()));
            let before = std::mem::replace(&mut self.id, id);
            if let Some(active) = self.active
                && (before.is_some() || self.id.is_some())
            {
                self.shared.stripes.identify(active, self.id.clone());
            }
        });
    }

    /// Returns the request's id. Allocates if it is a long one.
    fn current_id(&self) -> Option<Id> {
        let of_trace = || Some(Id::new(&self.trace.request_id()?));
        self.id.clone().or_else(of_trace)
    }

    /// Adds a label to the request, or replaces the label of this name. At most 32 labels are kept. A
    /// name or a value longer than 256 bytes is cut.
    pub fn label(&mut self, name: impl Into<Cow<'static, str>>, value: impl Display) {
        // The program's memory: copied here, and freed as the program's.
        let name = name.into();
        alloc_counter::exclude(|| self.set_label(&name, &value));
    }

    /// Sets a label. Returns `None` if there is no memory for it.
    #[expect(clippy::ptr_arg, reason = "a name that lives for ever is not copied")]
    fn set_label(&mut self, name: &Cow<'static, str>, value: &dyn Display) -> Option<()> {
        let value = copied(&bounded(text::Text::of(value).as_str()))?;
        let whole = bounded(name);
        if let Some(label) = self.labels.iter_mut().find(|(known, _)| **known == *whole) {
            label.1 = value;
        } else if self.labels.len() < MAX_LABELS {
            let name = match name {
                Cow::Borrowed(name) if name.len() <= MAX_TEXT_BYTES => Cow::Borrowed(*name),
                _ => Cow::Owned(copied(&whole)?),
            };
            self.labels.try_reserve(1).ok()?;
            self.labels.push((name, value));
        }
        Some(())
    }

    /// Sets the request's outcome, whatever its calls' outcomes are. The first 1,024 bytes of a
    /// failure's message are kept.
    ///
    /// If it is not set, the request has panicked if a panic drops the recording or one of its outermost
    /// calls panicked. Otherwise it has failed if one of these calls failed, and it is cancelled if all
    /// of them were.
    #[expect(clippy::needless_pass_by_value, reason = "one is made for this call")]
    pub fn outcome(&mut self, outcome: Outcome) {
        alloc_counter::exclude(|| {
            self.outcome = Some(match &outcome {
                // The program's memory: copied here, and freed as the program's.
                Outcome::Failed(why) => failed(why),
                Outcome::Ok => Outcome::Ok,
                Outcome::Panicked => Outcome::Panicked,
                Outcome::Cancelled => Outcome::Cancelled,
                Outcome::Running => Outcome::Running,
            });
        });
    }

    /// Sets the request's outcome, unless it has failed.
    #[cfg(feature = "tower")]
    pub(crate) fn outcome_unless_failed(&mut self, outcome: Outcome) {
        if !matches!(self.outcome, Some(Outcome::Failed(_))) {
            self.outcome(outcome);
        }
    }

    /// Sets the status of the HTTP response, for [policies](super::Ended::status). It sets neither a
    /// [label](Self::label) nor the [outcome](Self::outcome).
    pub fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Marks the request as failed with this message, of which the first 1,024 bytes are kept.
    pub fn fail(&mut self, why: impl Display) {
        alloc_counter::exclude(|| {
            self.outcome = Some(failed(&why));
            self.is_general = false;
        });
    }

    /// Marks the request as failed. A failed call's message is appended to this one, as it may say more.
    #[cfg(feature = "tower")]
    pub(crate) fn fail_in_general(&mut self, why: impl Display) {
        self.fail(why);
        self.is_general = true;
    }

    /// Ends the request, as dropping it does.
    ///
    /// Cost: some 600 instructions for each call that was recorded. It does not wait for the recorder's
    /// threads.
    pub fn finish(self) {}

    /// Ends the request. If it is kept, `describe` labels it before. Returns whether it is kept. The caller is inside of
    /// [`alloc_counter::exclude`].
    ///
    /// In place, to be dropped by the owner: it is a large value.
    #[cfg(feature = "tower")]
    pub(crate) fn finish_inside(&mut self, describe: impl FnOnce(&mut Self)) -> bool {
        end(self, describe)
    }

    /// Returns whether it has something of its own that is to be given back.
    fn has_more_to_drop(&self) -> bool {
        #[cfg(feature = "sites")]
        if self.armed.is_some() {
            return true;
        }
        self.id.is_some() || self.labels.capacity() > 0 || self.outcome.is_some()
    }

    /// Returns whether the request will be kept, whatever happens from now on, unless there is no room for it.
    #[cfg(feature = "tower")]
    pub(crate) fn is_kept_already(&self) -> bool {
        #[cfg(feature = "sites")]
        if self.armed.is_some() {
            return true;
        }
        self.shared.policy.keeps_already(&SoFar {
            wall: clock::between(self.started, clock::ticks()),
            is_failed: matches!(self.outcome, Some(Outcome::Failed(_))),
            status: self.status,
            trace: &self.trace,
        })
    }

    /// Ends the request and counts it as dropped, because there is no memory to go on with it.
    #[cfg(feature = "tower")]
    pub(crate) fn lose(mut self) {
        self.is_over = true;
        alloc_counter::exclude(|| {
            let stripes = &self.shared.stripes;
            drop(self.active.and_then(|active| stripes.remove(active)));
            if let Some(mut aggregates) = stripes.aggregates(stripes.here()) {
                let fate = Fate::Dropped(Refusal::NoMemory);
                stripes.count(&mut aggregates, self.route, fate, Ending::Unknown);
            }
        });
    }

    /// Polls `future` in the request's trace, and ends the request with it. The request is cancelled if the
    /// future is dropped before it is ready, and panicked if a panic comes through it.
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
        Recorded::new(self, future)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("name", &self.current_name())
            .field("id", &self.current_id())
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

/// Sets the id of a trace's request. If the trace is empty, or there is no memory, returns the id: it belongs elsewhere.
#[inline]
fn own_id(trace: &Trace, id: IdText<'_>) -> Option<Id> {
    let is_set = { id.whole() }.is_some_and(|whole| trace.set_request_id(whole));
    if is_set { None } else { cut_id(trace, id) }
}

/// Does what [`own_id`] does, for an id that is to be cut, or that the trace does not take.
#[cold]
fn cut_id(trace: &Trace, id: IdText<'_>) -> Option<Id> {
    let id = bounded(id.as_str());
    (!trace.set_request_id(id.as_bytes())).then(|| Id::new(&id))
}

/// Returns a failure with the kept part of its message; without a message if there is no memory.
fn failed(why: &dyn Display) -> Outcome {
    let why = copied(text::Text::of(why).as_str());
    Outcome::Failed(why.unwrap_or_default())
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.is_over && !self.has_more_to_drop() {
            return;
        }
        alloc_counter::exclude(|| {
            if !self.is_over {
                end(self, |_| ());
            }
            #[cfg(feature = "sites")]
            if let Some(armed) = self.armed.take() {
                self.shared.arms.give_back(armed);
            }
            // Freed as they were allocated: as the tracer's own memory.
            self.id = None;
            self.labels = Vec::new();
            self.outcome = None;
        });
    }
}
