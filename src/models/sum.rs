//! Sums of folded calls.

use loom::thread;

use super::records::figures;
use super::{explore, leak};
use crate::address::Address;
use crate::pool::Number;
use crate::sum::{SharedSum, Sum};

/// A sum whose words are all the same, so that a mixture is seen.
fn sum(value: u64) -> Sum {
    let counts = figures(value).counts;
    Sum {
        calls: value,
        running: value,
        failures: value,
        cancelled: value,
        wall: value,
        covered: value,
        busy: value,
        busy_inside: value,
        total: counts,
        inside: counts,
        ..Sum::default()
    }
}

#[test]
fn a_sum_is_read_before_or_after_a_change() {
    explore(1, || {
        let shared = leak(SharedSum::new());
        shared.begin(Address::NONE, Number::NONE, Number::NONE);
        let reader = thread::spawn(|| {
            let (found, _) = shared.read();
            assert!(
                found.is_partial || found == sum(0) || found == sum(1),
                "{found:?}"
            );
        });
        shared.change(|shared| shared.add(&sum(1)));
        reader.join().unwrap();
        assert_eq!(shared.read().0, sum(1));
    });
}
