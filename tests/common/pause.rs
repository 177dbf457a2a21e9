//! A future that is pending for a while.

use std::task::Poll;

/// Returns `Pending` `times` times, and each time asks to be polled again at once.
///
/// Tokio's `yield_now` may allocate, which would be counted.
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
