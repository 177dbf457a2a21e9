//! Labels that a call gets after its start. A label that it gets again takes no further room, unless the value is longer
//! than any before.

use arrayvec::ArrayVec;

use crate::primitives::clock;
use crate::primitives::text::{Text, copied};
use crate::store::callsite::TextPlace;
use crate::store::chunk::{CallRef, Key};
use crate::store::record::{PIECES, TEXT_PIECE, TextRecord, WrittenLabel};
use crate::store::remote::RemoteKind;
use crate::store::short_text::ShortText;
use crate::store::strand::Strand;
use crate::write::cursor::{self, Position};

/// The labels that one call got after its start, as far as the thread wrote them that ran the call's strand.
pub(crate) struct LateLabels {
    of: Key,
    /// One for each of the callsite's texts at most.
    written: Vec<(TextPlace, WrittenLabel)>,
}

impl LateLabels {
    pub(crate) const fn new() -> Self {
        Self {
            of: Key::NONE,
            written: Vec::new(),
        }
    }

    /// Sets one of the texts of a call that has started. The call may be another one than before.
    #[cold]
    #[inline(never)]
    pub(crate) fn set(&mut self, call: CallRef, place: TextPlace, text: &Text) {
        cursor::here(|here| {
            if call.record.state().is_folded() {
                return;
            }
            let moment = clock::ticks();
            let Some(strand) = here.strand_of(call) else {
                return Strand::post(call, moment, |_| {
                    copied(text.as_str()).map(|text| RemoteKind::Label(place, text))
                });
            };
            if self.of != call.key {
                self.of = call.key;
                self.written.clear();
            }
            let label = NewLabel {
                call,
                place,
                moment,
                text: text.as_bytes(),
            };
            let known = self.written.iter_mut().find(|(known, _)| *known == place);
            if let Some((_, known)) = known {
                return label.replace(here, strand, known);
            }
            let mut pieces = Pieces::new();
            let text = label.write_text(here, strand, 0, &mut pieces);
            let written = label.write(here, strand, text.as_ref(), pieces);
            self.remember(place, written);
        });
    }

    fn remember(&mut self, place: TextPlace, label: Option<WrittenLabel>) {
        let Some(label) = label else { return };
        alloc_counter::exclude(|| {
            // Without memory, the next value takes further room.
            if self.written.try_reserve(1).is_ok() {
                self.written.push((place, label));
            }
        });
    }
}

/// A value of a label, which is to be written.
struct NewLabel<'a> {
    call: CallRef,
    place: TextPlace,
    moment: u64,
    text: &'a [u8],
}

type Pieces = ArrayVec<TextRecord, PIECES>;

impl NewLabel<'_> {
    /// Writes the value in place of the one before or, if it is too long, into further records. If the trace has no room
    /// for these, the value is cut.
    fn replace(&self, here: &Position, strand: &Strand, known: &mut WrittenLabel) {
        if known.try_rewrite(self.moment, self.text) {
            return;
        }
        // Twice as much room, so that a value that grows does not take it each time.
        let room = (2 * known.room()).min(PIECES * TEXT_PIECE);
        let mut pieces = Pieces::new();
        let written = match self.write_text(here, strand, room, &mut pieces) {
            None => self.write(here, strand, None, pieces),
            Some(_) => None,
        };
        match written {
            Some(written) => *known = written,
            None => known.rewrite_short(self.moment, &ShortText::cut(self.text)),
        }
    }

    /// Writes a long text into records, with room for this number of bytes at least. Returns a text that fits into the
    /// label's record, or what fits if the trace has no room.
    fn write_text(
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

    /// Writes the record; `None` if the trace has no room.
    fn write(
        &self,
        here: &Position,
        strand: &Strand,
        text: Option<&ShortText>,
        mut pieces: Pieces,
    ) -> Option<WrittenLabel> {
        let vacant = here.vacant(strand)?;
        let label = vacant.as_label();
        label.write(self.call.address(), self.place, self.moment, text);
        vacant.publish();
        if text.is_some() {
            // Those that were written until there was no more room are no text.
            pieces.clear();
        }
        Some(WrittenLabel { label, pieces })
    }
}
