//! Texts that a call gets after its start: labels, and why it failed. A text that it gets again takes no further room,
//! unless the value is longer than any before.

use crate::store::chunk::CallRef;
use crate::store::record::{LateKind, Pieces, TEXT_PIECE, WrittenText};
use crate::store::short_text::ShortText;
use crate::store::strand::Strand;
use crate::write::cursor::Position;

/// A value of a text, which is to be written on the thread that runs the call's strand.
pub(super) struct NewText<'a> {
    pub(super) kind: LateKind,
    pub(super) call: CallRef,
    pub(super) moment: u64,
    pub(super) text: &'a [u8],
}

impl NewText<'_> {
    /// Writes the first value; `None` if the trace has no room for it.
    pub(super) fn write_first(&self, here: &Position, strand: &Strand) -> Option<WrittenText> {
        let mut pieces = Pieces::new();
        let text = self.write_pieces(here, strand, 0, &mut pieces);
        self.write(here, strand, text.as_ref(), pieces)
    }

    /// Writes the value in place of the one before or, if it is too long, into further records. If the trace has no room
    /// for these, the value is cut.
    pub(super) fn replace(&self, here: &Position, strand: &Strand, known: &mut WrittenText) {
        if known.try_rewrite(self.moment, self.text) {
            return;
        }
        let mut pieces = Pieces::new();
        // Twice as much room, so that a value that grows does not take it each time.
        let room = (2 * known.room()).min(pieces.capacity() * TEXT_PIECE);
        let written = match self.write_pieces(here, strand, room, &mut pieces) {
            None => self.write(here, strand, None, pieces),
            Some(_) => None,
        };
        match written {
            Some(written) => *known = written,
            None => known.rewrite_short(self.moment, &ShortText::cut(self.text)),
        }
    }

    /// Writes a long text into records, with room for this number of bytes at least. Returns a text that fits into the
    /// last record, or what fits if the trace has no room.
    fn write_pieces(
        &self,
        here: &Position,
        strand: &Strand,
        room: usize,
        pieces: &mut Pieces,
    ) -> Option<ShortText> {
        ShortText::of(self.text).or_else(|| {
            let room = room.max(self.text.len());
            here.write_pieces(strand, self.text, room, |piece| pieces.push(piece))
        })
    }

    /// Writes the last record; `None` if the trace has no room.
    fn write(
        &self,
        here: &Position,
        strand: &Strand,
        text: Option<&ShortText>,
        mut pieces: Pieces,
    ) -> Option<WrittenText> {
        let vacant = here.vacant(strand)?;
        let record = vacant.as_late_text();
        record.write(self.kind, self.call.address(), self.moment, text);
        vacant.publish();
        if text.is_some() {
            // Those that were written until there was no more room are no text.
            pieces.clear();
        }
        Some(WrittenText {
            text: record,
            pieces,
        })
    }
}
