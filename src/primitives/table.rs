//! A table of things that live for ever, found by an id, from any thread.
//!
//! An id has some places, which are beside each other, on each level. Most ids are in the first place of the first level,
//! and a group counts those that are not: so that an id is not there is mostly known by two loads. A thread that adds
//! something claims a free place by an exchange, so nobody waits. A level is made when something finds no place on those
//! before it, which are smaller.
//!
//! Nobody adds or removes an id while another looks for it: the users of an id have handles of what it
//! stands for, and the last one removes it. So a reader that finds the id finds what belongs to it; and it finds that the
//! id is counted, which happened before, until it is removed.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicCell, AtomicU32, AtomicU64, OnceLock, array};

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
    /// On the first level: how many ids are in another place than the first one, or on further levels.
    elsewhere: AtomicU32,
}

const PLACES: usize = if cfg!(loom) { 1 } else { 3 };
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

    /// Returns the group of the first level.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is less than the number of groups"
    )]
    fn group(&self, id: u64) -> &Group<T> {
        let groups = self.first.0.first_chunk::<GROUPS>();
        let Some(groups) = groups else {
            unreachable!("the first level has as many")
        };
        // The upper bits alone, so that no bounds are checked.
        &groups[(mixed(id) >> (u64::BITS - GROUPS.ilog2())) as usize]
    }

    /// Returns whether there is something with this id.
    #[inline]
    pub(crate) fn has(&self, id: u64) -> bool {
        let group = self.group(id);
        group.ids[0].load(Relaxed) == id || (group.has_elsewhere() && self.has_elsewhere(id))
    }

    #[cold]
    fn has_elsewhere(&self, id: u64) -> bool {
        self.groups(id).any(|group| group.position(id).is_some())
    }

    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        if group.ids[0].load(Acquire) == id {
            return group.members[0].load();
        }
        if group.has_elsewhere() {
            return self.get_elsewhere(id);
        }
        None
    }

    #[cold]
    fn get_elsewhere(&self, id: u64) -> Option<&'static T> {
        self.groups(id)
            .find_map(|group| group.members[group.position(id)?].load())
    }

    /// Returns the group of the id on each level that there is.
    fn groups(&self, id: u64) -> impl Iterator<Item = &Group<T>> {
        let further = self.further.iter().map_while(OnceLock::get);
        std::iter::once(self.group(id)).chain(further.map(move |level| level.group(id)))
    }

    /// Adds a member; `false` if there is no memory.
    #[inline]
    pub(crate) fn insert(&self, id: u64, member: &'static T) -> bool {
        let group = self.group(id);
        group.try_place(0, id, member) || self.insert_elsewhere(group, id, member, Level::try_new)
    }

    /// Adds a member to another place than the first one, or to the first of the further levels that has one. `new`
    /// makes a level with this number of groups.
    #[cold]
    fn insert_elsewhere(
        &self,
        group: &Group<T>,
        id: u64,
        member: &'static T,
        new: impl Fn(usize) -> Option<Level<T>>,
    ) -> bool {
        group.elsewhere.fetch_add(1, Relaxed);
        // Not in the first place, though that may be free by now: ids there are not counted.
        let is_placed = group.insert(1, id, member) || self.insert_further(id, member, new);
        if !is_placed {
            group.elsewhere.fetch_sub(1, Relaxed);
        }
        is_placed
    }

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
            if level.group(id).insert(0, id, member) {
                return true;
            }
        }
        false
    }

    #[inline]
    pub(crate) fn remove(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        if group.ids[0].load(Acquire) == id {
            return group.take_out(0);
        }
        if group.has_elsewhere() {
            return self.remove_elsewhere(group, id);
        }
        None
    }

    #[cold]
    fn remove_elsewhere(&self, group: &Group<T>, id: u64) -> Option<&'static T> {
        let mut groups = self.groups(id);
        let member = groups.find_map(|group| group.take_out(group.position(id)?))?;
        group.elsewhere.fetch_sub(1, Relaxed);
        Some(member)
    }
}

/// Multiplied by the golden ratio, the upper bits are well mixed.
#[inline]
const fn mixed(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
        let group = (mixed(id) >> u32::BITS) as usize & (self.0.len() - 1);
        &self.0[group]
    }
}

impl<T> Group<T> {
    fn new() -> Self {
        Self {
            ids: std::array::from_fn(|_| AtomicU64::new(FREE)),
            members: std::array::from_fn(|_| AtomicCell::new(None)),
            elsewhere: AtomicU32::new(0),
        }
    }

    #[inline]
    fn has_elsewhere(&self) -> bool {
        self.elsewhere.load(Relaxed) > 0
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.ids.iter().position(|known| known.load(Acquire) == id)
    }

    /// Adds a member at a place, if that is free.
    #[inline]
    fn try_place(&self, place: usize, id: u64, member: &'static T) -> bool {
        let known = &self.ids[place];
        let claim = || known.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed);
        let is_claimed = known.load(Relaxed) == FREE && claim().is_ok();
        if is_claimed {
            self.members[place].store(Some(member));
            known.store(id, Release);
        }
        is_claimed
    }

    /// Adds a member at one of the places from the first of these on.
    fn insert(&self, from: usize, id: u64, member: &'static T) -> bool {
        (from..PLACES).any(|place| self.try_place(place, id, member))
    }

    #[inline]
    fn take_out(&self, place: usize) -> Option<&'static T> {
        let member = self.members[place].load();
        self.ids[place].store(FREE, Release);
        member
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
        let group = table.group(1);
        let others = (2..).filter(|id| std::ptr::eq(table.group(*id), group));
        for id in others.take(PLACES) {
            assert!(table.insert(id, &MEMBERS[0]));
        }
        assert!(!table.insert_elsewhere(group, 1, &MEMBERS[0], |groups| is_second(groups)?));
        assert!(!table.has(1));
        assert!(table.insert(1, &MEMBERS[1]));
        assert_eq!((table.has(1), table.get(1)), (true, Some(&MEMBERS[1])));
        assert_eq!(table.remove(1), Some(&MEMBERS[1]));
        assert!(!table.has(1));
    }
}
