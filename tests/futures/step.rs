//! A future that allocates while it goes on.

use crate::common::allocate;
use crate::pause::pause;

/// Allocates once in each of its `count` polls.
pub(crate) async fn step(count: u32) {
    for _ in 0..count {
        allocate(1);
        pause(1).await;
    }
}
