//! How a span was left, and whether its future was dropped before it was ready.
//!
//! A subscriber is told when a span is entered, left and closed, and not why. `Instrumented` enters its
//! span at each poll, once more to drop the future, and then drops the span. So the last entry does
//! nothing, and the span is closed at once after it. If the future was ready, that entry follows at once
//! on the one before, with which the future ended. The future was not ready if other spans were entered
//! in between, those around among them, or if the task went to another thread or waited.
//!
//! That a strand was left in between tells nothing: a span that a program enters by itself at each poll,
//! and drops after the last, looks the same. So the span of a request is never taken for cancelled by
//! itself. It is if the future of a span inside, which it had polled last, was dropped while it was not
//! entered.

use crate::primitives::clock;
use crate::write::cursor;

/// How many spans and events a thread has seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) events: u64,
    /// Of these, those of futures that were dropped before they were ready.
    of_cancelled: u64,
}

/// When a span was left: the thread, and how many spans and events it had seen before.
pub(super) type Entry = (u32, u64);

/// How one line of execution last left a span.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is known by itself")]
pub(super) struct Left {
    /// The [last](Left::last) entry before this one.
    pub(super) polled: Entry,
    /// The thread, and what it had seen once the span was entered for the last time, before it was left,
    /// and after that.
    pub(super) thread: u32,
    pub(super) before: Seen,
    pub(super) inside: u64,
    pub(super) after: Seen,
    /// In ticks.
    pub(super) at: u64,
    /// The turn of the strand after it.
    pub(super) turn: u32,
    /// Nothing was allocated after the span was entered for the last time, which was not the first.
    pub(super) allocates_nothing: bool,
    /// The span was entered for the first time on this line of execution, while another thread had entered it: so not to
    /// drop its future.
    pub(super) is_beside: bool,
    /// The span was entered for the last time at once after it had been left.
    pub(super) is_immediate: bool,
    /// Since then, the future of a span inside was dropped before it was ready.
    pub(super) has_dropped: bool,
    /// A handle of the span was dropped at once after that, although others remained, and so the future, which was not
    /// ready.
    pub(super) is_given_up: bool,
}

/// The strand in which a span is entered again.
pub(super) enum Strand {
    /// The span's own.
    Own,
    /// That of a span around.
    OfAround,
    Other,
}

/// A future that was ready is dropped at once. It takes longer only if the thread is put aside just then,
/// and not so long.
const IMMEDIATE_NANOSECONDS: u64 = 100_000_000;

/// Returns the number of this thread.
#[inline]
pub(super) fn thread() -> u32 {
    cursor::here(|here| here.tag().to_bits())
}

impl Left {
    pub(super) const NEVER: Self = Self {
        polled: (0, 0),
        thread: 0,
        before: Seen::NOTHING,
        inside: 0,
        after: Seen::NOTHING,
        at: 0,
        turn: 0,
        allocates_nothing: false,
        is_beside: false,
        is_immediate: false,
        has_dropped: false,
        is_given_up: false,
    };

    /// Returns whether this thread, which has seen this, left the span and has seen nothing since but futures that were
    /// dropped: other branches of a `select!` are, before the one that was ready.
    pub(super) fn was_just_here(&self, seen: Seen) -> bool {
        self.thread == thread() && self.is_next(seen)
    }

    #[inline]
    fn is_next(&self, seen: Seen) -> bool {
        seen.events - self.after.events == self.cancelled_since(seen)
    }

    #[inline]
    fn cancelled_since(&self, seen: Seen) -> u64 {
        seen.of_cancelled.saturating_sub(self.after.of_cancelled)
    }

    /// Returns whether the span is entered again at once, as far as that is known, by a thread that has seen
    /// this.
    #[cold]
    pub(super) fn is_recent(&self, seen: Seen, strand: &Strand) -> bool {
        if self.thread != thread() {
            // The spans around were entered on this thread since, or the task came to it.
            return matches!(strand, Strand::Other);
        }
        let is_soon = || {
            let since = clock::ticks().saturating_sub(self.at);
            clock::nanoseconds(since) < IMMEDIATE_NANOSECONDS
        };
        let is_certain = self.cancelled_since(seen) == 0 && !matches!(strand, Strand::Own);
        self.is_next(seen) && (is_certain || is_soon())
    }

    /// Returns when the span was left.
    #[inline]
    pub(super) fn last(&self) -> Entry {
        (self.thread, self.inside)
    }

    /// Returns whether the future of a span inside, which was dropped before it was ready, had been polled
    /// for the last time when this span was entered for the last time, and not by itself.
    pub(super) fn has_polled(&self, inside: &Self) -> bool {
        // A span that is not entered to drop its future.
        let polled = if inside.has_dropped {
            inside.last()
        } else {
            inside.polled
        };
        let entry = self.before.events..=self.inside;
        polled.0 == self.thread && entry.contains(&polled.1)
    }

    /// Returns whether the future was dropped before it was ready, as far as that can be known, when the span is closed,
    /// or a handle of it is dropped, on a thread that has seen this. `turn` is that of the strand in which it was entered
    /// last, if that is not over.
    #[cold]
    pub(super) fn is_cancelled(&self, seen: Seen, turn: Option<u32>, is_request: bool) -> bool {
        if self.has_dropped {
            return true;
        }
        let of_cancelled = seen.of_cancelled.saturating_sub(self.before.of_cancelled);
        Some(self.turn) == turn
            && self.may_drop_future(seen, of_cancelled)
            && (of_cancelled > 0 || (!self.is_immediate && !is_request))
    }

    /// Returns whether the future was ready, as far as that can be known, when the span is closed on a thread that has
    /// seen this.
    #[cold]
    pub(super) fn was_ready(&self, seen: Seen) -> bool {
        self.is_immediate && self.may_drop_future(seen, 0)
    }

    /// Whether the span may have been entered for the last time to drop its future: nothing was done then but what
    /// cancelled futures inside have done.
    fn may_drop_future(&self, seen: Seen, of_cancelled: u64) -> bool {
        // The counts of another thread can't be compared.
        self.was_left_last(seen)
            && !self.is_beside
            && self.inside - self.before.events == of_cancelled
            && self.allocates_nothing
    }

    /// Whether this thread left the span, and has seen nothing since.
    pub(super) fn was_left_last(&self, seen: Seen) -> bool {
        self.thread == thread() && self.after.events == seen.events
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
        if left.thread != thread() {
            return;
        }
        // The entry, the exit, and what was in between.
        let events = left.inside - left.before.events + 2;
        self.of_cancelled = left.before.of_cancelled + events;
    }
}
