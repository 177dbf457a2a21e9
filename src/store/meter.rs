//! A meter: a thread's counters and clock, seen by a strand through an offset.
//!
//! While the strand runs on a thread, its reading is the thread's less the offset; while it does
//! not, its reading stands still. So a guard that is held over an `.await` reads only what its own
//! task did, whichever threads poll it and whatever else runs in between.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Counts, Local, Remote};

use crate::primitives::clock;
use crate::primitives::seqlock::Version;
use crate::primitives::sync::{AtomicCell, AtomicU64, array};
use crate::primitives::wait::Patience;
use crate::store::record::Record;
use crate::store::state::State;
use crate::store::usage::Figures;

/// Written by the thread that the strand runs on; readable from any.
pub(crate) struct Meter {
    /// Of the words below.
    version: Version,
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
    fn load(&self) -> Figures {
        let counts = std::array::from_fn(|index| self.counts[index].load(Relaxed));
        Figures::reading(Counts::from_array(counts), self.ticks.load(Relaxed))
    }

    #[inline]
    fn level(&self) -> i64 {
        let [.., allocated, freed] = &self.counts;
        let net = allocated.load(Relaxed).wrapping_sub(freed.load(Relaxed));
        net.cast_signed()
    }

    #[inline]
    fn store(&self, figures: Figures) {
        for (word, total) in self.counts.iter().zip(figures.counts.to_array()) {
            word.store(total, Relaxed);
        }
        self.ticks.store(figures.busy, Relaxed);
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            version: Version::new(),
            thread: AtomicU64::new(0),
            remote: AtomicCell::new(None),
            offset: Words::new(),
            boundary: Words::new(),
        }
    }

    pub(crate) fn reset(&self) {
        self.thread.store(0, Relaxed);
        self.boundary.store(Figures::default());
    }

    /// The meter runs with this thread's counters. Without counters it stays where it is.
    #[inline]
    pub(crate) fn run(&self, local: Option<Local>, now: u64) {
        let Some(local) = local else { return };
        let offset = Figures::reading(local.counts(), now).minus(self.boundary.load());
        self.version.change(|| {
            self.offset.store(offset);
            self.remote.store(Some(local.remote()));
            self.thread.store(local.thread(), Relaxed);
        });
    }

    /// The meter stands still. `false` where what the strand did is not known, because the thread
    /// no longer has the counters with which the meter began to run.
    #[inline]
    pub(crate) fn stand(&self, local: Option<Local>, now: u64) -> bool {
        let reading = self.reading(local, now);
        self.version.change(|| {
            if let Some(reading) = reading {
                self.boundary.store(reading);
            }
            self.thread.store(0, Relaxed);
        });
        reading.is_some()
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.thread.load(Relaxed) != 0
    }

    /// The reading on the strand's own thread, its peak being the level now. None where the meter
    /// stands or the thread has lost its counters.
    #[inline]
    pub(crate) fn reading(&self, local: Option<Local>, now: u64) -> Option<Figures> {
        // A thread that has counters has those with which the meter began to run on it.
        let local = local.filter(|_| self.is_running())?;
        Some(Figures::reading(local.counts(), now).minus(self.offset.load()))
    }

    /// A running call's readings as the strand's, on the strand's own thread.
    #[inline]
    pub(crate) fn start(&self, record: &Record) -> Figures {
        let figures = record.figures();
        if record.state().is_of_thread() {
            figures.minus(self.offset.load())
        } else {
            figures
        }
    }

    /// The strand's readings as the thread's, where the meter runs.
    pub(crate) fn on_thread(&self, strand: Figures) -> Option<Figures> {
        let offset = self.is_running().then(|| self.offset.load())?;
        Some(strand.plus(offset))
    }

    /// A level of the thread as a level of the strand.
    #[inline]
    pub(crate) fn level(&self, of_thread: i64) -> i64 {
        of_thread.wrapping_sub(self.offset.level())
    }

    /// Raises a running call's peak to a level that its strand has reached.
    pub(crate) fn raise_peak(&self, record: &Record, level: i64) {
        let of_thread = record.state().is_of_thread();
        let offset = if of_thread { self.offset.level() } else { 0 };
        record.raise_peak(level.saturating_add(offset));
    }

    /// The reading at the last boundary: what is known when nothing newer is.
    pub(crate) fn boundary(&self) -> Figures {
        self.boundary.load()
    }

    /// The reading now, from any thread, and whether it is one: where the thread that the meter
    /// runs with has ended, the last boundary's is all there is. Its peak is the highest level since
    /// the last boundary in the levels.
    pub(crate) fn read(&self) -> (Figures, bool) {
        let read = self.version.read(|| {
            let thread = self.thread.load(Relaxed);
            let of_thread = self.remote.load().and_then(|remote| remote.read(thread));
            match of_thread {
                Some((counts, highest)) => {
                    let mut reading = Figures::reading(counts, clock::ticks());
                    reading.peak = reading.peak.max(highest);
                    (reading.minus(self.offset.load()), true)
                }
                None => (self.boundary(), thread == 0),
            }
        });
        // Else the strand is entered and left without a pause, or a fork came in the middle of it.
        read.map_or_else(|| (self.boundary(), false), |(reading, _)| reading)
    }

    /// A record at one moment, from any thread; a running call's figures are the strand's readings.
    pub(crate) fn read_record(&self, record: &Record) -> (State, Option<u64>, Figures) {
        let mut patience = Patience::new();
        loop {
            let read = record.read();
            let (state, stop, figures) = read;
            if !state.is_of_thread() {
                return read;
            }
            // The record is rewritten before the strand is left: so where it is as before, the
            // offset in between was the one that belongs to it.
            let offset = self.version.read(|| self.offset.load());
            if let Some((offset, _)) = offset.filter(|_| record.is_still(state)) {
                return (state, stop, figures.minus(offset));
            }
            if !patience.again() {
                return (state.partial(true), stop, self.boundary());
            }
        }
    }
}
