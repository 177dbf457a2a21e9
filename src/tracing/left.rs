//! How a visit of a span was left, and whether its future was dropped before it was ready.
//!
//! A subscriber is told when a span is entered, left and closed, and not why. `Instrumented` enters its
//! span at each poll, once more to drop the future, and then drops the span. So the last entry does
//! nothing, and the span is closed at once after it. If the future was ready, that entry follows at once
//! on the one before, with which the future ended. The future was not ready if other spans were entered
//! in between, those around among them, or if the task went to another thread or waited.
//!
//! That a strand was left in between tells nothing: a span that a program enters by itself at each poll,
//! and drops after the last, looks the same. So the span of a request is never taken for cancelled by
//! itself.

use crate::primitives::clock;
use crate::write::cursor;

/// How many spans and events a thread has seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) events: u64,
    /// Of these, those of futures that were dropped before they were ready.
    of_cancelled: u64,
}

/// How a visit was last left.
#[derive(Clone, Copy, Default)]
pub(super) struct Left {
    /// How often the span has been entered in this visit.
    pub(super) entries: u32,
    /// The thread, and what it had seen once the span was entered for the last time, before it was left,
    /// and after that.
    pub(super) thread: u32,
    pub(super) before: Seen,
    pub(super) inside: u64,
    pub(super) after: Seen,
    /// The turn of the strand after it.
    pub(super) turn: u32,
    /// What the call had allocated before the span was entered for the last time.
    pub(super) allocates: u64,
    /// Nothing was allocated since then.
    pub(super) allocates_nothing: bool,
    /// The span was entered for the last time at once after it had been left.
    pub(super) is_immediate: bool,
}

/// The strand of a visit, when the span is entered again.
pub(super) enum Strand {
    /// The span's own: its turn.
    Own(u32),
    /// That of a span around.
    OfAround,
    Other,
}

/// A future that was ready is dropped at once. It takes longer only if the thread is put aside just then,
/// and not so long.
const IMMEDIATE_NANOSECONDS: u64 = 100_000_000;

/// Returns the number of this thread.
pub(super) fn thread() -> u32 {
    cursor::here(|here| here.tag().to_bits())
}

impl Left {
    /// Returns whether the span is entered again at once, as far as that is known, by a thread that has seen
    /// this. `at` tells when it was left, in ticks.
    #[cold]
    pub(super) fn is_recent(
        &self,
        seen: Seen,
        strand: &Strand,
        at: impl Fn() -> Option<u64>,
    ) -> bool {
        if self.thread != thread() {
            // The spans around were entered on this thread since, or the task came to it.
            return matches!(strand, Strand::Other);
        }
        // Other branches of a `select!` are dropped before the one that was ready.
        let of_cancelled = seen.of_cancelled - self.after.of_cancelled;
        let is_next = seen.events - self.after.events == of_cancelled;
        let is_soon = || {
            let since = clock::ticks().saturating_sub(at().unwrap_or(0));
            clock::nanoseconds(since) < IMMEDIATE_NANOSECONDS
        };
        is_next
            && match strand {
                Strand::Own(turn) => self.turn == *turn && is_soon(),
                Strand::OfAround | Strand::Other => of_cancelled == 0 || is_soon(),
            }
    }

    /// Returns whether the future was dropped before it was ready, as far as that can be known, when the
    /// span is closed on a thread that has seen this. `turn` is that of the strand, if it is not over.
    #[cold]
    pub(super) fn is_cancelled(&self, seen: Seen, turn: Option<u32>, is_request: bool) -> bool {
        // What another thread has seen can't be compared.
        let is_next =
            self.thread == thread() && self.after.events == seen.events && Some(self.turn) == turn;
        if !is_next {
            return false;
        }
        let of_cancelled = seen.of_cancelled - self.before.of_cancelled;
        self.inside - self.before.events == of_cancelled
            && self.allocates_nothing
            && (of_cancelled > 0 || (!self.is_immediate && !is_request))
    }
}

impl Seen {
    pub(super) const NOTHING: Self = Self {
        events: 0,
        of_cancelled: 0,
    };

    /// Notes that the future of a span was dropped before it was ready.
    #[cold]
    pub(super) fn note_cancelled(&mut self, left: &Left) {
        // The entry and the exit, if the thread has seen these, and what was in between.
        let own = 2 * (left.after.events - left.inside);
        let events = left.inside - left.before.events + own;
        self.of_cancelled = left.before.of_cancelled + events;
    }
}
