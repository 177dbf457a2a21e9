//! The records of calls, except for their [figures](super::figures). [`CallRecord`] is any call's; [`RecordedCall`]
//! is that of a call that is not folded, so it also has a callsite and text.

use std::ops::Deref;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::{Record, START, STOP};
use crate::primitives::pool::Number;
use crate::store::address::Address;
use crate::store::short_text::ShortText;
use crate::store::state::RecordState;

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

    /// Marks the call as failed; it goes on.
    pub(crate) fn set_failed(self) {
        self.0.state.mark(self.state().failed().to_bits());
    }

    pub(crate) fn set_partial(self) {
        self.0.state.mark(self.state().partial(true).to_bits());
    }

    /// Changes words, and the state to this one, which has the present version.
    #[inline]
    pub(super) fn rewrite<T>(self, state: RecordState, write: impl FnOnce() -> T) -> T {
        self.0.state.change_to(state.to_bits(), write)
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
}

/// Set in the word of the stop if the call is open and the moment is that at which it was left. No clock
/// gets so far.
pub(super) const LEFT: u64 = 1 << 63;

/// Returns the moment of the stop, if there is one in this word.
#[inline]
pub(super) fn stopped(word: u64) -> Option<u64> {
    (word.cast_signed() > 0).then_some(word)
}
