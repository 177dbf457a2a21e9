//! The identity of a trace among services: which ids it and its calls have, and who called it.
//!
//! Ids are computed when somebody asks for them, from a seed of the process, the trace's number and its start.
//! So a request that nobody asks pays nothing, and records need no room for them. Only what a caller sent is
//! stored.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic;
#[cfg(feature = "propagation")]
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::primitives::sync::{AtomicU32, AtomicU64};
use crate::store::address::Address;
use crate::store::ids::{SpanId, TraceId};
#[cfg(feature = "propagation")]
use crate::store::tracestate::{Copied, Tracestate};

/// The flag of a `traceparent` whose sender may have recorded the request.
pub(crate) const SAMPLED: u8 = 1;
/// The flag of a trace id whose lower 56 bits are random.
pub(crate) const RANDOM: u8 = 2;

/// What a caller told of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) trace_id: TraceId,
    pub(crate) parent: SpanId,
    pub(crate) flags: u8,
}

/// The part of a trace's state that is about other services.
pub(crate) struct Identity {
    /// See the constants; in the second byte the caller's flags.
    marks: AtomicU32,
    /// The upper half and the lower.
    trace_id: [AtomicU64; 2],
    parent: AtomicU64,
    #[cfg(feature = "propagation")]
    tracestate: Tracestate,
}

/// A thread writes what the caller told, or has.
const IS_TAKEN: u32 = 1;
/// The words hold what the caller told.
const HAS_CALLER: u32 = 1 << 1;
/// A service that was called has kept its part of the trace.
const IS_KEPT_DOWNSTREAM: u32 = 1 << 2;
const FLAGS_SHIFT: u32 = 8;

impl Identity {
    pub(crate) fn new() -> Self {
        Self {
            marks: AtomicU32::new(0),
            trace_id: [AtomicU64::new(0), AtomicU64::new(0)],
            parent: AtomicU64::new(0),
            #[cfg(feature = "propagation")]
            tracestate: Tracestate::new(),
        }
    }

    /// Forgets the caller. No other thread uses it meanwhile.
    pub(crate) fn reset(&self) {
        self.marks.store(0, Relaxed);
        #[cfg(feature = "propagation")]
        self.tracestate.reset();
    }

    /// Sets the caller. Only the first one counts: ids that were given must not change again. Returns
    /// whether it was.
    #[cfg(feature = "propagation")]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are stored")]
    pub(crate) fn set_caller(&self, caller: Caller, tracestate: &[u8]) -> bool {
        if self.marks.fetch_or(IS_TAKEN, AcqRel) & IS_TAKEN != 0 {
            return false;
        }
        let bits = caller.trace_id.to_bits();
        self.trace_id[0].store((bits >> u64::BITS) as u64, Relaxed);
        self.trace_id[1].store(bits as u64, Relaxed);
        self.parent.store(caller.parent.to_bits(), Relaxed);
        if !tracestate.is_empty() {
            self.tracestate.set(tracestate);
        }
        let flags = u32::from(caller.flags) << FLAGS_SHIFT;
        self.marks.fetch_or(HAS_CALLER | flags, Release);
        true
    }

    pub(crate) fn caller(&self) -> Option<Caller> {
        let marks = self.marks.load(Acquire);
        if marks & HAS_CALLER == 0 {
            return None;
        }
        let upper = u128::from(self.trace_id[0].load(Relaxed)) << u64::BITS;
        Some(Caller {
            trace_id: TraceId::new(upper | u128::from(self.trace_id[1].load(Relaxed)))?,
            parent: SpanId::new(self.parent.load(Relaxed))?,
            flags: (marks >> FLAGS_SHIFT) as u8,
        })
    }

    /// Returns the members of other services in the caller's `tracestate`. Asked for after the
    /// [caller](Self::caller).
    #[cfg(feature = "propagation")]
    pub(crate) fn tracestate(&self) -> Copied {
        self.tracestate.get()
    }

    #[cfg(feature = "propagation")]
    pub(crate) fn held_bytes(&self) -> u64 {
        self.tracestate.held_bytes()
    }

    /// Returns whether the caller said that it samples the request.
    #[cfg(feature = "recorder")]
    pub(crate) fn is_sampled_upstream(&self) -> bool {
        let sampled = HAS_CALLER | u32::from(SAMPLED) << FLAGS_SHIFT;
        self.marks.load(Relaxed) & sampled == sampled
    }

    #[cfg(feature = "propagation")]
    pub(crate) fn note_kept_downstream(&self) {
        self.marks.fetch_or(IS_KEPT_DOWNSTREAM, Relaxed);
    }

    #[cfg(feature = "recorder")]
    pub(crate) fn is_kept_downstream(&self) -> bool {
        self.marks.load(Relaxed) & IS_KEPT_DOWNSTREAM != 0
    }
}

/// The ids of one trace: a number of 128 bits that no other trace has, within the process and, as far as
/// chance goes, beyond.
#[derive(Clone, Copy)]
pub(crate) struct OwnIds(u64, u64);

impl OwnIds {
    /// Returns the ids of the trace with this number, which began at this moment, in ticks. A child that was
    /// forked has the parent's seed and numbers, but begins its traces at other moments.
    pub(crate) fn of(number: u64, started: u64) -> Self {
        // A Feistel network: it maps no two traces to one number, whatever the mixing does.
        let (mut left, mut right) = (number, started);
        for key in seed() {
            (left, right) = (right, left ^ mixed(right ^ key));
        }
        Self(left, right)
    }

    /// Returns the id of a trace that no caller began.
    pub(crate) fn trace_id(self) -> TraceId {
        let bits = u128::from(self.0) << u64::BITS | u128::from(self.1);
        TraceId::new(bits).unwrap_or(TraceId::MIN)
    }

    /// Returns the id of the request itself.
    pub(crate) fn root(self) -> SpanId {
        self.span(Address::NONE)
    }

    /// Returns the id of the call at this address. No two calls of a trace have the same.
    pub(crate) fn span(self, call: Address) -> SpanId {
        // Odd, so that the product is different for each address.
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let place = (u64::from(call.to_bits()) + 1).wrapping_mul(FACTOR);
        SpanId::new(mixed(mixed(self.0 ^ place) ^ self.1)).unwrap_or(SpanId::MIN)
    }
}

/// Makes the process's seed, with the first trace: if the process is forked later, a trace from before has one id
/// in both.
#[cold]
pub(crate) fn warm_up() {
    seed();
}

/// Returns the process's seed: four random words, each made once.
fn seed() -> [u64; 4] {
    // Not a `OnceLock`: a process that was forked while another thread made the seed would wait for it.
    static SEED: [atomic::AtomicU64; 4] = [const { atomic::AtomicU64::new(0) }; 4];
    SEED.each_ref().map(|word| match word.load(Relaxed) {
        0 => make(word),
        made => made,
    })
}

/// Makes a word of the seed, unless another thread is first.
#[cold]
#[inline(never)]
fn make(word: &atomic::AtomicU64) -> u64 {
    let random = RandomState::new().hash_one(0).max(1);
    let made = word.compare_exchange(0, random, Relaxed, Relaxed);
    made.map_or_else(|others| others, |_| random)
}

/// Mixes all bits into all others, and maps no two numbers to one. "Mix13" of David Stafford, as in splitmix64.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn traces_and_calls_have_different_ids() {
        let mut traces = HashSet::new();
        for number in 0..100 {
            for started in (1..200).step_by(2) {
                assert!(traces.insert(OwnIds::of(number, started).trace_id()));
            }
        }
        let ids = OwnIds::of(7, 1);
        let mut spans = HashSet::from([ids.root()]);
        for bits in 0..10_000 {
            assert!(spans.insert(ids.span(Address::from_bits(bits))));
        }
    }

    /// For the flag that says so: by chance, a bit of 64 ids is set in 32 of them, and in 8 to 56 practically
    /// always.
    #[test]
    fn neighbouring_traces_have_random_bits() {
        for (numbers, moments) in [(64, 1), (1, 64)] {
            let mut set = [0; 128];
            for number in 0..numbers {
                for moment in 0..moments {
                    let bits = OwnIds::of(number, moment * 2 + 1).trace_id().to_bits();
                    for (place, count) in set.iter_mut().enumerate() {
                        *count += bits >> place & 1;
                    }
                }
            }
            assert!(set.iter().all(|count| (8..=56).contains(count)), "{set:?}");
        }
    }
}
