//! Memory that is never freed: a directory of members that live for ever, and a pool that hands them out
//! and takes them back.
//!
//! Since nothing is ever freed, every reference is `&'static` and none can dangle. Since members are
//! known by number, lists of them can be kept in atomics, without locks and without `unsafe`.

use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::primitives::sync::{AtomicU32, AtomicU64, OnceLock, array, const_fn};

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
    fn held_bytes(&self) -> u64 {
        let places = self.segments.iter().filter_map(OnceLock::get);
        let places: usize = places.map(|places| size_of_val::<[_]>(places)).sum();
        places as u64
    }

    /// Returns all members, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        (0..self.len()).filter_map(|number| self.get(Number(number)))
    }
}

/// A member of a pool.
pub(crate) struct Member<T> {
    number: Number,
    next_free: AtomicNumber,
    value: T,
}

impl<T> Member<T> {
    #[inline]
    pub(crate) fn number(&self) -> Number {
        self.number
    }
}

impl<T> Deref for Member<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Hands out members and takes them back. The last one given back is handed out first, since it is still
/// in the cache. The pool holds as many members as were ever out at once.
///
/// The free members are a list linked by number. Its head carries a tag that every exchange changes (the
/// ABA problem). Between a taker's load of the head's successor and its exchange, other threads may take
/// the head and its successor and give the head back. The head is then unchanged and its successor is
/// not, and only the tag tells.
pub(crate) struct Pool<T: 'static> {
    members: Directory<Member<T>>,
    /// The tag in the upper half, the number of the first free member in the lower.
    free: AtomicU64,
}

/// No member is free.
const EMPTY: u64 = Number::NONE.0 as u64;

impl<T> Pool<T> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                members: Directory::new(),
                free: AtomicU64::new(EMPTY),
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, number: Number) -> Option<&'static Member<T>> {
        self.members.get(number)
    }

    /// Returns the bytes of all members and of what finds them.
    pub(crate) fn held_bytes(&self) -> u64 {
        let members = self.members().count() * size_of::<Member<T>>();
        members as u64 + self.members.held_bytes()
    }

    /// Returns all members, both those that are out and those that are free.
    pub(crate) fn members(&self) -> impl Iterator<Item = &'static Member<T>> {
        self.members.iter()
    }

    /// Takes a member that was given back.
    #[inline]
    fn take_free(&self) -> Option<&'static Member<T>> {
        let mut head = self.free.load(Acquire);
        while let Some(member) = self.get(first(head)) {
            let next = member.next_free.load(Relaxed);
            match self
                .free
                .compare_exchange_weak(head, retag(head, next), AcqRel, Acquire)
            {
                Ok(_) => return Some(member),
                Err(other) => head = other,
            }
        }
        None
    }

    /// Takes a free member, or adds one; `None` if there is no memory for it.
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Option<&'static Member<T>> {
        self.take_or_make(|| Some(make()))
    }

    /// Takes a free member, or adds one whose `make` may fail, too.
    pub(crate) fn take_or_make(
        &self,
        make: impl FnOnce() -> Option<T>,
    ) -> Option<&'static Member<T>> {
        self.take_free().or_else(|| self.add(make))
    }

    fn add(&self, make: impl FnOnce() -> Option<T>) -> Option<&'static Member<T>> {
        let reserve = || {
            let mut memory = Vec::new();
            memory.try_reserve_exact(1).ok()?;
            // Last, since it may take from another pool, which would have to be undone.
            Some((memory, make()?))
        };
        self.members.add(reserve, |(mut memory, value), number| {
            memory.push(Member {
                number,
                next_free: AtomicNumber::none(),
                value,
            });
            &memory.leak()[0]
        })
    }

    pub(crate) fn give(&self, member: &'static Member<T>) {
        let mut head = self.free.load(Relaxed);
        loop {
            member.next_free.store(first(head), Relaxed);
            match self
                .free
                .compare_exchange_weak(head, retag(head, member.number), AcqRel, Relaxed)
            {
                Ok(_) => return,
                Err(other) => head = other,
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn first(head: u64) -> Number {
    Number(head as u32)
}

fn retag(head: u64, first: Number) -> u64 {
    let tag = (head >> 32).wrapping_add(1);
    (tag << 32) | u64::from(first.0)
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

    #[test]
    fn no_member_is_out_twice() {
        static POOL: Pool<AtomicU32> = Pool::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let members = [(); 2].map(|()| POOL.take(AtomicU32::default).unwrap());
                        for member in members {
                            assert_eq!(member.swap(1, AcqRel), 0);
                        }
                        for member in members {
                            assert_eq!(member.swap(0, AcqRel), 1);
                            POOL.give(member);
                        }
                    }
                });
            }
        });
        assert!(POOL.members().count() <= 8);
    }
}
