//! Paths: how the folded calls of a trace were reached.
//!
//! A path is a callsite and the recorded call or other path around it when its calls were opened. It
//! does not depend on the strand and the thread of the calls, and outlives them.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicBool, AtomicU32, array, shared_static};
use crate::store::address::Address;

shared_static! {
    pub(crate) static PATHS: Pool<Path> = Pool::new();
}

/// A callsite as it was reached.
pub(crate) struct Path {
    /// The address of a recorded call or of a path; [`Address::NONE`] for outermost calls.
    around: AtomicU32,
    callsite: AtomicNumber,
    /// Its number among the trace's paths; a path comes after the one around it.
    ordinal: AtomicU32,
    /// The next path in the same bucket.
    next: AtomicNumber,
    /// Whether a strand was spawned from a call of it that was inside another call than the one around
    /// the path.
    is_moved: AtomicBool,
}

impl Path {
    fn new() -> Self {
        Self {
            around: AtomicU32::new(0),
            callsite: AtomicNumber::none(),
            ordinal: AtomicU32::new(0),
            next: AtomicNumber::none(),
            is_moved: AtomicBool::new(false),
        }
    }

    pub(crate) fn around(&self) -> Address {
        Address::from_bits(self.around.load(Relaxed))
    }

    pub(crate) fn callsite(&self) -> Number {
        self.callsite.load(Relaxed)
    }

    pub(crate) fn note_moved(&self) {
        self.is_moved.store(true, Relaxed);
    }

    pub(crate) fn is_moved(&self) -> bool {
        self.is_moved.load(Relaxed)
    }

    fn is(&self, around: Address, callsite: Number) -> bool {
        self.around() == around && self.callsite() == callsite
    }
}

const BUCKETS: usize = if cfg!(loom) { 1 } else { 64 };

/// The paths of one trace. Any of its strands may find or add a path at any time. Paths are removed only
/// all together.
pub(crate) struct Paths {
    /// The newest path of each bucket; its successors are older.
    buckets: [AtomicNumber; BUCKETS],
    /// How many more paths there may be.
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

    /// Begins with room for `most`. There are no paths, and no other thread uses it meanwhile.
    pub(crate) fn reset(&self, most: u32) {
        self.left.store(most, Relaxed);
    }

    /// Gives all paths back. No other thread uses them any more.
    #[inline]
    pub(crate) fn clear(&self) {
        if self.len.load(Relaxed) > 0 {
            self.give_all();
        }
    }

    #[inline(never)]
    fn give_all(&self) {
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

    /// Returns the path of a callsite inside a call or another path, which is added if it is new.
    /// Returns `None` if the trace has as many as it may, or there is no memory for one more.
    ///
    /// Two threads that look for one path at the same time get the same one. The thread that loses the
    /// exchange looks through the paths added since, which are those before the head that it saw last.
    pub(crate) fn find(&self, around: Address, callsite: Number) -> Option<&'static Member<Path>> {
        let bucket = &self.buckets[bucket(around, callsite)];
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

    /// Makes a path that is not published yet.
    fn begin(&self, around: Address, callsite: Number) -> Option<&'static Member<Path>> {
        let one_less = |left: u32| left.checked_sub(1);
        // A thread that finds no room left also finds the paths that took it.
        self.left.fetch_update(AcqRel, Acquire, one_less).ok()?;
        let Some(path) = PATHS.take(Path::new) else {
            self.left.fetch_add(1, Relaxed);
            return None;
        };
        path.around.store(around.to_bits(), Relaxed);
        path.callsite.store(callsite, Relaxed);
        path.is_moved.store(false, Relaxed);
        path.ordinal.store(self.len.fetch_add(1, Relaxed), Relaxed);
        Some(path)
    }

    /// Returns all paths, each after the one around it.
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

fn bucket(around: Address, callsite: Number) -> usize {
    let both = around.to_bits().wrapping_mul(31) ^ callsite.to_bits();
    Address::from_bits(both).bucket(BUCKETS)
}

/// Returns a path and the older ones in its bucket.
fn chain(head: Number) -> impl Iterator<Item = &'static Member<Path>> {
    std::iter::successors(PATHS.get(head), |path| PATHS.get(path.next.load(Relaxed)))
}
