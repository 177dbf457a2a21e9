//! A record: one call, checkpoint or text, of fixed size and readable while it is written.
//!
//! One thread writes a record, and then publishes it by its chunk's length. A call's record changes once
//! more when the call stops, and whenever its future is suspended or the call moves into another one.
//! Its state is a [sequence lock](crate::primitives::seqlock) over the words that change then. So is that of a label or
//! a failure's message, which changes when it gets another value.
//!
//! Which words a record has depends on its kind, so they are written and read through a view of that
//! kind only.

mod call;
mod figures;
mod folded;
mod late_text;
mod notes;

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::sync::{AtomicU32, AtomicU64, array, const_fn};
use crate::store::address::Address;
use crate::store::short_text::{ShortText, WORD_BYTES};
use crate::store::state::{RecordKind, RecordState, StateLock};
use crate::store::usage::Usage;

pub(crate) use call::{CallRecord, NewCall, RecordedCall};
pub(crate) use folded::FoldedCall;
pub(crate) use late_text::{LateKind, LateText, Pieces, WrittenText};
pub(crate) use notes::{CheckpointRecord, MoveRecord, TextRecord};

/// Sixteen words.
pub(crate) struct Record {
    state: StateLock,
    /// The address of the call around this one.
    parent: AtomicU32,
    /// The number of a call's callsite or of a folded call's sum; the address of a moved call; the
    /// length of a text; which of a call's texts a label is; where a later message of a call is.
    subject: AtomicU32,
    thread: AtomicU32,
    words: [AtomicU64; WORDS],
}

const WORDS: usize = 14;
const START: usize = 0;
/// 0 while the call is open, or when it was left. The one word that another thread may write.
const STOP: usize = 1;
const BUSY: usize = 2;
const PEAK: usize = 3;
const COUNTS: usize = 4;
const COUNTS_END: usize = COUNTS + 5;
const TEXT: usize = COUNTS_END;

/// Bytes of text in a record that holds nothing else.
pub(crate) const TEXT_PIECE: usize = WORDS * WORD_BYTES;

const _: () = assert!(TEXT + ShortText::WORDS == WORDS);

/// A record, by its kind.
pub(crate) enum View {
    Call(RecordedCall),
    Folded(FoldedCall),
    Checkpoint(CheckpointRecord),
    Message(LateText),
    Label(LateText),
    Text(TextRecord),
    Move(MoveRecord),
}

impl Record {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                state: StateLock::new(),
                parent: AtomicU32::new(0),
                subject: AtomicU32::new(0),
                thread: AtomicU32::new(0),
                words: array![AtomicU64::new(0); WORDS],
            }
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> RecordState {
        RecordState::from_bits(self.state.word())
    }

    /// Returns the state. If by it the call [has stopped well](RecordState::has_stopped_well), its words are those of
    /// its stop, whenever they are read.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn state_of_stopped(&self) -> RecordState {
        RecordState::from_bits(self.state.word_of_last())
    }

    /// Returns the record as the state says, which was read from it.
    pub(crate) fn view(&'static self, state: RecordState) -> View {
        match state.kind() {
            RecordKind::Call if state.is_folded() => View::Folded(FoldedCall::of(self)),
            RecordKind::Call => View::Call(RecordedCall::of(self)),
            RecordKind::Checkpoint => View::Checkpoint(CheckpointRecord::of(self)),
            RecordKind::Message => View::Message(LateText::of(self)),
            RecordKind::Label => View::Label(LateText::of(self)),
            RecordKind::Text => View::Text(TextRecord::of(self)),
            RecordKind::Move => View::Move(MoveRecord::of(self)),
        }
    }

    #[inline]
    fn parent(&self) -> Address {
        Address::from_bits(self.parent.load(Relaxed))
    }

    fn start(&self) -> u64 {
        self.words[START].load(Relaxed)
    }

    #[inline]
    fn write_short_text(&self, text: &ShortText) {
        for (word, part) in self.words[TEXT..].iter().zip(text.words()) {
            word.store(part, Relaxed);
        }
    }

    /// Returns the text in the record; `None` if it is in the records before.
    fn text(&self) -> Option<ShortText> {
        let is_long = self.state().has_long_text();
        (!is_long).then(|| self.short_text())
    }

    fn short_text(&self) -> ShortText {
        let word = |index: usize| self.words[TEXT + index].load(Relaxed);
        ShortText::from_words(std::array::from_fn(word))
    }

    #[inline]
    fn set_counts(&self, counts: Counts) {
        for (word, total) in self.words[COUNTS..COUNTS_END].iter().zip(counts.to_array()) {
            word.store(total, Relaxed);
        }
    }

    #[inline]
    fn counts(&self) -> Counts {
        let counts: [u64; COUNTS_END - COUNTS] =
            std::array::from_fn(|index| self.words[COUNTS + index].load(Relaxed));
        Counts::from_array(counts)
    }

    #[inline]
    fn set_figures(&self, counts: Counts, ticks: u64, peak: i64) {
        self.words[BUSY].store(ticks, Relaxed);
        self.words[PEAK].store(peak.cast_unsigned(), Relaxed);
        self.set_counts(counts);
    }

    /// Returns the readings of a running call.
    #[inline]
    fn figures(&self) -> (Counts, u64, i64) {
        let busy = self.words[BUSY].load(Relaxed);
        (self.counts(), busy, self.peak())
    }

    /// Writes amounts, as [`used`](Self::used) reads them.
    #[inline]
    fn set_used(&self, used: Usage) {
        let peak = used.peak.wrapping_sub(used.counts.net_bytes());
        let counts = Counts::ZERO - used.counts;
        self.set_figures(counts, used.busy.wrapping_neg(), peak);
    }

    /// Returns amounts. They are negative in the words, the readings at the start less those at the end, since so a
    /// stop subtracts in place. The peak is above the level at the end.
    #[inline]
    fn used(&self) -> Usage {
        let (counts, busy, peak) = self.figures();
        let counts = Counts::ZERO - counts;
        Usage {
            counts,
            busy: busy.wrapping_neg(),
            peak: peak.wrapping_add(counts.net_bytes()),
        }
    }

    #[inline]
    fn peak(&self) -> i64 {
        self.words[PEAK].load(Relaxed).cast_signed()
    }
}
