//! An address: the place of a record, or the number of a path.

use crate::primitives::pool::Number;

/// The place of a record: its chunk, and the index in the chunk. It is constant for the record's life.
///
/// The last index of a chunk belongs to no record: with it, the number is that of a path of folded
/// calls. So a handle, a strand and a sum can refer to either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(u32);

impl Address {
    pub(crate) const NONE: Self = Self(u32::MAX);
    pub(crate) const INDEX_BITS: u32 = 5;
    pub(crate) const MAX_IN_CHUNK: usize = 1 << Self::INDEX_BITS;
    const OF_PATH: u32 = (1 << Self::INDEX_BITS) - 1;

    #[inline]
    pub(crate) const fn new(chunk: Number, index: u32) -> Self {
        Self(chunk.to_bits() << Self::INDEX_BITS | index)
    }

    #[inline]
    pub(crate) const fn chunk_number(self) -> Number {
        Number::from_bits(self.0 >> Self::INDEX_BITS)
    }

    /// Returns the address that stands for a path.
    pub(crate) const fn of_path(path: Number) -> Self {
        Self::new(path, Self::OF_PATH)
    }

    /// Returns the path, if the address stands for one.
    #[inline]
    pub(crate) fn path(self) -> Option<Number> {
        let is_path = self != Self::NONE && self.0 & Self::OF_PATH == Self::OF_PATH;
        is_path.then(|| self.chunk_number())
    }

    /// Returns the bucket of this address; `buckets` is a power of two.
    pub(crate) const fn bucket(self, buckets: usize) -> usize {
        // Multiplied by the golden ratio, the upper bits are well mixed.
        let mixed = self.0.wrapping_mul(0x9E37_79B9) as usize;
        (mixed * buckets) >> u32::BITS
    }

    /// Returns whether both are in one chunk.
    #[inline]
    pub(crate) const fn is_beside(self, other: Self) -> bool {
        (self.0 ^ other.0) >> Self::INDEX_BITS == 0
    }

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % Self::MAX_IN_CHUNK
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }
}
