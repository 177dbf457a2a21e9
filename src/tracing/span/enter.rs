//! Entering a span: one of its visits goes on, or a new one begins.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::pool::Member;
use crate::store::chunk::CallRef;
use crate::store::strand::Strand;
use crate::store::trace::WeakTrace;
use crate::tracing::left::{self, Left, Seen};
use crate::tracing::visit::Visit;
use crate::write::context::Entered;
use crate::write::cursor::{self, Position};
use crate::write::execution::Execution;
use crate::write::start_stop;

use super::State;

/// How a span was entered.
pub(in crate::tracing) struct Entry {
    /// Of the visit.
    pub(in crate::tracing) index: usize,
    /// Dropped before the visit's execution: see [`Visit::leave`].
    pub(in crate::tracing) entered: Option<Entered>,
    /// Whether the span was left at once before.
    pub(in crate::tracing) is_immediate: bool,
}

impl State {
    /// Goes on with the visit that waits in the strand of this thread, or begins one if the strand is of
    /// the span's trace and the span has no call yet. Returns which visit that is, and whether the span was
    /// left at once before.
    #[inline(always)]
    pub(in crate::tracing) fn enter_here(&mut self, seen: Seen) -> Option<(usize, bool)> {
        let strand = cursor::here(Position::strand)?;
        if self.place.trace != WeakTrace::of(strand) {
            return None;
        }
        if self.used > 0 {
            let number = strand.number();
            let is_here = |visit: &Visit| visit.waits_in(number);
            if let Some(index) = self.visits().iter().position(is_here) {
                let Entry { is_immediate, .. } = self.enter_again(index, seen);
                return Some((index, is_immediate));
            }
            // Its call is in another strand. A root has none below it.
            if self.call.is_some() && !self.place.is_root {
                return None;
            }
        }
        Some((self.begin_visit(Some(strand), None)?, false))
    }

    /// Goes on in a strand of the span's own that waits, or begins one; `None` if there is no trace any
    /// more.
    ///
    /// A span that has a call already gets no second one: the strand is below its call. A root does not take
    /// its trace along.
    #[cold]
    pub(in crate::tracing) fn enter_own(&mut self, seen: Seen) -> Option<Entry> {
        if self.place.is_root {
            return None;
        }
        if let Some(index) = self.own_that_waits(seen) {
            return Some(self.enter_again(index, seen));
        }
        let parent = self.call.map_or(self.place.parent, CallRef::address);
        let execution = Execution::begin(&self.place.trace.upgrade()?.below(parent));
        let entered = execution.enter();
        // Without a strand of its own, the call would go into another one of this thread.
        let strand = entered
            .as_ref()
            .and_then(|_| cursor::here(Position::strand));
        let index = self.begin_visit(strand, Some(execution))?;
        Some(Entry {
            index,
            entered,
            is_immediate: false,
        })
    }

    /// Returns the visit that goes on in a strand of the span's own on a thread that has seen this. A future that is
    /// ready is dropped at once: so it is the visit that this thread has just left, or the one that was left last, or
    /// else the oldest.
    fn own_that_waits(&self, seen: Seen) -> Option<usize> {
        let find = |is_it: &dyn Fn(usize, &Visit) -> bool| {
            let mut own = { self.visits().iter().enumerate() }.filter(|(_, it)| it.waits_in_own());
            own.find(|(index, visit)| is_it(*index, visit))
        };
        let found = find(&|_, visit| visit.left.was_just_here(seen))
            .or_else(|| find(&|index, _| index == self.last))
            .or_else(|| find(&|_, _| true));
        found.map(|(index, _)| index)
    }

    fn enter_again(&mut self, index: usize, seen: Seen) -> Entry {
        let visit = &mut self.visits[index];
        let strand = if visit.is_own() {
            left::Strand::Own
        } else if self.place.around.is_some() {
            left::Strand::OfAround
        } else {
            left::Strand::Other
        };
        // Meanwhile nobody has been in a strand of the span's own.
        let is_untouched = !visit.is_own() || visit.left.turn == visit.turn();
        let is_immediate = is_untouched && visit.left.is_recent(seen, &strand);
        self.is_shared |= self.entered > 0;
        self.entered += 1;
        Entry {
            index,
            entered: visit.enter(),
            is_immediate,
        }
    }

    /// Begins a visit in the strand of this thread. Returns which one it is; `None` if there is no memory for
    /// it.
    #[inline(always)]
    fn begin_visit(
        &mut self,
        strand: Option<&'static Member<Strand>>,
        execution: Option<Execution>,
    ) -> Option<usize> {
        let index = self.used;
        if index == self.visits.len() {
            self.make_room()?;
        }
        let has_call_elsewhere = execution.is_some() && self.call.is_some();
        let call = if strand.is_some() && !has_call_elsewhere {
            start_stop::start_current(self.callsite, &self.text)
        } else {
            None
        };
        if call.is_some() {
            self.call = call;
        }
        self.used += 1;
        self.is_shared |= self.entered > 0;
        self.entered += 1;
        self.visits[index].begin(strand, call, execution);
        if index > 0 {
            self.follow_last(index);
        }
        if self.failure.is_some()
            && let Some(call) = call
        {
            self.fail_late(call);
        }
        Some(index)
    }

    /// Has a further visit follow on the one that was left last.
    #[cold]
    fn follow_last(&mut self, index: usize) {
        self.visits[index].left = Left {
            is_given_up: false,
            ..self.visits[self.last].left
        };
    }

    #[cold]
    fn make_room(&mut self) -> Option<()> {
        alloc_counter::exclude(|| self.visits.try_reserve_exact(1)).ok()?;
        self.visits.push(Visit::UNUSED);
        Some(())
    }
}
