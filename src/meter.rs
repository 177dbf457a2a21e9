//! A meter: a thread's counters and clock, seen by a strand through an offset.
//!
//! While the strand runs on a thread, its reading is the thread's less the offset; while it does
//! not, its reading stands still. So a guard that is held over an `.await` reads only what its own
//! task did, whichever threads poll it and whatever else runs in between.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::{Counts, Local, Remote};

use crate::clock;
use crate::figures::Figures;
use crate::sync::{AtomicCell, AtomicU32, AtomicU64, array, fence, spin_loop};

/// Written by the thread that the strand runs on; readable from any.
pub(crate) struct Meter {
    /// Odd while the words below change together.
    version: AtomicU32,
    /// The thread whose counters are read, by the counters' number; 0 while the meter stands.
    thread: AtomicU64,
    /// These counters.
    remote: AtomicCell<Option<Remote>>,
    /// What to subtract from the thread's counters and clock. Means nothing while the meter stands.
    offset: Words,
    /// The reading when the meter last began to run or to stand.
    boundary: Words,
}

struct Words {
    counts: [AtomicU64; 5],
    ticks: AtomicU64,
}

impl Words {
    fn new() -> Self {
        Self {
            counts: array![AtomicU64::new(0); 5],
            ticks: AtomicU64::new(0),
        }
    }

    #[inline]
    fn load(&self) -> (Counts, u64) {
        let counts = std::array::from_fn(|index| self.counts[index].load(Relaxed));
        (Counts::from_array(counts), self.ticks.load(Relaxed))
    }

    /// The reading where these are to be subtracted from a thread's counters, from the highest of
    /// its levels that is wanted, and from its clock.
    #[inline]
    fn reading(&self, of_thread: Counts, highest: i64, now: u64) -> Figures {
        let (offset, ticks) = self.load();
        Figures {
            counts: of_thread - offset,
            busy: now.wrapping_sub(ticks),
            peak: highest.wrapping_sub(offset.net_bytes()),
        }
    }

    #[inline]
    fn level(&self) -> i64 {
        let [.., allocated, freed] = &self.counts;
        let net = allocated.load(Relaxed).wrapping_sub(freed.load(Relaxed));
        net.cast_signed()
    }

    #[inline]
    fn store(&self, counts: Counts, ticks: u64) {
        for (word, total) in self.counts.iter().zip(counts.to_array()) {
            word.store(total, Relaxed);
        }
        self.ticks.store(ticks, Relaxed);
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            thread: AtomicU64::new(0),
            remote: AtomicCell::new(None),
            offset: Words::new(),
            boundary: Words::new(),
        }
    }

    pub(crate) fn reset(&self) {
        self.thread.store(0, Relaxed);
        self.boundary.store(Counts::ZERO, 0);
    }

    #[inline]
    fn change(&self, change: impl FnOnce()) {
        let version = self.version.load(Relaxed).wrapping_add(1);
        self.version.store(version, Relaxed);
        // A reader that sees a new word must also see that the words are changing.
        fence(Release);
        change();
        self.version.store(version.wrapping_add(1), Release);
    }

    /// The meter runs with this thread's counters. Without counters it stays where it is.
    #[inline]
    pub(crate) fn run(&self, local: Option<Local>, now: u64) {
        let Some(local) = local else { return };
        let (counts, ticks) = self.boundary.load();
        self.change(|| {
            self.offset
                .store(local.counts() - counts, now.wrapping_sub(ticks));
            self.remote.store(Some(local.remote()));
            self.thread.store(local.thread(), Relaxed);
        });
    }

    /// The meter stands still. `false` where what the strand did is not known, because the thread
    /// no longer has the counters with which the meter began to run.
    #[inline]
    pub(crate) fn stand(&self, local: Option<Local>, now: u64) -> bool {
        let reading = self.reading(local, now);
        self.change(|| {
            if let Some(reading) = reading {
                self.boundary.store(reading.counts, reading.busy);
            }
            self.thread.store(0, Relaxed);
        });
        reading.is_some()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.thread.load(Relaxed) != 0
    }

    /// The reading on the strand's own thread, its peak being the level now. None where the meter
    /// stands or the thread has lost its counters.
    #[inline]
    pub(crate) fn reading(&self, local: Option<Local>, now: u64) -> Option<Figures> {
        let of_thread = self.own(local?)?.counts();
        Some(self.offset.reading(of_thread, of_thread.net_bytes(), now))
    }

    /// The same, with the highest level since the last boundary as its peak; draws a boundary.
    #[inline]
    pub(crate) fn reading_with_peak(&self, local: Local, now: u64) -> Option<Figures> {
        let of_thread = self.own(local)?.counts();
        let highest = local.take_peak_at(of_thread);
        Some(self.offset.reading(of_thread, highest, now))
    }

    /// These counters, if they are those with which the meter runs.
    #[inline]
    fn own(&self, local: Local) -> Option<Local> {
        (local.thread() == self.thread.load(Relaxed)).then_some(local)
    }

    /// A level of the thread as a level of the strand.
    #[inline]
    pub(crate) fn level(&self, of_thread: i64) -> i64 {
        of_thread.wrapping_sub(self.offset.level())
    }

    /// The reading at the last boundary: what is known when nothing newer is.
    pub(crate) fn boundary(&self) -> Figures {
        let (counts, busy) = self.boundary.load();
        Figures {
            counts,
            busy,
            peak: counts.net_bytes(),
        }
    }

    /// The reading now, from any thread, and whether it is one: where the thread that the meter
    /// runs with has ended, the last boundary's is all there is. Its peak is the highest level since
    /// the last boundary in the levels.
    pub(crate) fn read(&self) -> (Figures, bool) {
        for _ in 0..ATTEMPTS {
            let before = self.version.load(Acquire);
            let thread = self.thread.load(Relaxed);
            let boundary = self.boundary();
            let of_thread = self.remote.load().and_then(|remote| remote.read(thread));
            let now = clock::ticks();
            let reading = of_thread.map(|(counts, highest)| {
                let highest = highest.max(counts.net_bytes());
                self.offset.reading(counts, highest, now)
            });
            fence(Acquire);
            if before % 2 == 1 || self.version.load(Relaxed) != before {
                spin_loop();
                continue;
            }
            return match reading {
                Some(reading) => (reading, true),
                None => (boundary, thread == 0),
            };
        }
        // The strand is entered and left without a pause, or a fork came in the middle of it.
        (self.boundary(), false)
    }
}

/// A meter that begins to run, or to stand, is read again so often.
const ATTEMPTS: u32 = if cfg!(loom) { 1 } else { 1000 };
