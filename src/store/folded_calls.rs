//! The folded calls of a strand: their sums, and the records that they have vacated.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitives::pool::{AtomicNumber, Member, Number};
use crate::primitives::sync::{AtomicBool, AtomicU32, array};
use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::record::FoldedCall;
use crate::store::sum::{SUMS, SharedSum};

/// The number of lists of sums, by their keys.
const BUCKETS: usize = if cfg!(loom) { 1 } else { 32 };

/// Written by the thread that runs the strand; the sums are readable from any.
pub(crate) struct FoldedCalls {
    /// The newest sum of each bucket. Its successors are older.
    sums: [AtomicNumber; BUCKETS],
    has_sums: AtomicBool,
    /// How many calls were folded.
    serial: AtomicU32,
    /// The record that was vacated last. Its parent is the one that was vacated before.
    vacated: AtomicU32,
}

/// A list of sums, each before those that are older.
fn chain(newest: &AtomicNumber) -> impl Iterator<Item = &'static Member<SharedSum>> {
    let mut next = SUMS.get(newest.load(Acquire));
    std::iter::from_fn(move || {
        let sum = next?;
        next = SUMS.get(sum.next());
        Some(sum)
    })
}

impl FoldedCalls {
    pub(crate) fn new() -> Self {
        Self {
            sums: array![AtomicNumber::none(); BUCKETS],
            has_sums: AtomicBool::new(false),
            serial: AtomicU32::new(0),
            vacated: AtomicU32::new(Address::NONE.to_bits()),
        }
    }

    /// Begins without calls. The strand was [cleared](Self::clear) and is not published yet.
    pub(crate) fn begin(&self) {
        self.vacated.store(Address::NONE.to_bits(), Relaxed);
    }

    /// Gives the sums back. No other thread uses them any more.
    pub(crate) fn clear(&self) {
        if !self.has_sums() {
            return;
        }
        for sum in self.sums() {
            SUMS.give(sum);
        }
        for bucket in &self.sums {
            bucket.store(Number::NONE, Relaxed);
        }
        self.has_sums.store(false, Relaxed);
    }

    /// Whether a call of the strand was folded.
    pub(crate) fn has_sums(&self) -> bool {
        self.has_sums.load(Acquire)
    }

    /// Returns the sums. A sum's successor is read before it is handed out.
    pub(crate) fn sums(&self) -> impl Iterator<Item = &'static Member<SharedSum>> {
        let buckets = if self.has_sums() { &self.sums[..] } else { &[] };
        buckets.iter().flat_map(chain)
    }

    /// Returns the sum of this path or recorded call. If there is none, one is taken.
    pub(crate) fn sum_of(
        &self,
        of: Address,
        take: impl FnOnce() -> Option<&'static Member<SharedSum>>,
    ) -> Option<&'static Member<SharedSum>> {
        let bucket = &self.sums[of.bucket(BUCKETS)];
        if let Some(sum) = chain(bucket).find(|sum| sum.of() == of) {
            return Some(sum);
        }
        let sum = take()?;
        sum.begin(of, bucket.load(Relaxed));
        bucket.store(sum.number(), Release);
        self.has_sums.store(true, Release);
        Some(sum)
    }

    /// Returns a number that tells a folded call from others that are recorded in the same record.
    pub(crate) fn next_serial(&self) -> u32 {
        let serial = self.serial.load(Relaxed).wrapping_add(1);
        self.serial.store(serial, Relaxed);
        serial
    }

    /// Lets another folded call have the record of this one, which has stopped.
    pub(crate) fn vacate(&self, address: Address, record: FoldedCall) {
        let next = self.vacated.load(Relaxed);
        record.set_parent(Address::from_bits(next));
        self.vacated.store(address.to_bits(), Relaxed);
    }

    /// Takes the record that was vacated last.
    pub(crate) fn take_vacated(&self) -> Option<(CallRef, FoldedCall)> {
        let call = Address::from_bits(self.vacated.load(Relaxed)).call()?;
        let record = call.record.folded()?;
        self.vacated.store(record.parent().to_bits(), Relaxed);
        Some((call, record))
    }
}
