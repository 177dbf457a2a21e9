//! Sums of folded calls: by path, and by the recorded call that they are inside of.

use std::iter::zip;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;

use crate::primitives::pool::{AtomicNumber, Number, Pool};
use crate::primitives::seqlock::Version;
use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, array, shared_static};
use crate::store::address::Address;
use crate::store::record::{CallRecord, FoldedCall};
use crate::store::state::OutcomeKind;
use crate::store::usage::Usage;

shared_static! {
    pub(crate) static SUMS: Pool<SharedSum> = Pool::new();
}

/// The sums of the folded calls of one path on one strand. With `calls` and `total` empty, those of the
/// folded calls inside one recorded call, or outside all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// The calls opened, including those that run. Outside all calls: those opened there.
    pub(crate) calls: u64,
    pub(crate) running: u64,
    /// Calls that failed or panicked.
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    /// In ticks.
    pub(crate) wall: u64,
    /// The part of that in which a folded call opened in one of these was open.
    pub(crate) covered: u64,
    pub(crate) busy: u64,
    pub(crate) busy_inside: u64,
    pub(crate) total: Counts,
    /// The part of the total that the folded calls inside used.
    pub(crate) inside: Counts,
    /// Of a recorded call: how many folded calls opened in it are open now, since when there is
    /// at least one, and when the first was opened.
    pub(crate) children: u64,
    pub(crate) since: u64,
    pub(crate) first: u64,
    /// When the last of these calls stopped. Of a recorded call: when the last one opened in it did.
    pub(crate) last: u64,
    /// Some figure is not known exactly.
    pub(crate) is_partial: bool,
    /// Whether one of the calls moved into another call than the one in which it was opened.
    pub(crate) is_moved: bool,
    /// Of a recorded call: a folded one opened in it was suspended, so others may have run meanwhile.
    pub(crate) has_rested: bool,
}

const WORDS: usize = 12;
const COUNTS: usize = 2;
const FLAGS: usize = 3;

/// All fields, in the order in which they are shared.
impl Sum {
    fn words(&mut self) -> [&mut u64; WORDS] {
        [
            &mut self.calls,
            &mut self.running,
            &mut self.failures,
            &mut self.cancelled,
            &mut self.wall,
            &mut self.covered,
            &mut self.busy,
            &mut self.busy_inside,
            &mut self.children,
            &mut self.since,
            &mut self.first,
            &mut self.last,
        ]
    }

    fn counts(&mut self) -> [&mut Counts; COUNTS] {
        [&mut self.total, &mut self.inside]
    }

    fn flags(&mut self) -> [&mut bool; FLAGS] {
        [
            &mut self.is_partial,
            &mut self.is_moved,
            &mut self.has_rested,
        ]
    }
}

impl Sum {
    /// Adds another sum, without the calls that are open at the moment.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls = self.calls.wrapping_add(other.calls);
        self.running = self.running.wrapping_add(other.running);
        self.failures = self.failures.wrapping_add(other.failures);
        self.cancelled = self.cancelled.wrapping_add(other.cancelled);
        self.wall = self.wall.wrapping_add(other.wall);
        self.covered = self.covered.wrapping_add(other.covered);
        self.busy = self.busy.wrapping_add(other.busy);
        self.busy_inside = self.busy_inside.wrapping_add(other.busy_inside);
        self.total += other.total;
        self.inside += other.inside;
        self.is_partial |= other.is_partial;
        self.is_moved |= other.is_moved;
        self.has_rested |= other.has_rested;
        self.last = self.last.max(other.last);
    }

    /// Returns the time until `now` in which a folded call was open in the recorded call of this sum.
    pub(crate) fn covered_until(&self, now: u64) -> u64 {
        let still = if self.children > 0 {
            now.saturating_sub(self.since)
        } else {
            0
        };
        self.covered.wrapping_add(still)
    }

    /// Notes that a folded call was opened in the recorded call of this sum.
    pub(crate) fn child_opened(&mut self, now: u64) {
        if self.children == 0 {
            self.since = now;
        }
        if self.first == 0 {
            self.first = now;
        }
        self.children += 1;
    }

    /// Notes that a folded call that was opened in it is no longer open.
    pub(crate) fn child_closed(&mut self, now: u64) {
        self.children = self.children.saturating_sub(1);
        self.last = self.last.max(now);
        if self.children == 0 {
            self.covered = self.covered.wrapping_add(now.saturating_sub(self.since));
        }
    }
}

/// A sum that one thread changes and any thread reads.
pub(crate) struct SharedSum {
    /// Of the words, the counts and the flags.
    version: Version,
    /// The path whose calls these are, or the recorded call within which they were.
    of: AtomicU32,
    words: [AtomicU64; WORDS],
    counts: [[AtomicU64; 5]; COUNTS],
    flags: [AtomicBool; FLAGS],
    /// The sum in the same bucket that was made before this one.
    next: AtomicNumber,
}

impl SharedSum {
    pub(crate) fn new() -> Self {
        Self {
            version: Version::new(),
            of: AtomicU32::new(0),
            words: array![AtomicU64::new(0); WORDS],
            counts: array![array![AtomicU64::new(0); 5]; COUNTS],
            flags: array![AtomicBool::new(false); FLAGS],
            next: AtomicNumber::none(),
        }
    }

    /// Empties the sum, which no other thread can read yet.
    pub(crate) fn begin(&self, of: Address, next: Number) {
        self.of.store(of.to_bits(), Relaxed);
        self.next.store(next, Relaxed);
        self.store(Sum::default());
    }

    /// Returns a path or the address of a recorded call; [`Address::NONE`] for folded calls outside all
    /// calls.
    pub(crate) fn of(&self) -> Address {
        Address::from_bits(self.of.load(Relaxed))
    }

    pub(crate) fn next(&self) -> Number {
        self.next.load(Relaxed)
    }

    /// Changes the sum. Only the thread that runs the strand does that.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Sum)) {
        let mut sum = self.load();
        change(&mut sum);
        self.version.change(|| self.store(sum));
    }

    fn store(&self, mut sum: Sum) {
        for (shared, word) in zip(&self.words, sum.words()) {
            shared.store(*word, Relaxed);
        }
        for (shared, counts) in zip(&self.counts, sum.counts()) {
            for (shared, total) in zip(shared, counts.to_array()) {
                shared.store(total, Relaxed);
            }
        }
        for (shared, flag) in zip(&self.flags, sum.flags()) {
            shared.store(*flag, Relaxed);
        }
    }

    fn load(&self) -> Sum {
        let mut sum = Sum::default();
        for (shared, word) in zip(&self.words, sum.words()) {
            *word = shared.load(Relaxed);
        }
        for (shared, counts) in zip(&self.counts, sum.counts()) {
            *counts = Counts::from_array(shared.each_ref().map(|total| total.load(Relaxed)));
        }
        for (shared, flag) in zip(&self.flags, sum.flags()) {
            *flag = shared.load(Relaxed);
        }
        sum
    }

    /// Returns the sum at one moment and its version, on any thread.
    pub(crate) fn read(&self) -> (Sum, u32) {
        let read = self.version.read(|_| self.load());
        read.unwrap_or_else(|(sum, version)| {
            let is_partial = true;
            (Sum { is_partial, ..sum }, version)
        })
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.word()
    }
}

/// Returns the path of a folded call.
pub(crate) fn path_of(call: FoldedCall) -> Address {
    SUMS.get(call.sum()).map_or(Address::NONE, |sum| sum.of())
}

/// Returns the sum that the end of a call adds to its path.
pub(crate) fn ended(call: FoldedCall, used: Usage, now: u64, outcome: OutcomeKind) -> Sum {
    Sum {
        running: u64::MAX, // One less.
        failures: outcome.is_failure().into(),
        cancelled: (outcome == OutcomeKind::Cancelled).into(),
        wall: now.saturating_sub(call.start()),
        covered: call.covered_until(now),
        last: now,
        is_partial: call.state().is_partial(),
        ..so_far(used)
    }
}

/// Returns the sum that a call that is not over adds to its path.
pub(crate) fn so_far(used: Usage) -> Sum {
    Sum {
        busy: used.busy,
        total: used.counts,
        ..Sum::default()
    }
}

/// Returns the part of a path's sum that is added to the call around.
pub(crate) fn inside(sum: &Sum) -> Sum {
    Sum {
        busy_inside: sum.busy,
        inside: sum.total,
        ..Sum::default()
    }
}

/// Returns the part of an open call that is not added up yet, for a reader of its strand: its path, the
/// key of the sum that it is inside of, and the sum since it was last added up.
pub(crate) fn open_now(call: FoldedCall, used: Usage, now: u64) -> (Address, Address, Sum) {
    let sum = Sum {
        wall: now.saturating_sub(call.start()),
        covered: call.covered_until(now),
        ..so_far(used)
    };
    (path_of(call), within(call.parent()), sum)
}

/// Returns the sums that a call that outlives its strand adds to its path and to the sum that it is
/// inside of: its usage since it was last added up. Its outcome will not be known.
pub(crate) fn left_open(call: FoldedCall, used: Usage, now: u64) -> [(Address, Sum); 2] {
    let (path, around, mut sum) = open_now(call, used, now);
    sum.running = u64::MAX; // One less.
    sum.last = now;
    sum.is_partial = true;
    [(path, sum), (around, inside(&sum))]
}

/// Returns the key of the sum of the folded calls inside this call.
pub(crate) fn within(call: Address) -> Address {
    let folded = call.call_record().and_then(CallRecord::folded);
    folded.map_or(call, path_of)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_as_it_was_written() {
        let sum = Sum {
            calls: 1,
            running: 2,
            failures: 3,
            cancelled: 4,
            wall: 5,
            covered: 6,
            busy: 7,
            busy_inside: 8,
            total: Counts::from_array([9, 10, 11, 12, 13]),
            inside: Counts::from_array([14, 15, 16, 17, 18]),
            children: 19,
            since: 20,
            first: 21,
            last: 22,
            is_partial: true,
            is_moved: true,
            has_rested: true,
        };
        let shared = SharedSum::new();
        shared.change(|it| *it = sum);
        assert_eq!(shared.read(), (sum, 2));
        shared.begin(Address::NONE, Number::NONE);
        assert_eq!(shared.read().0, Sum::default());
    }
}
