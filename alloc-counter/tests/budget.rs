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
