//! The records of calls. [`CallRecord`] is any call's; [`RecordedCall`] is that of a call that is not
//! folded, so it also has a callsite and text.

use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{BUSY, COUNTS, COUNTS_END, PEAK, Record, START, STOP};
use crate::primitives::pool::Number;
use crate::primitives::sync::AtomicU64;
use crate::store::address::Address;
use crate::store::short_text::ShortText;
use crate::store::state::{OutcomeKind, RecordState};
use crate::store::usage::{Figures, Reading, Start, ThreadReading, Usage};

/// The record of a call, folded or not.
#[derive(Clone, Copy)]
pub(crate) struct CallRecord(&'static Record);

/// The record of a call that is not folded, with its callsite and text.
#[derive(Clone, Copy)]
pub(crate) struct RecordedCall(CallRecord);

/// A call at its start.
pub(crate) struct NewCall {
    pub(crate) state: RecordState,
    pub(crate) parent: Address,
    pub(crate) thread: u32,
    pub(crate) start: u64,
}

impl Deref for RecordedCall {
    type Target = CallRecord;

    #[inline]
    fn deref(&self) -> &CallRecord {
        &self.0
    }
}

impl RecordedCall {
    #[inline]
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(CallRecord(record))
    }

    #[inline]
    pub(crate) fn set_callsite(self, callsite: Number) {
        self.record().subject.store(callsite.to_bits(), Relaxed);
    }

    pub(crate) fn callsite(self) -> Number {
        Number::from_bits(self.record().subject.load(Relaxed))
    }

    #[inline]
    pub(crate) fn write_text(self, text: &ShortText) {
        self.record().write_short_text(text);
    }

    /// Returns the text in the record; `None` if it is in the records before.
    pub(crate) fn text(self) -> Option<ShortText> {
        self.record().text()
    }
}

impl CallRecord {
    #[inline]
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    #[inline]
    pub(super) const fn record(self) -> &'static Record {
        self.0
    }

    pub(crate) fn recorded(self) -> Option<RecordedCall> {
        let is_folded = self.state().is_folded();
        (!is_folded).then_some(RecordedCall(self))
    }

    /// Writes the call, without its text and figures. Nobody reads it yet.
    #[inline]
    pub(crate) fn open(self, opening: &NewCall) {
        let Record {
            state,
            parent,
            thread,
            words,
            ..
        } = self.0;
        state.set(opening.state.to_bits());
        parent.store(opening.parent.to_bits(), Relaxed);
        thread.store(opening.thread, Relaxed);
        words[START].store(opening.start, Relaxed);
        words[STOP].store(0, Relaxed);
    }

    /// Writes an opening call's readings, one by one as they come, so that they stay in few registers.
    /// Returns the level.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the path of every call")]
    pub(crate) fn set_readings(self, now: u64, totals: impl Iterator<Item = u64>) -> i64 {
        let words = &self.0.words;
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
        match start {
            Start::OfThread(start) => self.0.set_figures(start.counts, start.ticks, start.peak),
            Start::OfStrand(start) => self.0.set_figures(start.counts, start.ticks, start.peak),
        }
    }

    /// The words of the counters, which are those of this thread while the call is
    /// [plain](RecordState::is_plain).
    #[inline]
    pub(super) fn count_words(self) -> &'static [AtomicU64] {
        &self.0.words[COUNTS..]
    }

    /// Returns the call's figures, in the form that its state names.
    #[inline]
    pub(crate) fn figures(self) -> Figures {
        self.figures_in(self.state())
    }

    #[inline]
    fn figures_in(self, state: RecordState) -> Figures {
        if state.holds_usage() {
            return Figures::Used(self.0.used());
        }
        let (counts, ticks, peak) = self.0.figures();
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

    #[inline]
    pub(crate) fn state(self) -> RecordState {
        self.0.state()
    }

    /// Returns the call that this one is in now.
    #[inline]
    pub(crate) fn parent(self) -> Address {
        self.0.parent()
    }

    /// Moves the call into another one, while `note` notes its usage until then. A reader that sees one
    /// without the other reads again.
    pub(crate) fn reparent(self, parent: Address, note: impl FnOnce()) {
        self.rewrite(self.state(), || {
            self.0.parent.store(parent.to_bits(), Relaxed);
            note();
        });
    }

    pub(crate) fn thread(self) -> u32 {
        self.0.thread.load(Relaxed)
    }

    pub(crate) fn start(self) -> u64 {
        self.0.start()
    }

    #[inline]
    pub(crate) fn is_open(self) -> bool {
        // 0, or a moment with `LEFT`.
        self.0.words[STOP].load(Relaxed).cast_signed() <= 0
    }

    /// Returns when the call was stopped, if it was.
    pub(crate) fn stop(self) -> Option<u64> {
        stopped(self.0.words[STOP].load(Relaxed))
    }

    /// Returns when an open call was [left](Self::leave), if it was and is not resumed.
    #[inline]
    pub(crate) fn left(self) -> Option<u64> {
        let word = self.0.words[STOP].load(Relaxed);
        (word & LEFT != 0).then_some(word & !LEFT)
    }

    /// Notes when a call that has just been suspended was left, for a span that may never be entered
    /// again: if it is not, the call has stopped at this moment.
    #[cfg(feature = "tracing")]
    pub(crate) fn leave(self, moment: u64) {
        self.0.words[STOP].store(moment | LEFT, Release);
    }

    /// Whether the call is open, in the visit to its strand in which it was opened or resumed.
    #[inline]
    pub(crate) fn is_running_on_thread(self) -> bool {
        self.is_open() && self.state().is_plain()
    }

    /// Returns whether the call is neither stopped nor suspended.
    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.is_open() && !self.state().holds_usage()
    }

    /// Returns the word of the peak: a level of the thread or the strand while the call runs.
    #[inline]
    pub(crate) fn peak(self) -> i64 {
        self.0.peak()
    }

    /// Raises a running call's peak to a level, of the thread or the strand as the readings are.
    #[inline]
    pub(crate) fn raise_peak(self, level: i64) {
        if level > self.peak() {
            self.0.words[PEAK].store(level.cast_unsigned(), Relaxed);
        }
    }

    /// Marks the call as failed; it goes on.
    pub(crate) fn set_failed(self) {
        self.0.state.mark(self.state().failed().to_bits());
    }

    pub(crate) fn set_partial(self) {
        self.0.state.mark(self.state().partial(true).to_bits());
    }

    /// Changes words, and the state to this one, which has the present version.
    #[inline]
    fn rewrite<T>(self, state: RecordState, write: impl FnOnce() -> T) -> T {
        self.0.state.change_to(state.to_bits(), write)
    }

    /// Stops a call whose readings are those of this thread, or suspends it if it `is_left`: they become
    /// amounts, [negative](Record::used), one by one as the totals come. `highest` returns the highest level since the last boundary,
    /// given the level now. Returns the highest since the call's start.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the path of every call")]
    pub(crate) fn close_on_thread(
        self,
        state: RecordState,
        (now, is_left): (u64, bool),
        totals: impl Iterator<Item = u64>,
        highest: impl FnOnce(i64) -> i64,
    ) -> i64 {
        let words = &self.0.words;
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
            self.0.set_used(used);
            self.0.words[STOP].store(stop, Relaxed);
        });
    }

    /// Stops a call that was left, which is not folded, at that moment.
    #[cfg(feature = "tracing")]
    pub(crate) fn finish(self, left: u64, outcome: OutcomeKind) {
        let state = self.state().with_outcome(outcome);
        self.rewrite(state, || self.0.words[STOP].store(left, Relaxed));
    }

    /// Suspends the call: the figures become amounts until it is resumed.
    pub(crate) fn suspend(self, used: Usage) {
        let state = self.state().holding_usage(true).of_thread(false);
        self.rewrite(state, || self.0.set_used(used));
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

    /// Resumes a call with the readings of this thread: the amounts, [negative](Record::used), become readings, one by
    /// one as the totals come. Returns the level.
    #[inline]
    pub(crate) fn resume_on_thread(
        self,
        state: RecordState,
        now: u64,
        totals: impl Iterator<Item = u64>,
    ) -> i64 {
        let words = &self.0.words;
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
        let stop = &self.0.words[STOP];
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

    /// Whether the call's words have not changed since this was its state.
    pub(crate) fn is_still(self, state: RecordState) -> bool {
        self.0.state.is_still(state.to_bits())
    }

    /// Notes that the call is stopped, on a thread that may write nothing else here. Its usage is in the
    /// strand's [mailbox](crate::store::remote).
    pub(crate) fn close_remotely(self, stop: u64) {
        self.0.words[STOP].store(stop, Release);
    }

    /// Returns the state of a call that has stopped, whose figures no longer change; `None` if it has not, or if it is
    /// being written.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn stopped_state(self) -> Option<RecordState> {
        self.0.state.try_read(|state| {
            let state = RecordState::from_bits(state);
            let stop = self.0.words[STOP].load(Acquire);
            (stopped(stop).is_some() && state.holds_usage()).then_some(state)
        })
    }

    /// Returns how many ticks a call took that has [stopped](Self::stopped_state), and its usage.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn when_stopped(self) -> (u64, Usage) {
        let stop = self.0.words[STOP].load(Relaxed);
        (stop.saturating_sub(self.start()), self.0.used())
    }

    /// Reads the state, the moment of stopping, and the figures, as they were together at one moment.
    #[inline]
    pub(crate) fn read(self) -> (RecordState, Option<u64>, Figures) {
        let read = self.0.state.read(|state| {
            let stop = stopped(self.0.words[STOP].load(Acquire));
            (stop, self.figures_in(RecordState::from_bits(state)))
        });
        let is_torn = read.is_err();
        let ((stop, figures), state) = read.unwrap_or_else(|torn| torn);
        let state = RecordState::from_bits(state);
        (state.partial(is_torn || state.is_partial()), stop, figures)
    }
}

/// Set in the word of the stop if the call is open and the moment is that at which it was left. No clock
/// gets so far.
const LEFT: u64 = 1 << 63;

/// Returns the moment of the stop, if there is one in this word.
#[inline]
fn stopped(word: u64) -> Option<u64> {
    (word.cast_signed() > 0).then_some(word)
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
