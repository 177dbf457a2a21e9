//! Readings of counters and clock, and the usage between two of them.
//!
//! Four distinct types: a [`ThreadReading`] minus an [`Offset`] is a strand's [`Reading`], and a reading
//! minus an earlier one is a [`Usage`].

use alloc_counter::Counts;

/// A thread's counters and clock at one moment, with the highest level since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadReading {
    pub(crate) counts: Counts,
    pub(crate) ticks: u64,
    /// Live bytes of the thread.
    pub(crate) peak: i64,
}

/// A strand's counters and clock at one moment, with the highest level since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) counts: Counts,
    pub(crate) ticks: u64,
    /// Live bytes of the strand.
    pub(crate) peak: i64,
}

/// By how much a thread's readings exceed those of the strand that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) counts: Counts,
    pub(crate) ticks: u64,
}

/// The usage of a call: heap, time on a thread, and the highest live level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) counts: Counts,
    /// In ticks.
    pub(crate) busy: u64,
    /// In bytes, above the level at the start.
    pub(crate) peak: i64,
}

/// A running call's reading at its start, as its record holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Until the strand is left for the first time since the call was opened or resumed.
    OfThread(ThreadReading),
    OfStrand(Reading),
}

/// The figures in a call's record: the reading at the call's start while it runs, its usage otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figures<S = Start> {
    Started(S),
    Used(Usage),
}

impl Start {
    pub(crate) fn is_of_thread(self) -> bool {
        matches!(self, Self::OfThread(_))
    }
}

impl ThreadReading {
    /// Counters and clock at one moment; the peak is the level then.
    #[inline]
    pub(crate) fn new(counts: Counts, ticks: u64) -> Self {
        let peak = counts.net_bytes();
        Self {
            counts,
            ticks,
            peak,
        }
    }

    /// Returns the strand's reading.
    #[inline]
    pub(crate) fn to_strand(self, offset: Offset) -> Reading {
        Reading {
            counts: self.counts - offset.counts,
            ticks: self.ticks.wrapping_sub(offset.ticks),
            peak: self.peak.wrapping_sub(offset.level()),
        }
    }

    /// Returns the offset at which a strand has this reading while its thread has `self`.
    #[inline]
    pub(crate) fn offset_from(self, strand: Reading) -> Offset {
        Offset {
            counts: self.counts - strand.counts,
            ticks: self.ticks.wrapping_sub(strand.ticks),
        }
    }
}

impl Offset {
    /// Returns the offset of the live bytes.
    #[inline]
    pub(crate) fn level(self) -> i64 {
        self.counts.net_bytes()
    }
}

impl Reading {
    /// Counters and clock at one moment; the peak is the level then.
    #[inline]
    pub(crate) fn new(counts: Counts, ticks: u64) -> Self {
        let peak = counts.net_bytes();
        Self {
            counts,
            ticks,
            peak,
        }
    }

    /// Returns the thread's reading.
    pub(crate) fn to_thread(self, offset: Offset) -> ThreadReading {
        ThreadReading {
            counts: self.counts + offset.counts,
            ticks: self.ticks.wrapping_add(offset.ticks),
            peak: self.peak.wrapping_add(offset.level()),
        }
    }

    /// Returns the usage since an earlier reading.
    #[inline]
    pub(crate) fn since(self, start: Self) -> Usage {
        Usage {
            counts: self.counts - start.counts,
            busy: self.ticks.wrapping_sub(start.ticks),
            peak: self.peak_above(start),
        }
    }

    /// Returns the least usage since the start, which may be later than this reading.
    pub(crate) fn saturating_since(self, start: Self) -> Usage {
        Usage {
            counts: self.counts.saturating_sub(start.counts),
            busy: self.ticks.saturating_sub(start.ticks),
            peak: self.peak_above(start),
        }
    }

    #[inline]
    fn peak_above(self, start: Self) -> i64 {
        let peak = self.peak.max(start.peak);
        peak.wrapping_sub(start.counts.net_bytes())
    }

    /// Returns the start since which this would have been used at this reading.
    pub(crate) fn start_for(self, used: Usage) -> Self {
        let counts = self.counts - used.counts;
        Self {
            counts,
            ticks: self.ticks.wrapping_sub(used.busy),
            peak: counts.net_bytes().wrapping_add(used.peak),
        }
    }
}

impl Figures<Reading> {
    /// Returns the call's usage until this reading, which may be older than its start.
    pub(crate) fn used_at(self, reading: Reading) -> Usage {
        match self {
            Self::Started(start) => reading.saturating_since(start),
            Self::Used(used) => used,
        }
    }
}
