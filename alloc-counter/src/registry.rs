//! The registry of all slots: claims, recycles and sums them.
//!
//! The slots form a list that only grows: a slot is pushed to the front once and never removed, so a
//! reader may walk it at any time. A thread claims a slot by changing its owner from free to its own
//! number, so there is no free list that could be corrupted.

use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use crate::counts::Counts;
use crate::slot::{Link, Slot};
use crate::sync::{AtomicCell, AtomicU64, AtomicUsize, const_fn, shared_static};

shared_static! {
    /// Overhead that is in no slot: the memory of the slots, and what threads without a slot
    /// [exclude](crate::exclude).
    pub(crate) static OVERHEAD: CachePadded<Slot> = CachePadded::new(Slot::new());
}
shared_static! {
    /// What threads did after they had given their slot back.
    pub(crate) static UNATTRIBUTED: CachePadded<Slot> = CachePadded::new(Slot::new());
}
shared_static! {
    static REGISTRY: Registry = Registry::new();
}

pub(crate) struct Registry {
    newest: AtomicCell<Option<Link>>,
    /// Number of free slots; if it is 0, the list need not be walked.
    free: AtomicUsize,
    slots: AtomicUsize,
    threads: AtomicU64,
}

impl Registry {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                newest: AtomicCell::new(None),
                free: AtomicUsize::new(0),
                slots: AtomicUsize::new(0),
                threads: AtomicU64::new(0),
            }
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &'static Slot> + use<> {
        std::iter::successors(self.newest.load(), |link| link.0.next.load()).map(|link| link.0)
    }

    pub(crate) fn claim(&self) -> Option<&'static Slot> {
        let owner = self.threads.fetch_add(1, Relaxed) + 1;
        if self.free.load(Relaxed) > 0
            && let Some(slot) = self.slots().find(|slot| slot.try_claim(owner))
        {
            self.free.fetch_sub(1, Relaxed);
            return Some(slot);
        }
        let slot = allocate()?;
        // Nobody else can see the slot yet, so this can't fail.
        slot.try_claim(owner);
        let link = Link(slot);
        let mut newest = self.newest.load();
        loop {
            slot.next.store(newest);
            match self.newest.compare_exchange(newest, Some(link)) {
                Ok(_) => break,
                Err(other) => newest = other,
            }
        }
        self.slots.fetch_add(1, Relaxed);
        Some(slot)
    }

    pub(crate) fn slot_count(&self) -> usize {
        self.slots.load(Relaxed)
    }

    pub(crate) fn release(&self, slot: &Slot) {
        // The number first, so that a claim never brings it below 0.
        self.free.fetch_add(1, Relaxed);
        slot.release();
    }
}

/// Makes a slot that is never freed; `None` if memory has run out. The request comes back to the
/// allocator while the thread is claiming, and is counted as overhead.
fn allocate() -> Option<&'static Slot> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(1).ok()?;
    slots.push(CachePadded::new(Slot::new()));
    slots.leak().first().map(|slot| &**slot)
}

pub(crate) fn claim() -> Option<&'static Slot> {
    REGISTRY.claim()
}

pub(crate) fn release(slot: &Slot) {
    REGISTRY.release(slot);
}

pub(crate) fn slots() -> impl Iterator<Item = &'static Slot> {
    REGISTRY.slots()
}

/// Returns the sum of all slots: of every thread that ever lived, and the two shared ones.
pub(crate) fn counts() -> Counts {
    let owned: Counts = slots().map(Slot::counts).sum();
    owned + overhead() + UNATTRIBUTED.counts()
}

/// Returns the overhead of all slots.
pub(crate) fn overhead() -> Counts {
    let owned: Counts = slots().map(Slot::overhead).sum();
    owned + OVERHEAD.counts()
}

pub(crate) fn slot_count() -> usize {
    REGISTRY.slot_count()
}
