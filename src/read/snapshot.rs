//! A snapshot: the state of a trace at one moment, as plain data.

use std::time::{Duration, SystemTime};

use alloc_counter::Counts;
#[cfg(feature = "sites")]
use alloc_counter::Site;

use crate::primitives::text::Texts;
use crate::read::footprint::Footprint;
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::checkpoint_name::CheckpointName;
use crate::store::identity::OwnIds;
use crate::store::ids::{SpanId, TraceId};
use crate::store::record::CallRecord;
use crate::store::state::{OutcomeKind, RecordState};
use crate::store::threads::Tag;

/// A trace at one moment. Moments are times since the trace began; those of calls are in nanoseconds, in which
/// they are added up.
pub(crate) struct Snapshot {
    pub(crate) id: u64,
    pub(crate) trace_id: Option<TraceId>,
    /// The caller's span, if the trace continues the caller's.
    pub(crate) parent_span: Option<SpanId>,
    /// What other services noted in the caller's header.
    pub(crate) tracestate: Option<String>,
    /// `None` if the trace is empty.
    pub(crate) own_ids: Option<OwnIds>,
    pub(crate) started: SystemTime,
    pub(crate) age: Duration,
    pub(crate) grown: u64,
    pub(crate) dropped: u64,
    /// What a wrapped subscriber allocated and freed.
    pub(crate) subscriber: Option<Counts>,
    pub(crate) footprint: Footprint,
    pub(crate) strands: Vec<StrandSnapshot>,
    /// The paths of folded calls, each after the one around it.
    pub(crate) paths: Vec<PathSnapshot>,
    /// What was allocated at sites that could not be recorded; `None` if no sites are wanted.
    pub(crate) sites_not_recorded: Option<Counts>,
}

/// A strand, with its calls in order of start.
pub(crate) struct StrandSnapshot {
    /// Its number within the trace.
    pub(crate) ordinal: u32,
    /// The call, in another strand, or the path below which this one stands.
    pub(crate) parent: Option<CallId>,
    /// The last moment before it was made at which a call moved into another one.
    pub(crate) made_after_ns: u64,
    pub(crate) counts: Counts,
    pub(crate) calls: Vec<CallSnapshot>,
    /// The checkpoints of all its calls, in the order of the calls, and those of one call in order of time.
    pub(crate) checkpoints: Vec<CheckpointSnapshot>,
    /// Sums of the calls that were not recorded one by one.
    pub(crate) sums: Vec<SumSnapshot>,
    /// Its allocation sites, each with its call; `None` if they are not wanted, or another thread records some now.
    #[cfg(feature = "sites")]
    pub(crate) sites: Option<Vec<(Option<CallId>, Site)>>,
}

/// The path on which folded calls of one callsite were reached.
pub(crate) struct PathSnapshot {
    pub(crate) id: CallId,
    pub(crate) around: Option<CallId>,
    pub(crate) callsite: &'static Callsite,
    /// Whether strands spawned from its calls may be outside of the calls around the path.
    pub(crate) is_moved: bool,
}

/// Sums of the folded calls of one path on one strand, or of the folded calls inside one recorded call,
/// or outside all calls.
///
/// There may be several of one path. `running` may be below zero in one of these: it wraps around, and
/// so does the sum of all.
pub(crate) struct SumSnapshot {
    /// The path, or the recorded call; `None` for folded calls outside all calls.
    pub(crate) of: Option<CallId>,
    pub(crate) calls: u64,
    pub(crate) running: u64,
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    pub(crate) wall: Duration,
    pub(crate) busy: Duration,
    pub(crate) busy_inside: Duration,
    /// The time in which a folded call was open inside.
    pub(crate) covered: Duration,
    pub(crate) total: Counts,
    /// The part of the total that the folded calls inside used.
    pub(crate) inside: Counts,
    /// When the last one stopped.
    pub(crate) last_stop: Option<Duration>,
    /// For a recorded call: when folded calls were open inside it.
    pub(crate) folded: Option<FoldedInside>,
    pub(crate) is_partial: bool,
    pub(crate) is_moved: bool,
}

/// The time in which folded calls were open inside a recorded one.
#[derive(Clone)]
pub(crate) struct FoldedInside {
    /// When the first one was opened.
    pub(crate) first_start: Duration,
    /// When the last one stopped; [`Duration::MAX`] if one is open.
    pub(crate) last_stop: Duration,
    /// Whether one of them was suspended, so that other calls may have run meanwhile.
    pub(crate) was_suspended: bool,
}

/// The identity of a call, or of a path, within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId(pub(crate) Address);

pub(crate) struct CallSnapshot {
    pub(crate) id: CallId,
    /// The call of the same strand in which this one was opened.
    pub(crate) parent: Option<CallId>,
    /// The call of the same strand that it is inside of now, or was when it stopped.
    pub(crate) within: Option<CallId>,
    pub(crate) callsite: &'static Callsite,
    /// The id, and the labels' values.
    pub(crate) text: Texts,
    pub(crate) thread: Tag,
    pub(crate) start_ns: u64,
    pub(crate) wall_ns: u64,
    pub(crate) busy_ns: u64,
    pub(crate) counts: Counts,
    /// `None` if a level of the strand is not known.
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) end: OutcomeKind,
    /// The last failure message.
    pub(crate) message: Option<Message>,
    pub(crate) is_partial: bool,
    /// The number of its checkpoints.
    pub(crate) checkpoints: usize,
    /// The calls that it was inside of before it moved into another one.
    pub(crate) adoptions: Vec<Adoption>,
    pub(super) record: CallRecord,
    /// The record's state when the figures were read.
    pub(super) state: RecordState,
    /// The highest level that running calls inside have reached.
    pub(super) level: i64,
}

/// A failure message, and when it was set.
pub(crate) struct Message {
    pub(crate) text: String,
    pub(super) at_ns: u64,
}

/// A move of a call into another one.
pub(crate) struct Adoption {
    /// The call that it had been inside of.
    pub(crate) within: Option<CallId>,
    /// When it left that one.
    pub(crate) left_ns: u64,
    /// Its counts until then.
    pub(crate) counts: Counts,
    pub(crate) busy_ns: u64,
}

pub(crate) struct CheckpointSnapshot {
    /// The index of its call in the strand.
    pub(super) call: usize,
    pub(crate) name: CheckpointName,
    /// Since the call's start.
    pub(crate) at_ns: u64,
    pub(crate) counts: Counts,
}

impl Snapshot {
    /// Returns the snapshot of an empty trace.
    pub(super) fn empty() -> Self {
        Self {
            id: 0,
            trace_id: None,
            parent_span: None,
            tracestate: None,
            own_ids: None,
            started: SystemTime::now(),
            age: Duration::ZERO,
            grown: 0,
            dropped: 0,
            subscriber: None,
            footprint: Footprint::default(),
            strands: Vec::new(),
            paths: Vec::new(),
            sites_not_recorded: None,
        }
    }
}

impl CallSnapshot {
    pub(crate) fn has_stopped(&self) -> bool {
        self.end != OutcomeKind::Running
    }
}

impl CallId {
    pub(crate) fn at(address: Address) -> Option<Self> {
        (address != Address::NONE).then_some(Self(address))
    }
}
