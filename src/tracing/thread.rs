//! The spans that a thread has entered.

use std::cell::{Cell, RefCell};

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::write::context::Entered;
use crate::write::cursor;

use super::span::{Left, Seen, Span, SpanRef, Visit};

thread_local! {
    /// Not borrowed while foreign code runs.
    static ENTERED: RefCell<Spans> = const { RefCell::new(Spans::new()) };
    static SERIALS: Cell<u32> = const { Cell::new(0) };
}

/// The spans that this thread has entered, in this order.
pub(super) struct Spans {
    running: Vec<Running>,
    seen: Seen,
}

/// Which span of which layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) layer: u32,
    pub(super) id: u64,
}

struct Running {
    key: Key,
    /// Dropped before the visit's execution.
    entered: Option<Entered>,
    visit: Visit,
    /// `None` if the span was made outside of all traces.
    span: Option<SpanRef>,
    /// How often it is entered.
    depth: u32,
    /// The spans around were entered with it, to run in their strand; how many.
    with: usize,
    was_panicking: bool,
    before: Seen,
    is_immediate: bool,
}

/// What a span leaves when it is closed: the request that it was.
#[cfg(feature = "recorder")]
type Closed = Option<crate::recorder::Recording>;
#[cfg(not(feature = "recorder"))]
type Closed = Option<std::convert::Infallible>;

/// So many guards may be leaked on a thread. Beyond that, no further span is recorded.
const MOST: usize = 1024;

/// Completed futures are dropped at once. A future that was not is dropped after something else ran.
const IMMEDIATE_NANOSECONDS: u64 = 1_000_000;

/// Does something with the spans of this thread; `None` if the thread is ending.
#[inline]
pub(super) fn here<T>(work: impl FnOnce(&mut Spans) -> T) -> Option<T> {
    ENTERED
        .try_with(|spans| {
            spans
                .try_borrow_mut()
                .ok()
                .map(|mut spans| work(&mut spans))
        })
        .ok()
        .flatten()
}

/// Returns a number that no other span has.
pub(super) fn serial() -> u64 {
    let next = SERIALS.get().wrapping_add(1);
    SERIALS.set(next);
    u64::from(thread()) << u32::BITS | u64::from(next)
}

fn thread() -> u32 {
    cursor::here(|here| here.tag().to_bits())
}

impl Spans {
    const fn new() -> Self {
        Self {
            running: Vec::new(),
            seen: Seen {
                events: 0,
                of_cancelled: 0,
            },
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    fn position(&self, key: Key) -> Option<usize> {
        self.running.iter().rposition(|running| running.key == key)
    }

    /// Notes that the thread has seen an event, or a new span.
    pub(super) fn see(&mut self) {
        self.seen.events += 1;
    }

    /// Returns the innermost span of this layer.
    pub(super) fn current(&self, layer: u32) -> Option<SpanRef> {
        let mut of_layer =
            { self.running.iter().rev() }.filter(|running| running.key.layer == layer);
        of_layer.find_map(|running| running.span)
    }

    /// Returns the call of the innermost span that has one.
    pub(super) fn current_call(&self) -> Option<CallRef> {
        self.running
            .iter()
            .rev()
            .find_map(|running| running.visit.call)
    }

    /// Enters a span again that is entered on this thread.
    #[inline]
    pub(super) fn enter_again(&mut self, key: Key) -> bool {
        if self.running.is_empty() {
            return false;
        }
        let Some(place) = self.position(key) else {
            return false;
        };
        self.running[place].depth += 1;
        true
    }

    /// Enters a span. `false` if it is not in a trace that could be recorded.
    pub(super) fn enter(&mut self, key: Key, span: &'static Member<Span>) -> bool {
        self.enter_in(key, span, None)
    }

    /// Enters a span; if `strand` is given, only if that can be entered by it.
    fn enter_in(&mut self, key: Key, span: &'static Member<Span>, strand: Option<Number>) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(mut state) = span.state() else {
            return false;
        };
        let before = self.seen;
        let mut with = 0;
        let mut visited = state.visit_here().map(|visit| (visit, None));
        if visited.is_none()
            && let (Some(home), Some(around)) = (state.home(), state.around())
            && around.waits_in(home)
        {
            // Its parent is not entered, and nobody runs their strand.
            let depth = self.running.len();
            self.enter_around(key.layer, around, home);
            with = self.running.len() - depth;
            visited = state.visit_here().map(|visit| (visit, None));
        }
        if visited.is_none() && strand.is_none_or(|strand| state.owns(strand)) {
            visited = state.visit_apart();
        }
        let Some((visit, entered)) = visited else {
            drop(state);
            self.leave_last(with);
            return false;
        };
        let left = visit.left;
        let is_immediate = left.entries > 0
            && left.thread == thread()
            && left.seen.events == before.events
            && left.visit == visit.found
            && clock::nanoseconds(clock::ticks().saturating_sub(left.at)) < IMMEDIATE_NANOSECONDS;
        let is_seen = strand.is_none();
        self.seen.events += u64::from(is_seen);
        self.running.push(Running {
            key,
            entered,
            visit,
            span: Some(SpanRef::new(span, state.serial())),
            depth: 1,
            with,
            was_panicking: std::thread::panicking(),
            before: self.seen,
            is_immediate,
        });
        true
    }

    /// Enters a span that waits in this strand, and with it the strand.
    fn enter_around(&mut self, layer: u32, around: SpanRef, strand: Number) {
        let id = around.state().map(|state| state.id());
        if let Some(id) = id {
            self.enter_in(Key { layer, id }, around.span(), Some(strand));
        }
    }

    /// Enters a span that was made outside of all traces, as a call of the current one.
    pub(super) fn enter_unknown(&mut self, key: Key, callsite: &'static Callsite) {
        if !self.has_room() {
            return;
        }
        self.seen.events += 1;
        self.running.push(Running {
            key,
            entered: None,
            visit: Visit::of_unknown(callsite),
            span: None,
            depth: 1,
            with: 0,
            was_panicking: std::thread::panicking(),
            before: self.seen,
            is_immediate: false,
        });
    }

    fn has_room(&mut self) -> bool {
        if self.running.len() < self.running.capacity() {
            return true;
        }
        let has_room = self.running.len() < MOST
            && alloc_counter::exclude(|| self.running.try_reserve(1)).is_ok();
        if !has_room {
            super::span::note_dropped();
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
                self.leave_at(place, true);
            }
        }
    }

    fn leave_last(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(last) = self.running.len().checked_sub(1) {
                self.leave_at(last, false);
            }
        }
    }

    fn leave_at(&mut self, place: usize, is_seen: bool) {
        let mut above = self.running[place + 1..].iter();
        let strand = self.running[place].visit.strand;
        let is_alone = above.any(|running| running.visit.strand == strand);
        let running = self.running.remove(place);
        let Running {
            entered,
            mut visit,
            span,
            with,
            was_panicking,
            before,
            is_immediate,
            ..
        } = running;
        if span.is_none() || (std::thread::panicking() && !was_panicking) {
            visit.stop();
        } else {
            visit.leave(is_alone);
        }
        drop(entered);
        let inside = self.seen;
        self.seen.events += u64::from(is_seen);
        let state = span.and_then(SpanRef::state);
        if state.is_none() && span.is_some() {
            // Closed meanwhile, on another thread.
            visit.finish(false);
        } else if let Some(mut state) = state {
            let allocations = visit.allocations().unwrap_or(0);
            visit.left = Left {
                entries: visit.left.entries + 1,
                thread: thread(),
                before,
                inside,
                seen: self.seen,
                own_events: 2 * u64::from(is_seen),
                at: clock::ticks(),
                visit: visit.number(),
                allocations,
                allocates_nothing: allocations == visit.left.allocations,
                is_immediate,
            };
            if let Err(visit) = state.wait(visit) {
                visit.finish(false);
            }
        }
        if with > 0 {
            // Those around, which were entered before it.
            let first = place.saturating_sub(with);
            for place in (first..place).rev() {
                self.leave_at(place, false);
            }
        }
    }

    /// Closes a span: its calls stop when they were left.
    pub(super) fn close(&mut self, key: Key, span: &'static Member<Span>) -> Closed {
        while let Some(place) = self.position(key) {
            self.leave_at(place, true);
        }
        let Some(mut state) = span.state() else {
            return Closed::default();
        };
        let recording = state.take_recording();
        let is_request = recording.is_some();
        while let Some(visit) = state.take_visit() {
            let is_cancelled = self.is_cancelled(&visit, is_request);
            if is_cancelled {
                self.see_cancelled(&visit);
            }
            visit.finish(is_cancelled);
        }
        Span::give(span, state);
        recording
    }

    /// Whether the span's future was dropped before it was ready, as far as can be known; asked when
    /// the span is being closed.
    ///
    /// `Instrumented` enters its span once more to drop the future, and drops the span then. So the last
    /// entry did nothing, and the span is closed at once. If the future was ready, this entry followed
    /// at once on the one before it, with which the future ended. If other spans were entered in between,
    /// or the strand was left, or the thread is another one, or some time has passed, it was not.
    fn is_cancelled(&self, visit: &Visit, is_request: bool) -> bool {
        let left = &visit.left;
        let of_cancelled = self.seen.of_cancelled - left.before.of_cancelled;
        let has_dropped = of_cancelled > 0;
        left.entries > 1
            && left.thread == thread()
            && left.seen.events == self.seen.events
            && left.visit == visit.number()
            && left.inside.events - left.before.events == of_cancelled
            && left.allocates_nothing
            && (has_dropped || (!left.is_immediate && !is_request))
    }

    /// Notes that a span's future was dropped before it was ready.
    fn see_cancelled(&mut self, visit: &Visit) {
        let left = &visit.left;
        let events = left.inside.events - left.before.events + left.own_events;
        self.seen.of_cancelled = left.before.of_cancelled + events;
    }
}
