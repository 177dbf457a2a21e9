//! Budgets that hold, and budgets that are exceeded.

use std::hint::black_box;
use std::panic::{Location, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;
use std::thread;

use alloc_counter::{Budget, Counting, Counts};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// A block of 100 bytes grows to 300 and is freed; then a block of 50 is allocated and freed.
fn work() {
    let mut bytes = black_box(vec![1_u8; 100]);
    bytes.reserve_exact(200);
    drop(black_box(bytes));
    drop(black_box(vec![1_u8; 50]));
}

const WORK: Counts = Counts {
    allocations: 2,
    deallocations: 2,
    reallocations: 1,
    bytes_allocated: 350,
    bytes_deallocated: 350,
};

/// Returns the text of the failure, with `HERE` for the place of the call.
#[track_caller]
fn failure(budget: Budget) -> String {
    let here = Location::caller().to_string();
    let failure = budget.check(work).unwrap_err();
    assert_eq!(failure.counts(), Some(WORK));
    assert_eq!(failure.peak_bytes(), Some(300));
    failure.to_string().replace(&here, "HERE")
}

#[test]
fn the_failure_names_limits_and_figures() {
    assert_eq!(
        failure(Budget::new().allocations(2).peak_bytes(300)),
        "\
allocation budget exceeded at HERE
  allocations   at most 2, but 3
  bytes         any number, and 350
  peak bytes    at most 300, and 300
  by 2 allocations, 1 reallocation, 2 deallocations, 350 bytes allocated, 350 bytes freed",
    );
}

#[test]
fn each_limit_holds_at_its_figure_and_breaks_below() {
    assert!(Budget::new().allocations(3).check(work).is_ok());
    assert!(failure(Budget::new().allocations(2)).contains("allocations   at most 2, but 3\n"));

    assert!(Budget::new().bytes(350).check(work).is_ok());
    assert!(failure(Budget::new().bytes(349)).contains("bytes         at most 349, but 350\n"));

    assert!(Budget::new().peak_bytes(300).check(work).is_ok());
    assert!(
        failure(Budget::new().peak_bytes(299)).contains("peak bytes    at most 299, but 300\n")
    );
}

#[test]
fn all_limits_hold_together_or_break_together() {
    let exact = Budget::new().allocations(3).bytes(350).peak_bytes(300);
    assert!(exact.check(work).is_ok());
    for broken in [
        exact.allocations(0),
        exact.bytes(0),
        exact.peak_bytes(0),
        Budget::none(),
    ] {
        assert!(broken.check(work).is_err());
    }
}

#[test]
fn an_exact_budget_fails_if_it_is_not_reached() {
    let exact = Budget::exactly(3).exact_bytes(350).exact_peak_bytes(300);
    assert!(exact.check(work).is_ok());
    assert_eq!(
        failure(Budget::exactly(4).bytes(400)),
        "\
allocation budget not reached at HERE
  allocations   exactly 4, but 3
  bytes         at most 400, and 350
  peak bytes    any number, and 300
  by 2 allocations, 1 reallocation, 2 deallocations, 350 bytes allocated, 350 bytes freed
  if that is intended: Budget::exactly(3).bytes(400)",
    );
    assert_eq!(
        failure(Budget::new().exact_bytes(400).exact_peak_bytes(200)),
        "\
allocation budget exceeded at HERE
  allocations   any number, and 3
  bytes         exactly 400, but 350
  peak bytes    exactly 200, but 300
  by 2 allocations, 1 reallocation, 2 deallocations, 350 bytes allocated, 350 bytes freed
  if that is intended: Budget::new().exact_bytes(350).exact_peak_bytes(300)",
    );
    // There is no line that would make an upper limit hold.
    let both = exact
        .bytes(349)
        .exact_allocations(4)
        .check(work)
        .unwrap_err();
    assert_eq!((both.is_below(), both.accepting()), (false, None));
    assert_eq!(both.to_string().lines().count(), 5);
}

#[test]
fn a_budget_is_written_as_the_attribute_has_it() {
    let exact = Budget::exactly(3).bytes(350).exact_peak_bytes(300);
    let written = "allocations == 3, bytes <= 350, peak == 300";
    assert_eq!(exact.to_string(), written);
    assert_eq!(Budget::none().to_string(), "allocations <= 0");
}

#[test]
fn the_last_limit_of_a_figure_counts() {
    assert_eq!(
        Budget::exactly(3).allocations(4),
        Budget::new().allocations(4)
    );
    assert_eq!(Budget::none().exact_allocations(4), Budget::exactly(4));
}

#[test]
fn without_limits_everything_is_allowed() {
    assert!(Budget::new().check(work).is_ok());
}

#[test]
fn freeing_is_allowed() {
    let from_before = black_box(vec![1_u8; 100]);
    Budget::none().assert(|| drop(from_before));
}

#[test]
fn the_value_comes_back() {
    assert_eq!(Budget::none().assert(|| black_box(7)), 7);
    assert_eq!(Budget::none().check(|| black_box(7)), Ok(7));
}

#[test]
fn an_assertion_panics_with_the_text_at_the_place_of_the_call() {
    static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);
    let (me, of_other_threads) = (thread::current().id(), take_hook());
    set_hook(Box::new(move |panic| {
        if thread::current().id() != me {
            return of_other_threads(panic);
        }
        *PANICKED_AT.lock().unwrap() = panic.location().map(ToString::to_string);
    }));
    let line = line!() + 1;
    let payload = catch_unwind(|| Budget::none().assert(work)).unwrap_err();
    let place = PANICKED_AT.lock().unwrap().take().unwrap();
    assert!(
        place.starts_with(&format!("{}:{line}:", file!())),
        "{place}"
    );
    assert_eq!(
        payload.downcast_ref::<String>(),
        Some(&format!(
            "\
allocation budget exceeded at {place}
  allocations   at most 0, but 3
  bytes         any number, and 350
  peak bytes    any number, and 300
  by 2 allocations, 1 reallocation, 2 deallocations, 350 bytes allocated, 350 bytes freed"
        )),
    );
}

#[test]
fn other_threads_do_not_spend_it() {
    thread::scope(|scope| {
        let quiet = scope.spawn(|| {
            let exact = Budget::new().allocations(3).bytes(350).peak_bytes(300);
            for _ in 0..10_000 {
                Budget::none().assert(|| black_box(1) + black_box(1));
                exact.assert(work);
            }
        });
        while !quiet.is_finished() {
            work();
        }
    });
}

#[test]
fn a_balanced_budget_fails_if_something_is_kept_or_more_is_freed() {
    assert!(Budget::balanced().check(work).is_ok());
    // Grown, and what it was before is freed: only the difference is kept.
    let mut kept = black_box(vec![1_u8; 100]);
    let failure = Budget::balanced().check(|| kept.reserve_exact(200));
    let text = failure.unwrap_err().to_string();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(
        first.starts_with("allocation budget exceeded at "),
        "{text}"
    );
    assert_eq!(
        rest,
        "  allocations   any number, and 1
  bytes         any number, and 200
  peak bytes    any number, and 200
  kept bytes    exactly 0, but 200
  by 0 allocations, 1 reallocation, 0 deallocations, 200 bytes allocated, 0 bytes freed
  if that is intended: Budget::new().exact_retained_bytes(200)"
    );
    let freed = Budget::balanced().check(|| drop(kept)).unwrap_err();
    assert_eq!(freed.brief(), "kept bytes -300, exactly 0");
    assert!(freed.is_below() && freed.accepting().is_none());
    let both = Budget::balanced().allocations(0).check(work).unwrap_err();
    assert_eq!(both.brief(), "allocations 3, at most 0");
}

#[test]
fn kept_bytes_have_a_limit_that_what_is_freed_does_not_break() {
    let keeps = |limit: Budget| limit.check(|| black_box(vec![1_u8; 100]));
    assert!(keeps(Budget::new().retained_bytes(100)).is_ok());
    assert!(keeps(Budget::new().exact_retained_bytes(100)).is_ok());
    let exceeded = keeps(Budget::new().retained_bytes(99)).unwrap_err();
    assert_eq!(exceeded.brief(), "kept bytes 100, at most 99");
    let below = keeps(Budget::new().exact_retained_bytes(101)).unwrap_err();
    assert_eq!(below.brief(), "kept bytes 100, exactly 101");
    let accepting = below.accepting();
    assert_eq!(accepting, Some(Budget::new().exact_retained_bytes(100)));
    let from_before = black_box(vec![1_u8; 100]);
    assert!(
        Budget::new()
            .retained_bytes(0)
            .check(|| drop(from_before))
            .is_ok()
    );
}
