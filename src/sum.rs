//! Sums: what calls did that are more than their trace may hold, by callsite.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;

use crate::pool::{AtomicNumber, Number, Pool};
use crate::record::Address;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, array, fence, shared_static};
use crate::wait::Patience;

shared_static! {
    pub(crate) static SUMS: Pool<SharedSum> = Pool::new();
}

/// What several calls did together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) calls: u64,
    /// Those of them that did not end well.
    pub(crate) failures: u64,
    /// In ticks.
    pub(crate) wall: u64,
    pub(crate) busy: u64,
    /// Of those that were in no other folded call.
    pub(crate) outermost_busy: u64,
    pub(crate) total: Counts,
    /// Without the calls inside.
    pub(crate) own: Counts,
    pub(crate) is_partial: bool,
}

impl Sum {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.wall = self.wall.wrapping_add(other.wall);
        self.busy = self.busy.wrapping_add(other.busy);
        self.outermost_busy = self.outermost_busy.wrapping_add(other.outermost_busy);
        self.total += other.total;
        self.own += other.own;
        self.is_partial |= other.is_partial;
    }
}

const WORDS: usize = 15;

/// A sum that one thread adds to and any thread reads.
pub(crate) struct SharedSum {
    /// Odd while the words change together.
    version: AtomicU32,
    /// The recorded call in which these calls were.
    parent: AtomicU32,
    callsite: AtomicNumber,
    is_partial: AtomicBool,
    words: [AtomicU64; WORDS],
    /// The strand's sum made before this one.
    next: AtomicNumber,
}

impl SharedSum {
    pub(crate) fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            callsite: AtomicNumber::none(),
            is_partial: AtomicBool::new(false),
            words: array![AtomicU64::new(0); WORDS],
            next: AtomicNumber::none(),
        }
    }

    /// Makes it a sum of nothing. Not published yet.
    pub(crate) fn begin(&self, parent: Address, callsite: Number, next: Number) {
        self.parent.store(parent.to_bits(), Relaxed);
        self.callsite.store(callsite, Relaxed);
        self.next.store(next, Relaxed);
        self.store(&Sum::default());
    }

    pub(crate) fn parent(&self) -> Address {
        Address::from_bits(self.parent.load(Relaxed))
    }

    pub(crate) fn callsite(&self) -> Number {
        self.callsite.load(Relaxed)
    }

    pub(crate) fn next(&self) -> Number {
        self.next.load(Relaxed)
    }

    /// For the thread that runs the strand.
    pub(crate) fn add(&self, more: &Sum) {
        let mut sum = self.load();
        sum.add(more);
        let version = self.version.load(Relaxed).wrapping_add(1);
        self.version.store(version, Relaxed);
        // A reader that sees a new word must also see that the words are changing.
        fence(Release);
        self.store(&sum);
        self.version.store(version.wrapping_add(1), Release);
    }

    fn store(&self, sum: &Sum) {
        let head = [
            sum.calls,
            sum.failures,
            sum.wall,
            sum.busy,
            sum.outermost_busy,
        ];
        let counts = [sum.total.to_array(), sum.own.to_array()];
        let words = head.iter().chain(counts.as_flattened());
        for (word, figure) in self.words.iter().zip(words) {
            word.store(*figure, Relaxed);
        }
        self.is_partial.store(sum.is_partial, Relaxed);
    }

    fn load(&self) -> Sum {
        let words: [u64; WORDS] = std::array::from_fn(|index| self.words[index].load(Relaxed));
        let counts =
            |from: usize| Counts::from_array(std::array::from_fn(|index| words[from + index]));
        Sum {
            calls: words[0],
            failures: words[1],
            wall: words[2],
            busy: words[3],
            outermost_busy: words[4],
            total: counts(5),
            own: counts(10),
            is_partial: self.is_partial.load(Relaxed),
        }
    }

    /// The sum at one moment, from any thread, and its version.
    pub(crate) fn read(&self) -> (Sum, u32) {
        let mut patience = Patience::new();
        loop {
            let before = self.version.load(Acquire);
            let sum = self.load();
            fence(Acquire);
            if before.is_multiple_of(2) && self.version() == before {
                return (sum, before);
            }
            if !patience.again() {
                // A fork came in the middle of an addition.
                let is_partial = true;
                return (Sum { is_partial, ..sum }, before);
            }
        }
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.load(Relaxed)
    }
}
