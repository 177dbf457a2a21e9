//! Records the allocation sites of the strands that a thread runs, if their trace wants them.

use alloc_counter::{Left, Owner, SiteLog};

use crate::primitives::pool::Member;
use crate::store::strand::Strand;
use crate::store::sum::path_of;
use crate::write::cursor::{self, Position, entered};

/// Begins to record what this thread allocates in a strand that it has entered.
#[inline]
pub(crate) fn enter(strand: &'static Member<Strand>) {
    if let Some(key) = strand.sites.key() {
        enter_wanted(strand, key);
    }
}

#[cold]
#[inline(never)]
fn enter_wanted(strand: &'static Member<Strand>, key: u64) {
    strand.sites.visit();
    if let Some(log) = strand.sites.take() {
        return enter_with(strand, key, log);
    }
    let Some(allowance) = strand.allowance() else {
        return;
    };
    if let Some(sample) = allowance.sites.sample() {
        // Most strands allocate less than the mean.
        let is_entered = SiteLog::enter_at_sample(sample, key, |key| {
            let strand = cursor::here(|here| with_key(here, key))?;
            strand.allowance()?.sites.new_log(owner)
        });
        if !is_entered {
            strand.sites.note_lost();
        }
    } else if let Some(log) = allowance.sites.new_log(owner) {
        enter_with(strand, key, log);
    }
}

fn enter_with(strand: &'static Member<Strand>, key: u64, log: SiteLog) {
    if let Some(refused) = log.enter(key) {
        strand.sites.put(refused);
    }
}

/// Ends the recording of a strand that this thread leaves.
#[inline]
pub(crate) fn leave(strand: &'static Member<Strand>) {
    if let Some(key) = strand.sites.key() {
        leave_wanted(strand, key);
    }
}

#[cold]
#[inline(never)]
fn leave_wanted(strand: &'static Member<Strand>, key: u64) {
    match SiteLog::leave(key) {
        Left::Log(mut log) => {
            if let Some(allowance) = strand.allowance() {
                allowance.sites.add_not_recorded(log.take_not_recorded());
            }
            strand.sites.put(log);
        }
        Left::NotMade => {}
        Left::Nothing => strand.sites.note_lost(),
    }
    strand.sites.visit();
}

/// Returns the strand with this key, if this thread has entered it.
fn with_key(here: &Position, key: u64) -> Option<&'static Member<Strand>> {
    entered(here).find(|strand| strand.sites.key() == Some(key))
}

/// Returns whose the allocation is that this thread makes now in the strand with this key.
fn owner(key: u64) -> Owner {
    cursor::here(|here| match with_key(here, key) {
        Some(strand) if strand.meter.is_running() => innermost(here, strand),
        Some(_) => Owner::Paused,
        None => Owner::Gone,
    })
}

fn innermost(here: &Position, strand: &'static Member<Strand>) -> Owner {
    let innermost = if here.is_current(strand) {
        here.innermost_running()
    } else {
        cursor::running(strand.aside.innermost().call())
    };
    let folded = innermost.and_then(|call| call.record.folded());
    Owner::Is(match (innermost, folded) {
        (_, Some(folded)) => path_of(folded).to_bits(),
        (Some(call), None) => call.address().to_bits(),
        // What a strand does outside of its calls is in the figures of the call from which it was spawned.
        (None, None) => strand.parent().to_bits(),
    })
}
