//! The parts of a strand beside its calls' figures: texts, checkpoints, messages and labels.

use crate::store::checkpoint_name::CheckpointName;
use crate::store::record::{LateText, TextRecord, View};
use crate::store::short_text::ShortText;
use crate::store::strand::Strand;

use super::calls::StrandCalls;

/// Reads the texts, checkpoints and messages among a strand's first `records` and the `late` ones that
/// came after these. Late ones are read only if their calls have stopped.
pub(super) fn read_texts(
    strand: &Strand,
    (records, late): (usize, usize),
    calls: &mut StrandCalls,
) {
    let mut text = LongText::default();
    // The records that are no calls are mostly checkpoints.
    let others = (records + late).saturating_sub(calls.all.len());
    calls.checkpoints.reserve(others);
    // Calls are in the order of their records.
    let mut next_call = 0;
    for (index, (address, record)) in strand.records().take(records + late).enumerate() {
        let is_early = index < records;
        match record.view(record.state()) {
            View::Text(piece) => text.add_piece(piece),
            View::Call(_) if !calls.have_texts => {}
            View::Call(record) => {
                let call = calls.all.get_mut(next_call);
                let call = call.filter(|call| call.id.0 == address);
                next_call += usize::from(call.is_some());
                if let Some(call) = call.filter(|call| call.callsite.has_texts()) {
                    call.text = text.take(record.text(), |text| call.callsite.read_texts(text));
                }
            }
            View::Checkpoint(it) => {
                let name = text.take_name(it.name());
                if is_early || calls.has_stopped(it.call()) {
                    calls.add_checkpoint(it.call(), it.moment(), name, it.counts());
                }
            }
            View::Message(it) => {
                let message = text.take_late(it);
                if is_early || calls.has_stopped(it.call()) {
                    calls.add_message(it.call(), it.moment(), message);
                }
            }
            View::Label(it) => {
                let value = text.take_late(it);
                calls.set_text(it.call(), it.place(), value);
            }
            View::Folded(_) | View::Move(_) => {}
        }
    }
}

/// The pieces of the next record's text that are in records before it.
#[derive(Default)]
struct LongText {
    pieces: Vec<TextRecord>,
}

impl LongText {
    fn add_piece(&mut self, piece: TextRecord) {
        // Earlier pieces belong to a record that found no room.
        if piece.is_first() {
            self.pieces.clear();
        }
        self.pieces.push(piece);
    }

    /// Hands over a record's text, which is in the record if it is `short`, or else in those before it.
    fn take<T>(&mut self, short: Option<ShortText>, read: impl FnOnce(&[u8]) -> T) -> T {
        let text = if let Some(short) = short {
            short.read(read)
        } else {
            read(&TextRecord::read_all(&self.pieces))
        };
        self.pieces.clear();
        text
    }

    /// Hands over the name of a checkpoint.
    fn take_name(&mut self, short: Option<ShortText>) -> CheckpointName {
        let name = match short {
            Some(short) => CheckpointName::of_short(&short),
            None => CheckpointName::of_bytes(&TextRecord::read_all(&self.pieces)),
        };
        self.pieces.clear();
        name
    }

    /// Hands over the value of a text that may change meanwhile.
    fn take_late(&mut self, late: LateText) -> String {
        let text = late.read(&self.pieces);
        self.pieces.clear();
        text
    }
}
