//! Records that are never changed again: checkpoints and adoptions; and pieces of text, which change with the
//! [late text](super::late_text) that they belong to.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use super::{COUNTS, COUNTS_END, CallRecord, Record, START, TEXT_PIECE};
use crate::store::address::Address;
use crate::store::short_text::{ShortText, WORD_BYTES};
use crate::store::state::{RecordKind, RecordState};
use crate::store::usage::Usage;

/// The record of a [`RecordKind::Checkpoint`].
#[derive(Clone, Copy)]
pub(crate) struct CheckpointRecord(&'static Record);

/// The record of a [`RecordKind::Text`].
#[derive(Clone, Copy)]
pub(crate) struct TextRecord(&'static Record);

/// The record of a [`RecordKind::Move`].
#[derive(Clone, Copy)]
pub(crate) struct MoveRecord(&'static Record);

impl Record {
    #[inline]
    fn write_note(&self, state: RecordState, parent: Address, moment: u64) {
        self.state.set(state.to_bits());
        self.parent.store(parent.to_bits(), Relaxed);
        self.words[START].store(moment, Relaxed);
    }

    /// Writes a note with its text; `None` if that is in the records before.
    #[inline]
    pub(super) fn write_text_note(
        &self,
        kind: RecordKind,
        call: Address,
        moment: u64,
        text: Option<&ShortText>,
    ) {
        if let Some(text) = text {
            self.write_short_text(text);
        }
        let state = RecordState::new(kind).long_text(text.is_none());
        self.write_note(state, call, moment);
    }
}

impl CheckpointRecord {
    #[inline]
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    /// Writes the record without its counts. `name` is `None` if it is in the records before.
    #[inline]
    pub(crate) fn write(self, call: Address, moment: u64, name: Option<&ShortText>) {
        self.0
            .write_text_note(RecordKind::Checkpoint, call, moment, name);
    }

    pub(crate) fn set_counts(self, used: Counts) {
        self.0.set_counts(used);
    }

    /// Notes the usage since the call's start, whose readings are those of this thread.
    #[inline]
    pub(crate) fn set_counts_since(self, call: CallRecord, totals: impl Iterator<Item = u64>) {
        let words = self.0.words[COUNTS..COUNTS_END].iter();
        for ((word, total), start) in words.zip(totals).zip(call.count_words()) {
            word.store(total.wrapping_sub(start.load(Relaxed)), Relaxed);
        }
    }

    pub(crate) fn call(self) -> Address {
        self.0.parent()
    }

    pub(crate) fn moment(self) -> u64 {
        self.0.start()
    }

    /// Returns the name; `None` if it is in the records before.
    pub(crate) fn name(self) -> Option<ShortText> {
        self.0.text()
    }

    /// Returns the call's counts at that moment.
    pub(crate) fn counts(self) -> Counts {
        self.0.counts()
    }
}

impl TextRecord {
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    /// Writes a piece of at most [`TEXT_PIECE`] bytes of the next record's text.
    pub(crate) fn write(self, piece: &[u8], is_first: bool) {
        let state = RecordState::new(RecordKind::Text).long_text(!is_first);
        self.0.state.set(state.to_bits());
        self.set(piece);
    }

    /// Sets the piece.
    pub(super) fn set(self, piece: &[u8]) {
        let length = u32::try_from(piece.len()).unwrap_or(0);
        self.0.subject.store(length, Relaxed);
        for (word, bytes) in self.0.words.iter().zip(piece.chunks(WORD_BYTES)) {
            let mut whole = [0; WORD_BYTES];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Relaxed);
        }
    }

    /// Returns whether it is the first piece of a text.
    pub(crate) fn is_first(self) -> bool {
        !self.0.state().has_long_text()
    }

    /// Returns the text of these pieces.
    pub(crate) fn read_all(pieces: &[Self]) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in pieces {
            piece.read(&mut text);
        }
        text
    }

    /// Appends the piece to the text.
    fn read(self, text: &mut Vec<u8>) {
        let length = self.0.subject.load(Relaxed) as usize;
        let end = text.len() + length.min(TEXT_PIECE);
        for word in &self.0.words {
            text.extend(word.load(Relaxed).to_le_bytes());
        }
        text.truncate(end);
    }
}

impl MoveRecord {
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    /// Writes the record: the call that it was inside of until this moment, and its usage there.
    pub(crate) fn write(self, call: Address, before: Address, moment: u64, so_far: Usage) {
        self.0
            .write_note(RecordState::new(RecordKind::Move), before, moment);
        self.0.subject.store(call.to_bits(), Relaxed);
        self.0.set_used(so_far);
    }

    /// Returns the call that moved.
    pub(crate) fn call(self) -> Address {
        Address::from_bits(self.0.subject.load(Relaxed))
    }

    /// Returns the call that it was inside of until then.
    pub(crate) fn before(self) -> Address {
        self.0.parent()
    }

    pub(crate) fn moment(self) -> u64 {
        self.0.start()
    }

    /// Returns the call's usage until then.
    pub(crate) fn so_far(self) -> Usage {
        self.0.used()
    }
}
