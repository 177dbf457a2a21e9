//! Allocation sites: the stack at each allocation of a stretch of code.
//!
//! While all sites are wanted, the thread's hot path is closed, so that each allocation comes beside it and is looked
//! at. If only samples are wanted, the path is open for as many bytes as are not chosen: an allocation leaves it if one
//! of its bytes is, and no other costs anything.
//!
//! A [log](SiteLog) has the sites of a stretch of code, or of what a tracer calls a line of execution. A thread
//! adds to all logs that it has entered.

mod collector;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod elsewhere;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
mod log;
mod module;
mod room;
mod sampling;
mod site;
mod stretch;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
use elsewhere as linux;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use crate::counts::Counts;
use crate::hot::{self, Bars};
use crate::overhead::{Overhead, exclude};
use crate::slot::Operation;

use linux::{Base, Stack, Start, walk};
use sampling::{Countdown, Sampling};

pub use linux::modules::modules;
pub use log::{Owner, SiteLog};
pub use module::Module;
pub use room::SiteRoom;
pub use site::Site;
pub use stretch::{Sited, sites};

/// The most frames of a site. Those further out are left out, and the site is not [whole](Site::is_whole).
const MOST_FRAMES: usize = 64;

thread_local! {
    static RECORDINGS: RefCell<Overhead<Vec<Recording>>> =
        const { RefCell::new(Overhead::new(Vec::new())) };
    /// The number of recordings. Without a destructor, so that it can be read at any time of a thread's life, as can the
    /// others below.
    static RECORDED: Cell<usize> = const { Cell::new(0) };
    /// What was allocated while a log was looked at.
    static MISSED: Cell<Counts> = const { Cell::new(Counts::ZERO) };
    static COUNTDOWN: Countdown = const { Countdown::new() };
    /// The mean by which samples are taken, if the thread has what it needs for them, and none was recorded since it
    /// looked; else [`UNREADY`].
    static READY_FOR: Cell<u64> = const { Cell::new(UNREADY) };
    /// Passes the lines of execution that want a sample and in which this thread is.
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

const UNREADY: u64 = u64::MAX;

type Running = fn(&mut dyn FnMut(Sampled));

/// A log to which this thread adds.
struct Recording {
    key: u64,
    /// The functions that were running when it began. If they are not known, sites go as far as the thread's first
    /// function.
    base: Base,
    log: SiteLog,
}

/// A line of execution that wants a sample.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// The key of its log. Keys are below 2⁶³.
    pub key: u64,
    /// What it wants.
    pub sites: Sites,
    /// Makes its log for this visit of the thread, from the key; `None` if that is not possible. The log must be of the
    /// same sites.
    pub make: fn(u64) -> Option<SiteLog>,
    /// Is told, with the key, that a sample was due and could not be recorded.
    pub lose: fn(u64),
}

/// The most recordings of a thread. Guards may be leaked.
const MOST_RECORDINGS: usize = 64;

/// Which allocations of a stretch of code are recorded, with the stack at each.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::Sites;
///
/// let sampled = Sites::sampled(1_000).record(|| {
///     for size in 1..=1_000 {
///         std::hint::black_box(vec![0_u8; size]);
///     }
/// });
/// let bytes: u64 = sampled.sites.unwrap().iter().map(|site| site.bytes_allocated).sum();
/// // Of 500,500 bytes; the spread is 4.5 per cent.
/// assert!((300_000..700_000).contains(&bytes));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sites(Sampling);

impl Sites {
    /// Records each allocation and reallocation, so that the figures are exact.
    pub const fn exact() -> Self {
        Self(Sampling::Exact)
    }

    /// Records each of the first allocations and reallocations, at most so many. Later ones are
    /// [not recorded](Sited::not_recorded), and cost next to nothing.
    ///
    /// ```
    /// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
    /// use alloc_counter::Sites;
    ///
    /// let first = Sites::first(10).record(|| {
    ///     for _ in 0..1_000 {
    ///         std::hint::black_box(Box::new(1_u8));
    ///     }
    /// });
    /// let sites = first.sites.unwrap();
    /// assert_eq!((sites[0].allocations, first.not_recorded.allocations), (10, 990));
    /// ```
    pub const fn first(most: u64) -> Self {
        Self(Sampling::First(most))
    }

    /// Records about one allocation for so many bytes, chosen by chance, and estimates the figures from them.
    ///
    /// An allocation of `s` bytes is recorded with the probability `1 − exp(−s / mean)`. Reallocations that do
    /// not grow their block are never recorded. A mean of 0 or 1 records nearly all, but still by chance.
    pub const fn sampled(mean_bytes: u64) -> Self {
        let mean = match NonZeroU64::new(mean_bytes) {
            Some(mean) => mean,
            None => NonZeroU64::MIN,
        };
        Self(Sampling::Mean(mean))
    }

    /// Returns the mean of a [sample](Self::sampled); `None` if this is none.
    ///
    /// ```
    /// use alloc_counter::Sites;
    ///
    /// assert_eq!(Sites::sampled(1000).mean_bytes().map(u64::from), Some(1000));
    /// assert_eq!(Sites::exact().mean_bytes(), None);
    /// ```
    pub const fn mean_bytes(self) -> Option<NonZeroU64> {
        match self.0 {
            Sampling::Mean(mean) => Some(mean),
            Sampling::Exact | Sampling::First(_) => None,
        }
    }
}

/// Makes what this thread needs to walk its stack and to choose at random.
#[cold]
fn prepare() {
    exclude(|| {
        walk::prepare();
        if !COUNTDOWN.with(Countdown::is_seeded) {
            let seed = RandomState::new().hash_one(0);
            COUNTDOWN.with(|countdown| countdown.seed(seed.max(1)));
        }
    });
}

/// Takes samples of what this thread allocates from now on, by this mean or a smaller one.
#[inline]
fn sample(mean: NonZeroU64, running: Running) {
    if mean.get() < READY_FOR.get() {
        RUNNING.set(Some(running));
        get_ready(mean);
    }
}

#[cold]
#[inline(never)]
fn get_ready(mean: NonZeroU64) {
    prepare();
    COUNTDOWN.with(|countdown| {
        let least = countdown.mean().filter(|least| *least <= mean);
        if least.is_none() {
            hot::set_left(countdown.begin(Some(mean)));
        }
        note_ready_for(least.or(Some(mean)));
    });
}

/// Notes by which mean samples are taken, if the thread has what it needs for them. That includes the function that
/// passes lines of execution, which the first of them brings: until then, a recording may have prepared all the rest.
fn note_ready_for(mean: Option<NonZeroU64>) {
    let ready_for = mean.filter(|_| RUNNING.get().is_some());
    READY_FOR.set(ready_for.map_or(UNREADY, NonZeroU64::get));
}

/// Adds to a log on this thread from now on; returns it if the thread can't.
fn enter(log: SiteLog, key: u64, base: Base) -> Option<SiteLog> {
    if let Sampling::Mean(mean) = log.sampling()
        && mean.get() < READY_FOR.get()
    {
        get_ready(mean);
    }
    let mut log = Some(log);
    with_recordings(|recordings| {
        if has_room(recordings)
            && let Some(log) = log.take()
        {
            recordings.push(Recording { key, base, log });
            note_change(recordings);
        }
    });
    log
}

/// Makes room for one more recording; `false` if there is none.
fn has_room(recordings: &mut Vec<Recording>) -> bool {
    let room = recordings.capacity().min(MOST_RECORDINGS);
    recordings.len() < room || make_room(recordings)
}

#[cold]
fn make_room(recordings: &mut Vec<Recording>) -> bool {
    exclude(|| {
        if recordings.len() >= MOST_RECORDINGS {
            // Those of scopes that were leaked.
            recordings.retain(|Recording { key, log, .. }| log.owner(*key) != Owner::Gone);
        }
        recordings.len() < MOST_RECORDINGS && recordings.try_reserve(1).is_ok()
    })
}

/// Takes a log that this thread adds to.
fn leave(key: u64) -> Option<SiteLog> {
    let taken = with_recordings(|recordings| {
        let place = recordings.iter().rposition(|it| it.key == key)?;
        let Recording { base, log, .. } = recordings.remove(place);
        note_change(recordings);
        if !base.is_unknown() {
            exclude(|| drop(base));
        }
        Some(log)
    });
    taken.flatten()
}

/// Notes that these are the recordings from now on.
fn note_change(recordings: &[Recording]) {
    RECORDED.set(recordings.len());
    let wants_all = |it: &Recording| !matches!(it.log.sampling(), Sampling::Mean(_));
    hot::bar(Bars::ALL_SITES, recordings.iter().any(wants_all));
}

/// Does something with the recordings of this thread; `None` if it is ending, or this runs in itself.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it only passes the list on")]
fn with_recordings<T>(work: impl FnOnce(&mut Vec<Recording>) -> T) -> Option<T> {
    let with = |recordings: &RefCell<Overhead<Vec<Recording>>>| {
        let mut recordings = recordings.try_borrow_mut().ok()?;
        Some(work(&mut recordings))
    };
    RECORDINGS.try_with(with).ok().flatten()
}

/// Records an operation that was counted, if it is wanted: as a part of a sample or not. Nothing here panics, waits, or
/// calls the program.
#[cold]
#[inline(never)]
pub(crate) fn note(operation: Operation, old: usize, new: usize, is_sampled: bool) {
    let counts = operation.counts(old, new);
    // Here, so that what follows is neither walked nor in the frames.
    let start = Start::here();
    exclude(|| {
        COUNTDOWN.with(|countdown| {
            let by_chance = is_sampled.then_some(countdown);
            let mut mean = countdown.mean();
            let noted = with_recordings(|recordings| {
                if is_sampled {
                    mean = add_running(recordings);
                }
                record(recordings, &start, counts, by_chance)
            });
            if noted.is_none() {
                MISSED.set(MISSED.get() + counts);
            }
            if is_sampled {
                if noted.is_none() {
                    lose_running();
                }
                hot::set_left(countdown.begin(mean));
                let is_ready = noted == Some(false);
                note_ready_for(mean.filter(|_| is_ready));
            }
        });
    });
}

/// Adds recordings of all lines of execution that want a sample now. Returns the least mean of all that want one.
fn add_running(recordings: &mut Vec<Recording>) -> Option<NonZeroU64> {
    let mut least = NonZeroU64::MAX;
    let mut note = |sites: Sites| least = least.min(sites.mean_bytes().unwrap_or(least));
    if let Some(running) = RUNNING.get() {
        running(&mut |sampled| {
            note(sampled.sites);
            let key = sampled.key;
            if recordings.iter().any(|it| it.key == key) {
                return;
            }
            match has_room(recordings).then(|| (sampled.make)(key)).flatten() {
                Some(log) => recordings.push(Recording {
                    key,
                    base: Base::UNKNOWN,
                    log,
                }),
                None => (sampled.lose)(key),
            }
        });
        note_change(recordings);
    }
    for recording in recordings {
        note(Sites(recording.log.sampling()));
    }
    (least < NonZeroU64::MAX).then_some(least)
}

/// Tells all lines of execution that want a sample that one was lost, since the thread is ending.
#[cold]
fn lose_running() {
    if let Some(running) = RUNNING.get()
        && RECORDINGS.try_with(|_| ()).is_err()
    {
        running(&mut |sampled| (sampled.lose)(sampled.key));
    }
}

/// Returns whether it was recorded anywhere.
fn record(
    recordings: &mut [Recording],
    start: &Start,
    counts: Counts,
    by_chance: Option<&Countdown>,
) -> bool {
    let is_only = recordings.len() == 1;
    // Walked once for all, if one of them wants it.
    let mut stack = Stack::UNKNOWN;
    let mut is_walked = false;
    for Recording { key, base, log } in recordings {
        if let Some(chosen) = log.choose(*key, counts, by_chance) {
            if !is_walked {
                let end = if is_only { &*base } else { &Base::UNKNOWN };
                stack.walk(start, end);
                is_walked = true;
            }
            let extent = if is_only {
                stack.extent()
            } else {
                stack.extent_to(base)
            };
            log.add(chosen, counts, &mut stack, extent);
        }
    }
    is_walked
}
