//! A log of sites, of which a thread at a time adds what it allocates.

use crate::counts::Counts;
use crate::overhead::exclude;

use super::collector::Collector;
use super::linux::{Base, Extent, Stack, walk};
use super::room::SiteRoom;
use super::sampling::{Countdown, Sampling};
use super::{Recording, Sampled, Site, Sites, with_recordings};

/// The sites of a line of execution, such as a task, which one thread at a time runs.
///
/// Made for tracers; [`Sites::record`] is for a stretch of code.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::{Owner, SiteLog, SiteRoom, Sites};
///
/// let mut log = SiteLog::new(Sites::exact(), SiteRoom::new(100), |_| Owner::Is(7));
/// for key in 0..2 {
///     assert!(log.enter(key).is_none());
///     drop(std::hint::black_box(vec![0_u8; 10]));
///     log = SiteLog::leave(key).expect("entered above");
/// }
/// let sites: Vec<_> = log.sites().collect();
/// assert_eq!(sites.iter().map(|(owner, site)| owner * site.allocations as u32).sum::<u32>(), 14);
/// ```
#[derive(Debug)]
pub struct SiteLog {
    sampling: Sampling,
    collector: Collector,
    owner: fn(u64) -> Owner,
}

/// Whose an allocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// That of a call, or whatever has this number.
    Is(u32),
    /// Not counted at the moment.
    Paused,
    /// What was recorded does not exist any more.
    Gone,
}

impl SiteLog {
    /// Makes a log. `owner` tells whose the allocation is that the thread makes now, from the key with which
    /// the log was entered. It must neither allocate nor panic.
    ///
    /// Reads the tables of the modules if some were loaded since; not for a [sample](Sites::sampled), for which
    /// [`enter`](Self::enter) does so.
    pub fn new(sites: Sites, room: SiteRoom, owner: fn(u64) -> Owner) -> Self {
        if !matches!(sites.0, Sampling::Mean(_)) {
            exclude(walk::prepare);
        }
        Self {
            sampling: sites.0,
            collector: Collector::new(room),
            owner,
        }
    }

    /// Adds what this thread allocates from now on, until it [leaves](Self::leave) the log. Keys are below 2⁶³.
    ///
    /// Frames of [exact](Sites::exact) sites go as far as the innermost function that runs now and at the
    /// allocation. Others go as far as the thread's first function: to look which functions run now would cost more
    /// than their few walks.
    ///
    /// Returns the log if the thread can't record: it is ending, or has entered 64 already.
    #[must_use = "the log is returned if it is not entered"]
    #[inline(never)]
    pub fn enter(self, key: u64) -> Option<Self> {
        let base = match self.sampling {
            Sampling::Exact => exclude(|| {
                walk::prepare_first();
                Base::here()
            }),
            Sampling::First(_) => {
                exclude(walk::prepare_first);
                Base::UNKNOWN
            }
            // Prepared for by the mean.
            Sampling::Mean(_) => Base::UNKNOWN,
        };
        super::enter(self, key, base)
    }

    /// Does what [`enter`](Self::enter) does, for lines of execution that want a [sample](Sites::sampled). Their logs
    /// are made when a sample is due: most requests allocate less than the mean, and need none.
    ///
    /// Call this each time that the thread comes to such a line, with what it wants. At a sample, `running` must pass
    /// all lines in which this thread is then. It is one function for the whole process, and runs while memory is
    /// allocated: it must neither panic nor wait for long. A log that was made is [left](Self::leave) by its key, if
    /// [any was](Self::is_any_entered).
    ///
    /// Sites that are no sample are not recorded in this way. Cost: a thread-local and a comparison.
    ///
    /// ```
    /// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
    /// use alloc_counter::{Owner, Sampled, SiteLog, SiteRoom, Sites};
    ///
    /// const SITES: Sites = Sites::sampled(1);
    /// SiteLog::sample(SITES, |pass| {
    ///     pass(Sampled {
    ///         key: 5,
    ///         sites: SITES,
    ///         make: |_| Some(SiteLog::new(SITES, SiteRoom::new(100), |_| Owner::Is(7))),
    ///         lose: |_| unreachable!("there is room"),
    ///     });
    /// });
    /// assert!(!SiteLog::is_any_entered());
    /// drop(std::hint::black_box(vec![0_u8; 100]));
    /// assert!(SiteLog::is_any_entered());
    /// let log = SiteLog::leave(5).expect("made by now");
    /// assert_eq!(log.sites().count(), 1);
    /// ```
    #[inline]
    pub fn sample(sites: Sites, running: fn(&mut dyn FnMut(Sampled))) {
        if let Sampling::Mean(mean) = sites.0 {
            super::sample(mean, running);
        }
    }

    /// Returns whether this thread adds to any log.
    #[inline]
    pub fn is_any_entered() -> bool {
        super::RECORDED.get() > 0
    }

    /// Leaves the log that was entered with this key. Returns `None` if there is none on this thread, or it is lost,
    /// since the thread is ending.
    pub fn leave(key: u64) -> Option<Self> {
        super::leave(key)
    }

    /// Looks at the log that this thread has entered with this key. What `look` allocates is in no site.
    pub fn look<T>(key: u64, look: impl FnOnce(&Self) -> T) -> Option<T> {
        let found = with_recordings(|recordings| {
            let recording = recordings.iter().rfind(|it| it.key == key)?;
            super::MISSED.set(Counts::ZERO);
            let seen = look(&recording.log);
            let missed = super::MISSED.take();
            for Recording { key, log, .. } in recordings {
                if matches!(log.owner(*key), Owner::Is(_)) {
                    log.collector.lose(missed);
                }
            }
            Some(seen)
        });
        found.flatten()
    }

    /// Adds what another log has recorded, which shares its room with this one: that of a task that is over.
    pub fn merge(&mut self, other: Self) {
        exclude(|| self.collector.merge(other.collector));
    }

    /// Returns the sites and whose they are, in no order. The same place in the code is another site for each
    /// owner.
    pub fn sites(&self) -> impl Iterator<Item = (u32, Site)> {
        self.collector.sites()
    }

    /// Returns about how many bytes the sites take.
    pub fn bytes(&self) -> usize {
        self.collector.bytes()
    }

    /// Returns what was allocated at places for which there was no room or memory, since this was last [taken](Self::take_not_recorded).
    pub fn not_recorded(&self) -> Counts {
        self.collector.not_recorded()
    }

    /// Takes what [`not_recorded`](Self::not_recorded) returns.
    pub fn take_not_recorded(&mut self) -> Counts {
        self.collector.take_not_recorded()
    }

    pub(super) fn owner(&self, key: u64) -> Owner {
        (self.owner)(key)
    }

    pub(super) fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Returns whose an allocation is, and for how many it stands; `None` if it is not recorded. `by_chance` is what
    /// chose it for recordings of samples, if it did.
    pub(super) fn choose(
        &mut self,
        key: u64,
        counts: Counts,
        by_chance: Option<&Countdown>,
    ) -> Option<Chosen> {
        let bytes = counts.bytes_allocated;
        let by_chance = match self.sampling {
            Sampling::Mean(mean) => Some(by_chance?.weight(bytes, mean)?),
            Sampling::Exact | Sampling::First(_) => None,
        };
        let Owner::Is(owner) = self.owner(key) else {
            return None;
        };
        if let Sampling::First(left) = &mut self.sampling {
            let Some(less) = left.checked_sub(1) else {
                self.collector.lose(counts);
                return None;
            };
            *left = less;
        }
        let weight = by_chance.unwrap_or(1.0);
        Some(Chosen { owner, weight })
    }

    /// Records an allocation that was chosen, with its stack as far as this recording wants it.
    pub(super) fn add(
        &mut self,
        chosen: Chosen,
        counts: Counts,
        stack: &mut Stack,
        extent: Extent,
    ) {
        let key = stack.key(chosen.owner, extent.len);
        let is_whole = extent.is_whole;
        self.collector
            .record((key, is_whole), counts, chosen.weight);
    }
}

/// An allocation that is recorded.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    owner: u32,
    weight: f64,
}
