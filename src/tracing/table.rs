//! Finds a span's state by its id, from any thread.
//!
//! An id has four places, which are beside each other. A thread that adds a span claims one by an exchange
//! of its id, so nobody waits. Spans that find no place are in a list with a lock, which is rarely used.
//!
//! Who asks for a span holds a handle of it, so it is neither added nor removed meanwhile: that is what
//! `tracing` promises of the ids that it hands out.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitives::pool::Member;
use crate::primitives::sync::{AtomicCell, AtomicU32, AtomicU64};
use crate::primitives::wait::Lock;

use super::span::Span;

/// The spans of one layer that belong to a trace.
pub(super) struct Table {
    groups: Box<[Group]>,
    /// How many spans are in the list of those without a place.
    more_len: AtomicU32,
    more: Lock<Vec<(u64, &'static Member<Span>)>>,
}

/// One line of memory: places, each with the id of its span, or [`FREE`], or [`CLAIMED`].
#[repr(align(64))]
struct Group {
    ids: [AtomicU64; PLACES],
    spans: [AtomicCell<Option<&'static Member<Span>>>; PLACES],
}

const PLACES: usize = 4;
const GROUPS: usize = if cfg!(loom) { 1 } else { 1024 };

/// No span has this id.
const FREE: u64 = 0;
/// The span is not there yet.
const CLAIMED: u64 = u64::MAX;

impl Table {
    pub(super) fn new() -> Self {
        let group = || Group {
            ids: std::array::from_fn(|_| AtomicU64::new(FREE)),
            spans: std::array::from_fn(|_| AtomicCell::new(None)),
        };
        Self {
            groups: alloc_counter::exclude(|| std::iter::repeat_with(group).take(GROUPS).collect()),
            more_len: AtomicU32::new(0),
            more: Lock::new(Vec::new()),
        }
    }

    #[inline]
    fn group(&self, id: u64) -> &Group {
        // Multiplied by the golden ratio, the upper bits are well mixed.
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> u32::BITS;
        let group = mixed as usize % GROUPS;
        &self.groups[group]
    }

    /// Whether there may be a span of this id.
    #[inline]
    pub(super) fn may_have(&self, id: u64) -> bool {
        let mut ids = self.group(id).ids.iter();
        ids.any(|known| known.load(Relaxed) == id) || self.more_len.load(Relaxed) > 0
    }

    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&'static Member<Span>> {
        let group = self.group(id);
        for (known, span) in group.ids.iter().zip(&group.spans) {
            if known.load(Acquire) == id {
                return span.load();
            }
        }
        if self.more_len.load(Relaxed) == 0 {
            return None;
        }
        let more = self.more.take()?;
        let found = more.iter().find(|(known, _)| *known == id);
        found.map(|(_, span)| *span)
    }

    /// Adds a span; `false` if there is no memory.
    #[inline]
    pub(super) fn insert(&self, id: u64, span: &'static Member<Span>) -> bool {
        let group = self.group(id);
        for (known, place) in group.ids.iter().zip(&group.spans) {
            let claim = || known.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed);
            if known.load(Relaxed) == FREE && claim().is_ok() {
                place.store(Some(span));
                known.store(id, Release);
                return true;
            }
        }
        self.insert_more(id, span)
    }

    #[cold]
    fn insert_more(&self, id: u64, span: &'static Member<Span>) -> bool {
        let Some(mut more) = self.more.take() else {
            return false;
        };
        if alloc_counter::exclude(|| more.try_reserve(1)).is_err() {
            return false;
        }
        more.push((id, span));
        self.more_len.store(length(&more), Relaxed);
        true
    }

    #[inline]
    pub(super) fn remove(&self, id: u64) -> Option<&'static Member<Span>> {
        let group = self.group(id);
        for (known, span) in group.ids.iter().zip(&group.spans) {
            if known.load(Acquire) == id {
                let span = span.load();
                known.store(FREE, Release);
                return span;
            }
        }
        if self.more_len.load(Relaxed) == 0 {
            return None;
        }
        self.remove_more(id)
    }

    #[cold]
    fn remove_more(&self, id: u64) -> Option<&'static Member<Span>> {
        let mut more = self.more.take()?;
        let place = more.iter().position(|(known, _)| *known == id)?;
        let (_, span) = more.swap_remove(place);
        self.more_len.store(length(&more), Relaxed);
        Some(span)
    }
}

fn length(more: &[(u64, &'static Member<Span>)]) -> u32 {
    u32::try_from(more.len()).unwrap_or(u32::MAX)
}

impl Drop for Table {
    /// Frees its memory as the tracer's own. The states of spans that were never closed are lost.
    fn drop(&mut self) {
        alloc_counter::exclude(|| {
            self.groups = Box::default();
            if let Some(mut more) = self.more.take() {
                *more = Vec::new();
            }
        });
    }
}
