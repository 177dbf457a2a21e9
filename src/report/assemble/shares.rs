//! What each call used, and which part of that the calls inside used.

use std::time::Duration;

use alloc_counter::Counts;

use crate::read::moves::around_at;
use crate::read::snapshot::{
    CallId, CallSnapshot, FoldedInside, Snapshot, StrandSnapshot, SumSnapshot,
};
use crate::report::duration::nanoseconds;

use super::order::Order;

/// What a call, or the calls of a path, used.
#[derive(Clone, Copy, Default)]
pub(super) struct Share {
    /// The place of the call or path in which the call was opened.
    parent: Option<u32>,
    pub(super) total: Counts,
    /// The part of the total that the calls inside used.
    pub(super) inside: Counts,
    pub(super) busy_inside_ns: u64,
    pub(super) is_partial: bool,
}

impl Share {
    pub(super) fn parent(&self) -> Option<usize> {
        self.parent.map(|parent| parent as usize)
    }

    /// Adds times that have passed, which are together far below the 584 years at which they would wrap around.
    fn add_busy_inside(&mut self, busy_ns: u64) {
        self.busy_inside_ns = self.busy_inside_ns.wrapping_add(busy_ns);
    }
}

/// What folded calls add to that: those of a path, or those inside a recorded call.
#[derive(Clone, Default)]
pub(super) struct FoldedShare {
    /// The time in which a folded call was open inside.
    pub(super) covered: Duration,
    /// Of a recorded call: the folded ones inside.
    pub(super) folded: Option<FoldedInside>,
    // The rest is of paths only.
    pub(super) is_moved: bool,
    pub(super) calls: u64,
    pub(super) running: u64,
    pub(super) failures: u64,
    pub(super) cancelled: u64,
    pub(super) wall: Duration,
    pub(super) busy: Duration,
    last_stop: Option<Duration>,
}

/// The shares of all calls and paths.
pub(super) struct Shares {
    /// By the [order](Order)'s places.
    pub(super) by_place: Vec<Share>,
    /// By places, too; empty if there are no folded calls.
    pub(super) folded: Vec<FoldedShare>,
}

impl Shares {
    pub(super) fn of(snapshot: &Snapshot, order: &Order) -> Self {
        let places = order.len() + snapshot.paths.len();
        let mut shares = Self {
            by_place: vec![Share::default(); places],
            folded: Vec::new(),
        };
        for (number, strand) in snapshot.strands.iter().enumerate() {
            let outside = order.find(strand.parent);
            for (index, call) in strand.calls.iter().enumerate() {
                shares.add_call(order.place(number, index), call, order, outside);
            }
            for sum in &strand.sums {
                shares.add_sum(sum, order, outside);
            }
        }
        let around = Surroundings { snapshot, order };
        for strand in &snapshot.strands {
            shares.add_strand(strand, &around);
        }
        shares
    }

    /// Returns when the last folded call stopped. `calls` is how many calls the order has.
    pub(super) fn last_stop(&self, calls: usize) -> Option<Duration> {
        let paths = self.folded.iter().skip(calls);
        paths.filter_map(|share| share.last_stop).max()
    }

    fn add_call(
        &mut self,
        place: usize,
        call: &CallSnapshot,
        order: &Order,
        outside: Option<usize>,
    ) {
        let around = |within: Option<CallId>| match within {
            // `None` if that is a folded call, which has it in its sum.
            Some(_) => order.find(within),
            None => outside,
        };
        let parent = around(call.parent);
        let share = &mut self.by_place[place];
        share.parent = parent.and_then(|parent| u32::try_from(parent).ok());
        share.total += call.counts;
        if call.adoptions.is_empty() && call.within == call.parent {
            let portion = Portion {
                within: call.within,
                counts: call.counts,
                busy_ns: call.busy_ns,
            };
            return self.add_portion(&portion, parent);
        }
        for portion in portions(call) {
            self.add_portion(&portion, around(portion.within));
        }
    }

    /// Adds a part of what a call used to what is around it.
    #[inline]
    fn add_portion(&mut self, portion: &Portion, around: Option<usize>) {
        if let Some(around) = around {
            let around = &mut self.by_place[around];
            around.inside += portion.counts;
            if portion.within.is_some() {
                around.add_busy_inside(portion.busy_ns);
            }
        }
    }

    fn add_sum(&mut self, sum: &SumSnapshot, order: &Order, outside: Option<usize>) {
        let place = if sum.of.is_some() {
            order.find(sum.of)
        } else {
            outside
        };
        let Some(place) = place else { return };
        let share = &mut self.by_place[place];
        share.inside += sum.inside;
        share.is_partial |= sum.is_partial;
        if sum.of.is_none() {
            // On other strands, so it is not known which part of the time around was theirs.
            share.is_partial |= sum.calls > 0;
            return;
        }
        share.total += sum.total;
        share.add_busy_inside(nanoseconds(sum.busy_inside));
        if self.folded.is_empty() {
            self.folded
                .resize(self.by_place.len(), FoldedShare::default());
        }
        let share = &mut self.folded[place];
        share.is_moved |= sum.is_moved;
        share.covered += sum.covered;
        share.calls = share.calls.wrapping_add(sum.calls);
        share.running = share.running.wrapping_add(sum.running);
        share.failures += sum.failures;
        share.cancelled += sum.cancelled;
        share.wall += sum.wall;
        share.busy += sum.busy;
        if sum.folded.is_some() {
            share.folded.clone_from(&sum.folded);
        }
        share.last_stop = share.last_stop.max(sum.last_stop);
    }

    /// Adds what a strand did to the call below which it stands, and to the calls that were around that one
    /// when the strand was made.
    fn add_strand(&mut self, strand: &StrandSnapshot, around: &Surroundings<'_>) {
        let mut next = around.order.find(strand.parent);
        let mut is_inside = false;
        let is_vague =
            strand.counts != Counts::ZERO && next.is_some_and(|parent| around.is_moved(parent));
        // No more steps than there are places: what was read of a trace that is written meanwhile
        // may lead in a circle.
        for _ in 0..self.by_place.len() {
            let Some(place) = next else { break };
            let share = &mut self.by_place[place];
            share.total += strand.counts;
            if is_inside {
                share.inside += strand.counts;
                share.is_partial |= is_vague && around.may_be_over(place);
            }
            is_inside = true;
            next = around.of(place, strand.made_after_ns);
        }
    }
}

/// Which call was around which one at which moment.
struct Surroundings<'a> {
    snapshot: &'a Snapshot,
    order: &'a Order,
}

impl Surroundings<'_> {
    /// Returns whether there is a path at this place whose spawned strands need not be in what is around
    /// it.
    fn is_moved(&self, place: usize) -> bool {
        let path = place.checked_sub(self.order.len());
        path.is_some_and(|path| self.snapshot.paths[path].is_moved)
    }

    fn may_be_over(&self, place: usize) -> bool {
        let call = self.call(place);
        call.is_none_or(|(_, call)| call.has_stopped())
    }

    /// Returns the call at this place, and its strand; `None` if there is a path.
    fn call(&self, place: usize) -> Option<(&StrandSnapshot, &CallSnapshot)> {
        if place >= self.order.len() {
            return None;
        }
        let (strand, index) = self.order.strand_and_index(place)?;
        let strand = self.snapshot.strands.get(strand)?;
        Some((strand, strand.calls.get(index)?))
    }

    /// Returns the place of what was around this one at a moment.
    fn of(&self, place: usize, moment_ns: u64) -> Option<usize> {
        if let Some(path) = place.checked_sub(self.order.len()) {
            return self.order.find(self.snapshot.paths[path].around);
        }
        let (strand, call) = self.call(place)?;
        let moves = call.adoptions.iter();
        let moves = moves.map(|adoption| (adoption.left_ns, adoption.within));
        let around = around_at(moves, call.within, moment_ns);
        self.order.find(around.or(strand.parent))
    }
}

/// What a call used within one call around it.
struct Portion {
    within: Option<CallId>,
    counts: Counts,
    busy_ns: u64,
}

/// Divides what a call used among the calls within which it was.
fn portions(call: &CallSnapshot) -> impl Iterator<Item = Portion> {
    let mut before = (Counts::ZERO, 0);
    let adoptions = call.adoptions.iter();
    let ends = adoptions.map(|adoption| (adoption.within, adoption.counts, adoption.busy_ns));
    let last = (call.within, call.counts, call.busy_ns);
    ends.chain([last]).map(move |(within, counts, busy_ns)| {
        let portion = Portion {
            within,
            counts: counts.saturating_sub(before.0),
            busy_ns: busy_ns.saturating_sub(before.1),
        };
        before = (counts, busy_ns);
        portion
    })
}
