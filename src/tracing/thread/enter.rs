//! Entering a span on a thread: in the thread's strand, in one of the span's own, once more inside itself, or as one
//! that was made outside of all traces.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::pool::Member;
use crate::primitives::wait::Taken;
use crate::store::callsite::Callsite;
use crate::tracing::span::{Entry, Span, SpanRef, State, note_dropped};
use crate::tracing::visit::Visit;
use crate::write::cursor::{self, Position};
use crate::write::start_stop;

use super::{ENTERED, Key, Running, Spans};

/// The most spans that a thread has entered at once, as guards may be leaked. Beyond that, spans are not
/// recorded.
const MOST: usize = 4096;

impl Spans {
    /// Enters a span again that is entered on this thread.
    #[inline]
    fn enter_again(&mut self, key: Key) -> bool {
        let Some(place) = self.position(key) else {
            return false;
        };
        self.running[place].depth += 1;
        if self.cloned.0 == key.id {
            // The clone was not for a response, which would be the last that is done in the span.
            self.cloned = (0, 0);
        }
        true
    }

    /// Enters a span, which has this state. `false` if it can't be recorded as that span.
    #[inline(always)]
    pub(in crate::tracing) fn enter(
        &mut self,
        key: Key,
        span: Option<&'static Member<Span>>,
    ) -> bool {
        let Some(span) = span else {
            return self.enter_again(key);
        };
        let Some(mut state) = span.state() else {
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
    pub(in crate::tracing) fn enter_unknown(&mut self, key: Key, callsite: &'static Callsite) {
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
}
