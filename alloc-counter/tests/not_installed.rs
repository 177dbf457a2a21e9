//! Without an installed `Counting`, figures are unknown, never 0.

use std::hint::black_box;
use std::panic::Location;

use alloc_counter::{Budget, Region, current_thread, is_installed, measure, process, threads};

#[test]
fn all_figures_are_unknown() {
    drop(black_box(vec![1_u8; 100]));
    assert!(!is_installed());
    assert_eq!(process(), None);
    assert_eq!(current_thread(), None);
    assert_eq!(threads().count(), 0);
    assert_eq!(Region::new().counts(), None);
}

#[test]
fn work_is_done_without_counting() {
    let measured = measure(|| black_box(vec![1_u8, 2, 3]));
    assert_eq!(measured.value, [1, 2, 3]);
    assert_eq!(measured.counts, None);
    assert_eq!(measured.peak_bytes, None);
}

#[test]
fn a_budget_fails() {
    #[track_caller]
    fn failure(budget: Budget) -> String {
        let failure = budget.check(|| ()).unwrap_err();
        assert_eq!((failure.counts(), failure.peak_bytes()), (None, None));
        let here = Location::caller().to_string();
        failure.to_string().replace(&here, "HERE")
    }
    for budget in [Budget::new(), Budget::none(), Budget::new().bytes(100)] {
        assert_eq!(
            failure(budget),
            "allocation budget at HERE can't be checked: nothing is counted on this thread \
             (is `#[global_allocator] static A: Counting = Counting::system();` there?)",
        );
    }
}

#[test]
#[should_panic(expected = "can't be checked: nothing is counted")]
fn an_assertion_fails() {
    Budget::new().assert(|| ());
}
