//! Counts of the requests that began and ended.

/// Counts of the requests of one name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestCounts {
    pub(crate) begun: u64,
    pub(crate) ended: EndedCounts,
}

impl RequestCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.begun += other.begun;
        self.ended.add(other.ended);
    }

    pub(crate) fn in_flight(self) -> u64 {
        self.begun.saturating_sub(self.ended.requests)
    }
}

/// Counts of the requests that ended, and of what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndedCounts {
    pub(crate) requests: u64,
    pub(crate) kept: u64,
    pub(crate) not_kept: u64,
    pub(crate) dropped: u64,
}

impl EndedCounts {
    pub(super) const NONE: Self = Self {
        requests: 0,
        kept: 0,
        not_kept: 0,
        dropped: 0,
    };
    /// One request that was kept.
    pub(crate) const KEPT: Self = Self {
        requests: 1,
        kept: 1,
        ..Self::NONE
    };
    /// One request that was not kept.
    pub(crate) const NOT_KEPT: Self = Self {
        requests: 1,
        not_kept: 1,
        ..Self::NONE
    };
    /// One request that was dropped.
    pub(crate) const DROPPED: Self = Self {
        requests: 1,
        dropped: 1,
        ..Self::NONE
    };

    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.kept += other.kept;
        self.not_kept += other.not_kept;
        self.dropped += other.dropped;
    }
}
