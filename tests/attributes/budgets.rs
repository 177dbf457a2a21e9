//! `#[budget]` on functions: what is counted, every way out of a function, and what a breach does.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tracer::alloc::measure;
use tracer::budget::{OnExceeded, exceeded, on_exceeded};
use tracer::{Outcome, Report, Trace, budget, call, traced};

use crate::boxes::boxes;
use crate::by_hand::poll;
use crate::common::allocate;
use crate::pause::pause;

/// Sets what a breach does. The policy is the process's, so only one test at a time holds it.
pub(crate) fn policy(policy: OnExceeded) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_exceeded(policy);
    one
}

/// Returns the message of the panic; `None` if `work` returns.
pub(crate) fn panic_of<T>(work: impl FnOnce() -> T) -> Option<String> {
    let caught = catch_unwind(AssertUnwindSafe(work)).err()?;
    let text = caught.downcast::<String>().expect("a text");
    Some(*text)
}

/// Returns the first lines, without the tree, whose times and threads differ from run to run.
pub(crate) fn first_lines(text: Option<String>) -> Vec<String> {
    let text = text.expect("a panic");
    text.lines().take(5).map(str::to_owned).collect()
}

pub(crate) fn in_trace<T>(work: impl FnOnce() -> T) -> (T, Report) {
    let trace = Trace::new();
    let scope = trace.inject();
    let value = work();
    drop(scope);
    (value, trace.report())
}

fn leaf(count: u64) {
    let _call = call!();
    allocate(count);
}

#[budget(allocations <= 12, bytes <= 1 KiB, peak <= 1)]
fn limited(count: u64) -> u64 {
    leaf(count);
    count
}

const LINE: u32 = line!() - 6;

#[test]
fn within_its_budget_a_function_behaves_as_before() {
    let _one = policy(OnExceeded::Panic);
    assert_eq!(limited(12), 12);
    let (value, report) = in_trace(|| limited(12));
    assert_eq!(value, 12);
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["limited", "leaf"]);
    assert!(report.calls[0].checkpoints.is_empty());
}

#[test]
fn the_panic_message_names_the_breach_and_has_the_tree() {
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(|| limited(2000)).unwrap();
    let (head, tree) = text.split_once("\nwhat ran inside: trace ").unwrap();
    // The lines are tested with the others.
    let (head, _) = head.split_once("\nallocated at ").unwrap();
    assert_eq!(
        head,
        format!(
            "\
limited: allocation budget exceeded at tests/attributes/budgets.rs:{LINE}:1
  allocations   at most 12, but 2000
  bytes         at most 1024, but 2000
  peak bytes    at most 1, and 1
  by 2000 allocations, 0 reallocations, 2000 deallocations, 2000 bytes allocated, 2000 bytes freed"
        )
    );
    assert!(tree.contains("  leaf @ "), "{tree}");
    assert!(tree.contains("2,000  2,000"), "{tree}");
    assert!(!tree.contains("limited"), "{tree}");
}

#[budget(allocations <= 0)]
async fn limited_future(polls: u32) {
    allocate(1);
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

const LINE_OF_FUTURE: u32 = line!() - 8;

#[test]
fn its_panic_is_at_the_attribute() {
    thread_local! {
        static PLACE: Cell<Option<(String, u32)>> = const { Cell::new(None) };
    }
    let _one = policy(OnExceeded::Panic);
    let before = std::panic::take_hook();
    // Other tests may panic meanwhile, on their own threads.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().unwrap();
        PLACE.set(Some((place.file().to_owned(), place.line())));
    }));
    let place_of = |work: &dyn Fn()| {
        let panicked = panic_of(work).is_some();
        (panicked, PLACE.take())
    };
    let places = [
        place_of(&|| assert_eq!(limited(13), 13)),
        place_of(&|| assert_eq!(poll(pin!(limited_future(0))), Poll::Ready(()))),
        // Dropped between two polls.
        place_of(&|| assert_eq!(poll(pin!(limited_future(1))), Poll::Pending)),
    ];
    std::panic::set_hook(before);
    let here = |line| (true, Some((file!().to_owned(), line)));
    assert_eq!(
        places,
        [here(LINE), here(LINE_OF_FUTURE), here(LINE_OF_FUTURE)]
    );
}

#[test]
fn in_a_trace_the_tree_is_that_of_the_function() {
    let _one = policy(OnExceeded::Panic);
    let (text, report) = in_trace(|| {
        let _around = call!("around");
        leaf(1);
        let text = panic_of(|| limited(13));
        leaf(1);
        text.unwrap()
    });
    let (_, tree) = text.split_once("\nwhat ran inside: trace ").unwrap();
    let shown: Vec<_> = tree
        .lines()
        .skip(2)
        .filter_map(|line| line.rsplit("  ").next())
        .collect();
    let thread = report.calls[0].thread.name.as_deref().unwrap();
    let number = report.calls[0].thread.number;
    assert_eq!(
        shown[..3],
        [
            &*format!("limited @ {thread} #{number}, running"),
            "├─ leaf",
            "└─ · over budget: allocations 13, at most 12",
        ],
        "{tree}"
    );
    let limited = report
        .calls
        .iter()
        .find(|call| call.name == "limited")
        .unwrap();
    assert_eq!(limited.outcome, Outcome::Panicked);
}

#[test]
fn in_production_the_call_is_marked_and_counted() {
    let _one = policy(OnExceeded::Mark);
    let before = exceeded();
    let (value, report) = in_trace(|| limited(2000));
    assert_eq!((value, exceeded() - before), (2000, 1));
    let call = &report.calls[0];
    let names: Vec<_> = call.checkpoints.iter().map(|it| &*it.name).collect();
    assert_eq!(
        names,
        ["over budget: allocations 2000, at most 12; bytes 2000, at most 1024"]
    );
    assert_eq!(call.outcome, Outcome::Ok);
    assert!(
        report
            .to_string()
            .contains("\tcheckpoint [over budget: allocations 2000, at most 12;")
    );
    // Without a trace there is no call to mark.
    assert_eq!((limited(13), exceeded() - before), (13, 2));
    assert_eq!((limited(12), exceeded() - before), (12, 2));
}

#[budget(allocations <= 1)]
fn ways(out: &str) -> Result<u8, std::num::ParseIntError> {
    allocate(2);
    match out {
        "early" => return Ok(1),
        "panic" => std::panic::resume_unwind(Box::new("own")),
        _ => {}
    }
    let number: u8 = out.parse()?;
    Ok(number)
}

#[test]
fn every_way_out_is_checked() {
    let _one = policy(OnExceeded::Mark);
    let before = exceeded();
    for (count, out) in ["early", "x", "7"].into_iter().enumerate() {
        let _ = ways(out);
        assert_eq!(exceeded() - before, 1 + count as u64, "{out}");
    }
    assert!(catch_unwind(|| ways("panic")).is_err());
    assert_eq!(exceeded() - before, 4);
    // Still holding `_one`, so no other test counts in between.
    on_exceeded(OnExceeded::Panic);
    for out in ["early", "x", "7"] {
        let lines = first_lines(panic_of(|| ways(out)));
        assert_eq!(lines[1], "  allocations   at most 1, but 2", "{out}");
    }
    // The function's own panic continues; the breach is printed to standard error.
    let caught = catch_unwind(|| ways("panic")).unwrap_err();
    assert_eq!(*caught.downcast::<&str>().unwrap(), "own");
    assert_eq!(exceeded() - before, 8);
}

#[test]
fn nested_budgets_and_recursion() {
    #[budget(allocations <= 3)]
    fn down(depth: u64) {
        allocate(1);
        if depth > 1 {
            down(depth - 1);
        }
    }
    #[budget(allocations <= 5)]
    fn outer() {
        allocate(2);
        down(3);
    }
    let _one = policy(OnExceeded::Mark);
    let before = exceeded();
    outer();
    assert_eq!(exceeded() - before, 0);
    let ((), report) = in_trace(|| down(5));
    let marked: Vec<_> = report
        .calls
        .iter()
        .map(|call| call.checkpoints.len())
        .collect();
    // A breach inside a call doesn't mark the calls around it.
    assert_eq!((exceeded() - before, marked), (2, vec![1, 1, 0, 0, 0]));
}

#[budget(allocations <= 0)]
fn exceeds() {
    allocate(1);
}

/// The allocations of a budget's own panic don't break the budgets around it. Budgets that begin while
/// it unwinds, and later panics, are checked as usual.
#[test]
fn the_panic_of_a_breach_breaks_no_other_budget() {
    #[budget(allocations <= 1)]
    fn around() {
        exceeds();
    }
    struct InDrop;
    impl Drop for InDrop {
        fn drop(&mut self) {
            exceeds();
        }
    }
    #[budget(allocations <= 0)]
    fn unwinds() {
        resume_unwind(Box::new(()));
    }
    let _one = policy(OnExceeded::Panic);
    let before = exceeded();
    let (text, report) = in_trace(|| panic_of(around));
    assert!(text.unwrap().starts_with("exceeds: "));
    let marks: Vec<_> = report.calls.iter().map(|it| it.checkpoints.len()).collect();
    assert_eq!((exceeded() - before, marks), (1, vec![0, 1]));
    // One breach by `exceeds`, one in the destructor.
    panic_of(|| {
        let _late = InDrop;
        exceeds();
    });
    assert_eq!(exceeded() - before, 3);
    // Unwinding itself allocates.
    assert!(catch_unwind(unwinds).is_err());
    assert_eq!(exceeded() - before, 4);
}

/// The counts around a function with a budget include its allocations, but not the budget's own trace.
#[test]
fn the_trace_of_a_budget_is_in_no_counts() {
    #[budget(allocations <= 1)]
    fn one() {
        allocate(1);
    }
    #[budget(allocations <= 1)]
    async fn one_later() {
        pause(1).await;
        allocate(1);
    }
    let _one = policy(OnExceeded::Panic);
    let measured = measure(|| {
        one();
        let mut future = pin!(one_later());
        while poll(future.as_mut()).is_pending() {}
    });
    assert_eq!(measured.counts, Some(boxes(2)));
    assert_eq!(measured.peak_bytes, Some(1));
}

#[test]
fn beside_traced_in_either_order_there_is_one_call() {
    #[budget(allocations <= 1)]
    #[traced(err, "{id}", rows = 2)]
    fn first(id: u8) -> Result<(), String> {
        allocate(2);
        Err("no".into())
    }
    #[traced(err, "{id}", rows = 2)]
    #[budget(allocations <= 1)]
    fn second(id: u8) -> Result<(), String> {
        allocate(2);
        Err("no".into())
    }
    let _one = policy(OnExceeded::Mark);
    for work in [first, second] {
        let (_, report) = in_trace(|| work(7));
        let [call] = &report.calls[..] else {
            panic!("{report}");
        };
        assert_eq!((call.id.as_deref(), call.labels.len()), (Some("7"), 1));
        assert_eq!(call.outcome, Outcome::Failed("no".into()));
        // The message of the error is one more.
        assert_eq!(
            call.checkpoints[0].name,
            "over budget: allocations 3, at most 1"
        );
    }
}

#[test]
fn methods_generics_and_limits_that_are_expressions() {
    const MOST: u64 = 2;
    struct Buffer<T>(Vec<T>);
    impl<T: Copy + Default> Buffer<T> {
        #[budget(allocations <= MOST - 1, bytes <= (size_of::<T>() * count) as u64)]
        fn fill(&mut self, count: usize) -> &mut [T] {
            self.0 = vec![T::default(); count];
            &mut self.0
        }
    }
    let _one = policy(OnExceeded::Panic);
    assert_eq!(Buffer(Vec::<u32>::new()).fill(10), [0_u32; 10]);
    assert_eq!(Buffer(vec![1_u8]).fill(100).len(), 100);
}

/// Rendering a report allocates no more than it does today.
#[test]
fn rendering_a_report_stays_within_its_budgets() {
    #[budget(allocations <= 10)]
    fn plain(report: &Report) -> String {
        report.to_string()
    }
    #[budget(allocations <= 0)]
    fn request() {
        for _ in 0..9 {
            call!("{}", 7).checkpoint("half way");
        }
    }
    let _one = policy(OnExceeded::Panic);
    let ((), report) = in_trace(request);
    let ((), _) = in_trace(request);
    assert_eq!(report.calls.len(), 10);
    assert_eq!(plain(&report).lines().count(), 20);
}
