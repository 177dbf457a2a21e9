//! The spans that a thread has entered.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use std::cell::{Cell, RefCell};

use crate::primitives::pool::{Member, Number};
use crate::primitives::wait::Taken;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::trace::WeakTrace;
use crate::write::context::Entered;
use crate::write::cursor::{self, Position};
use crate::write::start_stop;

use super::left::{Seen, thread};
use super::span::{Entry, New, Place, Request, Span, SpanRef, State, note_dropped, place_here};
use super::visit::{Leave, Visit, leave_unknown};

thread_local! {
    /// How many spans are entered. Without a destructor, so that it is a load.
    static ENTERED: Cell<usize> = const { Cell::new(0) };
    /// Not borrowed while foreign code runs.
    static SPANS: RefCell<Spans> = const { RefCell::new(Spans::new()) };
}

/// The spans that this thread has entered, in this order.
pub(super) struct Spans {
    running: Vec<Running>,
    /// How many of these were made outside of all traces.
    unknown: usize,
    seen: Seen,
    serial: u32,
    /// The span whose handle was cloned last, and how many events had been seen then.
    cloned: (u64, u64),
    /// States for new spans, without a look at the pool.
    spare: Vec<&'static Member<Span>>,
}

/// Which span of which layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) layer: u32,
    pub(super) id: u64,
}

struct Running {
    key: Key,
    /// `None` if the span was made outside of all traces.
    span: Option<SpanRef>,
    /// The strand in which it was entered.
    strand: Option<Number>,
    /// The call in this strand, or else that of the span in another one.
    call_of_span: Option<CallRef>,
    /// Its visit.
    entry: Entry,
    /// How often it is entered.
    depth: u32,
    was_panicking: bool,
    before: Seen,
}

impl Running {
    /// Returns the call in the strand in which the span was entered.
    #[cold]
    fn call(&self) -> Option<CallRef> {
        let is_here = |call: &CallRef| call.strand() == self.strand;
        self.call_of_span.filter(is_here)
    }
}

/// The most spans that a thread has entered at once, as guards may be leaked. Beyond that, spans are not
/// recorded.
const MOST: usize = 4096;

/// The most states that a thread keeps for itself.
const SPARE: usize = 16;

/// Whether this thread has entered no span.
#[inline]
pub(super) fn is_outside() -> bool {
    ENTERED.get() == 0
}

/// Does something with the spans of this thread; `None` if the thread is ending.
#[inline(always)]
pub(super) fn here<T>(work: impl FnOnce(&mut Spans) -> T) -> Option<T> {
    let spans = |spans: &RefCell<Spans>| spans.try_borrow_mut().ok().map(|mut it| work(&mut it));
    SPANS.try_with(spans).ok().flatten()
}

/// Notes that a handle of a span was cloned.
#[inline]
pub(super) fn note_clone(id: u64) {
    if !is_outside() {
        here(|spans| spans.cloned = (id, spans.seen.events));
    }
}

impl Spans {
    const fn new() -> Self {
        Self {
            running: Vec::new(),
            unknown: 0,
            seen: Seen::NOTHING,
            serial: 0,
            cloned: (0, 0),
            spare: Vec::new(),
        }
    }

    /// Takes a state for a new span; `None` if there is no memory.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<&'static Member<Span>> {
        self.spare.pop().or_else(Span::take)
    }

    /// Takes a state back.
    #[inline(always)]
    pub(super) fn give(&mut self, span: &'static Member<Span>) {
        if self.spare.len() < self.spare.capacity() {
            self.spare.push(span);
        } else {
            self.give_elsewhere(span);
        }
    }

    #[cold]
    fn give_elsewhere(&mut self, span: &'static Member<Span>) {
        let spare = &mut self.spare;
        let reserve = || spare.capacity() == 0 && spare.try_reserve_exact(SPARE).is_ok();
        if alloc_counter::exclude(reserve) {
            spare.push(span);
        } else {
            Span::give(span);
        }
    }

    #[inline]
    fn position(&self, key: Key) -> Option<usize> {
        self.running.iter().rposition(|running| running.key == key)
    }

    /// Notes a new span of this layer, if a trace is current on this thread.
    #[inline(always)]
    pub(super) fn see_new(&mut self, layer: u32, is_root: bool) -> Option<New> {
        let mut of_layer = self.running.iter().rev().filter(|it| it.key.layer == layer);
        let around = of_layer.find_map(|running| running.span);
        Some(self.see_new_at(place_here(around, is_root)?))
    }

    /// Notes a new span at this place.
    #[inline(always)]
    pub(super) fn see_new_at(&mut self, place: Place) -> New {
        self.seen.events += 1;
        self.serial = self.serial.wrapping_add(1);
        New {
            serial: u64::from(thread()) << u32::BITS | u64::from(self.serial),
            place,
        }
    }

    /// Notes an event. Returns the call of the innermost span that has one; also as that of the strand, if
    /// the thread is in the strand of that span.
    pub(super) fn see_event(&mut self) -> (Option<CallRef>, Option<CallRef>) {
        self.seen.events += 1;
        let mut running = self.running.iter().rev();
        let Some(running) = running.find(|running| running.call_of_span.is_some()) else {
            return (None, None);
        };
        let strand = cursor::here(Position::strand).map(Member::number);
        let of_strand = running.call_of_span.filter(|_| running.strand == strand);
        (running.call_of_span, of_strand)
    }

    /// Returns the innermost span.
    #[cfg(feature = "recorder")]
    pub(super) fn innermost(&self) -> Option<SpanRef> {
        self.running.last()?.span
    }

    /// Enters a span again that is entered on this thread.
    #[inline]
    fn enter_again(&mut self, key: Key) -> bool {
        let Some(place) = self.position(key) else {
            return false;
        };
        self.running[place].depth += 1;
        true
    }

    /// Enters a span, which has this state. `false` if it can't be recorded as that span.
    #[inline(always)]
    pub(super) fn enter(&mut self, key: Key, span: Option<&'static Member<Span>>) -> bool {
        let state = span.and_then(|span| Some((span, span.state()?)));
        let Some((span, mut state)) = state else {
            return self.enter_again(key);
        };
        // Looks for the span only if it may be among those that are entered.
        if (state.is_entered() || self.unknown > 0) && self.enter_again(key) {
            return true;
        }
        if !self.has_room() {
            return false;
        }
        let Some((index, is_immediate)) = state.enter_here(self.seen) else {
            return self.enter_own(key, span, state);
        };
        let entry = Entry {
            index,
            entered: None,
            is_immediate,
        };
        self.push_entered(key, span, &state, entry);
        true
    }

    /// Enters a span in a strand of its own.
    #[cold]
    fn enter_own(
        &mut self,
        key: Key,
        span: &'static Member<Span>,
        mut state: Taken<'_, State>,
    ) -> bool {
        let Some(entry) = state.enter_own(self.seen) else {
            return false;
        };
        self.push_entered(key, span, &state, entry);
        true
    }

    #[inline(always)]
    fn push_entered(&mut self, key: Key, span: &'static Member<Span>, state: &State, entry: Entry) {
        let visit = state.visit(entry.index);
        self.seen.events += 1;
        self.push(Running {
            key,
            span: Some(SpanRef::new(span, state.serial())),
            strand: visit.and_then(Visit::number),
            call_of_span: visit.and_then(Visit::call).or(state.call()),
            entry,
            depth: 1,
            was_panicking: std::thread::panicking(),
            before: self.seen,
        });
    }

    /// Enters a span that was made outside of all traces, as a call of the current one.
    pub(super) fn enter_unknown(&mut self, key: Key, callsite: &'static Callsite) {
        if !self.has_room() {
            return;
        }
        self.seen.events += 1;
        self.unknown += 1;
        let call_of_span = start_stop::start_current(callsite, &[]);
        self.push(Running {
            key,
            span: None,
            strand: cursor::here(Position::strand).map(Member::number),
            call_of_span,
            entry: Entry {
                index: 0,
                entered: None,
                is_immediate: false,
            },
            depth: 1,
            was_panicking: std::thread::panicking(),
            before: self.seen,
        });
    }

    #[inline(always)]
    fn push(&mut self, running: Running) {
        self.running.push(running);
        ENTERED.set(self.running.len());
    }

    #[inline(always)]
    fn has_room(&mut self) -> bool {
        self.running.len() < self.running.capacity() || self.make_room()
    }

    #[cold]
    fn make_room(&mut self) -> bool {
        let has_room = self.running.len() < MOST
            && alloc_counter::exclude(|| self.running.try_reserve(1)).is_ok();
        if !has_room {
            note_dropped();
        }
        has_room
    }

    /// Leaves a span, if it was entered on this thread.
    #[inline(always)]
    pub(super) fn leave(&mut self, key: Key) {
        if let Some(place) = self.position(key) {
            let running = &mut self.running[place];
            running.depth -= 1;
            if running.depth == 0 {
                self.leave_at(place);
            }
        }
    }

    #[inline(always)]
    fn leave_at(&mut self, place: usize) {
        let is_last = place + 1 == self.running.len();
        let running = &mut self.running[place];
        if is_last
            && running.entry.entered.is_none()
            && !std::thread::panicking()
            && let Some(span) = running.span
            && let Some(state) = span.state()
        {
            // Most spans are left like this.
            self.leave_state(place, span, state, None, Leave::Suspend);
        } else {
            self.leave_otherwise(place);
        }
    }

    #[cold]
    fn leave_otherwise(&mut self, place: usize) {
        let how = self.how_to_leave(place);
        if how == Leave::Alone && self.running[place].entry.entered.is_some() {
            self.mark_above(place);
        }
        let running = &mut self.running[place];
        if let Some(span) = running.span
            && let Some(state) = span.state()
        {
            let entered = running.entry.entered.take();
            self.leave_state(place, span, state, entered, how);
        } else {
            self.leave_without_state(place, how);
        }
    }

    #[inline(always)]
    fn leave_state(
        &mut self,
        place: usize,
        span: SpanRef,
        mut state: Taken<'_, State>,
        entered: Option<Entered>,
        how: Leave,
    ) {
        let running = &self.running[place];
        let (key, before) = (running.key, running.before);
        let (index, is_immediate) = (running.entry.index, running.entry.is_immediate);
        let inside = self.take_out(place);
        if state.awaits_answer() && self.cloned == (key.id, inside) {
            state.note_answer();
        }
        let seen = [before, self.seen];
        state.leave(index, (entered, how), seen, inside, is_immediate);
        if state.is_closed() {
            self.close_left(span.span(), state);
        }
    }

    /// Leaves a span that was made outside of all traces, or whose state is not to be had.
    #[cold]
    fn leave_without_state(&mut self, place: usize, how: Leave) {
        let running = &mut self.running[place];
        let (call, _entered) = (running.call(), running.entry.entered.take());
        if running.span.is_none() {
            self.unknown -= 1;
        }
        self.take_out(place);
        if let Some(call) = call {
            leave_unknown(call, how);
        }
    }

    /// Takes a span out of those that are entered. Returns how many spans and events had been seen before.
    #[inline(always)]
    fn take_out(&mut self, place: usize) -> u64 {
        let last = self.running.len() - 1;
        if place == last {
            self.running.truncate(last);
        } else {
            self.running.remove(place);
        }
        ENTERED.set(last);
        let inside = self.seen.events;
        self.seen.events += 1;
        inside
    }

    /// Returns what becomes of the call of a span that is left.
    #[inline]
    fn how_to_leave(&self, place: usize) -> Leave {
        let running = &self.running[place];
        if std::thread::panicking() && !running.was_panicking {
            return Leave::Stop;
        }
        let strand = running.strand;
        let above = &self.running[place + 1..];
        if above.iter().any(|it| it.strand == strand) {
            Leave::Alone
        } else {
            Leave::Suspend
        }
    }

    /// Marks the calls above that are in the strand of this span, which the thread is about to leave: they go
    /// on, and their figures don't.
    #[cold]
    fn mark_above(&mut self, place: usize) {
        let strand = self.running[place].strand;
        let above = self.running[place + 1..].iter();
        for call in { above }
            .filter(|it| it.strand == strand)
            .filter_map(Running::call)
        {
            call.record.set_partial();
        }
    }

    /// Leaves a span that is closed although it is entered: its guard was leaked.
    #[cold]
    pub(super) fn leave_closed(&mut self, key: Key) {
        while let Some(place) = self.position(key) {
            self.leave_at(place);
        }
    }

    /// Closes a span: its calls stop when they were left. `look` is told its trace. If it is a request, that
    /// is moved to `request`.
    #[inline(always)]
    pub(super) fn close(
        &mut self,
        key: Key,
        span: &'static Member<Span>,
        look: impl FnOnce(WeakTrace),
        request: &mut Request,
    ) {
        let Some(mut state) = span.state() else {
            return self.leave_closed(key);
        };
        look(state.trace());
        if state.is_entered() || self.unknown > 0 {
            drop(state);
            self.leave_closed(key);
            let Some(again) = span.state() else { return };
            state = again;
        }
        self.close_state(span, state, request);
    }

    /// Closes a span that was closed while this thread had entered it.
    #[cold]
    fn close_left(&mut self, span: &'static Member<Span>, state: Taken<'_, State>) {
        self.close_state(span, state, &mut None);
    }

    #[inline(always)]
    fn close_state(
        &mut self,
        span: &'static Member<Span>,
        mut state: Taken<'_, State>,
        request: &mut Request,
    ) {
        let is_request = state.request().is_some();
        let around = state.around();
        let is_over = state.close(|left, turn| {
            let is_cancelled = left.is_cancelled(self.seen, turn, is_request);
            if is_cancelled {
                self.seen.note_cancelled(left);
                if let Some(around) = around {
                    around.note_cancelled_inside(left);
                }
            }
            is_cancelled
        });
        if is_over {
            // It is large, and most spans have none.
            if is_request {
                *request = state.request().take();
            }
            state.end();
            drop(state);
            self.give(span);
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        for span in self.spare.drain(..) {
            Span::give(span);
        }
        alloc_counter::exclude(|| {
            self.running = Vec::new();
            self.spare = Vec::new();
        });
    }
}
