//! Figures of one window of time: of whole requests, and of the calls of one path.

use alloc_counter::Counts;

use crate::primitives::clock;

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

/// Figures of the calls of one path, in one window.
#[derive(Clone, Debug, Default)]
pub(super) struct CallsInWindow {
    /// Times are in ticks.
    pub(super) sums: Sums,
    /// For each request with such a call: the number of these calls, their summed time in nanoseconds,
    /// and how often they allocated.
    pub(super) per_request: Sketch,
    pub(super) wall: Sketch,
    pub(super) allocates: Sketch,
}

impl CallsInWindow {
    /// Adds one request that has such calls, which are in the sums. Returns `false` if there is no memory for
    /// all of its figures.
    #[inline]
    pub(super) fn add_request(&mut self, request: OfRequest, quota: &mut Quota) -> bool {
        let wall = clock::nanoseconds(request.wall);
        let calls_fit = self.per_request.record_like_last(request.calls, quota);
        let wall_fits = self.wall.record(wall, quota);
        let allocates_fit = self.allocates.record_like_last(request.allocates, quota);
        calls_fit && wall_fits && allocates_fit
    }

    /// Counts this many requests that had no such call.
    pub(super) fn add_without(&mut self, requests: u64) {
        self.per_request.add_zeros(requests);
        self.wall.add_zeros(requests);
        self.allocates.add_zeros(requests);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        self.per_request.add(&other.per_request);
        self.wall.add(&other.wall);
        self.allocates.add(&other.allocates);
    }

    /// Returns how many bytes the bins take.
    pub(super) fn bytes(&self) -> usize {
        self.per_request.bytes() + self.wall.bytes() + self.allocates.bytes()
    }
}

/// Figures of one request's calls of one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfRequest {
    pub(super) calls: u64,
    /// In ticks.
    wall: u64,
    allocates: u64,
}

impl OfRequest {
    #[inline]
    pub(super) fn add(&mut self, sums: &Sums) {
        self.calls += sums.calls;
        self.wall = self.wall.saturating_add(sums.wall);
        self.allocates += sums.total.allocates();
    }
}

/// Sums of several calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) cancelled: u64,
    pub(super) wall: u64,
    pub(super) busy: u64,
    pub(super) total: Counts,
    pub(super) peak_bytes: u64,
}

impl Sums {
    /// Returns the sums with times in nanoseconds instead of ticks.
    pub(super) fn in_nanoseconds(self) -> Self {
        Self {
            wall: clock::nanoseconds(self.wall),
            busy: clock::nanoseconds(self.busy),
            ..self
        }
    }

    #[inline]
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.cancelled += other.cancelled;
        self.wall = self.wall.saturating_add(other.wall);
        self.busy = self.busy.saturating_add(other.busy);
        self.total += other.total;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}
