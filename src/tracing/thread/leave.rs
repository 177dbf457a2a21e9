//! Leaving a span on the thread that entered it, also while others are entered inside.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::wait::Taken;
use crate::tracing::span::{SpanRef, State};
use crate::tracing::visit::{Leave, leave_unknown};
use crate::write::context::Entered;

use super::{ENTERED, Key, Running, Spans};

impl Spans {
    /// Leaves a span, if it was entered on this thread.
    #[inline(always)]
    pub(in crate::tracing) fn leave(&mut self, key: Key) {
        if let Some(place) = self.position(key) {
            let running = &mut self.running[place];
            running.depth -= 1;
            if running.depth == 0 {
                self.leave_at(place);
            }
        }
    }

    #[inline(always)]
    pub(super) fn leave_at(&mut self, place: usize) {
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
        self.left = Some(((key.id, self.seen.events), span));
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
}
