//! Encoded spans: those of one report, and those that are sent together.

use std::time::Instant;

/// Spans that are sent together.
pub(super) struct Batch {
    pub(super) spans: Vec<u8>,
    pub(super) count: u64,
    /// How many reports have their last span in it.
    pub(super) ends: u64,
    /// Whether the last report has further spans, in the next batch.
    pub(super) is_cut: bool,
    /// How many bytes it takes in the buffer, until it is sent or lost.
    pub(super) bytes: usize,
    pub(super) since: Instant,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            spans: Vec::new(),
            count: 0,
            ends: 0,
            is_cut: false,
            bytes: 0,
            since: Instant::now(),
        }
    }
}

/// The spans of one report, one after the other.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Where each span ends.
    pub(super) ends: Vec<usize>,
}
