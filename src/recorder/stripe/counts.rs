//! Counts of the requests that began and ended.

use crate::recorder::queue::Refusal;
use crate::report::Outcome;

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

/// What became of a request that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Kept,
    NotKept,
    /// It should have been kept.
    Dropped(Refusal),
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Ok,
    Failed,
    Panicked,
    Cancelled,
    /// It was not recorded, because there was no memory.
    #[cfg_attr(
        not(any(feature = "metrics", feature = "tower")),
        expect(dead_code, reason = "seen by the layer")
    )]
    Unknown,
}

impl Ending {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok | Outcome::Running => Self::Ok,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Panicked => Self::Panicked,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// Counts of the requests that ended, and of what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndedCounts {
    pub(crate) requests: u64,
    pub(crate) kept: u64,
    pub(crate) not_kept: u64,
    dropped: [u64; 3],
    #[cfg(feature = "metrics")]
    endings: [u64; 5],
}

impl EndedCounts {
    /// Counts a request.
    pub(super) fn count(&mut self, fate: Fate, ending: Ending) {
        self.requests += 1;
        #[cfg(feature = "metrics")]
        {
            self.endings[ending as usize] += 1;
        }
        #[cfg(not(feature = "metrics"))]
        let _ = ending;
        match fate {
            Fate::Kept => self.kept += 1,
            Fate::NotKept => self.not_kept += 1,
            Fate::Dropped(why) => self.dropped[why as usize] += 1,
        }
    }

    /// Returns how many requests were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Returns how many requests were dropped for this reason.
    #[cfg(feature = "metrics")]
    pub(crate) fn dropped_by(&self, why: Refusal) -> u64 {
        self.dropped[why as usize]
    }

    /// Returns how many requests ended like this.
    #[cfg(feature = "metrics")]
    pub(crate) fn ended_as(&self, ending: Ending) -> u64 {
        self.endings[ending as usize]
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.kept += other.kept;
        self.not_kept += other.not_kept;
        for (sum, more) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += more;
        }
        #[cfg(feature = "metrics")]
        for (sum, more) in self.endings.iter_mut().zip(other.endings) {
            *sum += more;
        }
    }
}
