//! A snapshot: what a trace held at one moment, as plain data.

use std::time::{Duration, SystemTime};

use alloc_counter::Counts;

use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::chunk::Chunk;
use crate::store::state::{End, State};
use crate::store::sum::Sum;
use crate::store::threads::Tag;

/// A trace at one moment.
pub(crate) struct Snapshot {
    pub(crate) id: u64,
    pub(crate) started: SystemTime,
    pub(crate) age: Duration,
    /// When it began, in ticks.
    pub(crate) origin: u64,
    pub(crate) grown: u64,
    pub(crate) dropped: u64,
    pub(crate) strands: Vec<StrandSnapshot>,
    /// Those of folded calls, each after the one around it.
    pub(crate) paths: Vec<PathSnapshot>,
}

/// A strand, its calls in order of start.
pub(crate) struct StrandSnapshot {
    /// Its number within the trace.
    pub(crate) ordinal: u32,
    /// The call, in another strand, or the path below which this one stands.
    pub(crate) parent: Option<CallId>,
    /// The last moment before it was made at which a call went on within another.
    pub(crate) made_after: u64,
    pub(crate) counts: Counts,
    pub(crate) calls: Vec<CallSnapshot>,
    /// What calls did that were not recorded one by one: by path, and by the recorded call within
    /// which that was, none being outside all.
    pub(crate) sums: Vec<(Option<CallId>, Sum)>,
    /// The pages that its records take.
    pub(crate) chunks: u64,
}

/// How folded calls of one callsite were reached.
pub(crate) struct PathSnapshot {
    pub(crate) id: CallId,
    pub(crate) around: Option<CallId>,
    pub(crate) callsite: &'static Callsite,
    /// What was spawned from its calls need not be in what is around it.
    pub(crate) is_moved: bool,
}

/// A call's name within its trace, or a path's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId(pub(crate) Address);

pub(crate) struct CallSnapshot {
    pub(crate) id: CallId,
    /// The call of the same strand in which this one was opened.
    pub(crate) parent: Option<CallId>,
    /// The call of the same strand in which it is now, or was when it stopped.
    pub(crate) within: Option<CallId>,
    pub(crate) callsite: &'static Callsite,
    pub(crate) text: (Option<String>, Vec<Option<String>>),
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
    /// When the message came; a later one takes its place.
    pub(crate) message_at: u64,
    pub(crate) is_partial: bool,
    pub(crate) checkpoints: Vec<CheckpointSnapshot>,
    /// The record's, when it was first read.
    pub(crate) state: State,
    /// Where the call went on within another: in which it had been, and what it had done until then.
    pub(crate) adoptions: Vec<Adoption>,
}

pub(crate) struct Adoption {
    pub(crate) within: Option<CallId>,
    pub(crate) counts: Counts,
    pub(crate) busy: Duration,
    pub(crate) moment: u64,
}

pub(crate) struct CheckpointSnapshot {
    pub(crate) name: String,
    /// Since the call's start.
    pub(crate) wall: Duration,
    pub(crate) counts: Counts,
}

impl Snapshot {
    /// What an empty trace holds.
    pub(super) fn empty() -> Self {
        Self {
            id: 0,
            started: SystemTime::now(),
            age: Duration::ZERO,
            origin: 0,
            grown: 0,
            dropped: 0,
            strands: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// What the trace's records take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let chunks: u64 = self.strands.iter().map(|strand| strand.chunks).sum();
        chunks * size_of::<Chunk>() as u64
    }
}

impl CallSnapshot {
    pub(crate) fn has_stopped(&self) -> bool {
        self.end != End::Open
    }
}

impl CallId {
    pub(crate) fn at(address: Address) -> Option<Self> {
        (address != Address::NONE).then_some(Self(address))
    }
}
