//! `Site`: a place that allocated, with its figures.

use crate::overhead::Overhead;

/// A place that allocated, with its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Where the functions called each other, from the allocator outwards to the one that ran the recorded
    /// stretch: return addresses, which follow the call. Empty if the stack could not be walked. At most 64.
    pub frames: Overhead<Vec<usize>>,
    /// Whether the frames go as far as the recorded stretch.
    pub is_whole: bool,
    /// Number of allocations.
    pub allocations: u64,
    /// Number of reallocations.
    pub reallocations: u64,
    /// Bytes allocated, as in [`Counts::bytes_allocated`](crate::Counts::bytes_allocated).
    pub bytes_allocated: u64,
    /// Standard error of the bytes if they are estimated from a sample; 0 if they are exact.
    pub error_bytes: u64,
}

impl Site {
    /// Orders sites by their bytes, the heaviest first.
    pub fn by_weight(&self, other: &Self) -> std::cmp::Ordering {
        let key = |site: &Self| std::cmp::Reverse((site.bytes_allocated, site.allocations));
        (key(self), &self.frames).cmp(&(key(other), &other.frames))
    }
}
