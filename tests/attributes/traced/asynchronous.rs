//! `async fn`s.

use std::fmt::Debug;
use std::future::Future;

use tokio::task::yield_now;
use tracer::{Outcome, Trace, traced};

use super::{Refused, block_on, lines, record, record_async};

#[traced]
async fn unit() {
    yield_now().await;
}

#[traced("{text}", len = text.len())]
async fn borrows(text: &str, times: usize) -> String {
    yield_now().await;
    let mut repeated = String::new();
    for _ in 0..times {
        repeated += text;
    }
    repeated
}

#[traced]
async fn outer() -> String {
    unit().await;
    borrows("ab", 2).await
}

#[test]
fn awaited_functions_are_nested_calls() {
    let (value, report) = record_async(outer());
    assert_eq!(value, "abab");
    let expected = ["outer", "unit < outer", "borrows [ab] len=2 < outer"];
    assert_eq!(lines(&report), expected);
}

#[test]
fn a_call_starts_at_the_first_poll() {
    let ((), report) = record(|| drop(unit()));
    assert!(report.calls.is_empty());
}

#[test]
fn without_a_trace_it_still_works() {
    assert_eq!(block_on(outer()), "abab");
}

#[traced(err)]
async fn checks(value: u32) -> Result<u32, Refused> {
    yield_now().await;
    if value == 1 {
        return Err(Refused(1));
    }
    Ok(value)
}

#[traced(err)]
async fn forwards(value: u32) -> Result<Box<dyn Debug>, Box<dyn std::error::Error>> {
    if value == 9 {
        return Err("nine".into());
    }
    let value = checks(value).await?;
    Ok(Box::new(value))
}

#[test]
fn an_error_fails_the_call() {
    let ((), report) = record_async(async {
        assert!(forwards(0).await.is_ok());
        assert!(forwards(1).await.is_err());
        assert!(forwards(9).await.is_err());
    });
    let expected = [
        "forwards",
        "checks < forwards",
        r#"forwards: Failed("refused 1")"#,
        r#"checks < forwards: Failed("refused 1")"#,
        r#"forwards: Failed("nine")"#,
    ];
    assert_eq!(lines(&report), expected);
}

#[traced]
async fn returns_early(value: Option<u32>) -> Option<u32> {
    let value = value?;
    if value == 0 {
        return None;
    }
    yield_now().await;
    Some(value)
}

#[test]
fn an_early_return_stops_the_call() {
    let (values, report) = record_async(async {
        [
            returns_early(None).await,
            returns_early(Some(0)).await,
            returns_early(Some(1)).await,
        ]
    });
    assert_eq!(values, [None, None, Some(1)]);
    assert_eq!(lines(&report), ["returns_early"; 3]);
}

#[traced]
async fn opaque<T: Clone>(items: &[T], count: usize) -> impl Iterator<Item = T> + '_ {
    yield_now().await;
    items.iter().take(count).cloned()
}

#[traced(err)]
async fn opaque_or_error(
    items: Vec<u32>,
) -> Result<impl Iterator<Item = u32>, Box<dyn std::error::Error>> {
    if items.is_empty() {
        return Err(Box::new(Refused(0)));
    }
    Ok(items.into_iter())
}

#[traced]
async fn spawns(value: u32) -> tokio::task::JoinHandle<u32> {
    tokio::spawn(std::future::ready(value))
}

#[test]
fn opaque_results_and_futures_as_results() {
    let ((), report) = record_async(async {
        assert_eq!(opaque(&["a", "b"], 1).await.collect::<Vec<_>>(), ["a"]);
        assert_eq!(opaque_or_error(vec![1]).await.unwrap().count(), 1);
        assert!(opaque_or_error(vec![]).await.is_err());
        assert_eq!(spawns(1).await.await.unwrap(), 1);
    });
    let expected = [
        "opaque",
        "opaque_or_error",
        r#"opaque_or_error: Failed("refused 0")"#,
        "spawns",
    ];
    assert_eq!(lines(&report), expected);
}

#[traced(n = n)]
async fn countdown(n: u32) -> u32 {
    if n == 0 {
        return 0;
    }
    1 + Box::pin(countdown(n - 1)).await
}

#[test]
fn boxed_recursion_nests() {
    let (value, report) = record_async(countdown(2));
    assert_eq!(value, 2);
    let expected = [
        "countdown n=2",
        "countdown n=1 < countdown",
        "countdown n=0 < countdown",
    ];
    assert_eq!(lines(&report), expected);
}

struct Store<T> {
    items: Vec<T>,
}

trait Load {
    fn load(&self) -> impl Future<Output = usize> + Send;
}

impl<T: Sync> Load for Store<T> {
    #[traced]
    async fn load(&self) -> usize {
        yield_now().await;
        self.items.len()
    }
}

impl<T: Clone> Store<T> {
    #[traced("{}", self.items.len())]
    async fn first(&self) -> &T {
        yield_now().await;
        &self.items[0]
    }

    #[traced(err)]
    async fn first_mut(&mut self, fallback: T) -> Result<&mut T, Refused> {
        yield_now().await;
        if self.items.is_empty() {
            self.items.push(fallback);
        }
        self.items.first_mut().ok_or(Refused(0))
    }

    #[traced]
    async fn into_items<U: From<T>, const N: usize>(mut self, extra: [T; N]) -> Vec<U> {
        self.items.extend(extra);
        yield_now().await;
        self.items.into_iter().map(U::from).collect()
    }
}

#[test]
fn methods() {
    let ((), report) = record_async(async {
        let mut store = Store::<u8> { items: vec![] };
        *store.first_mut(1).await.unwrap() += 1;
        assert_eq!(*store.first().await, 2);
        assert_eq!(store.load().await, 1);
        assert_eq!(store.into_items::<u64, 1>([3]).await, [2, 3]);
    });
    let expected = ["first_mut", "first [1]", "load", "into_items"];
    assert_eq!(lines(&report), expected);
}

#[test]
fn a_dropped_future_is_cancelled() {
    #[traced]
    async fn waits() {
        std::future::pending().await
    }

    let trace = Trace::new();
    {
        let mut future = Box::pin(trace.instrument(waits()));
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
    assert_eq!(block_on(send(borrows("a", 1))), "a");
    assert_eq!(block_on(send(countdown(1))), 1);
    assert_eq!(block_on(send(checks(2))), Ok(2));
}
