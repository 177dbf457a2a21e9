//! A summary: what a trace did, call by call, in a few numbers each.
//!
//! For the recorder, which looks at every trace and keeps few of them: no text is read, and nothing is
//! allocated once a trace as large was summed up before.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::read::address_map::AddressMap;
use crate::read::moves::{around_at, opened_in};
use crate::store::address::Address;
use crate::store::record::{RecordedCall, View};
use crate::store::remote::{RemoteKind, RemoteOperation};
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;
use crate::store::sum::Sum;
use crate::store::trace::Trace;
use crate::store::usage::Reading;

/// What a trace did until it was read.
pub(crate) struct Summary {
    /// A call stands after the one in which it was opened; the paths of folded calls come last.
    pub(crate) calls: Vec<CallSummary>,
    /// What all strands did, in calls and outside.
    pub(crate) total: Counts,
    /// The highest peak of a single call.
    pub(crate) peak_bytes: u64,
    /// Of calls, and of paths.
    indexes: AddressMap,
    moves: Vec<Move>,
    /// Calls that were stopped away from their strand, and when.
    left: Vec<(usize, u64)>,
    strands: Vec<&'static Member<Strand>>,
    /// Of strands that fold: below what they stand, and what they did.
    folding: Vec<(Address, u64, Counts)>,
    /// What was done on which path.
    paths: Vec<(Address, Sum)>,
    /// Calls for which there was no memory.
    pub(crate) lost: u64,
}

/// A call, or several that were folded.
pub(crate) struct CallSummary {
    pub(crate) callsite: Number,
    /// The call in which it was opened, as an index.
    pub(crate) parent: Option<usize>,
    /// The call in which it is now, or was when it stopped.
    within: Option<usize>,
    pub(crate) calls: u64,
    /// Those of them that failed or panicked.
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    /// In ticks.
    pub(crate) wall: u64,
    pub(crate) busy: u64,
    /// With the calls inside, and with the strands spawned from it.
    pub(crate) total: Counts,
    pub(crate) peak_bytes: u64,
    pub(crate) end: OutcomeKind,
    /// It was told to have failed.
    has_failed: bool,
}

/// A call was in another before it went on elsewhere.
struct Move {
    call: usize,
    left: u64,
    around: Option<usize>,
}

/// Beyond so many calls the memory is given back.
const KEPT_CALLS: usize = 256;

impl Summary {
    pub(crate) const fn new() -> Self {
        Self {
            calls: Vec::new(),
            total: Counts::ZERO,
            peak_bytes: 0,
            indexes: AddressMap::new(),
            moves: Vec::new(),
            left: Vec::new(),
            strands: Vec::new(),
            folding: Vec::new(),
            paths: Vec::new(),
            lost: 0,
        }
    }

    /// Reads a trace. What is still running counts as far as it is.
    pub(crate) fn read(&mut self, trace: &Trace) {
        if self.calls.capacity() > KEPT_CALLS {
            *self = Self::new();
        }
        self.calls.clear();
        self.indexes.clear();
        self.moves.clear();
        self.left.clear();
        self.strands.clear();
        self.folding.clear();
        self.paths.clear();
        self.lost = 0;
        self.total = Counts::ZERO;
        for strand in trace.strands_newest_first() {
            push(&mut self.strands, strand);
        }
        // Those that fold first: what they stand below was there before them.
        self.add_folding(trace);
        // A strand's parent was there before it.
        self.strands
            .sort_unstable_by_key(|strand| strand.ordinal.load(Relaxed));
        for place in 0..self.strands.len() {
            self.add_strand(self.strands[place]);
        }
        // Remote operations have changed some.
        let peaks = self.calls.iter().map(|call| call.peak_bytes);
        self.peak_bytes = peaks.max().unwrap_or(0);
        self.add_paths(trace);
        for place in 0..self.strands.len() {
            let strand = self.strands[place];
            let counts = strand.meter.read().0.counts;
            self.add_total(strand.parent(), strand.made_after(), counts);
        }
        for place in 0..self.folding.len() {
            let (parent, made_after, counts) = self.folding[place];
            self.add_total(parent, made_after, counts);
        }
    }

    /// The calls that are in no other.
    pub(crate) fn outermost(&self) -> impl Iterator<Item = &CallSummary> {
        self.calls.iter().filter(|call| call.parent.is_none())
    }

    /// Whether there is memory for one more call; if not, they are lost.
    fn has_room(&mut self, calls: u64) -> bool {
        let has_room = self.calls.try_reserve(1).is_ok() && self.indexes.reserve();
        if !has_room {
            self.lost += calls;
        }
        has_room
    }

    fn add_strand(&mut self, strand: &'static Member<Strand>) {
        let (reading, _) = strand.meter.read();
        let of_strand = self.indexes.get(strand.parent());
        let (first_call, first_move) = (self.calls.len(), self.moves.len());
        for (address, record) in strand.records() {
            match record.view(record.state()) {
                View::Call(call) => self.add_call(strand, of_strand, address, call, reading),
                View::Move(moved) => {
                    let before = (moved.moment(), moved.before());
                    self.add_move(moved.call(), before, of_strand);
                }
                _ => {}
            }
        }
        strand.mailbox.look(|operations| {
            for operation in operations {
                self.apply(strand, operation, of_strand);
            }
        });
        if self.moves.len() > first_move {
            self.moves.sort_unstable_by_key(|it| (it.call, it.left));
            self.settle_moves(strand, first_call, of_strand);
        }
        self.leave_stopped(strand);
        self.add_sums(strand);
    }

    fn add_call(
        &mut self,
        strand: &Strand,
        of_strand: Option<usize>,
        address: Address,
        record: RecordedCall,
        reading: Reading,
    ) {
        let (state, stop, figures) = strand.meter.read_record(*record);
        let used = figures.used_at(reading);
        let stop = stop.unwrap_or_else(clock::ticks);
        let peak_bytes = if strand.has_peaks() {
            u64::try_from(used.peak).unwrap_or(0)
        } else {
            0
        };
        if !self.has_room(1) {
            return;
        }
        let around = self.indexes.get(record.parent()).or(of_strand);
        self.indexes.insert(address, self.calls.len());
        let mut call = CallSummary {
            callsite: record.callsite(),
            parent: around,
            within: around,
            calls: 1,
            failures: 0,
            cancelled: 0,
            wall: stop.saturating_sub(record.start()),
            busy: used.busy,
            total: used.counts,
            peak_bytes,
            end: OutcomeKind::Running,
            has_failed: state.has_failed(),
        };
        call.end(state.outcome());
        self.calls.push(call);
    }

    /// A call of the strand was in another until that moment.
    fn add_move(
        &mut self,
        call: Address,
        (left, before): (u64, Address),
        of_strand: Option<usize>,
    ) {
        if let Some(call) = self.indexes.get(call) {
            let around = self.indexes.get(before).or(of_strand);
            push(&mut self.moves, Move { call, left, around });
        }
    }

    /// Where the strand's calls that moved were opened, and where they are now: within calls that may
    /// have been opened after them.
    #[cold]
    fn settle_moves(&mut self, strand: &Strand, first_call: usize, of_strand: Option<usize>) {
        for (address, record) in recorded_calls(strand) {
            let place = self.indexes.get(address).filter(|it| *it >= first_call);
            let Some(place) = place.filter(|place| self.has_moved(*place)) else {
                continue;
            };
            let now_in = self.indexes.get(record.parent()).or(of_strand);
            let parent = opened_in(self.moves_of(place), now_in);
            let call = &mut self.calls[place];
            call.within = now_in;
            call.parent = parent.filter(|parent| *parent < place);
        }
    }

    /// What ran in a call when it was stopped away from the strand, or was opened in it before the
    /// strand's thread saw that, is within the call around.
    fn leave_stopped(&mut self, strand: &Strand) {
        for (stopped, moment) in std::mem::take(&mut self.left) {
            let around = self.calls[stopped].within;
            for (address, record) in recorded_calls(strand) {
                let goes_on = record.stop().is_none_or(|stop| stop > moment);
                let inside = self.indexes.get(address).filter(|_| goes_on);
                if let Some(call) = inside.map(|inside| &mut self.calls[inside])
                    && call.within == Some(stopped)
                {
                    call.within = around;
                }
            }
        }
    }

    fn has_moved(&self, call: usize) -> bool {
        self.moves_of(call).next().is_some()
    }

    fn moves_of(&self, call: usize) -> impl Iterator<Item = (u64, Option<usize>)> {
        // They are in order.
        let first = self.moves.partition_point(|it| it.call < call);
        let moves = self.moves[first..].iter();
        let moves = moves.take_while(move |it| it.call == call);
        moves.map(|it| (it.left, it.around))
    }

    /// Applies a remote operation.
    fn apply(&mut self, strand: &Strand, operation: &RemoteOperation, of_strand: Option<usize>) {
        let place = self.indexes.get(operation.call);
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)) else {
            return;
        };
        match &operation.kind {
            RemoteKind::Checkpoint(..) => {}
            RemoteKind::Fail(_) => {
                call.has_failed = true;
                call.end(call.end.failed());
            }
            RemoteKind::Stop(stopped) => {
                call.total = stopped.used.counts;
                call.busy = stopped.used.busy;
                if strand.has_peaks() {
                    call.peak_bytes = u64::try_from(stopped.used.peak).unwrap_or(0);
                }
                call.end(if call.has_failed {
                    stopped.outcome.failed()
                } else {
                    stopped.outcome
                });
                if let Some((inner, _)) = stopped.left_open {
                    self.add_move(inner, (operation.at, operation.call), of_strand);
                }
                if let Some(place) = place {
                    push(&mut self.left, (place, operation.at));
                }
            }
        }
    }

    /// The sums of a strand's folded calls, until now.
    fn add_sums(&mut self, strand: &Strand) {
        if !strand.folded.has_sums() {
            return;
        }
        for shared in strand.folded.sums() {
            if shared.of().path().is_some() {
                push(&mut self.paths, (shared.of(), shared.read().0));
            }
        }
        strand.mailbox.look(|operations| {
            for [path, _] in operations.iter().filter_map(RemoteOperation::sums) {
                push(&mut self.paths, path);
            }
        });
    }

    /// Strands whose calls are all folded.
    fn add_folding(&mut self, trace: &Trace) {
        trace.read_folding(|open, ended| {
            for strand in open {
                self.add_sums(strand);
                let counts = strand.meter.read().0.counts;
                push(
                    &mut self.folding,
                    (strand.parent(), strand.made_after(), counts),
                );
            }
            for (path, sum) in ended.calls() {
                push(&mut self.paths, (*path, *sum));
            }
            for ((parent, made_after), (counts, _)) in ended.strands() {
                push(&mut self.folding, (*parent, *made_after, *counts));
            }
        });
    }

    /// The calls of each path, on whichever strands.
    fn add_paths(&mut self, trace: &Trace) {
        if self.paths.is_empty() {
            return;
        }
        let Some(allowance) = trace.allowance() else {
            return;
        };
        for path in allowance.paths.in_order() {
            if !self.has_room(0) {
                break;
            }
            let address = Address::of_path(path.number());
            let around = self.indexes.get(path.around());
            if around.is_none() && path.around() != Address::NONE {
                // It came after what is around it was read.
                continue;
            }
            self.indexes.insert(address, self.calls.len());
            self.calls.push(CallSummary {
                callsite: path.callsite(),
                parent: around,
                within: around,
                calls: 0,
                failures: 0,
                cancelled: 0,
                wall: 0,
                busy: 0,
                total: Counts::ZERO,
                peak_bytes: 0,
                end: OutcomeKind::Ok,
                has_failed: false,
            });
        }
        for (path, sum) in &self.paths {
            let place = self.indexes.get(*path);
            match place.and_then(|place| self.calls.get_mut(place)) {
                Some(call) => call.add(sum),
                None => self.lost += sum.calls,
            }
        }
    }

    /// What a strand did is in the calls that were around it when it was made, too.
    fn add_total(&mut self, parent: Address, made_after: u64, counts: Counts) {
        self.total += counts;
        let mut around = self.indexes.get(parent);
        // No more steps than there are calls: what was read of a trace that is written meanwhile may
        // lead in a circle.
        for _ in 0..self.calls.len() {
            let Some(place) = around else { break };
            self.calls[place].total += counts;
            let within = self.calls[place].within;
            around = if self.moves.is_empty() {
                within
            } else {
                around_at(self.moves_of(place), within, made_after)
            };
        }
    }
}

fn recorded_calls(strand: &Strand) -> impl Iterator<Item = (Address, RecordedCall)> {
    let records = strand.records();
    records.filter_map(|(address, record)| match record.view(record.state()) {
        View::Call(call) => Some((address, call)),
        _ => None,
    })
}

/// Leaves out what there is no memory for: the figures that depend on it are too low.
fn push<T>(all: &mut Vec<T>, item: T) {
    if all.try_reserve(1).is_ok() {
        all.push(item);
    }
}

impl CallSummary {
    fn end(&mut self, end: OutcomeKind) {
        self.end = end;
        self.failures = u64::from(end.is_failure());
        self.cancelled = u64::from(end == OutcomeKind::Cancelled);
    }

    fn add(&mut self, sum: &Sum) {
        self.calls = self.calls.wrapping_add(sum.calls);
        self.failures += sum.failures;
        self.cancelled += sum.cancelled;
        self.wall = self.wall.wrapping_add(sum.wall);
        self.busy = self.busy.wrapping_add(sum.busy);
        self.total += sum.total;
        // How they did not end well is not known of each.
        if self.failures > 0 {
            self.end = OutcomeKind::Failed;
        } else if self.cancelled == self.calls {
            self.end = OutcomeKind::Cancelled;
        } else {
            self.end = OutcomeKind::Ok;
        }
    }
}
