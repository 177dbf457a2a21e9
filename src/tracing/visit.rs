//! A visit: one line of execution in which a span was entered.
//!
//! It is a strand, with the call that stands for the span there. One thread at a time has entered a visit. In
//! between it waits for the next one.

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::chunk::CallRef;
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;
use crate::store::usage::Figures;
use crate::write::context::Entered;
use crate::write::execution::Execution;
use crate::write::start_stop;
use crate::write::suspend;

use super::left::Left;

pub(super) struct Visit {
    /// `None` if memory ran out.
    strand: Option<&'static Member<Strand>>,
    is_entered: bool,
    call: Option<CallRef>,
    /// The innermost call that was open inside when the span was left.
    innermost: Option<CallRef>,
    /// The strand's, if it is the span's own.
    execution: Option<Execution>,
    /// What had been allocated before the span was entered for the last time.
    allocates: u64,
    /// It was entered once only.
    is_first: bool,
    /// How it was left.
    pub(super) left: Left,
}

/// What becomes of the call of a visit that is left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is suspended, with the calls inside.
    Suspend,
    /// It is suspended, while the calls inside go on.
    Alone,
    /// It stops.
    Stop,
}

impl Visit {
    pub(super) const UNUSED: Self = Self {
        strand: None,
        is_entered: false,
        call: None,
        innermost: None,
        execution: None,
        allocates: 0,
        is_first: true,
        left: Left::NEVER,
    };

    /// Begins a visit, which is entered. `execution` is the strand's, if it is the span's own.
    #[inline]
    pub(super) fn begin(
        &mut self,
        strand: Option<&'static Member<Strand>>,
        call: Option<CallRef>,
        execution: Option<Execution>,
    ) {
        self.strand = strand;
        self.is_entered = true;
        self.call = call;
        self.innermost = None;
        // Most have none, as the one before.
        if execution.is_some() || self.execution.is_some() {
            self.execution = execution;
        }
        self.allocates = 0;
        self.is_first = true;
    }

    /// Goes on with a visit that waits: its call is resumed.
    #[inline]
    pub(super) fn enter(&mut self) -> Option<Entered> {
        self.allocates = self.allocated();
        self.is_first = false;
        let entered = self.execution.as_ref().and_then(Execution::enter);
        self.is_entered = true;
        if let (Some(call), Some(innermost)) = (self.call, self.innermost)
            && suspend::resume(call, innermost)
        {
            self.innermost = None;
        }
        entered
    }

    /// Leaves a visit: its call is suspended, alone if others in the same strand go on, or stopped.
    #[inline]
    pub(super) fn leave(&mut self, entered: Option<Entered>, how: Leave) {
        match (self.call, how) {
            (None, _) => {}
            (Some(call), Leave::Stop) => {
                self.call = None;
                start_stop::stop(call);
            }
            // If it could not be resumed, it is suspended.
            (Some(_), _) if self.innermost.is_some() => {}
            (Some(call), how) => {
                self.innermost = suspend::leave(call, how == Leave::Alone);
                if self.innermost.is_none() {
                    // The thread has left the strand, so the call stops, and is not resumed.
                    self.call = None;
                    self.strand = None;
                    start_stop::stop(call);
                }
            }
        }
        drop(entered);
        self.is_entered = false;
    }

    /// Stops the call when it was left, and ends the strand if it is the span's own.
    #[inline]
    pub(super) fn finish(&mut self, is_cancelled: bool) {
        if self.execution.is_some() {
            return self.finish_own(is_cancelled);
        }
        if let Some(call) = self.call.take() {
            self.finish_call(call, is_cancelled);
        }
    }

    #[cold]
    fn finish_own(&mut self, is_cancelled: bool) {
        let execution = self.execution.take();
        let Some(call) = self.call.take() else { return };
        let _entered = execution.as_ref().and_then(Execution::enter);
        self.finish_call(call, is_cancelled);
    }

    #[inline]
    fn finish_call(&self, call: CallRef, is_cancelled: bool) {
        let is_cancelled = is_cancelled && !call.record.state().has_failed();
        let outcome = is_cancelled.then_some(OutcomeKind::Cancelled);
        let is_innermost = self.innermost.is_some_and(|innermost| innermost.is(call));
        start_stop::finish(call, is_innermost, outcome);
    }

    /// Whether the strand is the span's own.
    #[inline]
    pub(super) fn is_own(&self) -> bool {
        self.execution.is_some()
    }

    #[inline]
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Whether the strand is below the call of the span.
    #[inline]
    pub(super) fn is_below_call(&self) -> bool {
        self.call.is_none() && self.execution.is_some()
    }

    /// Notes that the span was left in this visit, whose strand is below the span's call: if nobody runs that call, it has
    /// not stopped before.
    #[cold]
    pub(super) fn leave_call_above(&self, call: CallRef) {
        let record = call.record;
        let is_there = self.strand.is_some() && call.strand().is_some();
        if is_there && record.is_open() && record.left().is_some() {
            record.leave(clock::ticks());
        }
    }

    /// Whether the visit waits in this strand, which is not the span's own.
    #[inline]
    pub(super) fn waits_in(&self, strand: Number) -> bool {
        self.number() == Some(strand) && !self.is_own() && !self.is_entered
    }

    /// Whether the visit waits in a strand of the span's own.
    pub(super) fn waits_in_own(&self) -> bool {
        self.is_own() && !self.is_entered
    }

    #[inline]
    pub(super) fn call(&self) -> Option<CallRef> {
        self.call
    }

    #[inline]
    pub(super) fn number(&self) -> Option<Number> {
        self.strand.map(Member::number)
    }

    /// Returns a number that is another one once the strand has been left or entered.
    #[inline]
    pub(super) fn turn(&self) -> u32 {
        self.strand.map_or(0, |strand| strand.meter.visit())
    }

    pub(super) fn turn_if_not_over(&self) -> Option<u32> {
        let strand = self.strand.filter(|strand| !strand.is_over());
        strand.map(|strand| strand.meter.visit())
    }

    /// Returns when the call was left, in ticks.
    #[inline]
    pub(super) fn left_at(&self) -> u64 {
        let left = self.call.and_then(|call| call.record.left());
        left.unwrap_or_else(clock::ticks)
    }

    /// Returns what was allocated in the call, which is suspended, or in the strand if that is the span's
    /// own and was left.
    fn allocated(&self) -> u64 {
        if self.is_own() {
            let boundary = self.strand.map(|strand| strand.meter.boundary());
            return boundary.map_or(0, |reading| reading.counts.allocates());
        }
        match self.call.map(|call| call.record.figures()) {
            Some(Figures::Used(used)) => used.counts.allocates(),
            _ => 0,
        }
    }

    /// Whether nothing was allocated after the span was entered for the last time.
    #[inline]
    pub(super) fn allocates_nothing(&self) -> bool {
        self.allocated() == self.allocates
    }
}

/// Leaves a span that has no state: its call stops, and the calls inside go on.
pub(super) fn leave_unknown(call: CallRef, how: Leave) {
    let innermost = if how == Leave::Stop {
        None
    } else {
        suspend::leave(call, true)
    };
    match innermost {
        Some(innermost) => start_stop::finish(call, innermost.is(call), None),
        None => start_stop::stop(call),
    }
}
