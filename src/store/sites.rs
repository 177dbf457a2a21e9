//! The allocation sites of a trace: which it wants, and those of a strand while no thread runs it.
//!
//! They are in maps of their own and not in the records: a site has up to 64 frames, and is looked up at each
//! allocation.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Counts, Owner, SiteLog, SiteRoom, Sites};

use crate::primitives::sync::{AtomicBool, AtomicU64, shared_static};
use crate::primitives::wait::Lock;

shared_static! {
    static KEYS: AtomicU64 = AtomicU64::new(0);
}

/// Returns the key of a log, another one for each.
pub(crate) fn new_key() -> u64 {
    KEYS.fetch_add(1, Relaxed) + 1
}

/// The sites that a trace wants.
pub(crate) struct TraceSites {
    are_wanted: AtomicBool,
    shared: Lock<Shared>,
}

struct Shared {
    wanted: Option<Sites>,
    /// Kept for the next trace, since it takes memory.
    room: Option<SiteRoom>,
    not_recorded: Counts,
}

impl TraceSites {
    pub(crate) fn new() -> Self {
        Self {
            are_wanted: AtomicBool::new(false),
            shared: Lock::new(Shared {
                wanted: None,
                room: None,
                not_recorded: Counts::ZERO,
            }),
        }
    }

    /// Forgets the last trace's, and wants these, at most so many.
    #[inline]
    pub(crate) fn reset(&self, sites: Option<Sites>, most: usize) {
        if sites.is_some() || self.are_wanted() {
            self.change(sites, most);
        }
    }

    #[inline(never)]
    fn change(&self, sites: Option<Sites>, most: usize) {
        alloc_counter::exclude(|| {
            if let Some(mut shared) = self.shared.take() {
                shared.wanted = sites;
                shared.not_recorded = Counts::ZERO;
                match &mut shared.room {
                    Some(room) => room.renew(most),
                    room => *room = Some(SiteRoom::new(most)),
                }
                self.are_wanted.store(sites.is_some(), Relaxed);
            }
        });
    }

    #[inline]
    pub(crate) fn are_wanted(&self) -> bool {
        self.are_wanted.load(Relaxed)
    }

    /// Makes the log of a strand; `None` if the trace wants no sites.
    pub(crate) fn new_log(&self, owner: fn(u64) -> Owner) -> Option<SiteLog> {
        let (sites, room) = {
            let shared = self.shared.take()?;
            (shared.wanted?, shared.room.clone()?)
        };
        Some(SiteLog::new(sites, room, owner))
    }

    pub(crate) fn add_not_recorded(&self, counts: Counts) {
        if counts != Counts::ZERO
            && let Some(mut shared) = self.shared.take()
        {
            shared.not_recorded += counts;
        }
    }

    /// Returns what was allocated at sites that could not be recorded; `None` if the trace wants no sites.
    pub(crate) fn not_recorded(&self) -> Option<Counts> {
        let shared = self.shared.take()?;
        shared.wanted.map(|_| shared.not_recorded)
    }
}

/// The sites of a strand.
pub(crate) struct StrandSites {
    /// Another one for each strand that wants sites; 0 for the others.
    key: AtomicU64,
    /// While no thread runs the strand.
    log: Lock<Option<SiteLog>>,
}

impl StrandSites {
    pub(crate) fn new() -> Self {
        Self {
            key: AtomicU64::new(0),
            log: Lock::new(None),
        }
    }

    pub(crate) fn begin(&self, are_wanted: bool) {
        let key = if are_wanted { new_key() } else { 0 };
        self.key.store(key, Relaxed);
    }

    /// Returns the key of the strand's log; `None` if it has none.
    #[inline]
    pub(crate) fn key(&self) -> Option<u64> {
        let key = self.key.load(Relaxed);
        (key > 0).then_some(key)
    }

    pub(crate) fn take(&self) -> Option<SiteLog> {
        self.log.take()?.take()
    }

    pub(crate) fn put(&self, log: SiteLog) {
        let mut log = Some(log);
        if let Some(mut place) = self.log.take() {
            *place = log.take();
        }
        // If somebody was forked away with the lock.
        alloc_counter::exclude(|| drop(log));
    }

    /// Looks at the log; `None` if there is none, or another thread runs the strand.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&SiteLog) -> T) -> Option<T> {
        self.log.take()?.as_ref().map(look)
    }

    /// Moves the log to those of strands that are over.
    pub(crate) fn end(&self, ended: &mut Option<Box<SiteLog>>) {
        let log = self.key().and_then(|_| self.take());
        match (ended, log) {
            (Some(ended), Some(log)) => ended.merge(log),
            (ended, Some(log)) => *ended = Some(Box::new(log)),
            (_, None) => {}
        }
    }

    pub(crate) fn clear(&self) {
        if self.key().is_some() {
            self.key.store(0, Relaxed);
            alloc_counter::exclude(|| drop(self.take()));
        }
    }
}
