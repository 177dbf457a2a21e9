//! The allocation sites of a trace: which it wants, and those of a strand while no thread records them.
//!
//! They are in maps of their own and not in the records: a site has up to 64 frames, and is looked up at each
//! allocation.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::{Counts, Owner, SiteLog, SiteRoom, Sites};

use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, fence, shared_static};
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
    /// The mean of a sample; 0 if all are wanted.
    mean: AtomicU64,
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
            mean: AtomicU64::new(0),
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
                let mean = sites.and_then(Sites::mean_bytes).map_or(0, u64::from);
                self.mean.store(mean, Relaxed);
                self.are_wanted.store(sites.is_some(), Relaxed);
            }
        });
    }

    #[inline]
    pub(crate) fn are_wanted(&self) -> bool {
        self.are_wanted.load(Relaxed)
    }

    /// Returns the mean if the trace wants a sample, else 0.
    fn mean(&self) -> u64 {
        self.mean.load(Relaxed)
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
    /// The mean if the strand wants a sample, else 0.
    mean: AtomicU64,
    /// Counts when a thread begins to record and when it has put its log here: odd in between.
    visits: AtomicU32,
    /// What was recorded by threads that have left the strand. A sample has none before its first site.
    log: Lock<Option<SiteLog>>,
    has_log: AtomicBool,
    /// Some sites are in no log, so that the others say too little.
    are_lost: AtomicBool,
}

impl StrandSites {
    pub(crate) fn new() -> Self {
        Self {
            key: AtomicU64::new(0),
            mean: AtomicU64::new(0),
            visits: AtomicU32::new(0),
            log: Lock::new(None),
            has_log: AtomicBool::new(false),
            are_lost: AtomicBool::new(false),
        }
    }

    pub(crate) fn begin(&self, trace: Option<&TraceSites>) {
        let wanted = trace.filter(|trace| trace.are_wanted());
        self.key.store(wanted.map_or(0, |_| new_key()), Relaxed);
        self.mean.store(wanted.map_or(0, TraceSites::mean), Relaxed);
        self.visits.store(0, Relaxed);
        self.are_lost.store(false, Relaxed);
    }

    /// Notes that some sites are in no log.
    #[cold]
    pub(crate) fn note_lost(&self) {
        self.are_lost.store(true, Relaxed);
    }

    /// Returns the key of the strand's log; `None` if it has none.
    #[inline]
    pub(crate) fn key(&self) -> Option<u64> {
        let key = self.key.load(Relaxed);
        (key > 0).then_some(key)
    }

    /// Returns what the strand wants if that is a sample.
    #[inline]
    pub(crate) fn sample(&self) -> Option<Sites> {
        let mean = self.mean.load(Relaxed);
        (mean > 0).then(|| Sites::sampled(mean))
    }

    /// Notes that the strand's thread begins to record, or that it has put its log here.
    pub(crate) fn visit(&self) {
        let visits = self.visits.load(Relaxed);
        self.visits.store(visits.wrapping_add(1), Release);
    }

    /// Takes the log as the strand's thread.
    pub(crate) fn take(&self) -> Option<SiteLog> {
        if !self.has_log.load(Relaxed) {
            return None;
        }
        let log = self.log.take()?.take();
        self.has_log.store(false, Relaxed);
        log
    }

    /// Adds a log to the one that is here, if any.
    pub(crate) fn put(&self, log: SiteLog) {
        let mut log = Some(log);
        if let Some(mut place) = self.log.take() {
            match (&mut *place, log.take()) {
                (Some(earlier), Some(log)) => earlier.merge(log),
                (place, log) => *place = log,
            }
            self.has_log.store(true, Relaxed);
        }
        // If somebody was forked away with the lock.
        alloc_counter::exclude(|| drop(log));
    }

    /// Looks at the log that is here; `None` if there is none.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&SiteLog) -> T) -> Option<T> {
        self.log.take()?.as_ref().map(look)
    }

    /// Looks at the log; `None` if a thread records, or sites are lost. If no log was made, returns the default.
    pub(crate) fn look_at_rest<T: Default>(&self, look: impl FnOnce(&SiteLog) -> T) -> Option<T> {
        let visits = self.visits.load(Acquire);
        if visits % 2 == 1 || self.are_lost.load(Relaxed) {
            return None;
        }
        let seen = self.log.take()?.as_ref().map(look);
        fence(Acquire);
        // If a thread began meanwhile, it may have taken the log.
        seen.or_else(|| (self.visits.load(Relaxed) == visits).then(T::default))
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
            let log = self.take();
            // If somebody was forked away with the lock, nobody takes the log any more.
            self.has_log.store(false, Relaxed);
            alloc_counter::exclude(|| drop(log));
        }
    }
}
