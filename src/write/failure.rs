//! Why a call failed. A later message takes the room of the one before.

use crate::primitives::clock;
use crate::primitives::text::{Text, copied};
use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::record::{LateKind, Pieces, View, WrittenText};
use crate::store::remote::RemoteKind;
use crate::store::strand::Strand;
use crate::write::cursor::{self, Position};
use crate::write::late_text::NewText;

/// How many records after a call its first message is looked for when the call fails again: some 3 µs. A message
/// further away is kept, and the next one takes further room.
const NEAR: usize = 1024;

/// Marks the call as failed.
#[cold]
#[inline(never)]
pub(crate) fn fail(call: CallRef, why: &Text) {
    cursor::here(|here| fail_here(here, call, why));
}

fn fail_here(here: &Position, call: CallRef, why: &Text) {
    let moment = clock::ticks();
    if call.record.state().is_folded() {
        if here.strand_of(call).is_some() {
            call.record.set_failed();
        } else if let Some(strand) = Strand::of(call) {
            strand.note_dropped();
        }
        return;
    }
    let Some(strand) = here.strand_of(call) else {
        return Strand::post(call, moment, |_| copied(why.as_str()).map(RemoteKind::Fail));
    };
    let message = NewText {
        kind: LateKind::Message,
        call,
        moment,
        text: why.as_bytes(),
    };
    let has_failed = call.record.state().has_failed();
    match has_failed.then(|| last_message(call)).flatten() {
        Some(known) => replace(here, strand, &message, known),
        None => drop(message.write_first(here, strand)),
    }
    call.record.set_failed();
}

fn replace(here: &Position, strand: &Strand, message: &NewText<'_>, mut known: WrittenText) {
    let before = known.text;
    let next = here.next_address(strand);
    message.replace(here, strand, &mut known);
    if let Some(next) = next.filter(|_| !known.text.is(before)) {
        before.set_later_message(next);
    }
}

/// Returns the last message of a call that failed, unless the first one is far away.
fn last_message(call: CallRef) -> Option<WrittenText> {
    let mut found = message_from(call.address(), call)?;
    // Each has at least twice the room of the one before.
    loop {
        let later = found.text.later_message();
        if later == Address::NONE {
            return Some(found);
        }
        found = message_from(later, call)?;
    }
}

/// Returns the first message of a call at this address or near after it.
fn message_from(from: Address, call: CallRef) -> Option<WrittenText> {
    let mut pieces = Pieces::new();
    for record in Strand::records_from(from).take(NEAR) {
        match record.view(record.state()) {
            View::Text(piece) => {
                if piece.is_first() {
                    pieces.clear();
                }
                pieces.try_push(piece).ok();
            }
            View::Message(text) if text.call() == call.address() => {
                return Some(WrittenText { text, pieces });
            }
            _ => pieces.clear(),
        }
    }
    None
}
