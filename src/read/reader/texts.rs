//! What never changes once it is published: texts, checkpoints and messages.

use crate::store::record::Record;
use crate::store::state::Kind;
use crate::store::strand::Strand;

use super::calls::Calls;

/// Reads the texts, checkpoints and messages that are among a strand's first `records` and the `late` ones
/// that came after these. Of the late ones, only those of calls that have stopped.
pub(super) fn read_texts(strand: &Strand, (records, late): (usize, usize), calls: &mut Calls) {
    let mut text = Text::default();
    // Calls are in the order of their records.
    let mut next_call = 0;
    for (index, (address, record)) in strand.records().take(records + late).enumerate() {
        let is_wanted = |calls: &Calls| index < records || calls.has_stopped(record.parent());
        match record.state().kind() {
            Kind::Text => text.add_piece(record),
            Kind::Call => {
                let call = calls.all.get_mut(next_call);
                let call = call.filter(|call| call.id.0 == address);
                next_call += usize::from(call.is_some());
                if let Some(call) = call.filter(|call| call.callsite.has_texts()) {
                    call.text = text.take(record, |text| call.callsite.read_texts(text));
                }
            }
            Kind::Checkpoint if is_wanted(calls) => {
                let (name, counts) = (text.take_string(record), record.counts());
                calls.add_checkpoint(record.parent(), record.start(), name, counts);
            }
            Kind::Message if is_wanted(calls) => {
                let message = text.take_string(record);
                calls.add_message(record.parent(), record.start(), message);
            }
            Kind::Checkpoint | Kind::Message | Kind::Adoption => {}
        }
    }
}

/// The text of the next record, as far as it stands in records before it.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn add_piece(&mut self, record: &Record) {
        record.read_text_piece(&mut self.0);
    }

    /// Hands over the record's text, from the record itself or from those before it.
    fn take<T>(&mut self, record: &Record, read: impl FnOnce(&[u8]) -> T) -> T {
        let text = if record.state().has_long_text() {
            read(&self.0)
        } else {
            record.short_text().read(read)
        };
        self.0.clear();
        text
    }

    fn take_string(&mut self, record: &Record) -> String {
        self.take(record, |text| String::from_utf8_lossy(text).into_owned())
    }
}
