//! A directory: members that live for ever, found by their number.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::primitives::sync::{AtomicU32, OnceLock, array, const_fn};

/// The number of a member of a directory, or [`NONE`](Self::NONE). As an atomic it is [`AtomicNumber`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u32);

impl Number {
    pub(crate) const NONE: Self = Self(u32::MAX);

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct AtomicNumber(AtomicU32);

impl AtomicNumber {
    const_fn! {
        pub(crate) const fn none() -> Self {
            Self(AtomicU32::new(Number::NONE.0))
        }
    }

    #[inline]
    pub(crate) fn load(&self, order: std::sync::atomic::Ordering) -> Number {
        Number(self.0.load(order))
    }

    #[inline]
    pub(crate) fn store(&self, number: Number, order: std::sync::atomic::Ordering) {
        self.0.store(number.0, order);
    }

    pub(crate) fn compare_exchange(&self, old: Number, new: Number) -> Result<(), Number> {
        self.0
            .compare_exchange(old.0, new.0, AcqRel, Acquire)
            .map(|_| ())
            .map_err(Number)
    }
}

/// The first segment's length; each is twice as long as the one before.
const FIRST: usize = if cfg!(loom) { 1 } else { 32 };
const SEGMENTS: usize = if cfg!(loom) { 3 } else { 26 };

type Segment<T> = OnceLock<Box<[OnceLock<&'static T>]>>;

/// Members that live for ever, found by their number. It grows and never moves its members.
pub(crate) struct Directory<T: 'static> {
    segments: [Segment<T>; SEGMENTS],
    len: AtomicU32,
}

impl<T> Directory<T> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                segments: array![OnceLock::new(); SEGMENTS],
                len: AtomicU32::new(0),
            }
        }
    }

    /// Returns the segment, the place in it, and the segment's length.
    #[inline]
    fn place(number: Number) -> (usize, usize, usize) {
        let shifted = (number.0 as usize).saturating_add(FIRST);
        let segment = (shifted.ilog2() - FIRST.ilog2()) as usize;
        let len = FIRST << segment;
        (segment, shifted - len, len)
    }

    #[inline]
    pub(crate) fn get(&self, number: Number) -> Option<&'static T> {
        // Found in no segment either, but lists end with it.
        if number == Number::NONE {
            return None;
        }
        let (segment, index, _) = Self::place(number);
        self.segments
            .get(segment)?
            .get()?
            .get(index)?
            .get()
            .copied()
    }

    /// Adds the member that `make` returns for its number and the reserved memory. Returns `None` if
    /// there is no memory or no number left. The memory is the tracer's own.
    #[cold]
    pub(crate) fn add<M>(
        &self,
        reserve: impl FnOnce() -> Option<M>,
        make: impl FnOnce(M, Number) -> &'static T,
    ) -> Option<&'static T> {
        alloc_counter::exclude(|| {
            // Every step that may fail comes first, so that no number is lost.
            self.segment_of(Number(self.len()))?;
            let reserved = reserve()?;
            let number = Number(self.len.fetch_add(1, Relaxed));
            let member = make(reserved, number);
            let (_, index, _) = Self::place(number);
            // The number is this caller's alone, so the place is empty.
            let _ = self.segment_of(number)?[index].set(member);
            Some(member)
        })
    }

    /// Returns the segment that the number belongs to, and makes it if it is missing.
    fn segment_of(&self, number: Number) -> Option<&[OnceLock<&'static T>]> {
        let (segment, _, len) = Self::place(number);
        let segment = self.segments.get(segment)?;
        if segment.get().is_none() {
            let mut places = Vec::new();
            places.try_reserve_exact(len).ok()?;
            places.resize_with(len, OnceLock::new);
            // Another thread may have been first.
            let _ = segment.set(places.into_boxed_slice());
        }
        segment.get().map(|places| &**places)
    }

    /// Returns how many numbers were given.
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Relaxed)
    }

    /// Returns the bytes that it takes to find members.
    pub(super) fn held_bytes(&self) -> u64 {
        let places = self.segments.iter().filter_map(OnceLock::get);
        let places: usize = places.map(|places| size_of_val::<[_]>(places)).sum();
        places as u64
    }

    /// Returns all members, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        (0..self.len()).filter_map(|number| self.get(Number(number)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_over_all_segments() {
        static DIRECTORY: Directory<u32> = Directory::new();
        for expected in 0..1000 {
            DIRECTORY.add(
                || Some(()),
                |(), number| Box::leak(Box::new(number.to_bits())),
            );
            assert_eq!(
                DIRECTORY.get(Number::from_bits(expected)).copied(),
                Some(expected)
            );
        }
        assert_eq!(DIRECTORY.get(Number::from_bits(1000)), None);
        assert_eq!(DIRECTORY.get(Number::NONE), None);
        assert_eq!(DIRECTORY.iter().count(), 1000);
    }
}
