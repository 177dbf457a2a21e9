//! A snapshot: what a trace held at one moment, as plain data.
//!
//! The only reader of records. It may read while they are written, from any thread.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

use crate::callsite::Callsite;
use crate::clock;
use crate::context;
use crate::limits::Allowance;
use crate::record::{Address, End, Figures, Kind, Record, State};
use crate::strand::{Afar, Deed, Strand};
use crate::text::Text;
use crate::threads::Tag;
use crate::trace::Trace;

/// A trace at one moment.
pub(crate) struct Snapshot {
    pub(crate) id: u64,
    pub(crate) started: SystemTime,
    pub(crate) age: Duration,
    pub(crate) grown: u64,
    pub(crate) dropped: u64,
    pub(crate) strands: Vec<StrandSnapshot>,
}

/// A strand, its calls in order of start.
pub(crate) struct StrandSnapshot {
    /// The call, in another strand, below which this one stands.
    pub(crate) parent: Option<CallId>,
    pub(crate) counts: Counts,
    pub(crate) calls: Vec<CallSnapshot>,
}

/// A call's name within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId(Address);

pub(crate) struct CallSnapshot {
    pub(crate) id: CallId,
    /// The call of the same strand in which this one was opened.
    pub(crate) parent: Option<CallId>,
    pub(crate) callsite: &'static Callsite,
    pub(crate) text: (Option<String>, Vec<String>),
    pub(crate) thread: Tag,
    /// Since the trace began.
    pub(crate) start: Duration,
    pub(crate) wall: Duration,
    pub(crate) busy: Duration,
    pub(crate) counts: Counts,
    /// None where a level of the strand is not known.
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) end: End,
    pub(crate) message: Option<String>,
    pub(crate) is_partial: bool,
    pub(crate) checkpoints: Vec<CheckpointSnapshot>,
    /// Where the call went on within another: that one, and what it had done until then.
    pub(crate) adoptions: Vec<Adoption>,
}

pub(crate) struct Adoption {
    pub(crate) within: Option<CallId>,
    pub(crate) counts: Counts,
    pub(crate) busy: Duration,
}

pub(crate) struct CheckpointSnapshot {
    pub(crate) name: String,
    /// Since the call's start.
    pub(crate) wall: Duration,
    pub(crate) counts: Counts,
}

impl Snapshot {
    pub(crate) fn of(trace: &Trace) -> Self {
        context::draw_boundary_here();
        let started = trace.started();
        // The last first: a strand's parent was there before it, so it will be found.
        let mut strands: Vec<_> = trace
            .strands()
            .into_iter()
            .rev()
            .map(|strand| StrandSnapshot::of(strand, started))
            .collect();
        strands.reverse();
        let allowance = trace.allowance();
        Self {
            id: trace.id(),
            started: clock::wall_time(started),
            age: clock::between(started, clock::ticks()),
            grown: allowance.map_or(0, |allowance| u64::from(allowance.grown())),
            dropped: allowance.map_or(0, Allowance::dropped),
            strands,
        }
    }
}

impl StrandSnapshot {
    fn of(strand: &Strand, started: u64) -> Self {
        let mut reader = Reader {
            strand,
            started,
            calls: Vec::new(),
            places: HashMap::new(),
            text: Vec::new(),
        };
        for (address, record) in strand.records() {
            reader.read(address, record);
        }
        for afar in strand.done_from_afar() {
            reader.apply(afar);
        }
        let mut calls = reader.calls;
        for call in &mut calls {
            call.checkpoints.sort_by_key(|checkpoint| checkpoint.wall);
        }
        let (reading, exact) = strand.meter.read();
        if !exact || strand.is_partial() {
            for call in &mut calls {
                call.is_partial = true;
            }
        }
        Self {
            parent: call_id(strand.parent()),
            counts: reading.counts,
            calls,
        }
    }
}

fn call_id(address: Address) -> Option<CallId> {
    (address != Address::NONE).then_some(CallId(address))
}

/// Reads one strand's records in their order.
struct Reader<'a> {
    strand: &'a Strand,
    started: u64,
    calls: Vec<CallSnapshot>,
    places: HashMap<Address, usize>,
    /// The pieces of the text of the next record.
    text: Vec<u8>,
}

impl Reader<'_> {
    fn read(&mut self, address: Address, record: &Record) {
        let state = record.state();
        match state.kind() {
            Kind::Text => record.read_text_piece(&mut self.text),
            Kind::Call => self.read_call(address, record),
            Kind::Checkpoint => {
                let name = self.take_text(record, state);
                let counts = record.figures().counts;
                self.add_checkpoint(record.parent(), record.start(), name, counts);
            }
            Kind::Message => {
                let message = self.take_text(record, state);
                if let Some(call) = self.call(record.parent()) {
                    call.message = Some(message);
                }
            }
            Kind::Adoption => {
                let so_far = record.figures();
                let adoption = Adoption {
                    within: call_id(record.parent()),
                    counts: so_far.counts,
                    busy: clock::duration(so_far.busy),
                };
                if let Some(call) = self.call(record.adopted()) {
                    call.adoptions.push(adoption);
                }
            }
        }
    }

    fn call(&mut self, address: Address) -> Option<&mut CallSnapshot> {
        self.calls.get_mut(*self.places.get(&address)?)
    }

    fn take_bytes(&mut self, record: &Record, state: State) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.text);
        if !state.has_long_text() {
            text.clear();
            record.read_short_text(&mut text);
        }
        text
    }

    fn take_text(&mut self, record: &Record, state: State) -> String {
        String::from_utf8_lossy(&self.take_bytes(record, state)).into_owned()
    }

    fn read_call(&mut self, address: Address, record: &Record) {
        let (state, stop, figures) = record.read();
        let text = self.take_bytes(record, state);
        let Some(callsite) = Callsite::get(record.callsite()) else {
            return;
        };
        let used = if state.is_at_rest() {
            figures
        } else {
            let (reading, exact) = self.strand.meter.read();
            if exact && stop.is_none() {
                reading.since(figures)
            } else {
                reading.since_at_most(figures)
            }
        };
        let start = record.start();
        self.places.insert(address, self.calls.len());
        self.calls.push(CallSnapshot {
            id: CallId(address),
            parent: call_id(record.parent()),
            callsite,
            text: Text::read_call(&text, callsite.has_id(), callsite.labels().len()),
            thread: Tag::from_bits(record.thread()),
            start: clock::between(self.started, start),
            wall: clock::between(start, stop.unwrap_or_else(clock::ticks)),
            busy: clock::duration(used.busy),
            counts: used.counts,
            peak_bytes: self.peak_bytes(used),
            end: state.end(),
            message: None,
            is_partial: state.is_partial(),
            checkpoints: Vec::new(),
            adoptions: Vec::new(),
        });
    }

    fn add_checkpoint(&mut self, call: Address, moment: u64, name: String, counts: Counts) {
        let since_trace = clock::between(self.started, moment);
        if let Some(call) = self.call(call) {
            call.checkpoints.push(CheckpointSnapshot {
                name,
                wall: since_trace.saturating_sub(call.start),
                counts,
            });
        }
    }

    /// What was done to a call away from its strand.
    fn apply(&mut self, afar: Afar) {
        let since_trace = clock::between(self.started, afar.moment);
        match afar.deed {
            Deed::Checkpoint(name) => {
                let known = self.call(afar.call).map(|call| {
                    call.is_partial = true;
                    call.checkpoints
                        .last()
                        .map_or(Counts::ZERO, |last| last.counts)
                });
                if let Some(counts) = known {
                    self.add_checkpoint(afar.call, afar.moment, name, counts);
                }
            }
            Deed::Failed(message) => {
                if let Some(call) = self.call(afar.call) {
                    call.message = Some(message);
                }
            }
            Deed::Stopped(end, used) => {
                let peak_bytes = self.peak_bytes(used);
                if let Some(call) = self.call(afar.call) {
                    call.end = match (end, &call.message) {
                        (End::Ok | End::Cancelled, Some(_)) => End::Failed,
                        _ => end,
                    };
                    call.wall = since_trace.saturating_sub(call.start);
                    call.busy = clock::duration(used.busy);
                    call.counts = used.counts;
                    call.peak_bytes = peak_bytes;
                    call.is_partial = true;
                }
            }
        }
    }

    fn peak_bytes(&self, used: Figures) -> Option<u64> {
        let is_known = self.strand.has_peaks();
        is_known.then(|| u64::try_from(used.peak).unwrap_or(0))
    }
}
