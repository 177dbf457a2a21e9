//! The figures of each minute of the last hours, of the requests of one name.
//!
//! Each stripe adds up its present minute. The first request of another minute moves the sums to the
//! minutes of the name, and so does a reader, at any moment: so a request is in one place at a time, and
//! a request that ends changes only what belongs to its stripe.
//!
//! Minutes are those of the wall clock, which is read once in each. If it is set, at most the requests of one
//! minute and stripe count for the minute before; after that they count for the minute that it shows, which may
//! have been there before.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloc_counter::Counts;

use crate::report::Outcome;

use super::process_lock::ProcessLock;
use super::quota::Quota;
use super::sketch::Sketch;

const MINUTE_NS: u64 = 60_000_000_000;
/// The most minutes of a name: three hours.
pub(super) const MOST: usize = 180;
/// By how many minutes the list of a name grows. There is memory for the first of these in any case.
const AT_ONCE: usize = 15;
/// The most bytes of bins of a minute that may still get requests.
const MOST_BINS_BYTES: usize = 512;
/// With fewer requests, the percentile is the highest value.
const FEW: u32 = 100;

/// The requests of one name that ended in one minute of the wall clock: see [`Recorder::minutes`](super::Recorder::minutes).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Minute {
    /// When the minute began, by the wall clock.
    pub started: SystemTime,
    /// Requests that ended in it.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that panicked.
    pub panicked: u64,
    /// Requests that were cancelled.
    pub cancelled: u64,
    /// The sum of their wall times.
    pub wall: Duration,
    /// The longest wall time.
    pub max_wall: Duration,
    /// The wall time that 99 % of them don't exceed, to a thirty-second of itself. It is the longest one if there
    /// are fewer than 100.
    pub p99_wall: Duration,
    /// Whether `p99_wall` is only known to be at most this: some requests were counted when the minute was long
    /// over, or memory ran out.
    pub p99_is_bound: bool,
    /// How often they allocated; `None` if nothing was counted.
    pub allocates: Option<u64>,
    /// How many bytes they allocated; `None` if nothing was counted.
    pub bytes_allocated: Option<u64>,
}

/// The sums of one minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Since the epoch.
    minute: u32,
    requests: u32,
    failed: u32,
    panicked: u32,
    cancelled: u32,
    p99_is_bound: bool,
    p99_ns: u64,
    max_ns: u64,
    wall_ns: u64,
    allocates: u64,
    bytes: u64,
}

impl Figures {
    #[cold]
    fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok | Outcome::Running => {}
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Panicked => self.panicked += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }

    /// Adds all but the percentile.
    fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.failed = self.failed.saturating_add(more.failed);
        self.panicked = self.panicked.saturating_add(more.panicked);
        self.cancelled = self.cancelled.saturating_add(more.cancelled);
        self.max_ns = self.max_ns.max(more.max_ns);
        self.wall_ns = self.wall_ns.saturating_add(more.wall_ns);
        self.allocates = self.allocates.saturating_add(more.allocates);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    pub(super) fn shown(&self, is_counted: bool) -> Minute {
        let since_epoch = Duration::from_secs(u64::from(self.minute) * 60);
        Minute {
            started: UNIX_EPOCH + since_epoch,
            requests: self.requests.into(),
            failed: self.failed.into(),
            panicked: self.panicked.into(),
            cancelled: self.cancelled.into(),
            wall: Duration::from_nanos(self.wall_ns),
            max_wall: Duration::from_nanos(self.max_ns),
            p99_wall: Duration::from_nanos(self.p99_ns),
            p99_is_bound: self.p99_is_bound,
            allocates: is_counted.then_some(self.allocates),
            bytes_allocated: is_counted.then_some(self.bytes),
        }
    }
}

/// The present minute of one name in one stripe.
#[derive(Debug, Default)]
pub(super) struct PresentMinute {
    /// When it began, by the recorder's clock, and for how long it lasts.
    from_ns: u64,
    length_ns: u64,
    figures: Figures,
    /// In nanoseconds.
    wall: Sketch,
}

impl PresentMinute {
    /// Adds a request that ended at this moment of the recorder's clock. Sums of a minute that is over go to
    /// `minutes`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "at the end of each request")]
    pub(super) fn add(
        &mut self,
        now_ns: u64,
        wall_ns: u64,
        outcome: &Outcome,
        total: &Counts,
        minutes: &Minutes,
        quota: &mut Quota,
    ) {
        // A thread may come late, with an earlier moment: its request counts for the minute that it is now.
        if now_ns.wrapping_sub(self.from_ns) >= self.length_ns {
            self.turn_now(now_ns, minutes, quota);
        }
        let figures = &mut self.figures;
        figures.requests = figures.requests.saturating_add(1);
        if *outcome != Outcome::Ok {
            figures.count_outcome(outcome);
        }
        figures.max_ns = figures.max_ns.max(wall_ns);
        figures.wall_ns = figures.wall_ns.saturating_add(wall_ns);
        figures.allocates = figures.allocates.saturating_add(total.allocates());
        figures.bytes = figures.bytes.saturating_add(total.bytes_allocated);
        self.wall.record(wall_ns, quota);
    }

    #[cold]
    #[inline(never)]
    fn turn_now(&mut self, now_ns: u64, minutes: &Minutes, quota: &mut Quota) {
        self.turn(now_ns, SystemTime::now(), minutes, quota);
    }

    /// Begins the minute that the wall clock shows.
    fn turn(&mut self, now_ns: u64, wall_clock: SystemTime, minutes: &Minutes, quota: &mut Quota) {
        self.move_to(minutes, quota);
        // A clock before the epoch shows the epoch.
        let since_epoch = wall_clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let minute = u32::try_from(since_epoch.as_secs() / 60).unwrap_or(u32::MAX);
        let within =
            since_epoch.as_secs() % 60 * 1_000_000_000 + u64::from(since_epoch.subsec_nanos());
        let end_ns = now_ns.saturating_add(MINUTE_NS - within);
        self.from_ns = now_ns.saturating_sub(within);
        self.length_ns = end_ns - self.from_ns;
        self.figures.minute = minute;
    }

    /// Moves the sums to the minutes of the name. Further requests of the present minute count from 0.
    pub(super) fn move_to(&mut self, minutes: &Minutes, quota: &mut Quota) {
        if self.figures.requests == 0 {
            return;
        }
        let minute = self.figures.minute;
        minutes.add(&self.figures, &self.wall);
        self.figures = Figures {
            minute,
            ..Figures::default()
        };
        quota.give_back(self.wall.bytes());
        self.wall = Sketch::default();
    }
}

/// The memory that the minutes of all names share, beyond the first ones of each.
#[derive(Debug)]
pub(super) struct MinutePool(AtomicUsize);

impl MinutePool {
    pub(super) const fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Takes this many bytes, which are never given back; `false` if fewer are left.
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

/// The minutes of one name in which requests ended.
pub(super) struct Minutes {
    kept: ProcessLock<Kept>,
    pool: Arc<MinutePool>,
}

struct Kept {
    /// In order of time.
    all: Vec<Figures>,
    /// The wall times of the two minutes that came last, and their numbers.
    open: [(u32, Sketch); 2],
}

impl Minutes {
    /// The bytes that a name's first minutes take, and the bins.
    pub(super) const LEAST_BYTES: usize = AT_ONCE * size_of::<Figures>() + 2 * MOST_BINS_BYTES;

    pub(super) fn new(pool: Arc<MinutePool>) -> Self {
        let kept = Kept {
            all: Vec::new(),
            open: Default::default(),
        };
        Self {
            kept: ProcessLock::new(kept),
            pool,
        }
    }

    /// Adds the sums of a minute. They are lost in a forked process, and without memory for a single minute.
    fn add(&self, figures: &Figures, wall: &Sketch) {
        if let Some(mut kept) = self.kept.take() {
            kept.add(figures, wall, &self.pool);
        }
    }

    /// Returns the minutes in order of time.
    pub(super) fn read(&self) -> Vec<Figures> {
        let kept = self.kept.take();
        kept.map_or_else(Vec::new, |kept| kept.all.clone())
    }
}

impl Kept {
    fn add(&mut self, figures: &Figures, wall: &Sketch, pool: &MinutePool) {
        let minute = figures.minute;
        let place = match self.all.binary_search_by_key(&minute, |it| it.minute) {
            Ok(place) => place,
            Err(place) => {
                let Some(place) = self.insert(place, minute, pool) else {
                    return;
                };
                self.open.swap(0, 1);
                self.open[0] = (minute, Sketch::default());
                place
            }
        };
        let sums = &mut self.all[place];
        sums.add(figures);
        let exact = match self.open.iter_mut().find(|(open, _)| *open == minute) {
            Some((_, open)) => {
                let left = MOST_BINS_BYTES.saturating_sub(open.bytes());
                open.add_within(wall, &mut Quota::new(left));
                open.at(99)
            }
            None if sums.requests < FEW => Some(sums.max_ns),
            None => None,
        };
        // Of two groups, neither percentile is below that of both together.
        let at_most = sums.p99_ns.max(wall.at(99).unwrap_or(figures.max_ns));
        sums.p99_ns = exact.unwrap_or(at_most);
        sums.p99_is_bound = exact.is_none();
    }

    /// Makes a place for a minute at this one, and returns where it is then: if there is no memory, the minute that
    /// is the furthest from it is dropped. `None` if there is none.
    fn insert(&mut self, place: usize, minute: u32, pool: &MinutePool) -> Option<usize> {
        let new = Figures {
            minute,
            ..Figures::default()
        };
        if self.all.len() < self.all.capacity() || self.grow(pool) {
            self.all.insert(place, new);
            return Some(place);
        }
        let (first, last) = (self.all.first()?.minute, self.all.last()?.minute);
        // A clock that was set back goes on among minutes that come later.
        if place > 0 && minute.abs_diff(first) >= minute.abs_diff(last) {
            // Between the first and the place are those that move down.
            self.all[..place].rotate_left(1);
            self.all[place - 1] = new;
            Some(place - 1)
        } else {
            self.all[place..].rotate_right(1);
            self.all[place] = new;
            Some(place)
        }
    }

    /// Makes room for some more minutes.
    fn grow(&mut self, pool: &MinutePool) -> bool {
        let len = self.all.len();
        let may = len == 0 || (len < MOST && pool.take(AT_ONCE * size_of::<Figures>()));
        may && self.all.try_reserve_exact(AT_ONCE).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-29 16:00 UTC, in minutes.
    const FOUR: u32 = 29_932_800;
    const SECOND: u64 = 1_000_000_000;

    fn at(minute: u32, second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::from(minute) * 60 + second)
    }

    fn minutes(pool_bytes: usize) -> Minutes {
        Minutes::new(Arc::new(MinutePool::new(pool_bytes)))
    }

    fn counts(allocations: u64) -> Counts {
        let mut counts = Counts::ZERO;
        (counts.allocations, counts.bytes_allocated) = (allocations, 10 * allocations);
        counts
    }

    /// Adds requests that took so long, in nanoseconds.
    fn add(minutes: &Minutes, minute: u32, walls: impl IntoIterator<Item = u64>) {
        let mut quota = Quota::new(10_000);
        let mut present = PresentMinute::default();
        present.turn(1, at(minute, 59), minutes, &mut quota);
        for wall in walls {
            present.add(1, wall, &Outcome::Ok, &counts(3), minutes, &mut quota);
        }
        present.move_to(minutes, &mut quota);
        assert_eq!(quota.left(), 10_000);
    }

    /// Minute, requests, 99th percentile, and whether that is a bound.
    fn shown(minutes: &Minutes) -> Vec<(u32, u32, u64, bool)> {
        let all = minutes.read();
        let shown = all.iter();
        shown
            .map(|it| (it.minute - FOUR, it.requests, it.p99_ns, it.p99_is_bound))
            .collect()
    }

    #[test]
    fn a_minute_is_that_of_the_wall_clock() {
        let (minutes, mut quota) = (minutes(0), Quota::new(10_000));
        let mut present = PresentMinute::default();
        // The recorder's clock began ten seconds ago, the minute fifty.
        present.turn(10 * SECOND, at(FOUR, 50), &minutes, &mut quota);
        let add = |present: &mut PresentMinute, now, outcome| {
            present.add(now, 7, &outcome, &counts(3), &minutes, &mut Quota::new(100));
        };
        add(&mut present, 10 * SECOND, Outcome::Ok);
        add(&mut present, 0, Outcome::Failed(String::new()));
        add(&mut present, 20 * SECOND - 1, Outcome::Panicked);
        assert_eq!(shown(&minutes), []);
        // The next one begins by the wall clock of now, far from that of then.
        let before = SystemTime::now();
        add(&mut present, 20 * SECOND, Outcome::Cancelled);
        assert_eq!(shown(&minutes), [(0, 3, 7, false)]);
        present.move_to(&minutes, &mut quota);
        let [first, last] = &*minutes.read() else {
            panic!()
        };
        let expected = Minute {
            started: at(FOUR, 0),
            requests: 3,
            failed: 1,
            panicked: 1,
            cancelled: 0,
            wall: Duration::from_nanos(21),
            max_wall: Duration::from_nanos(7),
            p99_wall: Duration::from_nanos(7),
            p99_is_bound: false,
            allocates: Some(9),
            bytes_allocated: Some(90),
        };
        assert_eq!(first.shown(true), expected);
        let last = last.shown(false);
        assert_eq!(
            (last.cancelled, last.allocates, last.bytes_allocated),
            (1, None, None)
        );
        let minute = last.started..last.started + Duration::from_secs(60);
        assert!(before < minute.end && minute.start <= SystemTime::now());
    }

    #[test]
    fn stripes_add_up_and_a_late_one_makes_the_percentile_a_bound() {
        let minutes = minutes(0);
        add(&minutes, FOUR, (0..99).map(|_| 10));
        add(&minutes, FOUR, [1000]);
        // The 99th of a hundred.
        assert_eq!(shown(&minutes), [(0, 100, 10, false)]);
        add(&minutes, FOUR + 1, [20]);
        add(&minutes, FOUR, [1000]);
        assert_eq!(shown(&minutes), [(0, 101, 1000, false), (1, 1, 20, false)]);
        add(&minutes, FOUR + 2, [20]);
        // It is the longest one of few requests.
        add(&minutes, FOUR, [10]);
        assert_eq!(shown(&minutes)[0], (0, 102, 1000, true));
        add(&minutes, FOUR + 3, [20]);
        add(&minutes, FOUR + 1, [30]);
        assert_eq!(shown(&minutes)[1], (1, 2, 30, false));
    }

    #[test]
    fn times_that_are_spread_widely_have_bins_in_bounded_memory() {
        let minutes = minutes(0);
        add(&minutes, FOUR, (0..64).flat_map(|bit| [1 << bit; 10]));
        add(&minutes, FOUR, [1; 60]);
        let kept = minutes.kept.take().unwrap();
        assert!(kept.open[0].1.bytes() <= MOST_BINS_BYTES);
        assert_eq!(kept.all[0].requests, 700);
        assert_eq!(kept.all[0].wall_ns, u64::MAX);
        assert_eq!(kept.all[0].max_ns, 1 << 63);
        drop(kept);
        let (_, _, p99, is_bound) = shown(&minutes)[0];
        assert!(p99 >= 1 << 63 && !is_bound, "{p99}");
    }

    #[test]
    fn without_memory_the_furthest_minute_goes() {
        let minutes = minutes(AT_ONCE * size_of::<Figures>());
        let numbers = |minutes: &Minutes| -> Vec<_> {
            shown(minutes)
                .into_iter()
                .map(|(minute, ..)| minute)
                .collect()
        };
        for minute in 100..100 + 31 {
            add(&minutes, FOUR + minute, [7]);
        }
        assert_eq!(numbers(&minutes), (101..131).collect::<Vec<_>>());
        // The clock is set back by some minutes, and by two hours.
        add(&minutes, FOUR + 120, [7]);
        assert_eq!(shown(&minutes)[19], (120, 2, 7, false));
        for minute in 0..20 {
            add(&minutes, FOUR + minute, [7]);
        }
        let expected: Vec<_> = (0..20).chain(101..111).collect();
        assert_eq!(numbers(&minutes), expected);
        for minute in 20..100 {
            add(&minutes, FOUR + minute, [7]);
        }
        assert_eq!(numbers(&minutes), (70..100).collect::<Vec<_>>());
    }

    #[test]
    fn three_hours_are_the_most() {
        let minutes = minutes(usize::MAX);
        for minute in 0..200 {
            add(&minutes, FOUR + minute, [7]);
        }
        let all = minutes.read();
        assert_eq!((all.len(), all[0].minute), (MOST, FOUR + 20));
    }
}
