//! Records the allocation sites of the strands that a thread runs, if their trace wants them.

use alloc_counter::{Owner, Sampled, SiteLog};

use crate::primitives::pool::Member;
use crate::store::strand::Strand;
use crate::store::sum::path_of;
use crate::write::cursor::{self, Position, entered};

/// Begins to record what this thread allocates in a strand that it has entered.
#[inline]
pub(crate) fn enter(strand: &'static Member<Strand>) {
    if let Some(key) = strand.sites.key() {
        match strand.sites.sample() {
            Some(sample) => SiteLog::sample(sample, pass_sampled),
            None => enter_with_log(strand, key),
        }
    }
}

#[cold]
#[inline(never)]
fn enter_with_log(strand: &'static Member<Strand>, key: u64) {
    strand.sites.visit();
    let log = strand.sites.take().or_else(|| new_log(strand));
    if let Some(refused) = log.and_then(|log| log.enter(key)) {
        strand.sites.put(refused);
    }
}

fn new_log(strand: &Strand) -> Option<SiteLog> {
    strand.allowance()?.sites.new_log(owner)
}

/// Passes the strands of this thread that want a sample.
fn pass_sampled(pass: &mut dyn FnMut(Sampled)) {
    cursor::here(|here| {
        for strand in entered(here) {
            if let (Some(key), Some(sites)) = (strand.sites.key(), strand.sites.sample()) {
                pass(Sampled {
                    key,
                    sites,
                    make,
                    lose,
                });
            }
        }
    });
}

/// Makes the log of this visit, at its first sample. The one of earlier visits stays where it is, since another thread
/// may have its lock.
fn make(key: u64) -> Option<SiteLog> {
    let strand = cursor::here(|here| with_key(here, key))?;
    let log = new_log(strand)?;
    strand.sites.visit();
    Some(log)
}

#[cold]
fn lose(key: u64) {
    if let Some(strand) = cursor::here(|here| with_key(here, key)) {
        strand.sites.note_lost();
    }
}

/// Ends the recording of a strand that this thread leaves.
#[inline]
pub(crate) fn leave(strand: &'static Member<Strand>) {
    if let Some(key) = strand.sites.key()
        && (SiteLog::is_any_entered() || strand.sites.sample().is_none())
    {
        leave_log(strand, key);
    }
}

#[cold]
#[inline(never)]
fn leave_log(strand: &'static Member<Strand>, key: u64) {
    let is_sample = strand.sites.sample().is_some();
    match SiteLog::leave(key) {
        Some(mut log) => {
            if let Some(allowance) = strand.allowance() {
                allowance.sites.add_not_recorded(log.take_not_recorded());
            }
            strand.sites.put(log);
        }
        // There was no sample during this visit.
        None if is_sample => return,
        None => strand.sites.note_lost(),
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
