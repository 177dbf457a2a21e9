//! A span that belongs to a trace: its texts, and its visits.
//!
//! A visit is one line of execution in which the span was entered: a strand, with the call that stands
//! for the span there. While the span is entered, its thread has the visit; in between it waits here
//! for whichever thread enters the span next.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{Member, Number, Pool};
use crate::primitives::sync::shared_static;
use crate::primitives::text::{Text, copied};
use crate::primitives::wait::{Lock, Taken};
#[cfg(feature = "recorder")]
use crate::recorder::Recording;
use crate::store::address::Address;
use crate::store::callsite::{Callsite, TextPlace};
use crate::store::chunk::CallRef;
use crate::store::state::OutcomeKind;
use crate::store::strand::{STRANDS, Strand};
use crate::store::trace::WeakTrace;
use crate::store::usage::Figures;
use crate::write::annotate;
use crate::write::context::{self, Entered};
use crate::write::cursor;
use crate::write::execution::Execution;
use crate::write::start_stop;
use crate::write::suspend;

shared_static! {
    static SPANS: Pool<Span> = Pool::new();
}

/// A span's state, which any thread may take. It is used again for other spans.
pub(super) struct Span(Lock<State>);

/// A reference to a span that may be closed meanwhile.
#[derive(Clone, Copy)]
pub(super) struct SpanRef {
    span: &'static Member<Span>,
    serial: u64,
}

pub(super) struct State {
    /// Another one each time that the state is used; 0 while it is free.
    serial: u64,
    /// The subscriber's.
    id: u64,
    callsite: &'static Callsite,
    trace: WeakTrace,
    /// The call below which the span's executions are.
    parent: Address,
    /// The span around this one, in whose strand it may have been entered.
    around: Option<SpanRef>,
    /// The texts of its calls, as the callsite has them.
    text: Vec<u8>,
    /// Why the span failed, before it had a call.
    failure: Option<String>,
    /// The visits that wait.
    visits: Vec<Visit>,
    /// The call that was started last.
    call: Option<CallRef>,
    #[cfg(feature = "recorder")]
    recording: Option<Recording>,
}

/// Where a span is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) trace: WeakTrace,
    pub(super) parent: Address,
    pub(super) around: Option<SpanRef>,
}

/// One line of execution in which a span was entered.
pub(super) struct Visit {
    /// The strand; none if memory ran out.
    pub(super) strand: Number,
    pub(super) call: Option<CallRef>,
    /// The innermost call that was open inside when the span was left.
    innermost: Option<CallRef>,
    /// The strand's, if it is the span's own.
    pub(super) execution: Option<Execution>,
    /// The [number](Self::number) before the span was entered for the last time.
    pub(super) found: u32,
    pub(super) left: Left,
}

/// How a visit was last left.
#[derive(Clone, Copy, Default)]
pub(super) struct Left {
    /// How often the span has been entered in this visit.
    pub(super) entries: u32,
    /// The thread, and what it had seen once the span was entered for the last time, before it was left,
    /// and after that.
    pub(super) thread: u32,
    pub(super) before: Seen,
    pub(super) inside: Seen,
    pub(super) seen: Seen,
    /// How many of the events are the entry itself, and that it was left.
    pub(super) own_events: u64,
    /// In ticks.
    pub(super) at: u64,
    /// The number of the strand's visit, after it.
    pub(super) visit: u32,
    /// What the call had allocated.
    pub(super) allocations: u64,
    /// Nothing was allocated when it was entered for the last time.
    pub(super) allocates_nothing: bool,
    /// It was entered for the last time at once after it had been left.
    pub(super) is_immediate: bool,
}

/// How many spans and events a thread has seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) events: u64,
    /// Of these, those of futures that were dropped before they were ready.
    pub(super) of_cancelled: u64,
}

static NONE: Callsite = Callsite::new("", "", "", 0);

impl Span {
    fn new() -> Self {
        Self(Lock::new(State {
            serial: 0,
            id: 0,
            callsite: &NONE,
            trace: WeakTrace::NONE,
            parent: Address::NONE,
            around: None,
            text: Vec::new(),
            failure: None,
            visits: Vec::new(),
            call: None,
            #[cfg(feature = "recorder")]
            recording: None,
        }))
    }

    /// Takes a state for a new span; `None` if there is no memory.
    pub(super) fn take(
        id: u64,
        serial: u64,
        callsite: &'static Callsite,
        place: Place,
        text: &[u8],
    ) -> Option<&'static Member<Self>> {
        let span = SPANS.take(Self::new)?;
        let Some(mut state) = span.0.take() else {
            // Somebody was forked away with it: it is not used again.
            return None;
        };
        state.id = id;
        state.serial = serial;
        state.callsite = callsite;
        state.trace = place.trace;
        state.parent = place.parent;
        state.around = place.around;
        state.set_text(text);
        Some(span)
    }

    pub(super) fn state(&self) -> Option<Taken<'_, State>> {
        self.0.take()
    }

    /// Gives the state back. The caller has taken everything out of it.
    pub(super) fn give(this: &'static Member<Self>, mut state: Taken<'_, State>) {
        state.serial = 0;
        state.around = None;
        state.text.clear();
        if state.failure.is_some() {
            alloc_counter::exclude(|| state.failure = None);
        }
        state.call = None;
        drop(state);
        SPANS.give(this);
    }
}

impl SpanRef {
    pub(super) fn new(span: &'static Member<Span>, serial: u64) -> Self {
        Self { span, serial }
    }

    pub(super) fn span(self) -> &'static Member<Span> {
        self.span
    }

    /// Takes the state; `None` if the span has been closed.
    pub(super) fn state(self) -> Option<Taken<'static, State>> {
        let state = self.span.0.take()?;
        (state.serial == self.serial).then_some(state)
    }

    /// Whether the span waits in this strand.
    pub(super) fn waits_in(self, strand: Number) -> bool {
        self.state()
            .is_some_and(|state| state.visits.iter().any(|visit| visit.strand == strand))
    }
}

impl State {
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn callsite(&self) -> &'static Callsite {
        self.callsite
    }

    pub(super) fn around(&self) -> Option<SpanRef> {
        self.around
    }

    pub(super) fn call(&self) -> Option<CallRef> {
        self.call
    }

    /// Returns where a span is that has this one as its parent.
    pub(super) fn place_inside(&self, this: SpanRef) -> Place {
        Place {
            trace: self.trace,
            parent: self.call.map_or(self.parent, CallRef::address),
            around: Some(this),
        }
    }

    fn set_text(&mut self, text: &[u8]) {
        self.text.clear();
        if self.text.capacity() < text.len() {
            let reserve = || self.text.try_reserve_exact(text.len());
            if alloc_counter::exclude(reserve).is_err() {
                return;
            }
        }
        self.text.extend_from_slice(text);
    }

    /// Sets one of the texts: of the call, and of those to come.
    pub(super) fn set(&mut self, place: TextPlace, text: &Text) {
        if let Some(call) = self.call {
            annotate::label(call, place, text);
        }
        alloc_counter::exclude(|| {
            let (mut id, mut labels) = self.callsite.read_texts(&self.text);
            let value = Some(text.as_str().to_owned());
            match place {
                TextPlace::Id => id = value,
                TextPlace::Label(place) => {
                    if let Some(label) = labels.get_mut(place) {
                        *label = value;
                    }
                }
            }
            let labels: Vec<_> = labels
                .iter()
                .map(|it| it.as_ref().map(|it| it as _))
                .collect();
            let id = id.as_ref().map(|id| id as _);
            let text = self.callsite.write_texts(id, &labels);
            self.set_text(text.as_bytes());
        });
    }

    /// Marks the span as failed.
    pub(super) fn fail(&mut self, why: &Text) {
        match self.call {
            Some(call) => annotate::fail(call, why),
            None => self.failure = alloc_counter::exclude(|| copied(why.as_str())),
        }
    }

    #[cfg(feature = "recorder")]
    pub(super) fn record(&mut self, recording: Recording) {
        self.recording = Some(recording);
    }

    #[cfg(feature = "recorder")]
    pub(super) fn take_recording(&mut self) -> Option<Recording> {
        self.recording.take()
    }

    #[cfg(not(feature = "recorder"))]
    #[expect(clippy::unused_self, reason = "with a recorder it has one")]
    pub(super) fn take_recording(&mut self) -> Option<std::convert::Infallible> {
        None
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether a visit waits in a strand of the span's own, which is this one.
    pub(super) fn owns(&self, strand: Number) -> bool {
        let mut visits = self.visits.iter();
        visits.any(|visit| visit.strand == strand && visit.execution.is_some())
    }

    /// Returns the strand of the visit that waits, if it is not the span's own.
    pub(super) fn home(&self) -> Option<Number> {
        let visit = self.visits.iter().find(|visit| visit.execution.is_none())?;
        Some(visit.strand)
    }

    /// Goes on with the visit that waits in the strand of this thread, or begins one if the strand is of
    /// the span's trace.
    pub(super) fn visit_here(&mut self) -> Option<Visit> {
        cursor::here(|here| {
            let strand = here.strand()?;
            if self.trace != WeakTrace::of(strand.trace.load(Relaxed)) {
                return None;
            }
            let number = strand.number();
            let is_here = |visit: &Visit| visit.strand == number && visit.execution.is_none();
            if let Some(place) = self.visits.iter().position(is_here) {
                let mut visit = self.visits.swap_remove(place);
                visit.found = visit.number();
                visit.resume();
                return Some(visit);
            }
            Some(self.start(number, None))
        })
    }

    /// Goes on in a strand of the span's own, or begins one; `None` if there is no trace any more.
    pub(super) fn visit_apart(&mut self) -> Option<(Visit, Option<Entered>)> {
        if let Some(place) = { self.visits.iter() }.position(|visit| visit.execution.is_some()) {
            let mut visit = self.visits.swap_remove(place);
            visit.found = visit.number();
            let entered = visit.execution.as_ref().and_then(Execution::enter);
            visit.resume();
            return Some((visit, entered));
        }
        let execution = Execution::begin(&self.trace.upgrade()?.below(self.parent));
        let entered = execution.enter();
        let strand = cursor::here(|here| here.strand().map(|strand| strand.number()));
        // Without a strand of its own, a thread's other strand would take the call.
        let number = { entered.is_some() }.then_some(strand).flatten();
        Some((
            self.start(number.unwrap_or(Number::NONE), Some(execution)),
            entered,
        ))
    }

    /// Starts a call in the strand of this thread.
    fn start(&mut self, strand: Number, execution: Option<Execution>) -> Visit {
        let call = if strand == Number::NONE {
            None
        } else {
            start_stop::start_current(self.callsite, &self.text)
        };
        self.call = call.or(self.call);
        if self.failure.is_some()
            && let Some(call) = call
        {
            self.fail_late(call);
        }
        Visit {
            strand,
            call,
            innermost: None,
            execution,
            found: 0,
            left: Left::default(),
        }
    }

    #[cold]
    fn fail_late(&mut self, call: CallRef) {
        if let Some(why) = self.failure.take() {
            annotate::fail(call, &Text::of(&why));
            alloc_counter::exclude(|| drop(why));
        }
    }

    /// Lets a visit wait for the next thread. Returns it if there is no memory for it.
    pub(super) fn wait(&mut self, visit: Visit) -> Result<(), Visit> {
        if self.visits.len() == self.visits.capacity()
            && alloc_counter::exclude(|| self.visits.try_reserve(1)).is_err()
        {
            return Err(visit);
        }
        self.visits.push(visit);
        Ok(())
    }

    pub(super) fn take_visit(&mut self) -> Option<Visit> {
        self.visits.pop()
    }
}

impl Visit {
    /// Starts a call for a span that has no state, in the strand of this thread.
    pub(super) fn of_unknown(callsite: &'static Callsite) -> Self {
        Self {
            strand: cursor::here(|here| here.strand().map_or(Number::NONE, |it| it.number())),
            call: start_stop::start_current(callsite, &[]),
            innermost: None,
            execution: None,
            found: 0,
            left: Left::default(),
        }
    }

    fn resume(&mut self) {
        if let (Some(call), Some(innermost)) = (self.call, self.innermost)
            && suspend::resume(call, innermost)
        {
            self.innermost = None;
        }
    }

    /// Suspends the call: alone, if others in the same strand go on.
    pub(super) fn leave(&mut self, is_alone: bool) {
        if let (Some(call), None) = (self.call, self.innermost) {
            self.innermost = suspend::leave(call, is_alone);
        }
    }

    /// Stops the call, for good.
    pub(super) fn stop(&mut self) {
        if let Some(call) = self.call.take() {
            start_stop::stop(call);
        }
    }

    /// Stops the call when it was left, and ends the strand if it is the span's own.
    pub(super) fn finish(self, is_cancelled: bool) {
        let Some(call) = self.call else { return };
        let _entered = self.execution.as_ref().and_then(Execution::enter);
        let outcome =
            (is_cancelled && !call.record.state().has_failed()).then_some(OutcomeKind::Cancelled);
        let is_innermost = { self.innermost }.is_some_and(|innermost| innermost.is(call));
        start_stop::finish(call, is_innermost, outcome);
    }

    /// Returns the number of the strand's visit: another one once the strand has been left or entered.
    pub(super) fn number(&self) -> u32 {
        let strand = STRANDS.get(self.strand);
        strand.map_or(0, |strand| strand.meter.visit())
    }

    /// Returns what the call has allocated, if it is suspended.
    pub(super) fn allocations(&self) -> Option<u64> {
        let call = self.call?;
        match call.record.figures() {
            Figures::Used(used) => Some(used.counts.allocates()),
            Figures::Started(_) => None,
        }
    }
}

/// Returns the call that is open on this thread, and its trace; `None` if no trace is current.
pub(super) fn place_here(around: Option<SpanRef>) -> Option<Place> {
    cursor::here(|here| {
        let strand = here.strand()?;
        Some(Place {
            trace: WeakTrace::of(strand.trace.load(Relaxed)),
            parent: context::open_in(here, strand),
            around,
        })
    })
}

/// Counts in the current trace that something could not be recorded.
#[cold]
pub(super) fn note_dropped() {
    cursor::here(|here| {
        if let Some(strand) = here.strand() {
            Strand::note_dropped(strand);
        }
    });
}
