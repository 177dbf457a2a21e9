//! Figures of one window of time: of whole requests, and of the calls of one path.

use std::time::Duration;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::primitives::fallible::Boxed;
use crate::read::summary::{StoppedCall, Sums};
use crate::report::{Outcome, Percentiles};

use super::quota::Quota;
use super::sketch::Sketch;

/// Figures of whole requests, in one window.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestsInWindow {
    pub(super) count: u64,
    pub(super) failed: u64,
    pub(super) panicked: u64,
    pub(super) cancelled: u64,
    pub(super) total: Counts,
    /// In nanoseconds.
    pub(super) wall: Sketch,
    pub(super) allocates: Sketch,
    pub(super) bytes: Sketch,
    /// The bytes that a request keeps; 0 if it freed more.
    pub(super) net_bytes: Sketch,
}

impl RequestsInWindow {
    #[cold]
    pub(super) fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok | Outcome::Running => {}
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Panicked => self.panicked += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }

    /// Returns how many bytes the bins take.
    pub(super) fn bytes(&self) -> usize {
        self.wall.bytes() + self.allocates.bytes() + self.bytes.bytes() + self.net_bytes.bytes()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.panicked += other.panicked;
        self.cancelled += other.cancelled;
        self.total += other.total;
        self.wall.add(&other.wall);
        self.allocates.add(&other.allocates);
        self.bytes.add(&other.bytes);
        self.net_bytes.add(&other.net_bytes);
    }
}

/// Figures of the calls of one path, in one window. Times are in ticks.
#[derive(Debug, Default)]
pub(super) struct CallsInWindow {
    pub(super) sums: Sums,
    /// How many requests had such a call.
    pub(super) requests: u64,
    /// For each of these requests: the number of such calls, their summed time, and how often they allocated.
    pub(super) per_request: Sketch,
    wall: Sketch,
    pub(super) allocates: Sketch,
    /// The bytes that these calls kept.
    pub(super) kept: KeptBytes,
}

impl CallsInWindow {
    /// Adds the sums of one request's calls.
    #[cold]
    #[inline(never)]
    pub(super) fn add_request(&mut self, of_request: &Sums, memory: &mut Memory<'_>) {
        self.sums.add(of_request);
        let Sums {
            calls, wall, total, ..
        } = *of_request;
        // Folded calls that are still open are none yet.
        if calls > 0 {
            self.count_times(calls, wall, memory);
            self.count_counts(&total, memory);
        }
    }

    /// Adds the only call of one request, as [`add_request`](Self::add_request) does. Many calls allocate and free
    /// nothing: then there is nothing to add but times.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for each path of each request")]
    pub(super) fn add_call(&mut self, call: StoppedCall, memory: &mut Memory<'_>) {
        let times = call.times();
        self.sums.add_times(&times);
        self.count_times(1, times.wall, memory);
        if call.has_counts() {
            self.add_counts_of(call, memory);
        } else {
            self.allocates.add_zeros(1);
        }
    }

    // Out of line, so that the rest needs few registers.
    #[inline(never)]
    fn add_counts_of(&mut self, call: StoppedCall, memory: &mut Memory<'_>) {
        let (total, peak_bytes) = call.counts();
        self.sums.add_counts(total, peak_bytes);
        self.count_counts(&total, memory);
    }

    /// Counts a request with this many calls, which took this many ticks.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for each path of each request")]
    fn count_times(&mut self, calls: u64, wall: u64, memory: &mut Memory<'_>) {
        self.requests += 1;
        if !self.per_request.record_like_last_within(calls) {
            memory.extend(&mut self.per_request, calls);
        }
        if !self.wall.record_within(wall) {
            memory.extend(&mut self.wall, wall);
        }
    }

    /// Counts what a request's calls allocated and kept.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for each path of each request")]
    fn count_counts(&mut self, total: &Counts, memory: &mut Memory<'_>) {
        let allocates = total.allocates();
        if !self.allocates.record_like_last_within(allocates) {
            memory.extend(&mut self.allocates, allocates);
        }
        if !self.kept.record(total.net_bytes(), memory.quota) {
            memory.has_run_out = true;
        }
    }

    /// Counts this many requests that had no such call.
    pub(super) fn add_without(&mut self, requests: u64) {
        self.requests += requests;
        self.per_request.add_zeros(requests);
        self.wall.add_zeros(requests);
        self.allocates.add_zeros(requests);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        self.requests += other.requests;
        self.per_request.add(&other.per_request);
        self.wall.add(&other.wall);
        self.allocates.add(&other.allocates);
        self.kept.merge(&other.kept);
    }

    /// Returns how many bytes the bins take.
    pub(super) fn bytes(&self) -> usize {
        let bins = self.per_request.bytes() + self.wall.bytes() + self.allocates.bytes();
        bins + self.kept.bytes()
    }

    /// Returns the percentiles of the calls' time, of all requests that are counted; `None` if they are not known.
    pub(super) fn wall(&self) -> Option<Percentiles<Duration>> {
        Some(self.wall.percentiles()?.map(clock::duration))
    }

    /// Returns the percentiles of the bytes that the calls kept, of all requests that are counted; `None` if they
    /// are not known.
    pub(super) fn kept_bytes(&self) -> Option<Percentiles<u64>> {
        self.kept.percentiles(self.requests)
    }
}

/// The memory for the figures of calls.
pub(super) struct Memory<'a> {
    quota: &'a mut Quota,
    has_run_out: bool,
}

impl<'a> Memory<'a> {
    pub(super) fn of(quota: &'a mut Quota) -> Self {
        Self {
            quota,
            has_run_out: false,
        }
    }

    /// Counts a value for whose bin memory must be taken.
    #[cold]
    fn extend(&mut self, sketch: &mut Sketch, value: u64) {
        self.has_run_out |= !sketch.extend(value, self.quota);
    }

    /// Returns whether there was none for some figure, and forgets that.
    #[inline]
    pub(super) fn take_has_run_out(&mut self) -> bool {
        self.has_run_out && std::mem::take(&mut self.has_run_out)
    }
}

/// The bytes that the calls of one path kept, by request.
///
/// Calls of most paths free all that they allocate. So only requests that kept something are added: of the others, the
/// number follows from that of all requests, and a path without the former takes no memory.
#[derive(Debug, Default)]
pub(super) enum KeptBytes {
    #[default]
    Nothing,
    Something(Boxed<Sketch>),
    /// There was no memory for the first one.
    Unknown,
}

impl KeptBytes {
    /// Adds the bytes that a request kept; nothing if it freed as many or more. Returns `false` if there is no memory
    /// for them.
    #[inline]
    fn record(&mut self, net_bytes: i64, quota: &mut Quota) -> bool {
        if net_bytes <= 0 {
            return true;
        }
        let bytes = net_bytes.cast_unsigned();
        if let Self::Something(sketch) = self {
            return sketch.record_like_last(bytes, quota);
        }
        self.record_first(bytes, quota)
    }

    #[cold]
    fn record_first(&mut self, bytes: u64, quota: &mut Quota) -> bool {
        { self.sketch(quota) }.is_some_and(|sketch| sketch.record(bytes, quota))
    }

    /// Returns the figures of the requests that kept something; `None` if there is no memory for them.
    fn sketch(&mut self, quota: &mut Quota) -> Option<&mut Sketch> {
        if matches!(self, Self::Nothing) {
            *self = Self::made(quota).map_or(Self::Unknown, Self::Something);
        }
        match self {
            Self::Something(sketch) => Some(sketch),
            Self::Nothing | Self::Unknown => None,
        }
    }

    fn made(quota: &mut Quota) -> Option<Boxed<Sketch>> {
        let taken = quota.take(size_of::<Sketch>())?;
        let made = Boxed::new(Sketch::default()).ok()?;
        taken.keep();
        Some(made)
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::Nothing => {}
            Self::Something(other) => {
                if let Some(sketch) = self.sketch(&mut Quota::unlimited()) {
                    sketch.add(other);
                }
            }
            Self::Unknown => *self = Self::Unknown,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Unknown => 0,
            Self::Something(sketch) => size_of::<Sketch>() + sketch.bytes(),
        }
    }

    /// Returns the percentiles over this many requests; `None` if they are not known.
    fn percentiles(&self, requests: u64) -> Option<Percentiles<u64>> {
        let mut all = match self {
            Self::Nothing => Sketch::default(),
            Self::Something(sketch) => Sketch::clone(sketch),
            Self::Unknown => return None,
        };
        all.add_zeros(requests.saturating_sub(all.count()));
        all.percentiles()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kept: &KeptBytes, requests: u64) -> Option<(u64, u64, u64)> {
        let usual = kept.percentiles(requests)?;
        Some((usual.p50, usual.p95, usual.max))
    }

    #[test]
    fn kept_bytes_take_memory_if_there_are_any_and_without_it_are_unknown() {
        let mut kept = KeptBytes::default();
        let mut quota = Quota::new(size_of::<Sketch>() + size_of::<u32>());
        let most = quota.left();
        assert!(kept.record(0, &mut quota) && kept.record(-5, &mut quota));
        assert_eq!((kept.bytes(), quota.left()), (0, most));
        assert_eq!(figures(&kept, 2), Some((0, 0, 0)));
        assert!(kept.record(5, &mut quota) && kept.record(5, &mut quota));
        assert_eq!((kept.bytes(), quota.left()), (most, 0));
        assert_eq!(figures(&kept, 4), Some((0, 5, 5)));
        let mut other = KeptBytes::default();
        assert!(other.record(0, &mut quota));
        assert!(!other.record(7, &mut quota) && !other.record(7, &mut quota));
        assert_eq!((other.bytes(), figures(&other, 3)), (0, None));
        let mut all = KeptBytes::default();
        all.merge(&kept);
        assert_eq!(figures(&all, 3), Some((5, 5, 5)));
        all.merge(&other);
        all.merge(&kept);
        assert_eq!(figures(&all, 10), None);
    }
}
