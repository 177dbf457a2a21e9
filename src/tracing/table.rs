//! Finds a span's state by its id, from any thread.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::Member;
use crate::primitives::wait::Lock;

use super::span::Span;

/// The spans of one layer that belong to a trace.
///
/// A span is in one of many lists, each under a lock that is held for some loads. An empty list, which
/// most are, is known without its lock.
pub(super) struct Table {
    lists: Box<[List]>,
}

struct List {
    /// How many spans are in the list.
    len: AtomicUsize,
    spans: Lock<Vec<(u64, &'static Member<Span>)>>,
}

const LISTS: usize = 256;

impl Table {
    pub(super) fn new() -> Self {
        let list = || List {
            len: AtomicUsize::new(0),
            spans: Lock::new(Vec::new()),
        };
        Self {
            lists: alloc_counter::exclude(|| std::iter::repeat_with(list).take(LISTS).collect()),
        }
    }

    #[inline]
    fn list(&self, id: u64) -> &List {
        // By the golden ratio the upper bits are well mixed.
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.lists[(mixed >> (u64::BITS - LISTS.ilog2())) as usize]
    }

    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&'static Member<Span>> {
        let list = self.list(id);
        if list.len.load(Relaxed) == 0 {
            return None;
        }
        let spans = list.spans.take()?;
        let found = spans.iter().find(|(known, _)| *known == id);
        found.map(|(_, span)| *span)
    }

    /// Adds a span; `false` if there is no memory.
    pub(super) fn insert(&self, id: u64, span: &'static Member<Span>) -> bool {
        let list = self.list(id);
        let Some(mut spans) = list.spans.take() else {
            return false;
        };
        if spans.len() == spans.capacity()
            && alloc_counter::exclude(|| spans.try_reserve(1)).is_err()
        {
            return false;
        }
        spans.push((id, span));
        list.len.store(spans.len(), Relaxed);
        true
    }

    #[inline]
    pub(super) fn remove(&self, id: u64) -> Option<&'static Member<Span>> {
        let list = self.list(id);
        if list.len.load(Relaxed) == 0 {
            return None;
        }
        let mut spans = list.spans.take()?;
        let place = spans.iter().position(|(known, _)| *known == id)?;
        let (_, span) = spans.swap_remove(place);
        list.len.store(spans.len(), Relaxed);
        Some(span)
    }
}

impl Drop for Table {
    /// Its memory was requested as the tracer's own. The spans in it, which were never closed, are lost.
    fn drop(&mut self) {
        alloc_counter::exclude(|| self.lists = Box::default());
    }
}
