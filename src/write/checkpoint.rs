//! Checkpoints of an open call.

use alloc_counter::Local;

use crate::primitives::clock;
use crate::primitives::text::Text;
use crate::primitives::text::copied;
use crate::store::chunk::{CallRef, Vacant};
use crate::store::remote::{RemoteCheckpoint, RemoteKind};
use crate::store::short_text::ShortText;
use crate::store::strand::Strand;
use crate::write::cursor::{self, Position};
use crate::write::plain::checkpoint_plainly;

/// Sets a checkpoint. Inline only as far as the name is made ready, since the name is usually a literal.
#[inline]
pub(crate) fn checkpoint(call: CallRef, name: &str) {
    let short = ShortText::of(name.as_bytes());
    cursor::here(|here| match &short {
        Some(short) => checkpoint_here(here, call, short, name),
        None => checkpoint_otherwise(here, call, name),
    });
}

#[inline(never)]
fn checkpoint_here(here: &Position, call: CallRef, short: &ShortText, name: &str) {
    if !checkpoint_plainly(here, call, short) {
        checkpoint_otherwise(here, call, name);
    }
}

#[cold]
#[inline(never)]
fn checkpoint_otherwise(here: &Position, call: CallRef, name: &str) {
    let moment = clock::ticks();
    if let Some(short) = ShortText::of(name.as_bytes())
        && let Some(strand) = here.strand_of(call)
        && let Some(local) = Local::current()
        && call.record.state().is_plain()
    {
        if let Some(vacant) = here.vacant(strand) {
            let checkpoint = vacant.as_checkpoint();
            checkpoint.write(call.address(), moment, Some(&short));
            checkpoint.set_counts_since(call.record, local.totals());
            vacant.publish();
        }
    } else {
        checkpoint_elsewhere(here, call, name, moment);
    }
}

/// Sets a checkpoint with a long name, of a call from an earlier visit to its strand, or of a call that
/// does not run here.
fn checkpoint_elsewhere(here: &Position, call: CallRef, name: &str, moment: u64) {
    if call.record.state().is_folded() {
        return;
    }
    let name = Text::of(&name);
    let strand = here.strand_of(call);
    let Some(strand) = strand.filter(|_| !call.record.state().holds_usage()) else {
        return post_checkpoint(call, &name, moment, false);
    };
    let used = strand.known_usage(call.record).counts;
    if let Some((vacant, name)) = vacant_for(here, strand, name.as_bytes()) {
        let checkpoint = vacant.as_checkpoint();
        checkpoint.write(call.address(), moment, name.as_ref());
        checkpoint.set_counts(used);
        vacant.publish();
    }
}

/// Sets a checkpoint of a span's call, on a strand below it: the call's own figures stay exact. What it had
/// allocated then is known as far as another thread can know it.
#[cfg(feature = "tracing")]
#[cold]
pub(crate) fn checkpoint_from_below(call: CallRef, name: &str) {
    let moment = clock::ticks();
    if call.record.state().is_folded() {
        return;
    }
    post_checkpoint(call, &Text::of(&name), moment, true);
}

/// Posts a checkpoint of a call whose strand this thread does not run. Unless the call `stays_exact`, its
/// figures are marked if it is running.
fn post_checkpoint(call: CallRef, name: &Text, moment: u64, stays_exact: bool) {
    Strand::post(call, moment, |strand| {
        let (used, is_known) = strand.known_usage_or_so_far(call.record);
        Some(RemoteKind::Checkpoint(RemoteCheckpoint {
            name: copied(name.as_str())?,
            used,
            is_exact: stays_exact || is_known,
        }))
    });
}

/// Finds the place for a record with this text, which is written before it if it is too long.
fn vacant_for(
    here: &Position,
    strand: &Strand,
    text: &[u8],
) -> Option<(Vacant, Option<ShortText>)> {
    let short = ShortText::of(text).or_else(|| here.write_long_text(strand, text));
    Some((here.vacant(strand)?, short))
}
