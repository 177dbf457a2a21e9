//! The record of a text that a call gets after its start: a label, or why it failed. A later value is written in place of
//! the one before, so that a text that is set again and again takes no room for other records.
//!
//! The words that change, here and in the pieces of text before it, are under the lock of the record's state.

use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;

use super::{Record, START, TEXT_PIECE, TextRecord};
use crate::primitives::text::{MAX_BYTES, owned};
use crate::store::address::Address;
use crate::store::callsite::TextPlace;
use crate::store::short_text::ShortText;
use crate::store::state::{RecordKind, RecordState};

/// The record of a [`RecordKind::Label`] or a [`RecordKind::Message`].
#[derive(Clone, Copy)]
pub(crate) struct LateText(&'static Record);

/// Which text of the call it is.
#[derive(Clone, Copy)]
pub(crate) enum LateKind {
    #[cfg_attr(
        not(any(feature = "tracing", all(loom, test))),
        expect(dead_code, reason = "by spans only")
    )]
    Label(TextPlace),
    /// Why the call failed.
    Message,
}

/// The pieces of a long text, which are the records before that of the text.
pub(crate) type Pieces = ArrayVec<TextRecord, { MAX_BYTES.div_ceil(TEXT_PIECE) }>;

/// A text that was written, and the pieces that it may have. Only the thread that runs the strand uses it.
pub(crate) struct WrittenText {
    pub(crate) text: LateText,
    pub(crate) pieces: Pieces,
}

impl LateText {
    pub(crate) const fn of(record: &'static Record) -> Self {
        Self(record)
    }

    /// Writes the record. `text` is `None` if it is in the records before.
    pub(crate) fn write(
        self,
        kind: LateKind,
        call: Address,
        moment: u64,
        text: Option<&ShortText>,
    ) {
        let (kind, subject) = match kind {
            LateKind::Label(place) => (RecordKind::Label, place.to_bits()),
            LateKind::Message => (RecordKind::Message, Address::NONE.to_bits()),
        };
        self.0.subject.store(subject, Relaxed);
        self.0.write_text_note(kind, call, moment, text);
    }

    pub(crate) fn call(self) -> Address {
        self.0.parent()
    }

    /// Returns when it was set for the last time, in ticks.
    pub(crate) fn moment(self) -> u64 {
        self.0.start()
    }

    /// Returns which of the call's texts a label is.
    pub(crate) fn place(self) -> TextPlace {
        TextPlace::from_bits(self.0.subject.load(Relaxed))
    }

    /// Returns where the first record of a later message of the call is, for which there was no room in this one;
    /// [`Address::NONE`] if there is none.
    pub(crate) fn later_message(self) -> Address {
        Address::from_bits(self.0.subject.load(Relaxed))
    }

    pub(crate) fn set_later_message(self, later: Address) {
        self.0.subject.store(later.to_bits(), Relaxed);
    }

    pub(crate) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.0, other.0)
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
    fn change(self, moment: u64, is_long: bool, write: impl FnOnce()) {
        let state = self.0.state().long_text(is_long);
        self.0.state.change_to(state.to_bits(), || {
            self.0.words[START].store(moment, Relaxed);
            write();
        });
    }
}

impl WrittenText {
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
        self.text.change(moment, true, || {
            let parts = text.chunks(TEXT_PIECE).chain(std::iter::repeat(&[][..]));
            for (piece, part) in self.pieces.iter().zip(parts) {
                piece.set(part);
            }
        });
        true
    }

    pub(crate) fn rewrite_short(&self, moment: u64, text: &ShortText) {
        let write = || self.text.0.write_short_text(text);
        self.text.change(moment, false, write);
    }
}
