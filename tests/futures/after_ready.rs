//! Futures polled after they were ready.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_util::stream::{self, Stream, StreamExt};
use tracer::{Outcome, Trace, call};

use crate::boxes::boxes;
use crate::by_hand::{poll, run};
use crate::common::allocate;
use crate::lines::{calls, calls_of};

/// A future that is ready at every poll.
struct Always;

impl Future for Always {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<u32> {
        allocate(1);
        Poll::Ready(7)
    }
}

#[test]
fn a_future_that_allows_it_is_polled_after_it_was_ready() {
    let trace = Trace::new();
    let mut instrumented = pin!(trace.instrument(Always));
    for _ in 0..3 {
        assert_eq!(poll(instrumented.as_mut()), Poll::Ready(7));
    }
    assert_eq!(trace.report().total, Some(boxes(3)));
    let scope = trace.inject();
    let around = call!("around");
    let mut in_call = pin!(call!("call").instrument(Always));
    for _ in 0..3 {
        assert_eq!(poll(in_call.as_mut()), Poll::Ready(7));
    }
    around.stop();
    drop(scope);
    // The call stopped when the future was ready, so later polls are not in it.
    assert_eq!(
        calls(&trace),
        ["around in -: 3, 2, Ok", "call in around: 1, 1, Ok"]
    );
}

#[test]
fn an_async_block_panics_as_usual_when_polled_after_it_was_ready() {
    fn message(work: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        (*payload.downcast_ref::<&str>().unwrap()).to_owned()
    }
    let trace = Trace::new();
    let mut bare = pin!(async {});
    let mut instrumented = pin!(trace.instrument(async { call!("first").stop() }));
    assert!(poll(bare.as_mut()).is_ready() && poll(instrumented.as_mut()).is_ready());
    let of_rust = message(|| assert!(poll(bare).is_ready()));
    assert_eq!(
        message(|| assert!(poll(instrumented.as_mut()).is_ready())),
        of_rust
    );
    assert!(tracer::fetch().is_empty());
    let scope = trace.inject();
    let around = call!("around");
    let mut in_call = pin!(call!("call").instrument(async { allocate(1) }));
    assert!(poll(in_call.as_mut()).is_ready());
    assert_eq!(
        message(|| assert!(poll(in_call.as_mut()).is_ready())),
        of_rust
    );
    let after = call!("after");
    allocate(2);
    after.stop();
    around.stop();
    drop(scope);
    let report = trace.report();
    let lines = calls_of(&report);
    assert_eq!(lines[0], "first in -: 0, 0, Ok");
    assert_eq!(
        lines[2..],
        ["call in around: 1, 1, Ok", "after in around: 2, 2, Ok"]
    );
    assert_eq!(
        (&report.calls[1].outcome, report.calls[1].partial),
        (&Outcome::Ok, false)
    );
}

#[test]
fn an_iterator_of_a_stream_polled_after_its_end() {
    let trace = Trace::new();
    run(trace.instrument(async {
        let call = call!("call");
        let mut stream = pin!(stream::iter([1]).fuse());
        while stream.next().await.is_some() {
            allocate(1);
        }
        assert!(stream.next().await.is_none());
        assert_eq!(stream.size_hint(), (0, Some(0)));
        call.stop();
    }));
    assert_eq!(calls(&trace), ["call in -: 1, 1, Ok"]);
}
