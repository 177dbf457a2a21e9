//! A span that belongs to a trace: its texts, and its visits.
//!
//! A visit is one line of execution in which the span was entered: a strand, with the call that stands
//! for the span there. One thread at a time has entered a visit. In between it waits for the next one.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{Member, Number, Pool};
use crate::primitives::sync::shared_static;
use crate::primitives::text::{Text, copied};
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::callsite::{Callsite, TextPlace};
use crate::store::chunk::CallRef;
use crate::store::state::OutcomeKind;
use crate::store::strand::STRANDS;
use crate::store::trace::WeakTrace;
use crate::store::usage::Figures;
use crate::write::annotate;
use crate::write::context::{self, Entered};
use crate::write::cursor::{self, Position};
use crate::write::execution::Execution;
use crate::write::start_stop;
use crate::write::suspend;

use super::thread::Left;

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

/// What a request leaves when its span is closed.
#[cfg(feature = "recorder")]
pub(super) type Request = Option<crate::recorder::Recording>;
#[cfg(not(feature = "recorder"))]
pub(super) type Request = Option<std::convert::Infallible>;

pub(super) struct State {
    /// Another one each time that the state is used; 0 while it is free.
    serial: u64,
    /// The subscriber's.
    id: u64,
    callsite: &'static Callsite,
    place: Place,
    /// The texts of its calls, as the callsite has them.
    text: Vec<u8>,
    /// Why the span failed, before it had a call.
    failure: Option<String>,
    /// The first ones are in use.
    visits: Vec<Visit>,
    used: usize,
    /// The call that was started last.
    call: Option<CallRef>,
    /// Closed while a visit was entered on another thread, which ends it.
    is_closed: bool,
    request: Request,
}

/// Where a span is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) trace: WeakTrace,
    /// The call below which the span's own strands are.
    pub(super) parent: Address,
    /// The span around this one, in whose strand it may have been entered.
    pub(super) around: Option<SpanRef>,
}

/// One line of execution in which a span was entered.
pub(super) struct Visit {
    /// The strand; none if memory ran out.
    strand: Number,
    is_entered: bool,
    call: Option<CallRef>,
    /// The innermost call that was open inside when the span was left.
    innermost: Option<CallRef>,
    /// The strand's, if it is the span's own.
    execution: Option<Execution>,
    pub(super) left: Left,
}

/// A visit that has been entered.
pub(super) struct EnteredVisit {
    pub(super) index: usize,
    pub(super) strand: Number,
    pub(super) call: Option<CallRef>,
    /// Dropped before the visit's execution: see [`State::leave`].
    pub(super) entered: Option<Entered>,
    /// The [number](Visit::number) of the strand's visit before.
    pub(super) found: u32,
}

static NO_CALLSITE: Callsite = Callsite::new("", "", "", 0);

impl Span {
    fn new() -> Self {
        Self(Lock::new(State {
            serial: 0,
            id: 0,
            callsite: &NO_CALLSITE,
            place: Place {
                trace: WeakTrace::NONE,
                parent: Address::NONE,
                around: None,
            },
            text: Vec::new(),
            failure: None,
            visits: Vec::new(),
            used: 0,
            call: None,
            is_closed: false,
            request: None,
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
        // If somebody was forked away with the lock, the state is not used again.
        let mut state = span.0.take()?;
        state.serial = serial;
        state.id = id;
        state.callsite = callsite;
        state.place = place;
        if !text.is_empty() {
            state.set_text(text);
        }
        Some(span)
    }

    #[inline]
    pub(super) fn state(&self) -> Option<Taken<'_, State>> {
        self.0.take()
    }

    /// Gives the state back, whose visits have ended.
    pub(super) fn give(this: &'static Member<Self>, mut state: Taken<'_, State>) {
        state.serial = 0;
        state.place.around = None;
        state.text.clear();
        if state.failure.is_some() {
            alloc_counter::exclude(|| state.failure = None);
        }
        state.used = 0;
        state.call = None;
        state.is_closed = false;
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

    /// Takes the state; `None` if the span has been closed and its state is another span's.
    #[inline]
    pub(super) fn state(self) -> Option<Taken<'static, State>> {
        let state = self.span.0.take()?;
        (state.serial == self.serial).then_some(state)
    }

    /// Returns the span's id, if it waits in this strand.
    pub(super) fn id_if_waiting_in(self, strand: Number) -> Option<u64> {
        let state = self.state()?;
        let mut visits = state.visits().iter();
        visits
            .any(|visit| visit.strand == strand && !visit.is_entered)
            .then_some(state.id)
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
        self.place.around
    }

    pub(super) fn call(&self) -> Option<CallRef> {
        self.call
    }

    pub(super) fn request(&mut self) -> &mut Request {
        &mut self.request
    }

    /// Returns where a span is that has this one as its parent.
    pub(super) fn place_inside(&self, this: SpanRef) -> Place {
        Place {
            trace: self.place.trace,
            parent: self.call.map_or(self.place.parent, CallRef::address),
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
            let value = copied(text.as_str());
            match place {
                TextPlace::Id => id = value,
                TextPlace::Label(place) => {
                    if let Some(label) = labels.get_mut(place) {
                        *label = value;
                    }
                }
            }
            let labels = labels.iter().map(|it| it.as_ref().map(|it| it as _));
            let labels: Vec<_> = labels.collect();
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

    /// Returns how a visit was last left.
    pub(super) fn left(&self, visit: &EnteredVisit) -> Left {
        let visit = self.visits.get(visit.index);
        visit.map_or_else(Left::default, |visit| visit.left)
    }

    fn visits(&self) -> &[Visit] {
        &self.visits[..self.used]
    }

    /// Returns the strand of a visit that waits, if it is not the span's own.
    pub(super) fn home(&self) -> Option<Number> {
        let mut visits = self.visits().iter();
        let visit = visits.find(|visit| visit.execution.is_none() && !visit.is_entered)?;
        Some(visit.strand)
    }

    /// Goes on with the visit that waits in the strand of this thread, or begins one if the strand is of
    /// the span's trace.
    #[inline]
    pub(super) fn enter_here(&mut self) -> Option<EnteredVisit> {
        let strand = cursor::here(Position::strand)?;
        if self.place.trace != WeakTrace::of(strand.trace.load(Relaxed)) {
            return None;
        }
        let number = strand.number();
        let is_here = |visit: &Visit| {
            visit.strand == number && visit.execution.is_none() && !visit.is_entered
        };
        if let Some(index) = self.visits().iter().position(is_here) {
            return Some(self.enter_again(index));
        }
        self.begin(number, None, None)
    }

    /// Goes on in a strand of the span's own; `None` if none waits. If `strand` is given, only in that.
    pub(super) fn enter_own(&mut self, strand: Option<Number>) -> Option<EnteredVisit> {
        let is_own = |visit: &Visit| {
            let is_wanted = strand.is_none_or(|strand| visit.strand == strand);
            visit.execution.is_some() && !visit.is_entered && is_wanted
        };
        let index = self.visits().iter().position(is_own)?;
        Some(self.enter_again(index))
    }

    /// Begins a strand of the span's own; `None` if there is no trace any more.
    pub(super) fn enter_new(&mut self) -> Option<EnteredVisit> {
        let execution = Execution::begin(&self.place.trace.upgrade()?.below(self.place.parent));
        let entered = execution.enter();
        // Without a strand of its own, the call would go into another one of this thread.
        let strand = entered
            .as_ref()
            .and_then(|_| cursor::here(Position::strand));
        let number = strand.map_or(Number::NONE, Member::number);
        self.begin(number, Some(execution), entered)
    }

    fn enter_again(&mut self, index: usize) -> EnteredVisit {
        let visit = &mut self.visits[index];
        let found = visit.number();
        let entered = visit.execution.as_ref().and_then(Execution::enter);
        visit.is_entered = true;
        if let (Some(call), Some(innermost)) = (visit.call, visit.innermost)
            && suspend::resume(call, innermost)
        {
            visit.innermost = None;
        }
        EnteredVisit {
            index,
            strand: visit.strand,
            call: visit.call,
            entered,
            found,
        }
    }

    /// Begins a visit in the strand of this thread; `None` if there is no memory for it.
    fn begin(
        &mut self,
        strand: Number,
        execution: Option<Execution>,
        entered: Option<Entered>,
    ) -> Option<EnteredVisit> {
        let index = self.used;
        if index == self.visits.len() {
            self.make_room()?;
        }
        let call = if strand == Number::NONE {
            None
        } else {
            start_stop::start_current(self.callsite, &self.text)
        };
        if call.is_some() {
            self.call = call;
        }
        self.used += 1;
        let visit = &mut self.visits[index];
        visit.strand = strand;
        visit.is_entered = true;
        visit.call = call;
        visit.innermost = None;
        visit.execution = execution;
        visit.left.entries = 0;
        if self.failure.is_some()
            && let Some(call) = call
        {
            self.fail_late(call);
        }
        Some(EnteredVisit {
            index,
            strand,
            call,
            entered,
            found: 0,
        })
    }

    #[cold]
    fn make_room(&mut self) -> Option<()> {
        alloc_counter::exclude(|| self.visits.try_reserve_exact(1)).ok()?;
        self.visits.push(Visit {
            strand: Number::NONE,
            is_entered: false,
            call: None,
            innermost: None,
            execution: None,
            left: Left::default(),
        });
        Some(())
    }

    #[cold]
    fn fail_late(&mut self, call: CallRef) {
        if let Some(why) = self.failure.take() {
            annotate::fail(call, &Text::of(&why));
            alloc_counter::exclude(|| drop(why));
        }
    }

    /// Leaves a visit: its call is suspended, alone if others in the same strand go on, or stopped.
    pub(super) fn leave(&mut self, visit: &mut EnteredVisit, how: Leave) -> Option<&mut Visit> {
        let state = self.visits.get_mut(visit.index)?;
        match (state.call, how) {
            (None, _) => {}
            (Some(call), Leave::Stop) => {
                state.call = None;
                start_stop::stop(call);
            }
            // If it could not be resumed, it is suspended.
            (Some(_), _) if state.innermost.is_some() => {}
            (Some(call), how) => state.innermost = suspend::leave(call, how == Leave::Alone),
        }
        visit.entered = None;
        state.is_entered = false;
        Some(state)
    }

    /// Closes the span: its calls stop when they were left. Returns `false` if a visit is entered on
    /// another thread, which will then do this.
    #[inline]
    pub(super) fn close(&mut self, mut is_cancelled: impl FnMut(&Visit) -> bool) -> bool {
        let visits = &mut self.visits[..self.used];
        if visits.iter().any(|visit| visit.is_entered) {
            self.is_closed = true;
            return false;
        }
        for visit in visits.iter_mut().rev() {
            let is_cancelled = is_cancelled(visit);
            visit.finish(is_cancelled);
        }
        true
    }

    /// Whether the span was closed while it was entered.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

/// What becomes of the call of a visit that is left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is suspended, with the calls inside.
    Suspend,
    /// It is suspended, while the calls inside go on.
    Alone,
    /// It stops.
    Stop,
}

impl Visit {
    /// Stops the call when it was left, and ends the strand if it is the span's own.
    fn finish(&mut self, is_cancelled: bool) {
        let execution = self.execution.take();
        let Some(call) = self.call.take() else { return };
        let _entered = execution.as_ref().and_then(Execution::enter);
        let is_cancelled = is_cancelled && !call.record.state().has_failed();
        let outcome = is_cancelled.then_some(OutcomeKind::Cancelled);
        let is_innermost = self.innermost.is_some_and(|innermost| innermost.is(call));
        start_stop::finish(call, is_innermost, outcome);
    }

    /// Returns the number of the strand's visit: another one once the strand has been left or entered.
    pub(super) fn number(&self) -> u32 {
        let strand = STRANDS.get(self.strand);
        strand.map_or(0, |strand| strand.meter.visit())
    }

    /// Returns what the call has allocated, if it is suspended.
    pub(super) fn allocates(&self) -> u64 {
        match self.call.map(|call| call.record.figures()) {
            Some(Figures::Used(used)) => used.counts.allocates(),
            _ => 0,
        }
    }
}

/// Starts a call for a span that has no state, in the strand of this thread.
pub(super) fn enter_unknown(callsite: &'static Callsite) -> EnteredVisit {
    EnteredVisit {
        index: 0,
        strand: cursor::here(Position::strand).map_or(Number::NONE, Member::number),
        call: start_stop::start_current(callsite, &[]),
        entered: None,
        found: 0,
    }
}

/// Returns the call that is open on this thread, and its trace; `None` if no trace is current.
#[inline]
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
    if let Some(strand) = cursor::here(Position::strand) {
        strand.note_dropped();
    }
}
