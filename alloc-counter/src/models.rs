//! Models of slots and their list: loom runs each in every order of its threads' steps, and lets
//! relaxed loads return every value that the orderings allow.

use loom::sync::Arc;
use loom::thread;

use crate::counts::Counts;
use crate::model::explore;
use crate::registry::Registry;
use crate::slot::{Operation, Slot};

/// Leaks a value, as slots are.
fn slot() -> &'static Slot {
    Box::leak(Box::new(Slot::new()))
}

/// Counts an allocation on the thread that has claimed the slot; that it has is what the models show.
fn allocate(slot: &Slot, bytes: usize) {
    // SAFETY: the models call this between a claim and a release; loom fails if another thread writes meanwhile.
    unsafe { slot.count(Operation::Allocate, 0, bytes) };
}

fn allocated(counts: Counts) -> (u64, u64) {
    (counts.allocations, counts.bytes_allocated)
}

/// The thread numbered 1 allocates 10 bytes and gives the slot back; number 2 tries to take it and
/// allocates 100.
fn change_owners(read: fn(&Slot)) {
    let slot = slot();
    assert!(slot.try_claim(1));
    let reader = thread::spawn(move || read(slot));
    let second = thread::spawn(|| {
        let has_claimed = slot.try_claim(2);
        if has_claimed {
            allocate(slot, 100);
        }
        has_claimed
    });
    allocate(slot, 10);
    slot.release();
    reader.join().unwrap();
    let both = if second.join().unwrap() {
        (2, 110)
    } else {
        (1, 10)
    };
    assert_eq!(allocated(slot.counts()), both);
}

#[test]
fn totals_are_read_while_their_owner_has_the_slot() {
    explore(3, || {
        change_owners(|slot| {
            if let Some((counts, highest)) = slot.read_of(1) {
                assert!(matches!(counts.allocations, 0 | 1), "{counts:?}");
                assert!(matches!(counts.bytes_allocated, 0 | 10), "{counts:?}");
                assert!(matches!(highest, 0 | 10), "{highest}");
            }
        });
    });
}

#[test]
fn what_an_owner_has_counted_is_its_own() {
    explore(3, || {
        change_owners(|slot| {
            if let Some((owner, counts)) = slot.owned_counts() {
                let bytes = [0, 10, 100][usize::try_from(owner).unwrap()];
                assert!(matches!(counts.allocations, 0 | 1), "{counts:?}");
                assert!([0, bytes].contains(&counts.bytes_allocated), "{counts:?}");
            }
        });
    });
}

/// An addition is a load and a store: two owners at once, or an owner that has not seen what the last
/// one added, would lose additions.
#[test]
fn a_slot_has_one_owner_at_a_time() {
    explore(3, || {
        let slot = slot();
        let use_it = |owner| {
            move || {
                let has_claimed = slot.try_claim(owner);
                if has_claimed {
                    allocate(slot, 1);
                    slot.release();
                }
                u64::from(has_claimed)
            }
        };
        let threads = [1, 2].map(|owner| thread::spawn(use_it(owner)));
        let here = use_it(3)();
        let elsewhere: u64 = threads.map(|thread| thread.join().unwrap()).iter().sum();
        let claimed = here + elsewhere;
        assert!(claimed > 0);
        assert_eq!(allocated(slot.counts()), (claimed, claimed));
    });
}

/// Returns the sum of all slots of the list, and their number, as one walk along it finds them.
fn held(registry: &Registry) -> (u64, usize) {
    let one = |(sum, slots), slot: &Slot| (sum + slot.counts().allocations, slots + 1);
    registry.slots().fold((0, 0), one)
}

#[test]
fn the_list_of_slots_loses_nothing_and_grows_with_the_threads_at_once() {
    explore(3, || {
        let registry = Arc::new(Registry::new());
        let use_one = |registry: Arc<Registry>| {
            move || {
                let slot = registry.claim().unwrap();
                allocate(slot, 1);
                registry.release(slot);
            }
        };
        let other = thread::spawn(use_one(Arc::clone(&registry)));
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || {
                let (before, slots_before) = held(&registry);
                let (allocations, slots) = held(&registry);
                assert!(before <= allocations && allocations <= 2);
                assert!(slots_before <= slots && slots <= 2);
            })
        };
        use_one(Arc::clone(&registry))();
        other.join().unwrap();
        reader.join().unwrap();
        // A slot that one thread gave back is claimed by the next.
        use_one(Arc::clone(&registry))();
        let (allocations, slots) = held(&registry);
        assert_eq!(allocations, 3);
        assert!(matches!(slots, 1 | 2));
        assert_eq!(slots, registry.slot_count());
    });
}
