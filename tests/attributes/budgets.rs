//! Budgets on functions: what is counted, every way out, and what follows.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use tracer::alloc::measure;
use tracer::budget::{OnExceeded, exceeded, on_exceeded};
use tracer::{Outcome, Report, Trace, budget, call, traced};

use crate::by_hand::{poll, run};
use crate::common::allocate;

/// What follows is said for the whole process: one test at a time.
fn policy(policy: OnExceeded) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_exceeded(policy);
    one
}

/// The text of the panic with which this ends; `None` where it returns.
fn panic_of<T>(work: impl FnOnce() -> T) -> Option<String> {
    let caught = catch_unwind(AssertUnwindSafe(work)).err()?;
    let text = caught.downcast::<String>().expect("a text");
    Some(*text)
}

/// The same without what differs from run to run: the tree's times, and where threads have names.
fn first_lines(text: Option<String>) -> Vec<String> {
    let text = text.expect("a panic");
    text.lines().take(5).map(str::to_owned).collect()
}

fn in_trace<T>(work: impl FnOnce() -> T) -> (T, Report) {
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
fn within_its_budget_a_function_does_what_it_does() {
    let _one = policy(OnExceeded::Panic);
    assert_eq!(limited(12), 12);
    let (value, report) = in_trace(|| limited(12));
    assert_eq!(value, 12);
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["limited", "leaf"]);
    assert!(report.calls[0].checkpoints.is_empty());
}

#[test]
fn what_broke_it_is_told_with_the_tree() {
    let _one = policy(OnExceeded::Panic);
    let text = panic_of(|| limited(2000)).unwrap();
    let (head, tree) = text.split_once("\nwhat ran inside: trace ").unwrap();
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
    // Without a trace there is nothing to mark.
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
    // Still the one: what another test would count in between is not of this.
    on_exceeded(OnExceeded::Panic);
    for out in ["early", "x", "7"] {
        let lines = first_lines(panic_of(|| ways(out)));
        assert_eq!(lines[1], "  allocations   at most 1, but 2", "{out}");
    }
    // The function's own panic is the one that goes on; the budget is told on standard error.
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
    // What is marked inside is not of the calls around.
    assert_eq!((exceeded() - before, marked), (2, vec![1, 1, 0, 0, 0]));
}

#[budget(allocations <= 0)]
fn exceeds() {
    allocate(1);
}

/// What a budget's own panic allocates is no breach of the budgets around; and what begins while it
/// unwinds, or a panic that comes later, is judged as ever.
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
    // The one, and the one in the destructor.
    panic_of(|| {
        let _late = InDrop;
        exceeds();
    });
    assert_eq!(exceeded() - before, 3);
    // Unwinding itself allocates.
    assert!(catch_unwind(unwinds).is_err());
    assert_eq!(exceeded() - before, 4);
}

/// Around it only what the function did is seen: not its own trace.
#[test]
fn its_own_trace_is_in_nobodys_figures() {
    #[budget(allocations <= 1)]
    fn one() {
        allocate(1);
    }
    #[budget(allocations <= 1)]
    async fn one_later() {
        pause().await;
        allocate(1);
    }
    let _one = policy(OnExceeded::Panic);
    let measured = measure(|| {
        one();
        let mut future = pin!(one_later());
        while poll(future.as_mut()).is_pending() {}
    });
    assert_eq!(measured.counts, Some(crate::boxes::boxes(2)));
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

/// Gives way once; tokio's own `yield_now` allocates.
async fn pause() {
    let mut has_paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[budget(allocations <= 10, peak <= 300)]
async fn polled(count: u64, bytes: usize) -> u64 {
    let kept = std::hint::black_box(vec![0_u8; bytes]);
    pause().await;
    allocate(count - 1);
    pause().await;
    let more = std::hint::black_box(vec![0_u8; 100]);
    drop((kept, more));
    count
}

#[test]
fn an_async_function_counts_its_polls_whatever_runs_in_between() {
    let _one = policy(OnExceeded::Panic);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let noise = async || {
        for _ in 0..50 {
            allocate(100);
            pause().await;
        }
    };
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for round in 0..200 {
            // Exactly the budget: 1 + 8 + 1 requests, and 200 + 100 bytes at once.
            let trace = if round % 2 == 0 {
                Trace::new()
            } else {
                tracer::fetch()
            };
            tasks.spawn(trace.instrument(async move {
                let both = async { tokio::join!(polled(9, 200), noise()) };
                assert_eq!(both.await.0, 9);
            }));
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
    let over = |count, bytes| {
        let lines = first_lines(panic_of(|| runtime.block_on(polled(count, bytes))));
        [lines[1].clone(), lines[3].clone()]
    };
    assert_eq!(
        over(10, 201),
        [
            "  allocations   at most 10, but 11",
            "  peak bytes    at most 300, but 301"
        ]
    );
    let task = runtime.block_on(async { tokio::spawn(polled(10, 1)).await });
    assert!(task.unwrap_err().is_panic());
}

#[test]
fn a_future_that_is_dropped_half_way_is_checked() {
    #[budget(allocations <= 2)]
    async fn forever() {
        let _call = call!("inside");
        allocate(3);
        std::future::pending::<()>().await;
    }
    let _one = policy(OnExceeded::Mark);
    let before = exceeded();
    let poll = |trace: &Trace| {
        let mut future = Box::pin(trace.instrument(forever()));
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending);
        assert_eq!(exceeded() - before, 0);
    };
    let trace = Trace::new();
    poll(&trace);
    assert_eq!(exceeded() - before, 1);
    let report = trace.report();
    assert_eq!(report.calls[0].outcome, Outcome::Cancelled);
    assert_eq!(
        report.calls[0].checkpoints[0].name,
        "over budget: allocations 3, at most 2"
    );
    on_exceeded(OnExceeded::Panic);
    let text = panic_of(|| {
        let mut future = Box::pin(forever());
        let _ = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    });
    assert_eq!(first_lines(text)[1], "  allocations   at most 2, but 3");
    // Never polled: it did nothing.
    drop(forever());
    assert_eq!(exceeded() - before, 2);
}

#[test]
fn a_future_that_panics_is_checked_once() {
    #[budget(allocations <= 1)]
    async fn panics() {
        allocate(2);
        pause().await;
        std::panic::resume_unwind(Box::new("own"));
    }
    let _one = policy(OnExceeded::Panic);
    let before = exceeded();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let task = runtime.block_on(async { tokio::spawn(panics()).await });
    let panic = task.unwrap_err().into_panic();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "own");
    assert_eq!(exceeded() - before, 1);
}

#[async_trait]
trait Load {
    async fn load(&self, count: u64) -> u64;
    async fn load_first(&self, id: u64) -> Result<u64, String>;
    async fn load_second(&self, id: u64) -> Result<u64, String>;
}

struct Database;

#[async_trait]
impl Load for Database {
    #[budget(allocations <= 5)]
    async fn load(&self, count: u64) -> u64 {
        allocate(1);
        pause().await;
        allocate(count - 1);
        count
    }

    #[budget(allocations <= 5)]
    #[traced("{id}", err)]
    async fn load_first(&self, id: u64) -> Result<u64, String> {
        allocate(1);
        pause().await;
        allocate(id - 1);
        Err(String::new())
    }

    #[traced("{id}", err)]
    #[budget(allocations <= 5)]
    async fn load_second(&self, id: u64) -> Result<u64, String> {
        allocate(1);
        pause().await;
        allocate(id - 1);
        Err(String::new())
    }
}

impl Database {
    #[budget(allocations <= count)]
    fn boxed(&self, count: u64) -> Pin<Box<dyn Future<Output = u64> + '_>> {
        Box::pin(async move {
            pause().await;
            allocate(5);
            self.load(5).await
        })
    }

    #[expect(clippy::manual_async_fn, reason = "that is what it is about")]
    #[budget(allocations <= count)]
    fn unnamed(&self, count: u64) -> impl Future<Output = u64> + '_ {
        async move {
            pause().await;
            allocate(5);
            self.load(5).await
        }
    }
}

#[test]
fn a_future_that_is_returned_is_checked_as_it_is_polled() {
    let _one = policy(OnExceeded::Panic);
    assert_eq!(run(Database.load(5)), 5);
    let lines = first_lines(panic_of(|| run(Database.load(6))));
    assert!(lines[0].starts_with("load: "), "{lines:?}");
    assert_eq!(lines[1], "  allocations   at most 5, but 6");
    // One more is the box of `load`.
    assert_eq!(run(Database.boxed(11)), 5);
    let lines = first_lines(panic_of(|| run(Database.boxed(10))));
    assert_eq!(lines[1], "  allocations   at most 10, but 11");
    assert_eq!(run(Database.unnamed(11)), 5);
    let lines = first_lines(panic_of(|| run(Database.unnamed(10))));
    assert_eq!(lines[1], "  allocations   at most 10, but 11");
}

#[test]
fn beside_traced_in_either_order_an_async_trait_method_is_one_call() {
    let _one = policy(OnExceeded::Mark);
    let check = |work: &dyn Fn(u64)| {
        let before = exceeded();
        let ((), report) = in_trace(|| work(5));
        assert_eq!((exceeded() - before, report.calls.len()), (0, 1));
        let ((), report) = in_trace(|| work(6));
        assert_eq!(exceeded() - before, 1);
        let [call] = &report.calls[..] else {
            panic!("{report}");
        };
        assert_eq!(call.id.as_deref(), Some("6"));
        assert_eq!(call.outcome, Outcome::Failed(String::new()));
        assert_eq!(
            call.checkpoints[0].name,
            "over budget: allocations 6, at most 5"
        );
    };
    check(&|id| drop(run(Database.load_first(id))));
    check(&|id| drop(run(Database.load_second(id))));
}

#[test]
fn limits_of_a_future_may_use_arguments_that_move_into_it() {
    #[budget(bytes <= data.len() as u64)]
    async fn copies(data: Vec<u8>) -> Vec<u8> {
        pause().await;
        data.clone()
    }
    #[budget(bytes <= data.len() as u64)]
    fn copies_boxed(data: Vec<u8>) -> Pin<Box<dyn Future<Output = Vec<u8>>>> {
        Box::pin(async move {
            pause().await;
            data.clone()
        })
    }
    let _one = policy(OnExceeded::Panic);
    assert_eq!(run(copies(vec![1; 100])).len(), 100);
    assert_eq!(run(copies_boxed(vec![1; 100])).len(), 100);
}

/// The tracer's own rendering keeps to what it takes today.
#[test]
fn what_this_crate_allocates_to_write_a_report() {
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

#[budget(allocations <= numbers.len() as u64)]
async fn limited_by_its_argument(numbers: Vec<u32>) -> usize {
    allocate(3);
    numbers.len()
}

#[test]
fn a_limit_may_use_what_moves_into_the_future() {
    let _one = policy(OnExceeded::Panic);
    let mut run = pin!(limited_by_its_argument(vec![1, 2, 3]));
    assert_eq!(poll(run.as_mut()), Poll::Ready(3));
}
