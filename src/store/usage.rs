//! What a call uses.

use alloc_counter::Counts;

/// What a call uses: heap, time on a thread, and the highest live level.
///
/// At rest these are amounts. While the call runs they are readings at its start, of its thread or
/// of its strand, so that the amounts so far are the same readings now minus these; the peak is
/// then a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) counts: Counts,
    /// In ticks.
    pub(crate) busy: u64,
    /// In bytes: a level of the thread or strand, or above the level at the start.
    pub(crate) peak: i64,
}

impl Figures {
    /// Counters and clock at one moment; the peak is the level then.
    #[inline]
    pub(crate) fn reading(counts: Counts, now: u64) -> Self {
        Self {
            counts,
            busy: now,
            peak: counts.net_bytes(),
        }
    }

    /// What was used between two readings.
    #[inline]
    pub(crate) fn since(self, start: Self) -> Self {
        Self {
            counts: self.counts - start.counts,
            busy: self.busy.wrapping_sub(start.busy),
            peak: self
                .peak
                .max(start.peak)
                .wrapping_sub(start.counts.net_bytes()),
        }
    }

    /// Readings of a thread as those of the strand that it runs, or, with the sum instead of the
    /// difference, the other way round.
    #[inline]
    pub(crate) fn minus(self, offset: Self) -> Self {
        Self {
            counts: self.counts - offset.counts,
            busy: self.busy.wrapping_sub(offset.busy),
            peak: self.peak.wrapping_sub(offset.peak),
        }
    }

    pub(crate) fn plus(self, offset: Self) -> Self {
        Self {
            counts: self.counts + offset.counts,
            busy: self.busy.wrapping_add(offset.busy),
            peak: self.peak.wrapping_add(offset.peak),
        }
    }

    /// What was used at least, where this reading may be older than the start.
    pub(crate) fn since_at_most(self, start: Self) -> Self {
        Self {
            counts: self.counts.saturating_sub(start.counts),
            busy: self.busy.saturating_sub(start.busy),
            peak: self
                .peak
                .max(start.peak)
                .wrapping_sub(start.counts.net_bytes()),
        }
    }

    /// The start from which, at this reading, so much would have been used.
    pub(crate) fn start_for(self, used: Self) -> Self {
        let counts = self.counts - used.counts;
        Self {
            counts,
            busy: self.busy.wrapping_sub(used.busy),
            peak: counts.net_bytes().wrapping_add(used.peak),
        }
    }
}
