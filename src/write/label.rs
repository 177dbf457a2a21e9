//! Labels that a call gets after its start.

use crate::primitives::clock;
use crate::primitives::text::{Text, copied};
use crate::store::callsite::TextPlace;
use crate::store::chunk::{CallRef, Key};
use crate::store::record::{LateKind, WrittenText};
use crate::store::remote::RemoteKind;
use crate::store::strand::Strand;
use crate::write::cursor;
use crate::write::late_text::NewText;

/// The labels that one call got after its start, as far as the thread wrote them that ran the call's strand.
pub(crate) struct LateLabels {
    of: Key,
    /// One for each of the callsite's texts at most.
    written: Vec<(TextPlace, WrittenText)>,
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
            let label = NewText {
                kind: LateKind::Label(place),
                call,
                moment,
                text: text.as_bytes(),
            };
            let known = self.written.iter_mut().find(|(known, _)| *known == place);
            if let Some((_, known)) = known {
                return label.replace(here, strand, known);
            }
            if let Some(written) = label.write_first(here, strand) {
                self.remember(place, written);
            }
        });
    }

    fn remember(&mut self, place: TextPlace, label: WrittenText) {
        alloc_counter::exclude(|| {
            // Without memory, the next value takes further room.
            if self.written.try_reserve(1).is_ok() {
                self.written.push((place, label));
            }
        });
    }
}
