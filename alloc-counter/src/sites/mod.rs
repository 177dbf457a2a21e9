//! Allocation sites: the stack at each allocation of a stretch of code.
//!
//! While sites are wanted, the thread has no hot slot, so that each allocation comes by the cold path, which
//! looks. Otherwise the path of an allocation is the one that it is without this module. If all that is wanted are
//! samples, the look is at a countdown of bytes.
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
mod of_thread;
mod room;
mod sampling;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
use elsewhere as linux;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use crate::counts::Counts;
use crate::slot::Operation;
use crate::thread::{self, exclude};

use linux::{Base, Stack, Start, walk};
use of_thread::OfThread;
use sampling::{Countdown, Sampling};

pub use linux::modules::modules;
pub use log::{Left, Owner, SiteLog};
pub use module::Module;
pub use room::SiteRoom;

/// The most frames of a site. Those further out are left out, and the site is not [whole](Site::is_whole).
const MOST_FRAMES: usize = 64;

thread_local! {
    /// Without a destructor, so that it can be read at any time of a thread's life. So are the others but the next.
    static WANTED: Cell<Wanted> = const { Cell::new(Wanted::No) };
    /// The only recording of this thread, if it has not taken any sample: so that one that takes none is cheap.
    static ALONE: Cell<Option<ToMake>> = const { Cell::new(None) };
    static RECORDINGS: OfThread<Vec<Recording>> = const { OfThread::new(Vec::new()) };
    /// What was allocated while a log was looked at.
    static MISSED: Cell<Counts> = const { Cell::new(Counts::ZERO) };
    static COUNTDOWN: Countdown = const { Countdown::new() };
    /// Whether this thread has what it needs for samples, and none was recorded since it looked.
    static IS_READY: Cell<bool> = const { Cell::new(false) };
    /// The key of the last stretch of code. Those of other logs are below.
    static LAST_STRETCH: Cell<u64> = const { Cell::new(FIRST_STRETCH) };
}

/// Which allocations of a thread are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    No,
    /// Those that the countdown chooses.
    Sampled,
    All,
    /// All, for some of the recordings, and those that the countdown chooses for the others.
    AllAndSampled,
}

/// A log to which this thread adds.
struct Recording {
    key: u64,
    /// The functions that were running when it began. If they are not known, sites go as far as the thread's first
    /// function.
    base: Base,
    log: Log,
}

enum Log {
    Made(SiteLog),
    ToMake(ToMake),
}

/// A log to be made at the first sample.
#[derive(Clone, Copy)]
struct ToMake {
    key: u64,
    mean: NonZeroU64,
    make: fn(u64) -> Option<SiteLog>,
}

impl Log {
    fn sampling(&self) -> Sampling {
        match self {
            Self::Made(log) => log.sampling(),
            Self::ToMake(it) => Sampling::Mean(it.mean),
        }
    }

    /// Returns the log, which is made if need be.
    fn get(&mut self) -> Option<&mut SiteLog> {
        if let Self::ToMake(it) = self {
            *self = Self::Made((it.make)(it.key)?);
        }
        match self {
            Self::Made(log) => Some(log),
            Self::ToMake(_) => None,
        }
    }
}

/// The most recordings of a thread. Guards may be leaked.
const MOST_RECORDINGS: usize = 64;

const FIRST_STRETCH: u64 = 1 << 63;

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

    /// Runs `work`, and returns the places in it that allocated on this thread.
    ///
    /// Inside of another recording, the places belong to both. What runs inside of [`exclude`] has no sites.
    ///
    /// Cost: with exact sites about a quarter of a microsecond for each allocation, if the stack has 20 frames inside
    /// of `work`; twenty times as much if this crate and `framehop` are compiled without optimisation.
    /// The first recording of a thread reads the tables of all loaded modules, and takes 80 KiB for
    /// the thread. All of this is overhead, and in no figure of the program.
    #[inline(never)]
    pub fn record<T>(self, work: impl FnOnce() -> T) -> Sited<T> {
        let stretch = Stretch::begin(self);
        let value = work();
        let (sites, not_recorded) = stretch.end().unzip();
        Sited {
            value,
            sites,
            not_recorded: not_recorded.unwrap_or(Counts::ZERO),
        }
    }
}

/// Runs `work`, and returns the places in it that allocated on this thread, with exact figures.
///
/// The same as [`Sites::exact`]`().`[`record`](Sites::record)`(work)`.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let sited = alloc_counter::sites(|| {
///     let text = std::hint::black_box("a".repeat(100));
///     text.into_bytes().into_boxed_slice()
/// });
/// let sites = sited.sites.expect("Counting is installed above");
/// assert_eq!((sites.len(), sites[0].allocations, sites[0].bytes_allocated), (1, 1, 100));
/// ```
pub fn sites<T>(work: impl FnOnce() -> T) -> Sited<T> {
    Sites::exact().record(work)
}

/// Result of [`sites`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sited<T> {
    /// What the work returned.
    pub value: T,
    /// The places that allocated, in the order of their bytes, the heaviest first; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub sites: Option<Vec<Site>>,
    /// What was allocated at places for which there was no memory left, or that came after the first 65,536, or
    /// after the [first](Sites::first) allocations.
    pub not_recorded: Counts,
}

/// A place that allocated, with its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Where the functions called each other, from the allocator outwards to the one that ran the recorded
    /// stretch: return addresses, which follow the call. Empty if the stack could not be walked. At most 64.
    pub frames: Vec<usize>,
    /// Whether the frames go as far as the recorded stretch.
    pub is_whole: bool,
    /// Number of allocations.
    pub allocations: u64,
    /// Number of reallocations.
    pub reallocations: u64,
    /// Bytes allocated, as in [`Counts::bytes_allocated`].
    pub bytes_allocated: u64,
    /// Standard error of the bytes if they are estimated from a sample; 0 if they are exact.
    pub error_bytes: u64,
}

impl Site {
    /// Orders sites by their bytes, the heaviest first.
    pub fn by_weight(&self, other: &Self) -> std::cmp::Ordering {
        let key = |site: &Self| std::cmp::Reverse((site.bytes_allocated, site.allocations));
        (key(self), &self.frames).cmp(&(key(other), &other.frames))
    }
}

/// A recorded stretch of code, until it is ended or dropped.
struct Stretch {
    /// `None` if the thread can't record.
    key: Option<u64>,
}

impl Stretch {
    fn begin(sites: Sites) -> Self {
        if !thread::is_installed() {
            return Self { key: None };
        }
        let key = LAST_STRETCH.get() + 1;
        LAST_STRETCH.set(key);
        let room = exclude(|| SiteRoom::new(MOST_SITES));
        let log = SiteLog::new(sites, room, |_| Owner::Is(0));
        let is_refused = exclude(|| {
            // The others were prepared for with the log.
            if sites.mean_bytes().is_some() {
                prepare();
            }
            enter(Log::Made(log), key, Base::here()).is_some()
        });
        Self {
            key: (!is_refused).then_some(key),
        }
    }

    fn end(mut self) -> Option<(Vec<Site>, Counts)> {
        let log = SiteLog::leave(self.key.take()?).log()?;
        Some(exclude(|| {
            let mut sites: Vec<_> = log.sites().map(|(_, site)| site).collect();
            sites.sort_unstable_by(Site::by_weight);
            let not_recorded = log.not_recorded();
            drop(log);
            (sites, not_recorded)
        }))
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let left = SiteLog::leave(key);
            exclude(|| drop(left));
        }
    }
}

/// The most sites of a stretch of code.
const MOST_SITES: usize = 65_536;

/// Prepares this thread for samples, if that is to be done.
#[inline]
fn prepare_once() {
    if !IS_READY.get() {
        prepare();
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
    IS_READY.set(true);
}

/// Adds to a log on this thread from now on; returns it if the thread can't.
fn enter(log: Log, key: u64, base: Base) -> Option<Log> {
    let mut log = Some(log);
    with_recordings(|recordings| {
        let room = recordings.capacity().min(MOST_RECORDINGS);
        if recordings.len() >= room && !has_room(recordings) {
            return;
        }
        if let Some(log) = log.take() {
            recordings.push(Recording { key, base, log });
            want(recordings);
        }
    });
    log
}

/// Makes room for one more recording; `false` if there is none.
#[cold]
fn has_room(recordings: &mut Vec<Recording>) -> bool {
    exclude(|| {
        if recordings.len() >= MOST_RECORDINGS {
            // Those of scopes that were leaked.
            recordings.retain_mut(|Recording { key, log, .. }| {
                let log = log.get();
                log.is_some_and(|log| log.owner(*key) != Owner::Gone)
            });
        }
        recordings.len() < MOST_RECORDINGS && recordings.try_reserve(1).is_ok()
    })
}

/// Adds to a log on this thread from now on, as soon as there is a sample; `false` if the thread can't.
#[inline]
fn enter_at_sample(log: ToMake) -> bool {
    prepare_once();
    if WANTED.get() == Wanted::No {
        ALONE.set(Some(log));
        WANTED.set(Wanted::Sampled);
        COUNTDOWN.with(|countdown| countdown.choose_by(log.mean));
        thread::choose_path();
        true
    } else {
        enter(Log::ToMake(log), log.key, Base::UNKNOWN).is_none()
    }
}

/// Takes a log that this thread adds to.
fn leave(key: u64) -> Left {
    if ALONE.get().is_some_and(|it| it.key == key) {
        ALONE.set(None);
        WANTED.set(Wanted::No);
        thread::choose_path();
        return Left::NotMade;
    }
    let taken = with_recordings(|recordings| {
        let place = recordings.iter().rposition(|it| it.key == key)?;
        let Recording { base, log, .. } = recordings.remove(place);
        want(recordings);
        if !base.is_unknown() {
            exclude(|| drop(base));
        }
        Some(match log {
            Log::Made(log) => Left::Log(log),
            Log::ToMake(_) => Left::NotMade,
        })
    });
    taken.flatten().unwrap_or(Left::Nothing)
}

/// Looks at the allocations that these recordings want, from now on.
fn want(recordings: &[Recording]) {
    let (mut least, mut all) = (None, false);
    for recording in recordings {
        match recording.log.sampling() {
            Sampling::Mean(mean) => {
                least = Some(least.map_or(mean, |least: NonZeroU64| least.min(mean)));
            }
            Sampling::Exact | Sampling::First(_) => all = true,
        }
    }
    WANTED.set(match (least, all) {
        (None, false) => Wanted::No,
        (None, true) => Wanted::All,
        (Some(_), false) => Wanted::Sampled,
        (Some(_), true) => Wanted::AllAndSampled,
    });
    if let Some(least) = least {
        COUNTDOWN.with(|countdown| countdown.choose_by(least));
    }
    thread::choose_path();
}

/// Does something with the recordings of this thread; `None` if it is ending, there is no memory, or this runs in
/// itself.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it only passes the list on")]
fn with_recordings<T>(work: impl FnOnce(&mut Vec<Recording>) -> T) -> Option<T> {
    let with = |recordings: &OfThread<Vec<Recording>>| {
        let mut recordings = recordings.try_borrow_mut().ok()?;
        if ALONE.get().is_some() {
            add_alone(&mut recordings)?;
        }
        Some(work(&mut recordings))
    };
    RECORDINGS.try_with(with).ok().flatten()
}

/// Adds the recording that was alone to the list; `None` if there is no memory.
#[cold]
#[inline(never)]
fn add_alone(recordings: &mut Vec<Recording>) -> Option<()> {
    exclude(|| recordings.try_reserve(1)).ok()?;
    if let Some(alone) = ALONE.take() {
        recordings.push(Recording {
            key: alone.key,
            base: Base::UNKNOWN,
            log: Log::ToMake(alone),
        });
    }
    Some(())
}

/// Whether this thread's allocations are looked at.
#[inline]
pub(crate) fn are_wanted() -> bool {
    WANTED.get() != Wanted::No
}

/// Whether only samples of this thread's allocations are looked at.
#[inline]
pub(crate) fn are_samples() -> bool {
    WANTED.get() == Wanted::Sampled
}

/// Returns whether an allocation or reallocation of the program's is in the sample.
#[inline]
pub(crate) fn is_sampled(old: usize, new: usize) -> bool {
    new > old && COUNTDOWN.with(|countdown| countdown.chooses((new - old) as u64))
}

/// Returns whether an allocation or reallocation of the program's is looked at.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the path of every allocation beside sites"
)]
pub(crate) fn is_at(old: usize, new: usize) -> bool {
    match WANTED.get() {
        Wanted::No => false,
        Wanted::Sampled => is_sampled(old, new),
        Wanted::All | Wanted::AllAndSampled => true,
    }
}

/// Records an operation that was counted and is [looked at](is_at). Nothing here panics, waits, or calls the program.
#[cold]
#[inline(never)]
pub(crate) fn note(operation: Operation, old: usize, new: usize) {
    let counts = operation.counts(old, new);
    // Here, so that what follows is neither walked nor in the frames.
    let start = Start::here();
    let wanted = WANTED.get();
    exclude(|| {
        let noted = with_recordings(|recordings| {
            COUNTDOWN.with(|countdown| {
                let is_chosen = match wanted {
                    Wanted::No | Wanted::All => false,
                    Wanted::Sampled => true,
                    Wanted::AllAndSampled => countdown.chooses(counts.bytes_allocated),
                };
                let by_chance = is_chosen.then_some(countdown);
                record(recordings, &start, counts, by_chance);
            });
        });
        if noted.is_none() {
            MISSED.set(MISSED.get() + counts);
        }
    });
}

fn record(
    recordings: &mut [Recording],
    start: &Start,
    counts: Counts,
    by_chance: Option<&Countdown>,
) {
    let is_only = recordings.len() == 1;
    // Walked once for all, if one of them wants it.
    let mut stack = Stack::UNKNOWN;
    let mut is_walked = false;
    for Recording { key, base, log } in recordings {
        if matches!(log, Log::ToMake(_)) && by_chance.is_none() {
            continue;
        }
        let Some(log) = log.get() else { continue };
        if let Some(chosen) = log.choose(*key, counts, by_chance) {
            if by_chance.is_some() {
                IS_READY.set(false);
            }
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
}
