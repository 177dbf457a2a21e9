//! The calls of a summary that moved into other calls.

use crate::read::address_map::Index;
use crate::read::moves::{leave_stopped, opened_in};
use crate::store::strand::Strand;

use super::calls::{TraceCalls, push, recorded_calls};

/// The moves of all strands, and the calls that other threads stopped.
pub(super) struct Moves {
    /// Sorted by call and moment, except for those of the strand that is being read.
    all: Vec<Move>,
    /// The strand's calls that other threads stopped, and when.
    stopped: Vec<(usize, u64)>,
}

/// A move of a call: the call that it was inside of, and when it left that one.
struct Move {
    call: usize,
    left: u64,
    around: Index,
}

impl Moves {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            stopped: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.stopped.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds that a call of the strand was inside `around` until it left.
    pub(super) fn add(&mut self, call: usize, left: u64, around: Index) {
        push(&mut self.all, Move { call, left, around });
    }

    /// Adds the same to moves that are sorted.
    fn insert(&mut self, call: usize, left: u64, around: Index) {
        if self.all.try_reserve(1).is_ok() {
            let place = self
                .all
                .partition_point(|it| (it.call, it.left) <= (call, left));
            self.all.insert(place, Move { call, left, around });
        }
    }

    /// Adds that another thread stopped a call of the strand.
    pub(super) fn add_stopped(&mut self, call: usize, moment: u64) {
        push(&mut self.stopped, (call, moment));
    }

    /// Returns the moves of a call: when it left which call.
    pub(super) fn of(&self, call: usize) -> impl Iterator<Item = (u64, Index)> {
        let first = self.all.partition_point(|it| it.call < call);
        let moves = self.all[first..].iter();
        let moves = moves.take_while(move |it| it.call == call);
        moves.map(|it| (it.left, it.around))
    }

    fn of_mut(&mut self, call: usize) -> impl Iterator<Item = &mut Move> {
        let first = self.all.partition_point(|it| it.call < call);
        let moves = self.all[first..].iter_mut();
        moves.take_while(move |it| it.call == call)
    }

    /// Resolves in which calls the strand's moved calls were opened, and which they are inside of now.
    /// The latter may have been opened after them.
    #[cold]
    pub(super) fn resolve(
        &mut self,
        strand: &Strand,
        of_strand: Index,
        first_call: usize,
        calls: &mut TraceCalls,
    ) {
        self.all.sort_unstable_by_key(|it| (it.call, it.left));
        for (address, record) in recorded_calls(strand) {
            let index = calls.index(address).get().filter(|it| *it >= first_call);
            let Some(index) = index.filter(|index| self.of(*index).next().is_some()) else {
                continue;
            };
            let now_in = calls.index(record.parent()).or(of_strand);
            let parent = opened_in(self.of(index), now_in);
            let is_earlier = parent.of(&calls.all[..index]).is_some();
            let call = &mut calls.all[index];
            call.within = now_in;
            call.parent = if is_earlier { parent } else { Index::NONE };
        }
    }

    /// Returns whether another thread stopped some of the strand's calls.
    #[inline]
    pub(super) fn has_stopped(&self) -> bool {
        !self.stopped.is_empty()
    }

    /// Moves calls that were inside a stopped call when another thread stopped it, or that came into it before
    /// the strand's thread saw the stop, into the call around it. From there they left for others.
    #[cold]
    pub(super) fn leave_stopped(&mut self, strand: &Strand, calls: &mut TraceCalls) {
        for (stopped, moment) in std::mem::take(&mut self.stopped) {
            let around = calls.all[stopped].within;
            for (address, record) in recorded_calls(strand) {
                let Some(index) = calls.index(address).get() else {
                    continue;
                };
                let moves = self.of_mut(index);
                let moves = moves.map(|it| (&mut it.left, &mut it.around));
                let stop = (Index::new(stopped), moment);
                let came = leave_stopped(moves, record.start(), stop, around);
                let goes_on = record.stop().is_none_or(|stop| stop > moment);
                let call = &mut calls.all[index];
                if goes_on && call.within.get() == Some(stopped) {
                    call.within = around;
                    if came < moment {
                        // It was suspended, and was not resumed since.
                        self.insert(index, moment, Index::new(stopped));
                    }
                }
            }
        }
    }
}
