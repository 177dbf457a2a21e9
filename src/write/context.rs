//! Which strands a thread has entered: enters one, leaves it.
//!
//! The strands form a list through the strands themselves, the current one first. So any number can be
//! entered, and one that is left out of order is taken out of the middle.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Local, Window};

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
#[cfg(feature = "propagation")]
use crate::store::chunk::CallRef;
use crate::store::strand::{STRANDS, Strand};
use crate::store::sum;
#[cfg(feature = "blocks")]
use crate::write::blocks;
use crate::write::cursor::{self, Position, below, entered};
use crate::write::folded;
#[cfg(feature = "sites")]
use crate::write::sites;

/// Enters a strand. Mostly the thread is in no other one, and has what it takes at hand: then this calls nothing.
fn enter(here: &Position, strand: &'static Member<Strand>) -> Option<Window> {
    let Some((local, now)) = at_hand().filter(|(local, _)| {
        let is_in_strand = here.strand().is_some();
        !is_in_strand && !local.is_in_window()
    }) else {
        return enter_in_any_case(here, strand);
    };
    strand.below.store(Number::NONE, Relaxed);
    let counts = local.counts();
    local.take_peak_at(counts.net_bytes());
    strand.meter.run_from(local, counts, now);
    take_up(here, strand, Some(local));
    None
}

#[inline(never)]
fn enter_in_any_case(here: &Position, strand: &'static Member<Strand>) -> Option<Window> {
    let local = Local::current();
    let now = clock::ticks();
    let outer = here.strand();
    if outer.is_some() {
        go_over(here, strand, local, now);
    }
    strand.below.store(number(outer), Relaxed);
    let window = local.and_then(|local| {
        let counts = local.counts();
        if outer.is_none() {
            local.take_peak_at(counts.net_bytes());
        }
        strand.meter.run_from(local, counts, now);
        // The levels reached in the strand are those of a strand below it and of windows around it, too.
        let is_inside = outer.is_some() || local.is_in_window();
        is_inside.then(|| local.open_window())
    });
    take_up(here, strand, local);
    window
}

/// Returns the thread's counters and the time, if neither takes a call.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a few loads")]
fn at_hand() -> Option<(Local, u64)> {
    let local = Local::at_hand()?;
    clock::is_counter().then(|| (local, clock::counter_ticks() | 1))
}

/// Makes a strand current whose meter runs.
#[inline]
fn take_up(here: &Position, strand: &'static Member<Strand>, local: Option<Local>) {
    here.take_up(Some(strand));
    // The meter runs if there are counters.
    here.review_running(Some(strand), local);
    #[cfg(feature = "sites")]
    sites::enter(strand);
    #[cfg(feature = "blocks")]
    blocks::enter(strand);
}

/// Leaves the current strand as it is, to enter another one over it.
#[inline(never)]
fn go_over(here: &Position, strand: &'static Member<Strand>, local: Option<Local>, now: u64) {
    draw_boundary(here, local);
    here.put_aside();
    let trace = strand.trace.load(Relaxed);
    let counting =
        entered(here).find(|other| other.trace.load(Relaxed) == trace && other.meter.is_running());
    pause(strand, counting, local, now);
}

/// Leaves a strand. Mostly no call of it is open, and the thread was in no other one: then this calls nothing.
fn leave(here: &Position, strand: &'static Member<Strand>, window: &mut Option<Window>) {
    #[cfg(feature = "blocks")]
    blocks::leave(strand);
    #[cfg(feature = "sites")]
    sites::leave(strand);
    // No call takes the levels reached, and there is nothing to go back to.
    let is_plain = here.is_idle_in(strand) && strand.is_over_none() && window.is_none();
    if is_plain
        && strand.meter.is_running()
        && let Some((local, now)) = at_hand()
    {
        here.put_aside();
        here.clear();
        return strand.meter.pause_running(local, now);
    }
    leave_in_any_case(here, strand, window.take());
}

#[inline(never)]
fn leave_in_any_case(here: &Position, strand: &'static Member<Strand>, window: Option<Window>) {
    let local = Local::current();
    let now = clock::ticks();
    let is_current = here.is_current(strand);
    if is_current {
        draw_boundary(here, local);
        here.put_aside();
    }
    if strand.meter.is_running() {
        stand(strand, local, now);
    }
    let highest = match (local, window) {
        (Some(local), Some(window)) => local.close_window(window),
        _ => None,
    };
    if is_current {
        here.take_up(below(strand));
        raise_peak(here, highest);
        resume(strand, local, now);
    } else {
        // Since another strand was entered above it, only that one knows the levels reached.
        strand.lose_peaks();
        leave_out_of_order(here, strand, local, now);
    }
    strand.below.store(Number::NONE, Relaxed);
    here.review(local);
}

/// Folds the highest level since the last boundary into the innermost open call of the current strand.
fn draw_boundary(here: &Position, local: Option<Local>) {
    if let Some(local) = local {
        raise_peak(here, Some(local.take_peak()));
    }
}

/// Folds a level that the thread has reached into the innermost open call of the current strand, if the
/// strand counts. If the level is not known, the strand's peaks are not known any more.
fn raise_peak(here: &Position, highest: Option<i64>) {
    if let Some(strand) = here.strand().filter(|it| it.meter.is_running()) {
        match highest {
            Some(level) => {
                if let Some(innermost) = here.innermost_running() {
                    let level = strand.meter.level(level);
                    strand.meter.raise_peak(innermost.record, level);
                }
            }
            None => strand.lose_peaks(),
        }
    }
}

/// Leaves a strand that is not the current one: others were entered after it and are not yet left.
#[cold]
fn leave_out_of_order(
    here: &Position,
    strand: &'static Member<Strand>,
    local: Option<Local>,
    now: u64,
) {
    let me = strand.number();
    let Some(above) = entered(here).find(|other| other.below.load(Relaxed) == me) else {
        return;
    };
    above.below.store(strand.below.load(Relaxed), Relaxed);
    // If another strand of the trace paused this one, it now pauses what this one paused.
    match entered(here).find(|other| other.pauses.load(Relaxed) == me) {
        Some(pausing) => {
            pausing.pauses.store(strand.pauses.load(Relaxed), Relaxed);
            strand.pauses.store(Number::NONE, Relaxed);
        }
        None => resume(strand, local, now),
    }
}

/// Runs `work` in a strand that this thread has entered, but that is not the current one.
#[cfg(feature = "tracing")]
#[cold]
pub(crate) fn within<T>(
    here: &Position,
    strand: &'static Member<Strand>,
    work: impl FnOnce() -> T,
) -> T {
    let current = here.strand();
    draw_boundary(here, Local::current());
    // Only the strands entered above it know the levels reached since.
    strand.lose_peaks();
    here.put_aside();
    here.take_up(Some(strand));
    here.review(Local::current());
    let done = work();
    here.put_aside();
    here.take_up(current);
    here.review(Local::current());
    done
}

fn number(strand: Option<&'static Member<Strand>>) -> Number {
    strand.map_or(Number::NONE, Member::number)
}

/// Brings the peaks of the calls that are open on this thread up to now, before a report is taken.
pub(crate) fn draw_boundary_here() {
    cursor::here(|here| draw_boundary(here, Local::current()));
}

/// Detaches a strand that has been put aside from this thread's counters.
#[inline]
pub(crate) fn stand(strand: &Strand, local: Option<Local>, now: u64) {
    strand.rebase();
    pause_meter(strand, local, now);
}

#[inline]
fn pause_meter(strand: &Strand, local: Option<Local>, now: u64) {
    if !strand.meter.pause(local, now) {
        strand.mark_partial();
    }
}

/// Stops the counting of another strand of the same trace, so that nothing is counted twice.
fn pause(
    strand: &Strand,
    counting: Option<&'static Member<Strand>>,
    local: Option<Local>,
    now: u64,
) {
    if let Some(counting) = counting {
        stand(counting, local, now);
    }
    strand.pauses.store(number(counting), Relaxed);
}

/// Resumes the strand that this one paused.
fn resume(strand: &Strand, local: Option<Local>, now: u64) {
    if let Some(paused) = STRANDS.get(strand.pauses.load(Relaxed)) {
        strand.pauses.store(Number::NONE, Relaxed);
        paused.meter.run(local, now);
        // If another trace's strand is between the two, its highest level will be folded into the
        // resumed strand, and includes levels that were reached while that one was paused.
        if !below(strand).is_some_and(|next| std::ptr::eq(next, paused)) {
            paused.lose_peaks();
        }
    }
}

/// Guard of one visit to a strand: the thread leaves the strand when this is dropped.
pub(crate) struct Entered {
    strand: &'static Member<Strand>,
    window: Option<Window>,
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

impl Entered {
    /// Enters a strand. The caller is an [`Execution`](crate::write::execution::Execution), which
    /// outlives this.
    #[inline]
    pub(crate) fn new(strand: &'static Member<Strand>) -> Self {
        Self {
            strand,
            window: cursor::here(|here| enter(here, strand)),
        }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        cursor::here(|here| leave(here, self.strand, &mut self.window));
    }
}

/// Returns the innermost recorded call that is open in the current strand of this thread. Without one, returns
/// what the strand stands below.
#[cfg(feature = "propagation")]
pub(crate) fn recorded_here(here: &Position, strand: &Strand) -> Address {
    let innermost = here.innermost_running().map(CallRef::address);
    match innermost.map(cursor::recorded) {
        None | Some(Address::NONE) => strand.parent(),
        Some(call) => call,
    }
}

/// Returns the call that is open in the current strand of this thread, as [`open_in`] does.
#[cfg(feature = "tracing")]
#[inline]
pub(crate) fn open_here(here: &Position, strand: &'static Member<Strand>) -> Address {
    match here.innermost() {
        Some(innermost) if innermost.record.is_running_on_thread() => innermost.address(),
        _ => open_in(here, strand),
    }
}

/// Returns the call that is open in a strand of this thread, or its path if it is folded. Without an
/// open call, returns what the strand stands below.
pub(crate) fn open_in(here: &Position, strand: &'static Member<Strand>) -> Address {
    let innermost = if here.is_current(strand) {
        here.innermost()
    } else {
        strand.aside.innermost().call()
    };
    let Some(call) = cursor::running(innermost) else {
        return strand.parent();
    };
    match call.record.folded() {
        Some(call) => {
            folded::spawn_from(call);
            sum::path_of(call)
        }
        None => call.address(),
    }
}
