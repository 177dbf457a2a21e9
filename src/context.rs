//! The thread's current strand: inject, fetch, scope.
//!
//! The strands that a thread has entered form a list through the strands themselves, the current
//! one first. So any number can be entered, and one that is left out of order is taken out of the
//! middle.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Local, Window};

use crate::clock;
use crate::pool::{Member, Number};
use crate::record::Address;
use crate::strand::{Position, STRANDS, Strand};
use crate::trace::Trace;

/// Where this thread records.
pub(crate) struct Here {
    strand: Cell<Option<&'static Member<Strand>>>,
    generation: Cell<u32>,
    pub(crate) position: Position,
}

thread_local! {
    // Without a destructor: can be read at any time of the thread's life, at the cost of a load.
    static HERE: Here = const {
        Here {
            strand: Cell::new(None),
            generation: Cell::new(0),
            position: Position::nowhere(),
        }
    };
}

impl Here {
    #[inline]
    pub(crate) fn with<T>(use_it: impl FnOnce(&Self) -> T) -> T {
        HERE.with(use_it)
    }

    #[inline]
    pub(crate) fn strand(&self) -> Option<&'static Member<Strand>> {
        self.strand.get()
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Whether the thread is in this strand, and the strand still that of this generation.
    #[inline]
    pub(crate) fn is_in(&self, strand: &'static Member<Strand>, generation: u32) -> bool {
        self.strand
            .get()
            .is_some_and(|current| std::ptr::eq(current, strand))
            && self.generation.get() == generation
    }

    fn set(&self, strand: Option<&'static Member<Strand>>) {
        self.strand.set(strand);
        if let Some(strand) = strand {
            self.generation.set(strand.generation());
            self.position.take_up(strand);
        }
    }

    /// The strands entered, the current one first.
    fn chain(&self) -> impl Iterator<Item = &'static Member<Strand>> + use<> {
        std::iter::successors(self.strand.get(), |strand| below(strand))
    }

    fn enter(&self, strand: &'static Member<Strand>) -> Option<Window> {
        let local = Local::current();
        let now = clock::ticks();
        let trace = strand.trace.load(Relaxed);
        let outer = self.strand.get();
        self.draw_boundary(local);
        if let Some(outer) = outer {
            self.position.put_aside(outer);
            let counting = self
                .chain()
                .find(|other| other.trace.load(Relaxed) == trace && other.meter.is_running());
            pause(strand, counting, local, now);
        }
        strand.below.store(number(outer), Relaxed);
        let window = local.map(Local::open_window);
        strand.meter.run(local, now);
        self.set(Some(strand));
        window
    }

    fn leave(&self, strand: &'static Member<Strand>, window: Option<Window>) {
        let local = Local::current();
        let now = clock::ticks();
        let is_current = self
            .strand
            .get()
            .is_some_and(|current| std::ptr::eq(current, strand));
        if is_current {
            self.draw_boundary(local);
            self.position.put_aside(strand);
        }
        if strand.meter.is_running() && !strand.meter.stand(local, now) {
            strand.mark_partial();
        }
        let highest = match (local, window) {
            (Some(local), Some(window)) => local.close_window(window),
            _ => None,
        };
        if is_current {
            self.set(below(strand));
            self.raise_peak(highest);
            resume(strand, local, now);
        } else {
            self.leave_out_of_order(strand, local, now);
        }
        strand.below.store(Number::NONE, Relaxed);
    }

    /// Folds the highest level since the last boundary into what is open in the current strand.
    fn draw_boundary(&self, local: Option<Local>) {
        if let Some(local) = local {
            self.raise_peak(Some(local.take_peak()));
        }
    }

    /// Folds a level that the thread has reached into what is open in the current strand, if that
    /// counts; where the level is not known, neither are the strand's peaks.
    fn raise_peak(&self, highest: Option<i64>) {
        if let Some(strand) = self.strand.get().filter(|it| it.meter.is_running()) {
            match highest {
                Some(level) => {
                    strand.raise_peak(self.position.open.get(), strand.meter.level(level));
                }
                None => strand.lose_peaks(),
            }
        }
    }

    /// The strand is not the current one: others were entered after it and are not yet left.
    #[cold]
    fn leave_out_of_order(&self, strand: &'static Member<Strand>, local: Option<Local>, now: u64) {
        let me = strand.number();
        let Some(above) = self.chain().find(|other| other.below.load(Relaxed) == me) else {
            return;
        };
        above.below.store(strand.below.load(Relaxed), Relaxed);
        // Where another strand of the trace paused this one, it now pauses what this one paused.
        match self.chain().find(|other| other.pauses.load(Relaxed) == me) {
            Some(pausing) => {
                pausing.pauses.store(strand.pauses.load(Relaxed), Relaxed);
                strand.pauses.store(Number::NONE, Relaxed);
            }
            None => resume(strand, local, now),
        }
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
    Here::with(|here| here.draw_boundary(Local::current()));
}

/// Lets another strand of the same trace stand still, so that nothing is counted twice.
fn pause(
    strand: &Strand,
    counting: Option<&'static Member<Strand>>,
    local: Option<Local>,
    now: u64,
) {
    if let Some(counting) = counting
        && !counting.meter.stand(local, now)
    {
        counting.mark_partial();
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
#[must_use = "the trace is current only until the scope is dropped"]
pub struct Scope {
    entered: Option<Entered>,
    _trace: Trace,
    /// Ends on the thread on which it began.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take() {
            entered.finish();
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
        let window = Here::with(|here| here.enter(strand));
        Self { strand, window }
    }

    /// Leaves the strand for the last time.
    pub(crate) fn finish(self) {
        Here::with(|here| {
            if here.is_in(self.strand, self.strand.generation()) {
                here.position.return_calls(self.strand);
            }
        });
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        Here::with(|here| here.leave(self.strand, self.window.take()));
    }
}

impl Trace {
    /// Makes the trace current on this thread until the scope is dropped.
    ///
    /// The scope is a strand of its own. Scopes of different traces nest: the outer trace goes on
    /// counting, inclusively. A scope of the same trace on the same thread takes over until it
    /// ends, so that nothing is counted twice. Scopes may be dropped in any order.
    ///
    /// Injecting an empty trace, or one that has its limit of strands, does nothing.
    ///
    /// ```
    /// use tracer::{Trace, call};
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// let call = call!("parent");
    /// let elsewhere = tracer::fetch();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(move || {
    ///         let _scope = elsewhere.inject();
    ///         let _call = call!("child");
    ///     });
    /// });
    /// drop(call);
    /// drop(scope);
    /// assert_eq!(trace.report().calls[1].parent, Some(0));
    /// ```
    pub fn inject(&self) -> Scope {
        Scope {
            entered: self.new_strand().map(Entered::new),
            _trace: self.clone(),
            _not_send: PhantomData,
        }
    }

    /// A strand below this handle's call, or where it has none, below the call of the same trace
    /// that is open on this thread.
    pub(crate) fn new_strand(&self) -> Option<&'static Member<Strand>> {
        let parent = if self.has_parent() {
            self.parent()
        } else {
            Here::with(|here| {
                here.strand()
                    .filter(|strand| strand.trace.load(Relaxed) == self.number())
                    .map_or(Address::NONE, |strand| parent_here(here, strand))
            })
        };
        self.strand(parent)
    }
}

/// The call that is open here, or the one below which this strand stands.
fn parent_here(here: &Here, strand: &Strand) -> Address {
    let open = here.position.open.get().or_around();
    if open.record.is_some() {
        open.address
    } else {
        strand.parent()
    }
}

/// The trace that is current on this thread, with the call that is open now; an empty trace where
/// there is none.
///
/// Never fails; without a trace it costs a load and a branch.
///
/// ```
/// assert!(tracer::fetch().is_empty());
/// let trace = tracer::Trace::new();
/// let _scope = trace.inject();
/// assert_eq!(tracer::fetch().id(), trace.id());
/// ```
#[inline]
pub fn fetch() -> Trace {
    Here::with(|here| match here.strand() {
        Some(strand) => Trace::of(strand.trace.load(Relaxed), parent_here(here, strand)),
        None => Trace::empty(),
    })
}
