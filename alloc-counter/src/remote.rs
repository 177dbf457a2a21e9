//! Another thread's counters.

use crate::counts::Counts;
use crate::slot::Slot;

/// A thread's counters, to be read from any thread at any time: see
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

    /// The totals, as [`Local::counts`](crate::Local::counts) has them on that thread, and the
    /// highest level since its last boundary. `None` where the counters are no longer those of the
    /// thread with this number.
    ///
    /// The totals are read one after the other, so an operation in between may be in some of them.
    pub fn read(self, thread: u64) -> Option<(Counts, i64)> {
        self.slot.read_of(thread)
    }
}
