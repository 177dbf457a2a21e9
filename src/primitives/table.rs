//! A table of things that live for ever, found by an id, from any thread.
//!
//! An id has four places, which are beside each other, on each level. A thread that adds something claims the first
//! free one by an exchange, so nobody waits. A level is made when something finds no place on those before it, which
//! are smaller.
//!
//! Nobody adds or removes an id while another looks for it: the users of an id have handles of what it
//! stands for, and the last one removes it. So a reader that finds the id finds what belongs to it.

use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicCell, AtomicU64, OnceLock, array};

/// References by ids, which are neither 0 nor [`u64::MAX`].
pub(crate) struct Table<T: 'static> {
    first: Level<T>,
    further: [OnceLock<Level<T>>; FURTHER],
}

/// The number of groups is a power of two.
struct Level<T: 'static>(Box<[Group<T>]>);

/// One line of memory: places, each with an id, or [`FREE`], or [`CLAIMED`].
#[repr(align(64))]
struct Group<T: 'static> {
    ids: [AtomicU64; PLACES],
    members: [AtomicCell<Option<&'static T>>; PLACES],
}

const PLACES: usize = if cfg!(loom) { 1 } else { 4 };
const GROUPS: usize = if cfg!(loom) { 2 } else { 1024 };
/// Levels after the first one. Each has four times as many groups as the one before: together they have places for
/// some million ids in 22 MiB.
const FURTHER: usize = if cfg!(loom) { 1 } else { 4 };

const FREE: u64 = 0;
/// What belongs to it is not there yet.
const CLAIMED: u64 = u64::MAX;

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        let first = std::iter::repeat_with(Group::new).take(GROUPS);
        Self {
            first: Level(alloc_counter::exclude(|| first.collect())),
            further: array![OnceLock::new(); FURTHER],
        }
    }

    /// Returns the levels that there are after the first one.
    fn further(&self) -> impl Iterator<Item = &Level<T>> {
        self.further.iter().map_while(OnceLock::get)
    }

    /// Returns whether there is something with this id.
    #[inline]
    pub(crate) fn has(&self, id: u64) -> bool {
        let has = |level: &Level<T>| level.group(id).position(id, Relaxed).is_some();
        has(&self.first) || self.further().any(has)
    }

    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&'static T> {
        let found = self.first.get(id);
        found.or_else(|| self.further().find_map(|level| level.get(id)))
    }

    /// Adds a member; `false` if there is no memory.
    #[inline]
    pub(crate) fn insert(&self, id: u64, member: &'static T) -> bool {
        self.first.insert(id, member) || self.insert_further(id, member, Level::try_new)
    }

    /// Adds a member to the first of the further levels that has a place. `new` makes a level with this
    /// number of groups.
    #[cold]
    fn insert_further(
        &self,
        id: u64,
        member: &'static T,
        new: impl Fn(usize) -> Option<Level<T>>,
    ) -> bool {
        let mut groups = GROUPS;
        for place in &self.further {
            groups *= 4;
            let level = place.get().or_else(|| {
                alloc_counter::exclude(|| {
                    // Another thread may have been faster; then this one's is freed.
                    let _ = place.set(new(groups)?);
                    place.get()
                })
            });
            // Nothing is looked for behind a level that is not there.
            let Some(level) = level else { return false };
            if level.insert(id, member) {
                return true;
            }
        }
        false
    }

    #[inline]
    pub(crate) fn remove(&self, id: u64) -> Option<&'static T> {
        let removed = self.first.remove(id);
        removed.or_else(|| self.further().find_map(|level| level.remove(id)))
    }
}

impl<T> Level<T> {
    /// `None` if there is no memory.
    fn try_new(groups: usize) -> Option<Self> {
        let mut made = Vec::new();
        made.try_reserve_exact(groups).ok()?;
        made.resize_with(groups, Group::new);
        Some(Self(made.into_boxed_slice()))
    }

    #[inline]
    fn group(&self, id: u64) -> &Group<T> {
        // Multiplied by the golden ratio, the upper bits are well mixed.
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> u32::BITS;
        let group = mixed as usize & (self.0.len() - 1);
        &self.0[group]
    }

    #[inline]
    fn get(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        let place = group.position(id, Acquire)?;
        group.members[place].load()
    }

    #[inline]
    fn insert(&self, id: u64, member: &'static T) -> bool {
        let group = self.group(id);
        for (known, place) in group.ids.iter().zip(&group.members) {
            let claim = || known.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed);
            if known.load(Relaxed) == FREE && claim().is_ok() {
                place.store(Some(member));
                known.store(id, Release);
                return true;
            }
        }
        false
    }

    #[inline]
    fn remove(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        let place = group.position(id, Acquire)?;
        let member = group.members[place].load();
        group.ids[place].store(FREE, Release);
        member
    }
}

impl<T> Group<T> {
    fn new() -> Self {
        Self {
            ids: std::array::from_fn(|_| AtomicU64::new(FREE)),
            members: std::array::from_fn(|_| AtomicCell::new(None)),
        }
    }

    #[inline]
    fn position(&self, id: u64, order: Ordering) -> Option<usize> {
        self.ids.iter().position(|known| known.load(order) == id)
    }
}

impl<T> Drop for Level<T> {
    /// Frees its memory as the tracer's own.
    fn drop(&mut self) {
        alloc_counter::exclude(|| self.0 = Box::default());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    static MEMBERS: [u8; 2] = [10, 20];

    #[test]
    fn what_is_added_is_found_if_a_level_found_no_memory() {
        let table = Table::new();
        let is_second = |groups| (groups == 16 * GROUPS).then(|| Level::try_new(groups));
        assert!(!table.insert_further(1, &MEMBERS[0], |groups| is_second(groups)?));
        assert!(!table.has(1));
        assert!(table.insert_further(1, &MEMBERS[1], Level::try_new));
        assert_eq!((table.has(1), table.get(1)), (true, Some(&MEMBERS[1])));
        assert_eq!(table.remove(1), Some(&MEMBERS[1]));
        assert!(!table.has(1));
    }
}
