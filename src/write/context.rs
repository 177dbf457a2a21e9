//! The thread's current strand: inject, fetch, scope.
//!
//! The strands that a thread has entered form a list through the strands themselves, the current
//! one first. So any number can be entered, and one that is left out of order is taken out of the
//! middle.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Local, Window};

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::strand::{STRANDS, Strand};
use crate::store::sum;
use crate::store::trace::Trace;
use crate::write::cursor::{self, Position};
use crate::write::folded;

/// The strands entered, the current one first.
fn chain(here: &Position) -> impl Iterator<Item = &'static Member<Strand>> {
    std::iter::successors(here.strand(), |strand| below(strand))
}

fn enter(here: &Position, strand: &'static Member<Strand>) -> Option<Window> {
    let local = Local::current();
    let now = clock::ticks();
    let trace = strand.trace.load(Relaxed);
    let outer = here.strand();
    draw_boundary(here, local);
    if outer.is_some() {
        here.put_aside();
        let counting = chain(here)
            .find(|other| other.trace.load(Relaxed) == trace && other.meter.is_running());
        pause(strand, counting, local, now);
    }
    strand.below.store(number(outer), Relaxed);
    let window = local.map(Local::open_window);
    strand.meter.run(local, now);
    here.take_up(Some(strand));
    window
}

fn leave(here: &Position, strand: &'static Member<Strand>, window: Option<Window>) {
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
        // What was reached since it was covered is known to those above it only.
        strand.lose_peaks();
        leave_out_of_order(here, strand, local, now);
    }
    strand.below.store(Number::NONE, Relaxed);
}

/// Folds the highest level since the last boundary into what is open in the current strand.
fn draw_boundary(here: &Position, local: Option<Local>) {
    if let Some(local) = local {
        raise_peak(here, Some(local.take_peak()));
    }
}

/// Folds a level that the thread has reached into what is open in the current strand, if that
/// counts; where the level is not known, neither are the strand's peaks.
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

/// The strand is not the current one: others were entered after it and are not yet left.
#[cold]
fn leave_out_of_order(
    here: &Position,
    strand: &'static Member<Strand>,
    local: Option<Local>,
    now: u64,
) {
    let me = strand.number();
    let Some(above) = chain(here).find(|other| other.below.load(Relaxed) == me) else {
        return;
    };
    above.below.store(strand.below.load(Relaxed), Relaxed);
    // Where another strand of the trace paused this one, it now pauses what this one paused.
    match chain(here).find(|other| other.pauses.load(Relaxed) == me) {
        Some(pausing) => {
            pausing.pauses.store(strand.pauses.load(Relaxed), Relaxed);
            strand.pauses.store(Number::NONE, Relaxed);
        }
        None => resume(strand, local, now),
    }
}

fn number(strand: Option<&'static Member<Strand>>) -> Number {
    strand.map_or(Number::NONE, Member::number)
}

fn below(strand: &Strand) -> Option<&'static Member<Strand>> {
    STRANDS.get(strand.below.load(Relaxed))
}

/// Brings the peaks of the calls open here up to now, for a report that is about to be taken.
pub(crate) fn draw_boundary_here() {
    cursor::here(|here| draw_boundary(here, Local::current()));
}

/// The strand, which has been put aside, no longer sees this thread's counters.
pub(crate) fn stand(strand: &Strand, local: Option<Local>, now: u64) {
    strand.rebase();
    if !strand.meter.pause(local, now) {
        strand.mark_partial();
    }
}

/// Lets another strand of the same trace stand still, so that nothing is counted twice.
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

/// Lets the strand go on that this one paused.
fn resume(strand: &Strand, local: Option<Local>, now: u64) {
    if let Some(paused) = STRANDS.get(strand.pauses.load(Relaxed)) {
        strand.pauses.store(Number::NONE, Relaxed);
        paused.meter.run(local, now);
        // Where another trace's strand lies between, its highest level will be told to this one,
        // and includes levels that were reached while this one was paused.
        if !below(strand).is_some_and(|next| std::ptr::eq(next, paused)) {
            paused.lose_peaks();
        }
    }
}

/// A trace's strand that runs on this thread until this is dropped.
///
/// What is recorded meanwhile on this thread goes into that strand. Made by [`Trace::inject`].
#[derive(Debug)]
#[must_use = "the trace is current until the scope is dropped: bind it, `let _scope = …`; `let _ = …` drops it at once"]
pub struct Scope {
    entered: Option<Entered>,
    trace: Trace,
    _not_send: PhantomData<EndsOnItsThread>,
}

/// What a compiler's message names where a scope is sent, or held over an `.await` of a task that
/// may change threads: use [`Trace::instrument`] there.
#[derive(Debug)]
struct EndsOnItsThread {
    _not_send: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take() {
            entered.finish(&self.trace);
        }
    }
}

/// A strand that the thread is in until this is dropped.
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
    /// The caller holds a handle of the strand's trace for as long as this lives.
    #[inline]
    pub(crate) fn new(strand: &'static Member<Strand>) -> Self {
        Self {
            strand,
            window: cursor::here(|here| enter(here, strand)),
        }
    }

    /// Leaves the strand, which is one of this trace, for the last time.
    pub(crate) fn finish(self, trace: &Trace) {
        let strand = self.strand;
        drop(self);
        trace.end(strand);
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let window = self.window.take();
        cursor::here(|here| leave(here, self.strand, window));
    }
}

impl Trace {
    /// Makes the trace current on this thread until the scope is dropped.
    ///
    /// The scope is a strand of its own. Scopes of different traces nest: the outer trace goes on
    /// counting, inclusively. A scope of the same trace on the same thread takes over until it
    /// ends, so that nothing is counted twice. Scopes may be dropped in any order.
    ///
    /// Not over an `.await`: other tasks that the thread polls meanwhile would be recorded too. For
    /// a future there is [`instrument`](Self::instrument), and for one that is spawned
    /// `tokio::spawn(work().in_current_trace())`, with the trait
    /// [`InCurrentTrace`](crate::InCurrentTrace).
    ///
    /// Injecting an empty trace does nothing. The calls of scopes beyond a trace's limit of
    /// [strands](crate::Limits::strands) are [added up by path](crate::Report::folded), and are in
    /// reports while they run.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// call!("work").stop();
    /// drop(scope);
    /// call!("later").stop();
    /// assert_eq!(trace.report().calls.len(), 1);
    /// ```
    pub fn inject(&self) -> Scope {
        Scope {
            entered: self.new_strand().map(Entered::new),
            trace: self.clone(),
            _not_send: PhantomData,
        }
    }

    /// A strand below this handle's call, or where it has none, below the call of the same trace
    /// that is open on this thread.
    pub(crate) fn new_strand(&self) -> Option<&'static Member<Strand>> {
        if self.is_empty() {
            return None;
        }
        let parent = if self.has_parent() {
            self.parent()
        } else {
            let number = self.number();
            cursor::here(|here| {
                chain(here)
                    .find(|strand| strand.trace.load(Relaxed) == number)
                    .map_or(Address::NONE, |strand| parent_in(here, strand))
            })
        };
        self.strand(parent)
    }
}

/// The call that is open in a strand of this thread, or its path if it is folded; or what the strand
/// stands below.
fn parent_in(here: &Position, strand: &'static Member<Strand>) -> Address {
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

/// The trace that is current on this thread, with the call that is open now; an empty trace where
/// there is none.
///
/// Never fails; without a trace it costs a load and a branch. A closure or future that is handed on
/// takes it along by [`in_current_trace`](crate::in_current_trace) or
/// [`InCurrentTrace`](crate::InCurrentTrace).
///
/// ```
/// assert!(tracer::fetch().is_empty());
/// let trace = tracer::Trace::new();
/// let _scope = trace.inject();
/// assert_eq!(tracer::fetch().id(), trace.id());
/// ```
#[inline]
pub fn fetch() -> Trace {
    cursor::here(|here| match here.strand() {
        Some(strand) => Trace::of(strand.trace.load(Relaxed), parent_in(here, strand)),
        None => Trace::empty(),
    })
}
