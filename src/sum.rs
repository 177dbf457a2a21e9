//! Sums: what calls did that are more than their trace may hold, by callsite.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::address::Address;
use crate::pool::{AtomicNumber, Number, Pool};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, array, shared_static};
use crate::version::Version;

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
    /// Of the words and whether they are partial.
    version: Version,
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
            version: Version::new(),
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
        self.version.change(|| self.store(&sum));
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
        let read = self.version.read(|| self.load());
        read.unwrap_or_else(|| {
            let is_partial = true;
            let sum = self.load();
            (Sum { is_partial, ..sum }, self.version())
        })
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.number()
    }
}
