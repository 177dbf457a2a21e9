//! Paths: how the folded calls of a trace were reached.
//!
//! A path is a callsite and what was around it when its calls were opened: a recorded call, or
//! another path. It is the same whichever strand and thread the calls ran on, and outlives them.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::address::Address;
use crate::pool::{AtomicNumber, Member, Number, Pool};
use crate::sync::{AtomicU32, array, shared_static};

shared_static! {
    pub(crate) static PATHS: Pool<Path> = Pool::new();
}

/// A callsite as it was reached.
pub(crate) struct Path {
    /// The address of a recorded call, or of a path; none for what is in no call at all.
    around: AtomicU32,
    callsite: AtomicNumber,
    /// In the order in which the trace's paths were found; a path comes after the one around it.
    ordinal: AtomicU32,
    /// The next path in the same bucket.
    next: AtomicNumber,
    /// The sum that was used last for this path, by whichever strand.
    pub(crate) last_sum: AtomicNumber,
}

impl Path {
    fn new() -> Self {
        Self {
            around: AtomicU32::new(0),
            callsite: AtomicNumber::none(),
            ordinal: AtomicU32::new(0),
            next: AtomicNumber::none(),
            last_sum: AtomicNumber::none(),
        }
    }

    pub(crate) fn around(&self) -> Address {
        Address::from_bits(self.around.load(Relaxed))
    }

    pub(crate) fn callsite(&self) -> Number {
        self.callsite.load(Relaxed)
    }

    fn is(&self, around: Address, callsite: Number) -> bool {
        self.around() == around && self.callsite() == callsite
    }
}

const BUCKETS: usize = if cfg!(loom) { 1 } else { 64 };

/// The paths of one trace. Any of its strands may find or add one at any time; none is removed
/// before all are.
pub(crate) struct Paths {
    /// The newest path of each; its successors are older.
    buckets: [AtomicNumber; BUCKETS],
    /// How many more there may be.
    left: AtomicU32,
    len: AtomicU32,
}

impl Paths {
    pub(crate) fn new() -> Self {
        Self {
            buckets: array![AtomicNumber::none(); BUCKETS],
            left: AtomicU32::new(0),
            len: AtomicU32::new(0),
        }
    }

    /// Begins with no path and room for `most`. Nobody else uses it meanwhile.
    pub(crate) fn reset(&self, most: u32) {
        self.clear();
        self.left.store(most, Relaxed);
    }

    /// Gives all paths back. Nobody else uses them any more.
    pub(crate) fn clear(&self) {
        if self.len.load(Relaxed) == 0 {
            return;
        }
        for bucket in &self.buckets {
            let mut next = PATHS.get(bucket.load(Acquire));
            bucket.store(Number::NONE, Relaxed);
            while let Some(path) = next {
                next = PATHS.get(path.next.load(Relaxed));
                PATHS.give(path);
            }
        }
        self.len.store(0, Relaxed);
    }

    /// The path of a callsite within a call or another path; none when the trace has as many as it
    /// may, or there is no memory for one more.
    ///
    /// Two threads that look for the same path at once get the same one: who loses the exchange
    /// looks through what has been added since, which is what stands before the head seen last.
    pub(crate) fn find(&self, around: Address, callsite: Number) -> Option<&'static Member<Path>> {
        let bucket = &self.buckets[Self::bucket(around, callsite)];
        let mut head = bucket.load(Acquire);
        let mut looked_through = Number::NONE;
        let mut new = None;
        loop {
            let mut added = chain(head).take_while(|path| path.number() != looked_through);
            if let Some(found) = added.find(|path| path.is(around, callsite)) {
                if let Some(new) = new {
                    PATHS.give(new);
                    self.left.fetch_add(1, Relaxed);
                }
                return Some(found);
            }
            let path = match new {
                Some(path) => path,
                None => match self.begin(around, callsite) {
                    Some(path) => path,
                    // Another thread may have had the last one, for this very path.
                    None => return chain(bucket.load(Acquire)).find(|it| it.is(around, callsite)),
                },
            };
            path.next.store(head, Relaxed);
            match bucket.compare_exchange(head, path.number()) {
                Ok(()) => return Some(path),
                Err(other) => {
                    looked_through = head;
                    head = other;
                    new = Some(path);
                }
            }
        }
    }

    /// A path that is not published yet.
    fn begin(&self, around: Address, callsite: Number) -> Option<&'static Member<Path>> {
        let one_less = |left: u32| left.checked_sub(1);
        // Who finds none left also finds the paths that were made of them.
        self.left.fetch_update(AcqRel, Acquire, one_less).ok()?;
        let Some(path) = PATHS.take(Path::new) else {
            self.left.fetch_add(1, Relaxed);
            return None;
        };
        path.around.store(around.to_bits(), Relaxed);
        path.callsite.store(callsite, Relaxed);
        path.last_sum.store(Number::NONE, Relaxed);
        path.ordinal.store(self.len.fetch_add(1, Relaxed), Relaxed);
        Some(path)
    }

    #[cfg(not(loom))]
    fn bucket(around: Address, callsite: Number) -> usize {
        // Multiplied by the golden ratio, the upper bits are well mixed.
        let key = around.to_bits().wrapping_mul(31) ^ callsite.to_bits();
        (key.wrapping_mul(0x9E37_79B9) >> (u32::BITS - BUCKETS.ilog2())) as usize
    }

    #[cfg(loom)]
    fn bucket(_: Address, _: Number) -> usize {
        0
    }

    /// All paths, each after the one around it.
    pub(crate) fn in_order(&self) -> Vec<&'static Member<Path>> {
        if self.len.load(Relaxed) == 0 {
            return Vec::new();
        }
        let heads = self.buckets.iter().map(|bucket| bucket.load(Acquire));
        let mut paths: Vec<_> = heads.flat_map(chain).collect();
        paths.sort_unstable_by_key(|path| path.ordinal.load(Relaxed));
        paths
    }
}

/// A path and those before it in its bucket.
fn chain(head: Number) -> impl Iterator<Item = &'static Member<Path>> {
    std::iter::successors(PATHS.get(head), |path| PATHS.get(path.next.load(Relaxed)))
}
