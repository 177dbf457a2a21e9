//! Closing a span: its calls stop, and its state is given back. If another thread has entered it, that one does so
//! when it leaves it.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::pool::Member;
use crate::primitives::wait::Taken;
use crate::store::trace::WeakTrace;
use crate::tracing::left::Left;
use crate::tracing::span::{Request, Span, SpanRef, State};

use super::{Key, Spans};

impl Spans {
    /// Closes a span: its calls stop when they were left. `look` is told its trace. If it is a request, that
    /// is moved to `request`.
    #[inline(always)]
    pub(in crate::tracing) fn close(
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

    /// Leaves a span that is closed although it is entered: its guard was leaked.
    #[cold]
    pub(in crate::tracing) fn leave_closed(&mut self, key: Key) {
        while let Some(place) = self.position(key) {
            self.leave_at(place);
        }
    }

    /// Closes a span that was closed while this thread had entered it.
    #[cold]
    pub(super) fn close_left(&mut self, span: &'static Member<Span>, state: Taken<'_, State>) {
        self.close_state(span, state, &mut None);
    }

    #[inline(always)]
    fn close_state(
        &mut self,
        span: &'static Member<Span>,
        mut state: Taken<'_, State>,
        request: &mut Request,
    ) {
        if state.is_entered() {
            return state.close_later();
        }
        if state.may_be_cancelled() {
            self.close_maybe_cancelled(&mut state);
        } else {
            state.close();
        }
        // It is large, and most spans have none.
        if state.request().is_some() {
            *request = state.request().take();
        }
        state.end();
        drop(state);
        self.give(span);
    }

    #[cold]
    #[inline(never)]
    fn close_maybe_cancelled(&mut self, state: &mut State) {
        let is_request = state.request().is_some();
        let around = state.around();
        state.close_maybe_cancelled(self.seen, |left, turn| {
            let is_cancelled = left.is_cancelled(self.seen, turn, is_request);
            if is_cancelled {
                self.note_cancelled(left, around);
            }
            is_cancelled
        });
    }

    fn note_cancelled(&mut self, left: &Left, around: Option<SpanRef>) {
        self.seen.note_cancelled(left);
        if let Some(around) = around {
            around.note_cancelled_inside(left);
        }
    }

    /// Notes that a handle of the span that this thread has just left was dropped, while others remained. Its future may
    /// have been dropped with that: a worker may hold the span of a query that nobody waits for any more.
    #[cold]
    #[inline(never)]
    pub(super) fn see_drop(&mut self, span: SpanRef) {
        let given_up = span.state().and_then(|mut state| {
            let given_up = state.give_up(self.seen)?;
            Some((given_up, state.around()))
        });
        if let Some((left, around)) = given_up {
            self.note_cancelled(&left, around);
        }
    }
}
