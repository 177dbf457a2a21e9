//! The folding strands of a trace: those whose calls are all folded.
//!
//! They are in a list while they are open, so that reports find them. When one ends it is added up and
//! given back. A reader holds the list's lock, so that no strand is given back meanwhile.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;
#[cfg(feature = "sites")]
use alloc_counter::SiteLog;

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::primitives::sync::{AtomicBool, AtomicU32};
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::limits::Allowance;
use crate::store::remote::RemoteOperation;
use crate::store::strand::{STRANDS, Strand};
use crate::store::sum::{self, Sum};

/// A trace's folding strands.
pub(crate) struct FoldingStrands {
    /// The number of open ones.
    open: AtomicU32,
    /// Whether there ever was a folding strand.
    is_used: AtomicBool,
    list: Lock<List>,
}

#[derive(Default)]
struct List {
    /// The newest of those that are open: a list through `next_in_trace` and `previous_in_trace`.
    newest: Option<&'static Member<Strand>>,
    ended: Ended,
}

/// The sums of the folding strands that are over.
#[derive(Default)]
pub(crate) struct Ended {
    /// The counts of the strands, and the sums of folded calls outside all others, by the call below
    /// which the strands stood and [when they were made](Strand::made_after).
    strands: Sorted<(Address, u64), (Counts, Sum)>,
    calls: Sorted<Address, Sum>,
    /// Their allocation sites.
    #[cfg(feature = "sites")]
    sites: Option<Box<SiteLog>>,
}

/// Up to this many entries, strands of one parent have separate entries, by when they were made.
const MOST_EXACT: usize = 1024;

/// A list sorted by key: a map whose allocations may fail.
pub(crate) type Sorted<K, V> = Vec<(K, V)>;

/// Returns the value at this key, which is added if it is missing; `None` if there is no memory for it.
fn entry<K: Ord + Copy, V: Default>(all: &mut Sorted<K, V>, key: K) -> Option<&mut V> {
    let place = match all.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(place) => place,
        Err(place) => {
            all.try_reserve(1).ok()?;
            all.insert(place, (key, V::default()));
            place
        }
    };
    Some(&mut all[place].1)
}

/// The open folding strands, the newest first. The list's lock is held.
pub(crate) struct OpenStrands<'a> {
    next: Option<&'static Member<Strand>>,
    lock: &'a Taken<'a, List>,
}

impl Iterator for OpenStrands<'_> {
    type Item = &'static Member<Strand>;

    fn next(&mut self) -> Option<Self::Item> {
        let strand = self.next?;
        self.next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        // Threads that wait to begin or end a strand see the progress.
        self.lock.note_turn();
        Some(strand)
    }
}

impl FoldingStrands {
    pub(crate) fn new() -> Self {
        Self {
            open: AtomicU32::new(0),
            is_used: AtomicBool::new(false),
            list: Lock::new(List::default()),
        }
    }

    /// Returns whether a folding strand is open.
    pub(crate) fn are_open(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// Adds a strand to the list. Returns `false` if the list's lock is not given back.
    pub(crate) fn begin(&self, strand: &'static Member<Strand>) -> bool {
        let Some(mut list) = self.list.take() else {
            return false;
        };
        let next = list.newest.replace(strand);
        strand.next_in_trace.store(number(next), Relaxed);
        strand.previous_in_trace.store(Number::NONE, Relaxed);
        if let Some(next) = next {
            next.previous_in_trace.store(strand.number(), Relaxed);
        }
        self.open.fetch_add(1, Relaxed);
        self.is_used.store(true, Release);
        true
    }

    /// Adds the strand's figures to those of the strands that are over, and gives it back.
    // Out of line, so that the end of another strand saves no registers for it.
    #[inline(never)]
    pub(crate) fn end(&self, strand: &'static Member<Strand>, allowance: &Allowance) {
        let Some(mut list) = self.list.take() else {
            // It stays in the list, for ever.
            return allowance.note_dropped_strand();
        };
        if !alloc_counter::exclude(|| list.ended.add(strand)) {
            allowance.note_dropped_strand();
        }
        let next = STRANDS.get(strand.next_in_trace.load(Relaxed));
        let previous = STRANDS.get(strand.previous_in_trace.load(Relaxed));
        match previous {
            Some(previous) => previous.next_in_trace.store(number(next), Relaxed),
            None => list.newest = next,
        }
        if let Some(next) = next {
            next.previous_in_trace.store(number(previous), Relaxed);
        }
        drop(list);
        self.open.fetch_sub(1, Relaxed);
        let sums = strand.folded.sums().map(|_| 1).sum();
        // The first chunk is the strand's own.
        allowance.return_memory(strand.chunks() - 1, sums);
        Strand::recycle(strand);
        allowance.return_folded_strand();
    }

    /// Reads the open strands and the sums of those that are over. Returns `false` if the list's lock is
    /// not given back.
    pub(crate) fn read(&self, read: impl FnOnce(OpenStrands<'_>, &Ended)) -> bool {
        if !self.is_used.load(Acquire) {
            return true;
        }
        let Some(list) = self.list.take() else {
            return false;
        };
        let open = OpenStrands {
            next: list.newest,
            lock: &list,
        };
        read(open, &list.ended);
        true
    }

    /// Gives all strands back when the trace is over. Returns `false` if the list's lock is not given
    /// back: then they can't be reused.
    #[inline]
    pub(crate) fn clear(&self) -> bool {
        !self.is_used.load(Relaxed) || self.clear_used()
    }

    #[inline(never)]
    fn clear_used(&self) -> bool {
        let Some(mut list) = self.list.take() else {
            return false;
        };
        // The scope of a strand that is still open was leaked in a child process.
        let mut next = list.newest.take();
        while let Some(strand) = next {
            next = STRANDS.get(strand.next_in_trace.load(Relaxed));
            Strand::recycle(strand);
        }
        alloc_counter::exclude(|| list.ended = Ended::default());
        drop(list);
        self.open.store(0, Relaxed);
        self.is_used.store(false, Relaxed);
        true
    }
}

fn number(strand: Option<&'static Member<Strand>>) -> Number {
    strand.map_or(Number::NONE, Member::number)
}

impl Ended {
    pub(crate) fn strands(&self) -> &Sorted<(Address, u64), (Counts, Sum)> {
        &self.strands
    }

    pub(crate) fn calls(&self) -> &[(Address, Sum)] {
        &self.calls
    }

    #[cfg(feature = "sites")]
    pub(crate) fn sites(&self) -> Option<&SiteLog> {
        self.sites.as_deref()
    }

    /// Returns the key under which strands are added up, and whether it is exactly theirs. Beyond
    /// [`MOST_EXACT`] entries, strands of one parent share one, so that a trace may last.
    fn key(&self, key: (Address, u64)) -> ((Address, u64), bool) {
        let known = self.strands.binary_search_by_key(&key, |(key, _)| *key);
        let Err(place) = known else {
            return (key, true);
        };
        let before = place
            .checked_sub(1)
            .and_then(|before| self.strands.get(before));
        match before {
            Some((near, _)) if near.0 == key.0 && self.strands.len() >= MOST_EXACT => {
                (*near, false)
            }
            _ => (key, true),
        }
    }

    /// Adds a strand's figures; `false` if there is no memory for all of them.
    fn add(&mut self, strand: &Strand) -> bool {
        #[cfg(feature = "sites")]
        strand.sites.end(&mut self.sites);
        let (reading, _) = strand.meter.read();
        let key = (strand.parent(), strand.made_after());
        let (key, is_exact) = self.key(key);
        let Some((counts, outside)) = entry(&mut self.strands, key) else {
            return false;
        };
        *counts += reading.counts;
        let is_partial = strand.is_partial();
        outside.is_partial |= !is_exact;
        let mut is_whole = true;
        let mut add = |of: Address, mut sum: Sum| {
            sum.is_partial |= is_partial;
            if of == Address::NONE {
                outside.add(&sum);
            } else if let Some(known) = entry(&mut self.calls, of) {
                known.add(&sum);
            } else {
                is_whole = false;
            }
        };
        for shared in strand.folded.sums() {
            add(shared.of(), shared.read().0);
        }
        // No call is stopped remotely meanwhile, and the strand is not reachable afterwards.
        strand.mailbox.look(|operations| {
            for (of, sum) in operations
                .iter()
                .filter_map(RemoteOperation::sums)
                .flatten()
            {
                add(of, sum);
            }
            // The ends of calls that outlive the strand will not be known.
            let open = |call: CallRef| call.record.folded().filter(|it| it.is_open());
            for call in strand.calls_after(None).filter_map(open) {
                let used = strand.known_usage(*call);
                for (of, sum) in sum::left_open(call, used, clock::ticks()) {
                    add(of, sum);
                }
            }
        });
        is_whole
    }
}
