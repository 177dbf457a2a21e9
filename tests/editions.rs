//! The attributes count the same in every edition.
//!
//! This file is compiled three times: here, and by the packages in `tests/editions/`, whose editions
//! drop the temporaries of a function's last expression after its locals.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tracer::budget::{OnExceeded, exceeded, on_exceeded};
use tracer::{Counting, Report, Trace, budget, call, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

thread_local!(static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

/// Opens a call and allocates three times when it is dropped.
struct Slow(&'static str);

impl Slow {
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _call = call!("{}", self.0);
        for number in 0..3 {
            drop(black_box(Box::new(number)));
        }
        tracer::alloc::exclude(|| DROPPED.with(|dropped| dropped.borrow_mut().push(self.0)));
    }
}

/// Defines the functions with each attribute, and without one.
macro_rules! functions {
    ($module:ident, $(#[$attribute:meta])? $(#[err $attribute_err:meta])?) => {
        mod $module {
            use super::*;

            $(#[$attribute])?
            pub(super) fn sync(first: Slow, second: Slow) -> usize {
                let local = Slow("local");
                first.len() + second.len() + local.len() + Slow("temporary").len()
            }

            $(#[$attribute_err])?
            pub(super) fn fallible(first: Slow, second: Slow) -> Result<usize, String> {
                let local = Slow("local");
                Ok(first.len() + second.len() + local.len() + Slow("temporary").len())
            }

            $(#[$attribute])?
            pub(super) async fn asynchronous(first: Slow, second: Slow) -> usize {
                let local = Slow("local");
                first.len() + second.len() + local.len() + Slow("temporary").len()
            }

            $(#[$attribute])?
            pub(super) fn boxed(first: Slow, second: Slow) -> Pin<Box<dyn Future<Output = usize>>> {
                Box::pin(async move {
                    let local = Slow("local");
                    first.len() + second.len() + local.len() + Slow("temporary").len()
                })
            }
        }
    };
}

functions!(plain,);
functions!(calls, #[traced] #[err traced(err)]);
functions!(budgets, #[budget(allocations <= 0)] #[err budget(allocations <= 0)]);

/// Returns the output of a future that is ready at its first poll.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

fn dropped(work: impl FnOnce()) -> Vec<&'static str> {
    work();
    DROPPED.with(RefCell::take)
}

fn recorded(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    work();
    drop(scope);
    trace.report()
}

/// Returns each call with its id, its number of allocations and the call around it.
fn lines(report: &Report) -> Vec<String> {
    let line = |call: &tracer::CallReport| {
        let mut line = call.name.to_string();
        if let Some(id) = &call.id {
            let _ = write!(line, " [{id}]");
        }
        let _ = write!(line, " {}", call.total.expect("counted").allocates());
        if let Some(parent) = call.parent {
            let _ = write!(line, " < {}", report.calls[parent].name);
        }
        line
    };
    report.calls.iter().map(line).collect()
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn what_is_dropped_last_in_a_body_is_dropped_inside_its_call() {
    use calls::{asynchronous, boxed, fallible, sync};

    // Without `async` and `err`, the arguments are dropped by the caller.
    let report = recorded(|| assert_eq!(sync(Slow("first"), Slow("second")), 25));
    let mut found = lines(&report);
    found[1..3].sort();
    let expected = [
        "sync 6",
        "drop [local] 3 < sync",
        "drop [temporary] 3 < sync",
        "drop [second] 3",
        "drop [first] 3",
    ];
    assert_eq!(found, expected);

    let inside = |name: &str, arguments: [&str; 2], work: &dyn Fn()| {
        let mut found = lines(&recorded(work));
        found[1..3].sort();
        let line = |id| format!("drop [{id}] 3 < {name}");
        let expected = [
            format!("{name} 12"),
            line("local"),
            line("temporary"),
            line(arguments[0]),
            line(arguments[1]),
        ];
        assert_eq!(found, expected);
    };
    inside("fallible", ["second", "first"], &|| {
        assert_eq!(fallible(Slow("first"), Slow("second")), Ok(25));
    });
    inside("asynchronous", ["second", "first"], &|| {
        let future = asynchronous(Slow("first"), Slow("second"));
        assert_eq!(ready(future), 25);
    });
    // An async block drops its captures in the order in which the block mentions them.
    inside("boxed", ["first", "second"], &|| {
        assert_eq!(ready(boxed(Slow("first"), Slow("second"))), 25);
    });
}

#[test]
fn what_is_dropped_last_in_a_body_is_in_its_budget() {
    let _one = one_at_a_time();
    on_exceeded(OnExceeded::Mark);
    let marks = |work: &dyn Fn()| {
        let before = exceeded();
        let report = recorded(work);
        assert_eq!(exceeded() - before, 1);
        let marks = &report.calls[0].checkpoints;
        assert_eq!(marks.len(), 1);
        marks[0].name.clone()
    };
    let over = |count| format!("over budget: allocations {count}, at most 0");
    let two = || (Slow("first"), Slow("second"));
    let found = marks(&|| {
        let (first, second) = two();
        budgets::sync(first, second);
    });
    assert_eq!(found, over(6));
    let found = marks(&|| {
        let (first, second) = two();
        budgets::fallible(first, second).unwrap();
    });
    assert_eq!(found, over(6));
    let found = marks(&|| {
        let (first, second) = two();
        ready(budgets::asynchronous(first, second));
    });
    assert_eq!(found, over(12));
    let found = marks(&|| {
        let (first, second) = two();
        ready(budgets::boxed(first, second));
    });
    assert_eq!(found, over(12));
}

#[test]
fn everything_is_dropped_in_the_order_of_the_edition() {
    let _one = one_at_a_time();
    on_exceeded(OnExceeded::Mark);
    macro_rules! orders {
        ($module:ident) => {{
            let two = || (Slow("first"), Slow("second"));
            [
                dropped(|| {
                    let (first, second) = two();
                    $module::sync(first, second);
                }),
                dropped(|| {
                    let (first, second) = two();
                    $module::fallible(first, second).unwrap();
                }),
                dropped(|| {
                    let (first, second) = two();
                    ready($module::asynchronous(first, second));
                }),
                dropped(|| {
                    let (first, second) = two();
                    ready($module::boxed(first, second));
                }),
            ]
        }};
    }
    let expected = orders!(plain);
    assert_eq!(orders!(calls), expected);
    assert_eq!(orders!(budgets), expected);
}
