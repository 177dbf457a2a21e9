//! Reads another thread's counters.

use crate::counts::Counts;
use crate::slot::Slot;

/// Handle to a thread's counters that any thread may read at any time; returned by
/// [`Local::remote`](crate::Local::remote).
#[derive(Clone, Copy)]
pub struct Remote {
    slot: &'static Slot,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    #[inline]
    pub(crate) const fn new(slot: &'static Slot) -> Self {
        Self { slot }
    }

    /// Returns the totals, as [`Local::counts`](crate::Local::counts) on that thread, and the highest
    /// level since its last boundary. `None` if the counters no longer belong to the thread with this
    /// number.
    ///
    /// The totals are read one by one, so a concurrent operation may be in some of them.
    pub fn read(self, thread: u64) -> Option<(Counts, i64)> {
        self.slot.read_of(thread)
    }
}
