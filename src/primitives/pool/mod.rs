//! Memory that is never freed: a [directory](Directory) of members that live for ever, and a pool that hands them
//! out and takes them back.
//!
//! Since nothing is ever freed, every reference is `&'static` and none can dangle. Since members are
//! known by number, lists of them can be kept in atomics, without locks and without `unsafe`.

mod directory;

use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crossbeam_utils::CachePadded;

use crate::primitives::place::{PARTS, part_of_thread};
use crate::primitives::sync::{AtomicU64, array, const_fn};

pub(crate) use directory::{AtomicNumber, Directory, Number};

/// A member of a pool.
// The number is in the line of memory with which the value begins.
#[repr(C)]
pub(crate) struct Member<T> {
    number: Number,
    next_free: AtomicNumber,
    value: T,
}

impl<T> Member<T> {
    /// How many bytes are in front of the value.
    #[cfg(not(loom))]
    pub(crate) const OFFSET: usize = std::mem::offset_of!(Self, value);

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

/// Of [aligned](Pool::aligned) members, in bytes.
#[cfg(not(loom))]
pub(crate) const ALIGNMENT: usize = align_of::<Aligned<()>>();

#[repr(align(128))]
struct Aligned<T>(Member<T>);

/// Hands out members and takes them back. The pool holds as many members as were ever out at once, those included
/// that a thread was about to take.
///
/// Free members are in parts. A thread gives to its own part, and takes from there first, what was given last: that
/// is still in the cache of its processor. If its part is empty, it takes from another one. So threads rarely write
/// the same memory, and members that are taken here and given there are not lost.
///
/// **A part** is a list linked by number. Its head carries a tag that every exchange changes (the ABA problem).
/// Between a taker's load of the head's successor and its exchange, other threads may take the head and its
/// successor and give the head back. The head is then unchanged and its successor is not, and only the tag tells.
///
/// **A member is made** only by a thread that has seen all parts empty at one moment. That each was empty when it was
/// looked at is not enough: others could have moved members meanwhile, from parts that were looked at later to parts
/// that were looked at earlier. So the thread reads all heads twice. If they are the same, with their tags, no part
/// changed between the reads: in between, all members were out.
pub(crate) struct Pool<T: 'static> {
    members: Directory<Member<T>>,
    /// The heads: the tag in the upper half, the number of the first free member in the lower.
    parts: [CachePadded<AtomicU64>; PARTS],
    is_aligned: bool,
}

impl<T> Pool<T> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                members: Directory::new(),
                parts: array![CachePadded::new(AtomicU64::new(EMPTY)); PARTS],
                is_aligned: false,
            }
        }
    }

    const_fn! {
        /// Creates a pool whose members begin at multiples of [`ALIGNMENT`]. In front of each value are
        /// [`Member::OFFSET`] bytes.
        pub(crate) const fn aligned() -> Self {
            let mut pool = Self::new();
            pool.is_aligned = true;
            pool
        }
    }

    #[inline]
    pub(crate) fn get(&self, number: Number) -> Option<&'static Member<T>> {
        self.members.get(number)
    }

    /// Returns the bytes of all members and of what finds them.
    pub(crate) fn held_bytes(&self) -> u64 {
        let bytes = if self.is_aligned {
            size_of::<Aligned<T>>()
        } else {
            size_of::<Member<T>>()
        };
        let members = self.members().count() * bytes;
        members as u64 + self.members.held_bytes()
    }

    /// Returns all members, both those that are out and those that are free.
    pub(crate) fn members(&self) -> impl Iterator<Item = &'static Member<T>> {
        self.members.iter()
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
        self.take_at(part_of_thread(), make)
    }

    /// Takes a free member as a thread of this part, or adds one.
    #[inline]
    pub(crate) fn take_at(
        &self,
        own: usize,
        make: impl FnOnce() -> Option<T>,
    ) -> Option<&'static Member<T>> {
        let part = &self.parts[own];
        self.take_from(part, part.load(Acquire))
            .or_else(|| self.take_from_any(own))
            .or_else(|| self.add(make))
    }

    /// Takes a member from the part whose head was read; `None` if it is empty.
    #[inline]
    fn take_from(&self, part: &AtomicU64, mut head: u64) -> Option<&'static Member<T>> {
        while let Some(member) = self.get(first(head)) {
            let next = member.next_free.load(Relaxed);
            match part.compare_exchange_weak(head, retag(head, next), AcqRel, Acquire) {
                Ok(_) => return Some(member),
                Err(other) => head = other,
            }
        }
        None
    }

    /// Takes a member from the next part that has one; `None` if at one moment none had.
    #[cold]
    #[inline(never)]
    fn take_from_any(&self, own: usize) -> Option<&'static Member<T>> {
        let mut heads = self.heads();
        loop {
            let places = (own..PARTS).chain(0..own);
            let taken = places.map(|place| self.take_from(&self.parts[place], heads[place]));
            if let Some(member) = taken.flatten().next() {
                return Some(member);
            }
            let before = std::mem::replace(&mut heads, self.heads());
            // Then all were empty: an attempt at another one fails only if its head changes.
            if heads == before {
                return None;
            }
        }
    }

    fn heads(&self) -> [u64; PARTS] {
        std::array::from_fn(|place| self.parts[place].load(Acquire))
    }

    fn add(&self, make: impl FnOnce() -> Option<T>) -> Option<&'static Member<T>> {
        if self.is_aligned {
            self.add_as(make, Aligned, |aligned| &aligned.0)
        } else {
            self.add_as(make, |member| member, |member| member)
        }
    }

    /// Adds a member that is inside of an `M`.
    fn add_as<M: 'static>(
        &self,
        make: impl FnOnce() -> Option<T>,
        wrapped: impl FnOnce(Member<T>) -> M,
        inside: impl FnOnce(&'static M) -> &'static Member<T>,
    ) -> Option<&'static Member<T>> {
        let reserve = || {
            let mut memory = Vec::new();
            memory.try_reserve_exact(1).ok()?;
            // Last, since it may take from another pool, which would have to be undone.
            Some((memory, make()?))
        };
        self.members.add(reserve, |(mut memory, value), number| {
            memory.push(wrapped(Member {
                number,
                next_free: AtomicNumber::none(),
                value,
            }));
            inside(&memory.leak()[0])
        })
    }

    /// Gives a member back to the part of this thread.
    pub(crate) fn give(&self, member: &'static Member<T>) {
        self.give_at(part_of_thread(), member);
    }

    /// Gives a member back as a thread of this part.
    #[inline]
    pub(crate) fn give_at(&self, own: usize, member: &'static Member<T>) {
        let part = &self.parts[own];
        let mut head = part.load(Relaxed);
        loop {
            member.next_free.store(first(head), Relaxed);
            match part.compare_exchange_weak(head, retag(head, member.number), AcqRel, Relaxed) {
                Ok(_) => return,
                Err(other) => head = other,
            }
        }
    }
}

/// The head of a part without members that none was ever given to.
const EMPTY: u64 = Number::NONE.to_bits() as u64;

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn first(head: u64) -> Number {
    Number::from_bits(head as u32)
}

fn retag(head: u64, first: Number) -> u64 {
    let tag = (head >> 32).wrapping_add(1);
    (tag << 32) | u64::from(first.to_bits())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::sync::AtomicU32;

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
    /// For ever, one thread takes and another one gives.
    #[test]
    fn members_taken_here_and_given_there_are_taken_again() {
        static POOL: Pool<AtomicU32> = Pool::new();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(|| receive.into_iter().for_each(|member| POOL.give(member)));
            for _ in 0..10_000 {
                let member = POOL.take(AtomicU32::default).unwrap();
                send.send(member).unwrap();
            }
            drop(send);
        });
        // One with each thread, one between them.
        assert!(POOL.members().count() <= 3);
    }
}
