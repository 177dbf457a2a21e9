//! Functions that are not `async` and return a future, such as the expansions of `#[async_trait]`.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;

use async_trait::async_trait;
use tokio::task::yield_now;
use tracer::{Outcome, Trace, traced};

use super::{Refused, block_on, lines, record, record_async};
use crate::pause::pause;

/// Allocates `count` times, half of them after an `.await`.
async fn allocate(count: usize) {
    for _ in 0..count / 2 {
        drop(black_box(Box::new(0)));
    }
    pause(1).await;
    for _ in 0..count - count / 2 {
        drop(black_box(Box::new(0)));
    }
}

#[async_trait]
trait Store: Sync {
    async fn load(&self, id: u64, name: String) -> usize;
    async fn checks(&mut self, value: u32) -> Result<u32, Refused>;

    /// A default body is boxed in the trait, not in the implementation.
    #[traced("{id}", shelf = self.shelf())]
    async fn twice(&self, id: u64) -> usize {
        self.load(id, String::new()).await + self.load(id, String::new()).await
    }

    fn shelf(&self) -> u32;
}

struct Shelf {
    number: u32,
}

#[async_trait]
impl Store for Shelf {
    #[traced("{id}/{name}", shelf = self.number, length = name.len())]
    async fn load(&self, id: u64, name: String) -> usize {
        allocate(100).await;
        assert_eq!(id, 7);
        name.len()
    }

    #[traced(err, "{value}")]
    async fn checks(&mut self, value: u32) -> Result<u32, Refused> {
        self.number += 1;
        if value == 1 {
            return Err(Refused(value));
        }
        yield_now().await;
        Ok(self.number)
    }

    fn shelf(&self) -> u32 {
        self.number
    }
}

#[test]
fn an_async_trait_method_is_a_call_with_its_own_figures() {
    let shelf = Shelf { number: 3 };
    let (length, report) = record_async(shelf.load(7, "abc".to_owned()));
    assert_eq!(length, 3);
    assert_eq!(lines(&report), ["load [7/abc] shelf=3 length=3"]);
    assert_eq!(report.calls[0].total.unwrap().allocates(), 100);
}

#[test]
fn async_trait_methods_nest_and_fail() {
    let ((), report) = record_async(async {
        let mut shelf = Shelf { number: 3 };
        let store: &mut dyn Store = &mut shelf;
        assert_eq!(store.twice(7).await, 0);
        assert_eq!(store.checks(0).await, Ok(4));
        assert_eq!(store.checks(1).await, Err(Refused(1)));
    });
    let expected = [
        "twice [7] shelf=3",
        "load [7/] shelf=3 length=0 < twice",
        "load [7/] shelf=3 length=0 < twice",
        "checks [0]",
        r#"checks [1]: Failed("refused 1")"#,
    ];
    assert_eq!(lines(&report), expected);
}

struct Pool {
    rows: Vec<String>,
}

impl Pool {
    #[traced]
    fn borrows(&self) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(async move {
            allocate(10).await;
            self.rows.len()
        })
    }

    #[traced("{}", id.0, err)]
    fn prepares(&self, id: (u32,)) -> Pin<Box<dyn Future<Output = Result<String, Refused>>>> {
        let rows = self.rows.clone();
        std::boxed::Box::pin(async move {
            pause(1).await;
            rows.into_iter().next().ok_or(Refused(0))
        })
    }

    #[expect(clippy::manual_async_fn, reason = "that is what it is about")]
    #[traced]
    fn unnamed(&self, count: usize) -> impl Future<Output = usize> + '_ {
        async move {
            allocate(count).await;
            self.rows.len()
        }
    }
}

#[test]
fn a_future_at_the_end_of_a_body_is_in_the_call() {
    let pool = Pool {
        rows: vec!["row".to_owned()],
    };
    let ((), report) = record_async(async {
        assert_eq!(pool.borrows().await, 1);
        assert_eq!(pool.prepares((1,)).await.unwrap(), "row");
        assert_eq!(pool.unnamed(20).await, 1);
        let empty = Pool { rows: Vec::new() };
        assert!(empty.prepares((2,)).await.is_err());
    });
    let expected = [
        "borrows",
        "prepares [1]",
        "unnamed",
        r#"prepares [2]: Failed("refused 0")"#,
    ];
    assert_eq!(lines(&report), expected);
    let counts = report.calls.iter().map(|it| it.total.unwrap().allocates());
    // Code before the future belongs to the caller, and the error's message is counted.
    assert_eq!(counts.take(3).collect::<Vec<_>>(), [10, 0, 20]);
}

#[test]
fn its_call_begins_with_the_first_poll() {
    let pool = Pool { rows: Vec::new() };
    let ((), report) = record(|| drop(pool.borrows()));
    assert!(report.calls.is_empty());

    let trace = Trace::new();
    {
        let mut future = Box::pin(trace.instrument(pool.borrows()));
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(trace.report().calls[0].outcome, Outcome::Cancelled);
}

#[test]
fn it_is_as_send_as_it_was() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let pool = Pool { rows: Vec::new() };
    assert_eq!(block_on(send(pool.borrows())), 0);
    assert_eq!(block_on(send(pool.unnamed(1))), 0);
}
