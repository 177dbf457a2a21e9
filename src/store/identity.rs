//! The ids of a trace and its calls, by which other services know them.
//!
//! They are computed when somebody asks for them, from a seed of the process, the trace's number and its start. So a
//! request that nobody asks pays nothing, and records need no room for them.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::address::Address;
use crate::store::ids::{SpanId, TraceId};

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
    static SEED: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
    SEED.each_ref().map(|word| match word.load(Relaxed) {
        0 => make(word),
        made => made,
    })
}

/// Makes a word of the seed, unless another thread is first.
#[cold]
#[inline(never)]
fn make(word: &AtomicU64) -> u64 {
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
