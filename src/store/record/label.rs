//! The record of a label that a call got after its start. A later value of the label is written in place of the one
//! before, so that a label that is set again and again takes no room for other records.
//!
//! The words that change, here and in the pieces of text before it, are under the lock of the label's state.

use std::sync::atomic::Ordering::Relaxed;

#[cfg(any(feature = "tracing", all(loom, test)))]
use arrayvec::ArrayVec;

use super::{Record, TextRecord};
#[cfg(any(feature = "tracing", all(loom, test)))]
use super::{START, TEXT_PIECE};
#[cfg(any(feature = "tracing", all(loom, test)))]
use crate::primitives::text::MAX_BYTES;
use crate::primitives::text::owned;
use crate::store::address::Address;
use crate::store::callsite::TextPlace;
#[cfg(any(feature = "tracing", all(loom, test)))]
use crate::store::short_text::ShortText;
#[cfg(any(feature = "tracing", all(loom, test)))]
use crate::store::state::RecordKind;
use crate::store::state::RecordState;

/// The record of a [`RecordKind::Label`](crate::store::state::RecordKind::Label).
#[derive(Clone, Copy)]
pub(crate) struct LabelRecord(&'static Record);

/// The most pieces of a text.
#[cfg(any(feature = "tracing", all(loom, test)))]
pub(crate) const PIECES: usize = MAX_BYTES.div_ceil(TEXT_PIECE);

/// A label that was written, and the records before it that its text may have. Only the thread that runs the strand
/// uses it.
#[cfg(any(feature = "tracing", all(loom, test)))]
pub(crate) struct WrittenLabel {
    pub(crate) label: LabelRecord,
    pub(crate) pieces: ArrayVec<TextRecord, PIECES>,
}

impl LabelRecord {
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    /// Writes the record. `text` is `None` if it is in the records before.
    #[cfg(any(feature = "tracing", all(loom, test)))]
    pub(crate) fn write(
        self,
        call: Address,
        place: TextPlace,
        moment: u64,
        text: Option<&ShortText>,
    ) {
        self.0.subject.store(place.to_bits(), Relaxed);
        self.0
            .write_text_note(RecordKind::Label, call, moment, text);
    }

    pub(crate) fn call(self) -> Address {
        self.0.parent()
    }

    /// Returns when it was set for the last time, in ticks.
    pub(crate) fn moment(self) -> u64 {
        self.0.start()
    }

    /// Returns which of the call's texts this is.
    pub(crate) fn place(self) -> TextPlace {
        TextPlace::from_bits(self.0.subject.load(Relaxed))
    }

    /// Returns the value that was set last, whose text is in the record or in these pieces, those before it.
    pub(crate) fn read(self, pieces: &[TextRecord]) -> String {
        // If it changes without a pause, a mixture is the best that is to be had.
        self.try_read(pieces).unwrap_or_else(|mixture| mixture)
    }

    /// Returns the value as [`read`](Self::read) does; `Err` if it changes without a pause.
    pub(crate) fn try_read(self, pieces: &[TextRecord]) -> Result<String, String> {
        let read = |word| {
            if RecordState::from_bits(word).has_long_text() {
                owned(&TextRecord::read_all(pieces))
            } else {
                self.0.short_text().read(owned)
            }
        };
        let result = self.0.state.read(read);
        result.map(|(text, _)| text).map_err(|(mixture, _)| mixture)
    }

    /// Writes another value in place of the one before.
    #[cfg(any(feature = "tracing", all(loom, test)))]
    fn change(self, moment: u64, is_long: bool, write: impl FnOnce()) {
        let state = self.0.state().long_text(is_long);
        self.0.state.change_to(state.to_bits(), || {
            self.0.words[START].store(moment, Relaxed);
            write();
        });
    }
}

#[cfg(any(feature = "tracing", all(loom, test)))]
impl WrittenLabel {
    /// Returns how many bytes of a long text there is room for.
    pub(crate) fn room(&self) -> usize {
        self.pieces.len() * TEXT_PIECE
    }

    /// Writes a later value in place of the one before; `false` if it is too long for that.
    pub(crate) fn try_rewrite(&self, moment: u64, text: &[u8]) -> bool {
        if let Some(short) = ShortText::of(text) {
            self.rewrite_short(moment, &short);
            return true;
        }
        if text.len() > self.room() {
            return false;
        }
        self.label.change(moment, true, || {
            let parts = text.chunks(TEXT_PIECE).chain(std::iter::repeat(&[][..]));
            for (piece, part) in self.pieces.iter().zip(parts) {
                piece.set(part);
            }
        });
        true
    }

    pub(crate) fn rewrite_short(&self, moment: u64, text: &ShortText) {
        let write = || self.label.0.write_short_text(text);
        self.label.change(moment, false, write);
    }
}
