//! Futures that are pending now and then.

use std::task::Poll;

use crate::common::allocate;

/// Pending so many times, and ready to be polled again at once. (Tokio's own `yield_now` may
/// allocate, and would be counted.)
pub(crate) async fn pause(times: u32) {
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Allocates once between any two of its many polls.
pub(crate) async fn step(count: u32) {
    for _ in 0..count {
        allocate(1);
        pause(1).await;
    }
}
