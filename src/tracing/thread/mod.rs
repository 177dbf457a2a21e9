//! The spans that a thread has entered, and how many spans and events it has seen.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

mod close;
mod enter;
mod leave;
mod spare;

use std::cell::{Cell, RefCell};

use crate::primitives::pool::{Member, Number};
use crate::store::chunk::CallRef;
use crate::write::cursor::{self, Position};

use super::left::{Seen, thread};
use super::span::{Entry, New, Place, Span, SpanRef, place_here};

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
    /// The span that was left last, and how many events had been seen then.
    left: Option<((u64, u64), SpanRef)>,
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

/// Notes that a handle of a span was dropped, while others remained.
#[inline]
pub(super) fn note_drop(id: u64) {
    here(|spans| {
        let this = (id, spans.seen.events);
        if let Some((_, span)) = spans.left.filter(|(left, _)| *left == this) {
            spans.see_drop(span);
        }
    });
}

impl Spans {
    const fn new() -> Self {
        Self {
            running: Vec::new(),
            unknown: 0,
            seen: Seen::NOTHING,
            serial: 0,
            cloned: (0, 0),
            left: None,
            spare: Vec::new(),
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
