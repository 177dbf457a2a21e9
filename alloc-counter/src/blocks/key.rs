//! The names of those that follow blocks, and sets of their places.

/// The most that follow blocks at once, in the whole process.
pub(super) const PLACES: usize = if cfg!(loom) { 2 } else { 128 };
pub(super) const PLACE_BITS: u32 = 7;

/// Names one that follows blocks. Later ones have larger keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlocksKey(pub(super) u64);

impl BlocksKey {
    /// Names none.
    pub const NONE: Self = Self(0);

    pub(super) fn new(moment: u64, place: usize) -> Self {
        Self(moment << PLACE_BITS | place as u64)
    }

    /// Returns the key as a number, for atomics; 0 for [`NONE`](Self::NONE).
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the key of a number from [`to_bits`](Self::to_bits).
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn place(self) -> usize {
        // A foreign number is the key of none.
        (self.0 % (1 << PLACE_BITS)) as usize % PLACES
    }
}

/// A set of places.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owners(pub(super) [u64; 2]);

impl Owners {
    pub(super) fn add(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.0[place / 64] &= !(1 << (place % 64));
    }

    pub(super) fn has(self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut words = self.0;
        std::iter::from_fn(move || {
            let word = words.iter().position(|word| *word != 0)?;
            let bit = words[word].trailing_zeros() as usize;
            words[word] &= words[word] - 1;
            Some(64 * word + bit)
        })
    }

    pub(super) fn only(self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::default();
        self.iter()
            .filter(|it| keep(*it))
            .for_each(|it| kept.add(it));
        kept
    }
}
