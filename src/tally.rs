//! A tally: what a trace did, call by call, in a few numbers each.
//!
//! For who looks at every trace and keeps few of them: no text is read, and nothing is allocated
//! once there was as much to tally before.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::address::Address;
use crate::chunk::Chunk;
use crate::clock;
use crate::figures::Figures;
use crate::places::Places;
use crate::pool::{Member, Number};
use crate::record::Record;
use crate::state::{End, Kind};
use crate::strand::{Afar, Deed, Strand};
use crate::sum::{SharedSum, Sum};
use crate::trace::Trace;

/// What a trace did until it was read.
pub(crate) struct Tally {
    /// A call stands after the one in which it was opened.
    pub(crate) calls: Vec<Tallied>,
    /// What all strands did, in calls and outside.
    pub(crate) total: Counts,
    /// The highest peak of a single call.
    pub(crate) peak_bytes: u64,
    places: Places,
    strands: Vec<&'static Member<Strand>>,
    /// How many sums of folded calls there are.
    sums: usize,
    /// Calls for which there was no memory.
    pub(crate) lost: u64,
}

/// A call, or several that were folded.
pub(crate) struct Tallied {
    pub(crate) callsite: Number,
    /// The call around, as an index.
    pub(crate) parent: Option<usize>,
    pub(crate) calls: u64,
    /// Those of them that did not end well.
    pub(crate) failures: u64,
    /// In ticks.
    pub(crate) wall: u64,
    pub(crate) busy: u64,
    /// With the calls inside, and with the strands spawned from it.
    pub(crate) total: Counts,
    pub(crate) peak_bytes: u64,
    pub(crate) end: End,
}

/// Beyond so many calls the memory is given back.
const KEPT_CALLS: usize = 256;

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            calls: Vec::new(),
            total: Counts::ZERO,
            peak_bytes: 0,
            places: Places::new(),
            strands: Vec::new(),
            sums: 0,
            lost: 0,
        }
    }

    /// Reads a trace. What is still running counts as far as it is.
    pub(crate) fn read(&mut self, trace: &Trace) {
        if self.calls.capacity() > KEPT_CALLS {
            *self = Self::new();
        }
        self.calls.clear();
        self.places.clear();
        self.strands.clear();
        self.sums = 0;
        self.lost = 0;
        self.total = Counts::ZERO;
        self.peak_bytes = 0;
        for strand in trace.strands_newest_first() {
            if self.strands.try_reserve(1).is_ok() {
                self.strands.push(strand);
            }
        }
        // A strand's parent was there before it.
        self.strands
            .sort_unstable_by_key(|strand| strand.ordinal.load(Relaxed));
        for place in 0..self.strands.len() {
            self.add_strand(self.strands[place]);
        }
        for (parent, strands) in trace.folded() {
            let parent = self.places.get(parent);
            for (callsite, sum) in strands.sums {
                self.add_sum(parent, callsite, &sum);
            }
            self.add_total(parent, strands.counts);
        }
    }

    /// What the trace's records take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks: usize = self.strands.iter().map(|it| it.chunks() as usize).sum();
        chunks * size_of::<Chunk>()
            + self.strands.len() * size_of::<Member<Strand>>()
            + self.sums * size_of::<Member<SharedSum>>()
    }

    /// The calls that are in no other.
    pub(crate) fn outermost(&self) -> impl Iterator<Item = &Tallied> {
        self.calls.iter().filter(|call| call.parent.is_none())
    }

    /// Whether there is memory for one more call; if not, they are lost.
    fn has_room(&mut self, calls: u64) -> bool {
        let has_room = self.calls.try_reserve(1).is_ok() && self.places.reserve();
        if !has_room {
            self.lost += calls;
        }
        has_room
    }

    fn add_strand(&mut self, strand: &'static Member<Strand>) {
        let (reading, _) = strand.meter.read();
        let parent = self.places.get(strand.parent());
        for (address, record) in strand.records() {
            let state = record.state();
            if state.kind() == Kind::Call && !state.is_folded() {
                self.add_call(strand, parent, address, record, reading);
            }
        }
        for shared in strand.sums() {
            self.sums += 1;
            let (sum, _) = shared.read();
            let parent = self.places.get(shared.parent()).or(parent);
            self.add_sum(parent, shared.callsite(), &sum);
        }
        for afar in strand.done_from_afar() {
            self.apply(&afar);
        }
        self.add_total(parent, reading.counts);
    }

    fn add_call(
        &mut self,
        strand: &Strand,
        of_strand: Option<usize>,
        address: Address,
        record: &Record,
        reading: Figures,
    ) {
        let (mut state, mut stop, mut used) = record.read();
        if !state.is_at_rest() {
            let start;
            (state, stop, start) = strand.meter.read_record(record);
            used = if state.is_at_rest() {
                start
            } else {
                reading.since_at_most(start)
            };
        }
        let end = state.end();
        let stop = stop.unwrap_or_else(clock::ticks);
        let peak_bytes = u64::try_from(used.peak).unwrap_or(0);
        if !self.has_room(1) {
            return;
        }
        let around = self.places.get(record.parent()).or(of_strand);
        self.places.insert(address, self.calls.len());
        self.peak_bytes = self.peak_bytes.max(peak_bytes);
        self.calls.push(Tallied {
            callsite: record.callsite(),
            parent: around,
            calls: 1,
            failures: u64::from(end.is_failure()),
            wall: stop.saturating_sub(record.start()),
            busy: used.busy,
            total: used.counts,
            peak_bytes,
            end,
        });
    }

    fn add_sum(&mut self, parent: Option<usize>, callsite: Number, sum: &Sum) {
        if !self.has_room(sum.calls) {
            return;
        }
        self.calls.push(Tallied {
            callsite,
            parent,
            calls: sum.calls,
            failures: sum.failures,
            wall: sum.wall,
            busy: sum.busy,
            total: sum.total,
            peak_bytes: 0,
            // How they did not end well is not known.
            end: if sum.failures > 0 {
                End::Failed
            } else {
                End::Ok
            },
        });
    }

    /// What a strand did is in the calls around it, too.
    fn add_total(&mut self, parent: Option<usize>, counts: Counts) {
        self.total += counts;
        let mut around = parent;
        while let Some(call) = around.and_then(|around| self.calls.get_mut(around)) {
            call.total += counts;
            around = call.parent;
        }
    }

    /// What was done to a call away from its strand.
    fn apply(&mut self, afar: &Afar) {
        if let Some((parent, callsite, sum)) = Strand::sum_from_afar(afar) {
            return self.add_sum(self.places.get(parent), callsite, &sum);
        }
        let place = self.places.get(afar.call);
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)) else {
            return;
        };
        let end = match &afar.deed {
            Deed::Checkpoint(..) => return,
            Deed::Failed(_) => End::Failed,
            Deed::Stopped(stopped) => {
                call.total = stopped.used.counts;
                call.busy = stopped.used.busy;
                stopped.end
            }
        };
        if !call.end.is_failure() {
            call.end = end;
            call.failures = u64::from(end.is_failure());
        }
    }
}
