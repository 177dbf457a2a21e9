//! `#[budget]` on `async` functions and on functions that return a future.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use tracer::budget::{OnExceeded, exceeded, on_exceeded};
use tracer::{Outcome, Trace, budget, call, traced};

use crate::budgets::{first_lines, in_trace, panic_of, policy};
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::pause::pause;

#[budget(allocations <= 10, peak <= 300)]
async fn polled(count: u64, bytes: usize) -> u64 {
    let kept = std::hint::black_box(vec![0_u8; bytes]);
    pause(1).await;
    allocate(count - 1);
    pause(1).await;
    let more = std::hint::black_box(vec![0_u8; 100]);
    drop((kept, more));
    count
}

#[test]
fn an_async_function_counts_only_its_own_polls() {
    let _one = policy(OnExceeded::Panic);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let noise = async || {
        for _ in 0..50 {
            allocate(100);
            pause(1).await;
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
        pause(1).await;
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
        pause(1).await;
        allocate(count - 1);
        count
    }

    #[budget(allocations <= 5)]
    #[traced("{id}", err)]
    async fn load_first(&self, id: u64) -> Result<u64, String> {
        allocate(1);
        pause(1).await;
        allocate(id - 1);
        Err(String::new())
    }

    #[traced("{id}", err)]
    #[budget(allocations <= 5)]
    async fn load_second(&self, id: u64) -> Result<u64, String> {
        allocate(1);
        pause(1).await;
        allocate(id - 1);
        Err(String::new())
    }
}

impl Database {
    #[budget(allocations <= count)]
    fn boxed(&self, count: u64) -> Pin<Box<dyn Future<Output = u64> + '_>> {
        Box::pin(async move {
            pause(1).await;
            allocate(5);
            self.load(5).await
        })
    }

    #[expect(clippy::manual_async_fn, reason = "that is what it is about")]
    #[budget(allocations <= count)]
    fn unnamed(&self, count: u64) -> impl Future<Output = u64> + '_ {
        async move {
            pause(1).await;
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
    // The box of `load` is one more.
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
        pause(1).await;
        data.clone()
    }
    #[budget(bytes <= data.len() as u64)]
    fn copies_boxed(data: Vec<u8>) -> Pin<Box<dyn Future<Output = Vec<u8>>>> {
        Box::pin(async move {
            pause(1).await;
            data.clone()
        })
    }
    let _one = policy(OnExceeded::Panic);
    assert_eq!(run(copies(vec![1; 100])).len(), 100);
    assert_eq!(run(copies_boxed(vec![1; 100])).len(), 100);
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
