//! States that a thread keeps for new spans.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::pool::Member;
use crate::tracing::span::Span;

use super::Spans;

/// The most states that a thread keeps for itself.
const SPARE: usize = 16;

impl Spans {
    /// Takes a state for a new span; `None` if there is no memory.
    #[inline(always)]
    pub(in crate::tracing) fn take(&mut self) -> Option<&'static Member<Span>> {
        self.spare.pop().or_else(Span::take)
    }

    /// Takes a state back.
    #[inline(always)]
    pub(in crate::tracing) fn give(&mut self, span: &'static Member<Span>) {
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
}
