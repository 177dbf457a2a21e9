//! The figures of a call's record: readings from its start on, amounts once it is suspended or has stopped.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::call::{CallRecord, LEFT, stopped};
use super::{BUSY, COUNTS, COUNTS_END, PEAK, STOP};
use crate::primitives::sync::AtomicU64;
use crate::store::state::{OutcomeKind, RecordState};
use crate::store::usage::{Figures, Reading, Start, ThreadReading, Usage};

impl CallRecord {
    /// Writes an opening call's readings, one by one as they come, so that they stay in few registers.
    /// Returns the level.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the path of every call")]
    pub(crate) fn set_readings(self, now: u64, totals: impl Iterator<Item = u64>) -> i64 {
        let words = &self.record().words;
        words[BUSY].store(now, Relaxed);
        let mut level = Level::default();
        for (word, total) in words[COUNTS..COUNTS_END].iter().zip(totals) {
            word.store(total, Relaxed);
            level.push(total);
        }
        words[PEAK].store(level.bytes().cast_unsigned(), Relaxed);
        level.bytes()
    }

    /// Writes the reading at the call's start; the state says whose it is.
    pub(crate) fn set_start(self, start: Start) {
        let record = self.record();
        match start {
            Start::OfThread(start) => record.set_figures(start.counts, start.ticks, start.peak),
            Start::OfStrand(start) => record.set_figures(start.counts, start.ticks, start.peak),
        }
    }

    /// The words of the counters, which are those of this thread while the call is
    /// [plain](RecordState::is_plain).
    #[inline]
    pub(super) fn count_words(self) -> &'static [AtomicU64] {
        &self.record().words[COUNTS..]
    }

    /// Returns the call's figures, in the form that its state names.
    #[inline]
    pub(crate) fn figures(self) -> Figures {
        self.figures_in(self.state())
    }

    #[inline]
    fn figures_in(self, state: RecordState) -> Figures {
        if state.holds_usage() {
            return Figures::Used(self.record().used());
        }
        let (counts, ticks, peak) = self.record().figures();
        if state.is_of_thread() {
            Figures::Started(Start::OfThread(ThreadReading {
                counts,
                ticks,
                peak,
            }))
        } else {
            Figures::Started(Start::OfStrand(Reading {
                counts,
                ticks,
                peak,
            }))
        }
    }

    /// Returns the word of the peak: a level of the thread or the strand while the call runs.
    #[inline]
    pub(crate) fn peak(self) -> i64 {
        self.record().peak()
    }

    /// Raises a running call's peak to a level, of the thread or the strand as the readings are.
    #[inline]
    pub(crate) fn raise_peak(self, level: i64) {
        if level > self.peak() {
            self.record().words[PEAK].store(level.cast_unsigned(), Relaxed);
        }
    }

    /// Stops a call whose readings are those of this thread, or suspends it if it `is_left`: they become
    /// amounts, [negative](super::Record::used), one by one as the totals come. `highest` returns the highest level since the
    /// last boundary, given the level now. Returns the highest since the call's start.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the path of every call")]
    pub(crate) fn close_on_thread(
        self,
        state: RecordState,
        (now, is_left): (u64, bool),
        totals: impl Iterator<Item = u64>,
        highest: impl FnOnce(i64) -> i64,
    ) -> i64 {
        let words = &self.record().words;
        let stop = if is_left { now | LEFT } else { now };
        self.rewrite(state.holding_usage(true).of_thread(false), || {
            words[STOP].store(stop, Relaxed);
            subtract(&words[BUSY], now);
            let mut level = Level::default();
            for (word, total) in words[COUNTS..COUNTS_END].iter().zip(totals) {
                subtract(word, total);
                level.push(total);
            }
            let highest = highest(level.bytes()).max(self.peak());
            let above = highest.wrapping_sub(level.bytes());
            words[PEAK].store(above.cast_unsigned(), Relaxed);
            highest
        })
    }

    /// Stops the call: its figures become amounts for good.
    pub(crate) fn close(self, used: Usage, stop: u64, outcome: OutcomeKind) {
        let state = self
            .state()
            .with_outcome(outcome)
            .holding_usage(true)
            .of_thread(false);
        self.rewrite(state, || {
            self.record().set_used(used);
            self.record().words[STOP].store(stop, Relaxed);
        });
    }

    /// Stops a call that was left, which is not folded, at that moment.
    #[cfg(feature = "tracing")]
    pub(crate) fn finish(self, left: u64, outcome: OutcomeKind) {
        let state = self.state().with_outcome(outcome);
        self.rewrite(state, || self.record().words[STOP].store(left, Relaxed));
    }

    /// Suspends the call: the figures become amounts until it is resumed.
    pub(crate) fn suspend(self, used: Usage) {
        let state = self.state().holding_usage(true).of_thread(false);
        self.rewrite(state, || self.record().set_used(used));
    }

    /// Resumes the call: the figures are a reading again.
    pub(crate) fn resume(self, start: Start) {
        let state = self
            .state()
            .holding_usage(false)
            .of_thread(start.is_of_thread());
        self.rewrite(state, || {
            self.forget_left();
            self.set_start(start);
        });
    }

    /// Resumes a call with the readings of this thread: the amounts, [negative](super::Record::used), become readings, one by
    /// one as the totals come. Returns the level.
    #[inline]
    pub(crate) fn resume_on_thread(
        self,
        state: RecordState,
        now: u64,
        totals: impl Iterator<Item = u64>,
    ) -> i64 {
        let words = &self.record().words;
        self.rewrite(state.holding_usage(false).of_thread(true), || {
            self.forget_left();
            let busy = words[BUSY].load(Relaxed);
            words[BUSY].store(now.wrapping_add(busy), Relaxed);
            let mut level = Level::default();
            for (word, total) in words[COUNTS..COUNTS_END].iter().zip(totals) {
                word.store(total.wrapping_add(word.load(Relaxed)), Relaxed);
                level.push(total);
            }
            // Above the level when it was suspended.
            let peak = level.bytes().wrapping_add(self.peak());
            words[PEAK].store(peak.cast_unsigned(), Relaxed);
            level.bytes()
        })
    }

    #[inline]
    fn forget_left(self) {
        let stop = &self.record().words[STOP];
        let word = stop.load(Relaxed);
        if word & LEFT != 0 {
            // Unless another thread has stopped the call since.
            let _ = stop.compare_exchange(word, 0, Relaxed, Relaxed);
        }
    }

    /// Turns a running call's figures into its strand's reading, as the strand is left.
    pub(crate) fn rebase(self, start: Reading) {
        let state = self.state().of_thread(false);
        self.rewrite(state, || self.set_start(Start::OfStrand(start)));
    }

    /// Returns how many ticks a call took that [has stopped well](RecordState::has_stopped_well).
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn wall_when_stopped(self) -> u64 {
        let stop = self.record().words[STOP].load(Relaxed);
        stop.saturating_sub(self.start())
    }

    /// Returns how many ticks a call was busy that has stopped well.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn busy_when_stopped(self) -> u64 {
        self.record().words[BUSY].load(Relaxed).wrapping_neg()
    }

    /// Returns whether a call that has stopped well has a count or a peak that is not 0. If none, their words are 0, too.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn has_counts_when_stopped(self) -> bool {
        let words = &self.record().words[PEAK..COUNTS_END];
        // Without a branch for each.
        words.iter().fold(0, |all, word| all | word.load(Relaxed)) != 0
    }

    /// Returns what a call used that has stopped well.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn used_when_stopped(self) -> Usage {
        self.record().used()
    }

    /// Reads the state, the moment of stopping, and the figures, as they were together at one moment.
    #[inline]
    pub(crate) fn read(self) -> (RecordState, Option<u64>, Figures) {
        let read = self.record().state.read(|state| {
            let stop = stopped(self.record().words[STOP].load(Acquire));
            (stop, self.figures_in(RecordState::from_bits(state)))
        });
        let is_torn = read.is_err();
        let ((stop, figures), state) = read.unwrap_or_else(|torn| torn);
        let state = RecordState::from_bits(state);
        (state.partial(is_torn || state.is_partial()), stop, figures)
    }
}

/// Subtracts from a word that only this thread changes: one instruction on x86-64.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
fn subtract(word: &AtomicU64, amount: u64) {
    word.store(word.load(Relaxed).wrapping_sub(amount), Relaxed);
}

/// The last two totals that went by: bytes allocated and bytes freed.
#[derive(Default)]
struct Level([u64; 2]);

impl Level {
    #[inline]
    fn push(&mut self, total: u64) {
        self.0 = [self.0[1], total];
    }

    #[inline]
    fn bytes(&self) -> i64 {
        self.0[0].wrapping_sub(self.0[1]).cast_signed()
    }
}
