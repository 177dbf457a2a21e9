//! The spans that a thread has entered.

use std::cell::{Cell, RefCell};

use crate::primitives::pool::Member;
use crate::primitives::wait::Taken;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::write::cursor::{self, Position};

use super::left::{Left, Seen, thread};
use super::span::{Place, Request, Span, SpanRef, State, note_dropped, place_here};
use super::visit::{EnteredVisit, Leave, enter_unknown, leave_unknown};

thread_local! {
    /// How many spans are entered. Without a destructor, so that it is a load.
    static ENTERED: Cell<usize> = const { Cell::new(0) };
    /// Not borrowed while foreign code runs.
    static SPANS: RefCell<Spans> = const { RefCell::new(Spans::new()) };
}

/// The spans that this thread has entered, in this order.
pub(super) struct Spans {
    running: Vec<Running>,
    seen: Seen,
    serial: u32,
    /// The span whose handle was cloned last, and how many events had been seen then.
    cloned: (u64, u64),
}

/// Which span of which layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) layer: u32,
    pub(super) id: u64,
}

struct Running {
    key: Key,
    visit: EnteredVisit,
    /// `None` if the span was made outside of all traces.
    span: Option<SpanRef>,
    /// How often it is entered.
    depth: u32,
    was_panicking: bool,
    before: Seen,
}

/// The most spans that a thread has entered at once, as guards may be leaked. Beyond that, spans are not
/// recorded.
const MOST: usize = 4096;

/// Whether this thread has entered no span.
#[inline]
pub(super) fn is_outside() -> bool {
    ENTERED.get() == 0
}

/// Does something with the spans of this thread; `None` if the thread is ending.
#[inline]
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
            seen: Seen::NOTHING,
            serial: 0,
            cloned: (0, 0),
        }
    }

    #[inline]
    fn position(&self, key: Key) -> Option<usize> {
        self.running.iter().rposition(|running| running.key == key)
    }

    /// Returns where a new span of this layer is, if a trace is current on this thread.
    #[inline]
    pub(super) fn place(&self, layer: u32) -> Option<Place> {
        let mut of_layer = self.running.iter().rev().filter(|it| it.key.layer == layer);
        place_here(of_layer.find_map(|running| running.span))
    }

    /// Notes a new span. Returns a number that no other span has.
    #[inline]
    pub(super) fn see_new(&mut self) -> u64 {
        self.seen.events += 1;
        self.serial = self.serial.wrapping_add(1);
        u64::from(thread()) << u32::BITS | u64::from(self.serial)
    }

    /// Notes an event. Returns the call of the innermost span that has one; also as that of the strand, if
    /// the thread is in the strand of that span.
    pub(super) fn see_event(&mut self) -> (Option<CallRef>, Option<CallRef>) {
        self.seen.events += 1;
        let mut visits = self.running.iter().rev().map(|running| &running.visit);
        let Some(visit) = visits.find(|visit| visit.call_of_span.is_some()) else {
            return (None, None);
        };
        let strand = cursor::here(Position::strand).map(Member::number);
        let of_strand = visit.call_of_span.filter(|_| visit.strand == strand);
        (visit.call_of_span, of_strand)
    }

    /// Returns the innermost span.
    #[cfg(feature = "recorder")]
    pub(super) fn innermost(&self) -> Option<SpanRef> {
        self.running.last()?.span
    }

    /// Enters a span again that is entered on this thread.
    #[inline]
    pub(super) fn enter_again(&mut self, key: Key) -> bool {
        let Some(place) = self.position(key) else {
            return false;
        };
        self.running[place].depth += 1;
        true
    }

    /// Enters a span. `false` if it can't be recorded.
    #[inline]
    pub(super) fn enter(&mut self, key: Key, span: &'static Member<Span>) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(mut state) = span.state() else {
            return false;
        };
        let seen = self.seen;
        let visit = state.enter_here(seen).or_else(|| state.enter_own(seen));
        let Some(visit) = visit else {
            return false;
        };
        self.seen.events += 1;
        self.push(Running {
            key,
            visit,
            span: Some(SpanRef::new(span, state.serial())),
            depth: 1,
            was_panicking: std::thread::panicking(),
            before: self.seen,
        });
        true
    }

    /// Enters a span that was made outside of all traces, as a call of the current one.
    pub(super) fn enter_unknown(&mut self, key: Key, callsite: &'static Callsite) {
        if !self.has_room() {
            return;
        }
        self.seen.events += 1;
        self.push(Running {
            key,
            visit: enter_unknown(callsite),
            span: None,
            depth: 1,
            was_panicking: std::thread::panicking(),
            before: self.seen,
        });
    }

    #[inline]
    fn push(&mut self, running: Running) {
        self.running.push(running);
        ENTERED.set(self.running.len());
    }

    #[inline]
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
    #[inline]
    pub(super) fn leave(&mut self, key: Key) {
        if let Some(place) = self.position(key) {
            let running = &mut self.running[place];
            running.depth -= 1;
            if running.depth == 0 {
                self.leave_at(place);
            }
        }
    }

    fn leave_at(&mut self, place: usize) {
        let how = self.how_to_leave(place);
        if how == Leave::Alone && self.running[place].visit.entered.is_some() {
            self.mark_above(place);
        }
        let running = &mut self.running[place];
        let Some(mut state) = running.span.and_then(SpanRef::state) else {
            return self.leave_without_state(place, how);
        };
        // The parts that are needed, since the whole would be copied.
        let (key, span, before) = (running.key, running.span, running.before);
        let (index, is_immediate) = (running.visit.index, running.visit.is_immediate);
        let entered = running.visit.entered.take();
        let inside = self.take_out(place);
        if state.awaits_answer() && self.cloned == (key.id, inside) {
            state.note_answer();
        }
        let entries = state.left.entries + 1;
        let polled = state.left.last();
        if let Some(it) = state.leave(index, entered, how) {
            state.left = Left {
                entries,
                thread: thread(),
                polled,
                before,
                inside,
                after: self.seen,
                at: it.left_at(),
                visit: index,
                turn: it.turn(),
                allocates_nothing: entries > 1 && it.allocates_nothing(),
                is_immediate,
                has_dropped: false,
            };
        }
        if state.is_closed()
            && let Some(span) = span
        {
            self.close_state(span.span(), state, &mut None);
        }
    }

    /// Leaves a span that was made outside of all traces, or whose state is not to be had.
    fn leave_without_state(&mut self, place: usize, how: Leave) {
        let visit = &mut self.running[place].visit;
        let (call, _entered) = (visit.call(), visit.entered.take());
        self.take_out(place);
        if let Some(call) = call {
            leave_unknown(call, how);
        }
    }

    /// Takes a span out of those that are entered. Returns how many spans and events had been seen before.
    #[inline]
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
        let strand = running.visit.strand;
        let above = &self.running[place + 1..];
        if above.iter().any(|it| it.visit.strand == strand) {
            Leave::Alone
        } else {
            Leave::Suspend
        }
    }

    /// Marks the calls above that are in the strand of this span, which the thread is about to leave: they go
    /// on, and their figures don't.
    #[cold]
    fn mark_above(&mut self, place: usize) {
        let strand = self.running[place].visit.strand;
        let above = self.running[place + 1..].iter();
        for call in { above }
            .filter(|it| it.visit.strand == strand)
            .filter_map(|it| it.visit.call())
        {
            call.record.set_partial();
        }
    }

    /// Leaves a span that is closed although it is entered: its guard was leaked.
    pub(super) fn leave_closed(&mut self, key: Key) {
        while let Some(place) = self.position(key) {
            self.leave_at(place);
        }
    }

    /// Closes a span: its calls stop when they were left. If it is a request, that is moved to `request`.
    pub(super) fn close(&mut self, key: Key, span: &'static Member<Span>, request: &mut Request) {
        if !self.running.is_empty() {
            self.leave_closed(key);
        }
        if let Some(state) = span.state() {
            self.close_state(span, state, request);
        }
    }

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
            Span::give(span, state);
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        alloc_counter::exclude(|| self.running = Vec::new());
    }
}
