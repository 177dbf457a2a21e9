//! Budgets inside one another, and many at once.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tracer::alloc::Budget;
use tracer::{InCurrentTrace, Trace, in_current_trace};

use crate::pause::pause;
use crate::{bytes, leak, told};

const BUDGET: Budget = Budget::balanced().waits(Duration::ZERO);

#[test]
fn what_the_inner_budget_keeps_the_outer_one_keeps_too() {
    let slot = Mutex::new(Vec::with_capacity(2));
    let mut inside = String::new();
    let outside = Budget::balanced().check(|| {
        leak(10);
        let checked = Budget::balanced().check(|| {
            slot.lock().unwrap().push(bytes(200));
            // On a thread that is only in the inner budget's trace.
            let thread = in_current_trace(|| slot.lock().unwrap().push(bytes(30)));
            thread::scope(|threads| threads.spawn(thread).join()).unwrap();
        });
        inside = tracer::alloc::exclude(|| told(checked));
    });
    assert!(
        inside.ends_with("bytes: 1 of 200, 1 of 30") || inside.contains("of 200"),
        "{inside}"
    );
    let text = told(outside);
    assert!(
        text.contains("of 200, ") && text.contains("1 of 30, 1 of 10"),
        "{text}"
    );
}

#[test]
fn what_the_outer_budget_frees_is_balanced_in_it_alone() {
    BUDGET.assert(|| {
        let mut kept = None;
        let inside = BUDGET.check(|| kept = Some(bytes(40)));
        assert_eq!(inside.unwrap_err().kept().unwrap().bytes, 40);
        drop(kept);
    });
}

#[test]
fn another_trace_inside_belongs_to_the_code() {
    let checked = BUDGET.check(|| {
        let trace = Trace::new();
        let _scope = trace.inject();
        leak(70);
    });
    assert_eq!(told(checked), "1 block, 70 bytes: 1 of 70");
}

#[test]
fn deep_nesting_is_known_or_said_not_to_be() {
    fn nest(depth: usize) -> String {
        if depth == 0 {
            drop(bytes(1));
            return String::new();
        }
        let mut inner = String::new();
        let checked = BUDGET.check(|| inner = tracer::alloc::exclude(|| nest(depth - 1)));
        if checked.is_err() {
            told(checked)
        } else {
            inner
        }
    }
    assert_eq!(nest(16), "");
    assert_eq!(nest(17), "kept bytes not known, exactly 0");
}

#[test]
fn budgets_of_parallel_threads_do_not_disturb_each_other() {
    let expected = |number: usize| match number % 3 {
        0 => "balanced".to_owned(),
        rest => format!(
            "{rest} block{}, {} bytes: {rest} of {number}",
            if rest == 1 { "" } else { "s" },
            rest * number
        ),
    };
    thread::scope(|threads| {
        for number in 1..=50 {
            threads.spawn(move || {
                for _ in 0..5 {
                    let checked = BUDGET.check(|| {
                        for size in 1..50 {
                            let mut block = bytes(size);
                            block.reserve_exact(2 * size);
                        }
                        (0..number % 3).for_each(|_| leak(number));
                    });
                    assert_eq!(told(checked), expected(number));
                }
            });
        }
    });
}

#[test]
fn futures_that_interleave_keep_their_own() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let one = |leaked: usize| {
        BUDGET.check_future(async move {
            for _ in 0..10 {
                let made = bytes(leaked);
                pause(1).await;
                drop(made);
            }
            leak(leaked);
        })
    };
    let checked = runtime.block_on(async { tokio::join!(one(5), one(7), one(9)) });
    assert_eq!(told(checked.0), "1 block, 5 bytes: 1 of 5");
    assert_eq!(told(checked.1), "1 block, 7 bytes: 1 of 7");
    assert_eq!(told(checked.2), "1 block, 9 bytes: 1 of 9");
    let both = BUDGET.check_future(async {
        let task = async { leak(11) };
        task.in_current_trace().await;
        drop(one(13).await);
    });
    let told = told(runtime.block_on(both));
    assert!(told.contains("1 of 13, 1 of 11"), "{told}");
}
