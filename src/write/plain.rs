//! The short path of calls and checkpoints: most take it, and what does not is found out before anything is written.
//!
//! With [`Position::plain`] and the ticks of the counter, it calls nothing that returns to it. So the compiler saves no
//! registers, which would be a fifth of the instructions.

use alloc_counter::Local;

use crate::primitives::clock;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::record::{CallRecord, NewCall};
use crate::store::short_text::ShortText;
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::write::cursor::Position;
use crate::write::nesting::pop_to_parent;

/// Starts a call as most start: in the chunk that is being filled, within a call that has been running since this
/// visit to the strand, or in none. Returns `None` otherwise, and has done nothing.
///
/// With [`Position::plain`] and the ticks of the counter it calls nothing, so that the compiler saves no registers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that starting most calls does")]
pub(crate) fn start_plainly(
    here: &Position,
    local: Option<Local>,
    ticks: impl FnOnce() -> u64,
    callsite: &'static Callsite,
    text: Option<&ShortText>,
) -> Option<CallRef> {
    let local = local?;
    let outer = here.innermost_record();
    if !outer.is_none_or(CallRecord::is_running_on_thread) {
        return None;
    }
    let callsite = callsite.known_number()?;
    let vacant = here.next_in_chunk()?;
    if !here.take_call() {
        return None;
    }
    let record = vacant.as_call();
    // Without a text, what the record's last owner left there is not read.
    if let Some(text) = text {
        record.write_text(text);
    }
    record.set_callsite(callsite);
    let start = ticks();
    record.open(&NewCall {
        state: RecordState::new(RecordKind::Call).of_thread(true),
        parent: here.innermost_address(),
        thread: here.tag_bits(),
        start,
    });
    let level = record.set_readings(start, local.totals());
    let highest = local.take_peak_at(level);
    if let Some(outer) = outer {
        outer.raise_peak(highest);
    }
    let call = vacant.publish_call();
    here.set_innermost(Some(call));
    Some(call)
}

/// Stops or leaves a call if it is the innermost one, in the visit to the strand in which it started, calls stop
/// [plainly](Position::counting), and the outcome is known. Most are. Otherwise returns `false`, and has done nothing.
///
/// It calls nothing that returns to it, so that the compiler saves no registers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that stopping a call does")]
pub(crate) fn end_plainly(
    here: &Position,
    counters: impl FnOnce(&Position) -> Option<Local>,
    call: CallRef,
    (now, is_left): (u64, bool),
    outcome: impl FnOnce(RecordState) -> Option<OutcomeKind>,
) -> bool {
    let record = call.record;
    let state = record.state();
    if here.is_innermost(call)
        && state.is_plain()
        && let Some(local) = counters(here)
        && let Some(outcome) = outcome(state)
    {
        let outer = here.call_at(record.parent());
        let state = state.with_outcome(outcome);
        let highest = record.close_on_thread(state, (now, is_left), local.totals(), |level| {
            local.take_peak_at(level)
        });
        if outer.is_none_or(|outer| outer.record.is_running_on_thread()) {
            here.set_innermost(outer);
            if let Some(outer) = outer {
                outer.record.raise_peak(highest);
            }
        } else {
            pop_from_thread(here, call, highest);
        }
        return true;
    }
    false
}

/// Leaves a call to the call around it, which was not opened or resumed in this visit. The `highest` level is the
/// thread's.
#[cold]
#[inline(never)]
fn pop_from_thread(here: &Position, call: CallRef, highest: i64) {
    if let Some(strand) = here.strand() {
        pop_to_parent(here, strand, call, strand.meter.level(highest));
    }
}

/// Sets a checkpoint of the innermost call, in the visit to the strand in which it started, while calls stop
/// [plainly](Position::plain). Otherwise returns `false`, and has done nothing. It calls nothing, so that the compiler
/// saves no registers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all that most checkpoints do")]
pub(crate) fn checkpoint_plainly(here: &Position, call: CallRef, name: &ShortText) -> bool {
    if here.is_innermost(call)
        && call.record.state().is_plain()
        && let Some(local) = here.plain()
        && let Some(vacant) = here.next_in_chunk()
    {
        let checkpoint = vacant.as_checkpoint();
        checkpoint.write(call.address(), clock::counter_ticks(), Some(name));
        checkpoint.set_counts_since(call.record, local.totals());
        vacant.publish();
        return true;
    }
    false
}
