//! The record of a folded call, which has no text.

use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;

use super::{CallRecord, Record, TEXT};
use crate::primitives::pool::Number;
use crate::store::address::Address;
use crate::store::state::{RecordKind, RecordState};

const SERIAL: usize = TEXT;
const OPENED_IN: usize = TEXT + 1;
const CHILDREN: usize = TEXT + 2;
const SINCE: usize = TEXT + 3;
const COVERED: usize = TEXT + 4;

/// The record of a call beyond its trace's limit. When the call has stopped, another folded one may
/// be recorded there.
#[derive(Clone, Copy)]
pub(crate) struct FoldedCall(CallRecord);

impl Deref for FoldedCall {
    type Target = CallRecord;

    #[inline]
    fn deref(&self) -> &CallRecord {
        &self.0
    }
}

impl CallRecord {
    pub(crate) fn folded(self) -> Option<FoldedCall> {
        self.state().is_folded().then_some(FoldedCall(self))
    }
}

impl FoldedCall {
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(CallRecord::of(record))
    }

    const fn record(self) -> &'static Record {
        self.0.record()
    }

    /// Begins to write the record, which readers may know as another folded call's: its version goes
    /// on. Returns the state meanwhile.
    pub(crate) fn begin_writing(self) -> RecordState {
        let state = RecordState::new(RecordKind::Call)
            .folded()
            .at_version_of(self.state());
        RecordState::from_bits(self.record().state.begin(state.to_bits()))
    }

    /// Ends what [`begin_writing`](Self::begin_writing) began.
    pub(crate) fn end_writing(self) {
        self.record().state.end(self.state().to_bits());
    }

    pub(crate) fn set_sum(self, sum: Number) {
        self.record().subject.store(sum.to_bits(), Relaxed);
    }

    /// Returns the sum of the call's path.
    pub(crate) fn sum(self) -> Number {
        Number::from_bits(self.record().subject.load(Relaxed))
    }

    /// Writes the words that only folded calls have. `serial` distinguishes the call from others that
    /// are recorded here; `opened_in` is the call in which it is opened, with that one's serial if it is
    /// folded.
    pub(crate) fn set_opened(self, serial: u32, opened_in: (Address, u32)) {
        let (address, around) = opened_in;
        let both = u64::from(around) << u32::BITS | u64::from(address.to_bits());
        let words = &self.record().words;
        words[SERIAL].store(serial.into(), Relaxed);
        words[OPENED_IN].store(both, Relaxed);
        words[CHILDREN].store(0, Relaxed);
        words[COVERED].store(0, Relaxed);
    }

    pub(crate) fn serial(self) -> u32 {
        low(self.record().words[SERIAL].load(Relaxed))
    }

    /// Returns the call in which this one was opened, and that one's serial if it is folded.
    pub(crate) fn opened_in(self) -> (Address, u32) {
        let both = self.record().words[OPENED_IN].load(Relaxed);
        (Address::from_bits(low(both)), low(both >> u32::BITS))
    }

    /// Notes that a folded call was opened in this one.
    pub(crate) fn child_opened(self, now: u64) {
        let words = &self.record().words;
        let children = words[CHILDREN].load(Relaxed);
        if children == 0 {
            words[SINCE].store(now, Relaxed);
        }
        words[CHILDREN].store(children + 1, Relaxed);
    }

    /// Notes that a call that was opened in this one is no longer open.
    pub(crate) fn child_closed(self, now: u64) {
        let words = &self.record().words;
        let children = words[CHILDREN].load(Relaxed).saturating_sub(1);
        if children == 0 {
            let covered = self.covered_until(now);
            words[COVERED].store(covered, Relaxed);
        }
        words[CHILDREN].store(children, Relaxed);
    }

    /// Returns the time until `now` in which a folded call that was opened in this one was open.
    pub(crate) fn covered_until(self, now: u64) -> u64 {
        let words = &self.record().words;
        let covered = words[COVERED].load(Relaxed);
        if words[CHILDREN].load(Relaxed) == 0 {
            return covered;
        }
        covered.wrapping_add(now.saturating_sub(words[SINCE].load(Relaxed)))
    }

    /// Moves the call into another one. No reader looks at that word.
    pub(crate) fn set_parent(self, parent: Address) {
        self.record().parent.store(parent.to_bits(), Relaxed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}
