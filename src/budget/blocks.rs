//! Balanced budgets: follow each block that a trace allocates, and wait a bounded time until all are freed.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::task::Poll;
use std::time::{Duration, Instant};

use alloc_counter::{Blocks, Counts, Exceeded, Kept};

use crate::store::trace::Trace;

/// Long enough for a thread that has to free a block, but is not run on a busy machine.
const WAIT: Duration = Duration::from_secs(1);

/// Whether a budget is balanced, and then how long it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance(Option<Duration>);

impl Balance {
    pub(super) const NONE: Self = Self(None);
    pub(super) const EXACT: Self = Self(Some(WAIT));

    pub(super) const fn waits(self, at_most: Duration) -> Self {
        match self.0 {
            Some(_) => Self(Some(at_most)),
            None => self,
        }
    }

    /// Begins to follow what the trace allocates, if the budget is balanced. The trace has no strand yet.
    pub(super) fn follow(self, trace: &Trace) -> Following {
        Following(self.0.map(|wait| {
            let blocks = Blocks::follow();
            trace.follow_blocks(blocks.key());
            (blocks, wait)
        }))
    }
}

/// The blocks that a trace has allocated, and how long to wait until they are freed, if the budget is balanced.
pub(super) struct Following(Option<(Blocks, Duration)>);

impl Following {
    /// Waits until all blocks are freed.
    pub(super) fn wait(&self) {
        if let Some((blocks, wait)) = &self.0 {
            blocks.wait(*wait);
        }
    }

    /// Returns when all blocks are freed.
    ///
    /// Between its looks, the executor polls other tasks: one of them, on this thread, may have to free a block. It
    /// sets no timer, since an executor may have none.
    pub(super) async fn settled(&self) {
        let Some((blocks, wait)) = &self.0 else {
            return;
        };
        let mut begun = None;
        poll_fn(|context| {
            if blocks.is_settled() || begun.get_or_insert_with(Instant::now).elapsed() >= *wait {
                return Poll::Ready(());
            }
            // Other threads may have to run.
            std::thread::yield_now();
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Returns what was not freed until now.
    pub(super) fn left(&self) -> Left {
        Left(match &self.0 {
            None => Known::Nothing,
            Some((blocks, wait)) => match blocks.kept() {
                Some(kept) => Known::Kept(kept, *wait),
                None => Known::Lost,
            },
        })
    }
}

/// What is known of the blocks that were not freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left(Known);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// They were not followed.
    Nothing,
    /// Not all were followed.
    Lost,
    Kept(Kept, Duration),
}

impl Left {
    pub(super) const UNKNOWN: Self = Self(Known::Nothing);

    /// Checks what happened.
    pub(super) fn judge(
        self,
        limits: alloc_counter::Budget,
        place: &'static Location<'static>,
        counts: Option<Counts>,
    ) -> Result<(), Exceeded> {
        let bytes = match self.0 {
            Known::Nothing => return limits.judge(place, counts, None),
            Known::Lost => None,
            Known::Kept(kept, _) => Some(kept.bytes),
        };
        limits.judge_kept(place, counts, None, bytes)
    }

    pub(super) fn kept(self) -> Option<Kept> {
        match self.0 {
            Known::Kept(kept, _) => Some(kept),
            Known::Nothing | Known::Lost => None,
        }
    }
}

/// Writes a line of its own, or nothing.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Known::Nothing => Ok(()),
            Known::Kept(kept, _) if kept.blocks == 0 => Ok(()),
            Known::Kept(kept, Duration::ZERO) => write!(f, "\n  not freed: {kept}"),
            Known::Kept(kept, wait) => write!(f, "\n  not freed within {wait:?}: {kept}"),
            Known::Lost => f.write_str(
                "\n  what was kept can't be told: over 1,048,576 live blocks, no memory to note one, over 128 budgets \
                 at once, or a part of the trace was dropped",
            ),
        }
    }
}
