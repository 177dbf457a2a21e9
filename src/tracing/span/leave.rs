//! Leaving a span, and closing it: how its calls end. A request that was not answered is cancelled.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::clock;
use crate::tracing::left::{self, Left, Seen};
use crate::tracing::visit::{Leave, Visit};
use crate::write::context::Entered;

use super::{SpanRef, State};

/// Whether a request was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// That can't be known, or the span is no request.
    Unknown,
    /// Not yet.
    Awaited,
    /// When the span was entered for this time, counted from 1.
    Given(u32),
}

impl State {
    /// Leaves a visit, and notes how, with what the thread had seen before the entry and has seen now.
    #[inline(always)]
    pub(in crate::tracing) fn leave(
        &mut self,
        index: usize,
        (entered, how): (Option<Entered>, Leave),
        [before, after]: [Seen; 2],
        inside: u64,
        is_immediate: bool,
    ) {
        let Some(visit) = self.visits.get_mut(index) else {
            return;
        };
        visit.leave(entered, how);
        if visit.is_below_call()
            && let Some(call) = self.call
        {
            visit.leave_call_above(call);
        }
        self.entered -= 1;
        self.entries += 1;
        self.last = index;
        let is_beside = self.is_shared && visit.is_first();
        self.is_shared &= self.entered > 0;
        let (at, turn) = (visit.left_at(), visit.turn());
        let allocates_nothing = self.entries > 1 && visit.allocates_nothing();
        let left = &mut visit.left;
        left.polled = left.last();
        left.thread = left::thread();
        left.before = before;
        left.inside = inside;
        left.after = after;
        left.at = at;
        left.turn = turn;
        left.allocates_nothing = allocates_nothing;
        left.is_beside = is_beside;
        left.is_immediate = is_immediate;
        left.has_dropped = false;
        left.is_given_up = false;
    }

    /// Notes that the span is closed while a visit is entered on another thread, which will then close it.
    #[cold]
    pub(in crate::tracing) fn close_later(&mut self) {
        self.is_closed = true;
    }

    /// Whether the span may be one that was cancelled.
    #[inline(always)]
    pub(in crate::tracing) fn may_be_cancelled(&self) -> bool {
        let has_dropped = |visit: &Visit| visit.left.has_dropped;
        self.entries >= 2
            || self.answer != Answer::Unknown
            || self.visit(self.last).is_some_and(has_dropped)
    }

    /// Closes the span: its calls stop when they were left.
    #[inline(always)]
    pub(in crate::tracing) fn close(&mut self) {
        for visit in self.visits[..self.used].iter_mut().rev() {
            visit.finish(false);
        }
    }

    /// Closes a span that may be cancelled. `is_cancelled` tells it of the last visit.
    pub(in crate::tracing) fn close_maybe_cancelled(
        &mut self,
        seen: Seen,
        is_cancelled: impl FnOnce(&Left, Option<u32>) -> bool,
    ) {
        let visits = &mut self.visits[..self.used];
        let is_unanswered = self.answer == Answer::Awaited;
        let is_answered = self.answer == Answer::Given(self.entries);
        let mut last_is_cancelled = false;
        if let Some(last) = visits.get(self.last)
            && !is_answered
        {
            let is_given_up = visits.iter().any(|visit| visit.left.is_given_up);
            last_is_cancelled = is_cancelled(&last.left, last.turn_if_not_over())
                || (is_given_up && !last.left.was_ready(seen));
        }
        let is_cancelled = last_is_cancelled || is_unanswered;
        for visit in visits.iter_mut().rev() {
            if let (Some(call), true) = (visit.call(), is_unanswered) {
                // Until now it waited for the response.
                call.record.leave(clock::ticks());
            }
            visit.finish(is_cancelled);
        }
    }

    /// Notes that a handle of the span was dropped on a thread that has seen this, while others remained. If its future
    /// was dropped with that, and was not ready, returns how it was left.
    #[cold]
    pub(in crate::tracing) fn give_up(&mut self, seen: Seen) -> Option<Left> {
        let is_request = self.request.is_some();
        let mut visits = self.visits[..self.used].iter_mut();
        // A worker that entered the span once, and drops its handle, drops no future.
        let is_it = |visit: &&mut Visit| visit.left.was_left_last(seen) && !visit.is_first();
        let visit = visits.find(is_it)?;
        let turn = visit.turn_if_not_over();
        let is_given_up =
            !visit.left.is_given_up && visit.left.is_cancelled(seen, turn, is_request);
        visit.left.is_given_up |= is_given_up;
        is_given_up.then_some(visit.left)
    }

    /// Whether the span was closed while it was entered.
    pub(in crate::tracing) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Expects that [`note_answer`](Self::note_answer) will be told of the request's response.
    #[cfg(feature = "recorder")]
    pub(in crate::tracing) fn await_answer(&mut self) {
        self.answer = Answer::Awaited;
    }

    pub(in crate::tracing) fn awaits_answer(&self) -> bool {
        self.answer == Answer::Awaited
    }

    /// Notes that the request is answered, while the span is entered.
    pub(in crate::tracing) fn note_answer(&mut self) {
        self.answer = Answer::Given(self.entries + 1);
    }
}

impl SpanRef {
    /// Notes that the future of a span inside was dropped before it was ready. Then this span's future was
    /// dropped, too, if that had polled it last, and is neither entered nor answered since.
    #[cold]
    pub(in crate::tracing) fn note_cancelled_inside(self, inside: &Left) {
        if let Some(mut state) = self.state()
            && state.answer != Answer::Given(state.entries)
            && !state.is_entered()
            && let (last, used) = (state.last, state.used)
            && let Some(last) = state.visits[..used].get_mut(last)
        {
            last.left.has_dropped |= last.left.has_polled(inside);
        }
    }
}
