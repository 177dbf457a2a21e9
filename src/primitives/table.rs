//! A table of things that live for ever, found by an id, from any thread.
//!
//! An id has four places, which are beside each other. A thread that adds something claims one of them by
//! an exchange, so nobody waits. What finds no place is in a list with a lock, which is rarely used.
//!
//! Nobody adds or removes an id while another looks for it: the users of an id have handles of what it
//! stands for, and the last one removes it. So a reader that finds the id finds what belongs to it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitives::sync::{AtomicCell, AtomicU32, AtomicU64};
use crate::primitives::wait::Lock;

/// References by ids, which are neither 0 nor [`u64::MAX`].
pub(crate) struct Table<T: 'static> {
    groups: Box<[Group<T>]>,
    /// The length of the list of those without a place.
    more_len: AtomicU32,
    more: Lock<Vec<(u64, &'static T)>>,
}

/// One line of memory: places, each with an id, or [`FREE`], or [`CLAIMED`].
#[repr(align(64))]
struct Group<T: 'static> {
    ids: [AtomicU64; PLACES],
    members: [AtomicCell<Option<&'static T>>; PLACES],
}

const PLACES: usize = if cfg!(loom) { 1 } else { 4 };
const GROUPS: usize = if cfg!(loom) { 2 } else { 1024 };

const FREE: u64 = 0;
/// What belongs to it is not there yet.
const CLAIMED: u64 = u64::MAX;

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        let group = || Group {
            ids: std::array::from_fn(|_| AtomicU64::new(FREE)),
            members: std::array::from_fn(|_| AtomicCell::new(None)),
        };
        Self {
            groups: alloc_counter::exclude(|| std::iter::repeat_with(group).take(GROUPS).collect()),
            more_len: AtomicU32::new(0),
            more: Lock::new(Vec::new()),
        }
    }

    #[inline]
    fn group(&self, id: u64) -> &Group<T> {
        // Multiplied by the golden ratio, the upper bits are well mixed.
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> u32::BITS;
        let group = mixed as usize % GROUPS;
        &self.groups[group]
    }

    /// Returns whether there may be something with this id.
    #[inline]
    pub(crate) fn may_have(&self, id: u64) -> bool {
        let mut ids = self.group(id).ids.iter();
        ids.any(|known| known.load(Relaxed) == id) || self.more_len.load(Relaxed) > 0
    }

    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        for (known, member) in group.ids.iter().zip(&group.members) {
            if known.load(Acquire) == id {
                return member.load();
            }
        }
        if self.more_len.load(Relaxed) == 0 {
            return None;
        }
        self.get_more(id)
    }

    #[cold]
    fn get_more(&self, id: u64) -> Option<&'static T> {
        let more = self.more.take()?;
        let found = more.iter().find(|(known, _)| *known == id);
        found.map(|(_, member)| *member)
    }

    /// Adds a member; `false` if there is no memory.
    #[inline]
    pub(crate) fn insert(&self, id: u64, member: &'static T) -> bool {
        let group = self.group(id);
        for (known, place) in group.ids.iter().zip(&group.members) {
            let claim = || known.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed);
            if known.load(Relaxed) == FREE && claim().is_ok() {
                place.store(Some(member));
                known.store(id, Release);
                return true;
            }
        }
        self.insert_more(id, member)
    }

    #[cold]
    fn insert_more(&self, id: u64, member: &'static T) -> bool {
        let Some(mut more) = self.more.take() else {
            return false;
        };
        if alloc_counter::exclude(|| more.try_reserve(1)).is_err() {
            return false;
        }
        more.push((id, member));
        self.more_len.store(length(&more), Relaxed);
        true
    }

    #[inline]
    pub(crate) fn remove(&self, id: u64) -> Option<&'static T> {
        let group = self.group(id);
        for (known, member) in group.ids.iter().zip(&group.members) {
            if known.load(Acquire) == id {
                let member = member.load();
                known.store(FREE, Release);
                return member;
            }
        }
        if self.more_len.load(Relaxed) == 0 {
            return None;
        }
        self.remove_more(id)
    }

    #[cold]
    fn remove_more(&self, id: u64) -> Option<&'static T> {
        let mut more = self.more.take()?;
        let place = more.iter().position(|(known, _)| *known == id)?;
        let (_, member) = more.swap_remove(place);
        self.more_len.store(length(&more), Relaxed);
        Some(member)
    }
}

fn length<T>(more: &[T]) -> u32 {
    u32::try_from(more.len()).unwrap_or(u32::MAX)
}

impl<T> Drop for Table<T> {
    /// Frees its memory as the tracer's own.
    fn drop(&mut self) {
        alloc_counter::exclude(|| {
            self.groups = Box::default();
            if let Some(mut more) = self.more.take() {
                *more = Vec::new();
            }
        });
    }
}
