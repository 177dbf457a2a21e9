//! A meter: a thread's counters and clock, seen by a strand through an offset.
//!
//! While the strand runs on a thread, its reading is the thread's less the offset. While it does not,
//! its reading stays as it is. So a guard that is held over an `.await` reads only what its own task
//! did, whichever threads poll it and whatever else runs in between.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::{Counts, Local, Remote};

use crate::primitives::clock;
use crate::primitives::seqlock::Version;
use crate::primitives::sync::{AtomicCell, AtomicU64, array};
use crate::primitives::wait::Patience;
use crate::store::record::CallRecord;
use crate::store::state::RecordState;
use crate::store::usage::{Figures, Offset, Reading, Start, ThreadReading};

/// Written by the thread that the strand runs on; readable from any.
pub(crate) struct Meter {
    /// Of the words below.
    version: Version,
    /// The thread whose counters are read, by the counters' number; 0 while the meter is paused.
    thread: AtomicU64,
    /// These counters.
    remote: AtomicCell<Option<Remote>>,
    /// The strand's [`Offset`]. Meaningless while the meter is paused.
    offset: Words,
    /// The reading when the meter was last paused; 0 at first.
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
        (self.counts(), self.ticks.load(Relaxed))
    }

    #[inline]
    fn counts(&self) -> Counts {
        let counts = std::array::from_fn(|index| self.counts[index].load(Relaxed));
        Counts::from_array(counts)
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
            version: Version::new(),
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

    /// Runs the meter with this thread's counters. Without counters it stays as it is.
    pub(crate) fn run(&self, local: Option<Local>, now: u64) {
        if let Some(local) = local {
            self.run_from(local, local.counts(), now);
        }
    }

    /// Runs the meter with this thread's counters, which have just been read.
    #[inline]
    pub(crate) fn run_from(&self, local: Local, counts: Counts, now: u64) {
        let offset = ThreadReading::new(counts, now).offset_from(self.boundary());
        self.version.change(|| {
            self.offset.store(offset.counts, offset.ticks);
            self.remote.store(Some(local.remote()));
            self.thread.store(local.thread(), Relaxed);
        });
    }

    /// Pauses the meter at the present reading. Returns `false` if the strand's figures are not known,
    /// because the thread no longer has the counters with which the meter began to run.
    #[inline]
    pub(crate) fn pause(&self, local: Option<Local>, now: u64) -> bool {
        // A thread that has counters has those with which the meter began to run on it.
        let local = local.filter(|_| self.is_running());
        match local {
            Some(local) => self.pause_running(local, now),
            None => self.version.change(|| self.thread.store(0, Relaxed)),
        }
        local.is_some()
    }

    /// Pauses the meter, which runs with these counters of this thread, at the present reading.
    #[inline]
    pub(crate) fn pause_running(&self, local: Local, now: u64) {
        let reading = ThreadReading::new(local.counts(), now).to_strand(self.offset());
        self.version.change(|| {
            self.boundary.store(reading.counts, reading.ticks);
            self.thread.store(0, Relaxed);
        });
    }

    /// Returns a number that is another one each time that the meter is run or paused.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn visit(&self) -> u32 {
        self.version.word()
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.thread.load(Relaxed) != 0
    }

    #[inline]
    fn offset(&self) -> Offset {
        let (counts, ticks) = self.offset.load();
        Offset { counts, ticks }
    }

    /// Returns the reading on the strand's own thread, its peak being the level now; `None` if the
    /// meter is paused or the thread has lost its counters.
    #[inline]
    pub(crate) fn reading(&self, local: Option<Local>, now: u64) -> Option<Reading> {
        // A thread that has counters has those with which the meter began to run on it.
        let local = local.filter(|_| self.is_running())?;
        Some(ThreadReading::new(local.counts(), now).to_strand(self.offset()))
    }

    /// Returns a call's figures, on the strand's own thread. Its start is the strand's reading.
    #[inline]
    pub(crate) fn figures(&self, record: CallRecord) -> Figures<Reading> {
        match record.figures() {
            Figures::Started(Start::OfThread(start)) => {
                Figures::Started(start.to_strand(self.offset()))
            }
            Figures::Started(Start::OfStrand(start)) => Figures::Started(start),
            Figures::Used(used) => Figures::Used(used),
        }
    }

    /// Returns the strand's reading at a call's start, on the strand's own thread; `None` if the call
    /// is stopped or suspended.
    #[inline]
    pub(crate) fn start(&self, record: CallRecord) -> Option<Reading> {
        match self.figures(record) {
            Figures::Started(start) => Some(start),
            Figures::Used(_) => None,
        }
    }

    /// Returns the start of a call that runs on from this reading: the thread's if the meter runs.
    pub(crate) fn start_at(&self, reading: Reading) -> Start {
        if self.is_running() {
            Start::OfThread(reading.to_thread(self.offset()))
        } else {
            Start::OfStrand(reading)
        }
    }

    /// Returns a level of the thread as a level of the strand.
    #[inline]
    pub(crate) fn level(&self, of_thread: i64) -> i64 {
        of_thread.wrapping_sub(self.offset.level())
    }

    /// Returns the highest level of the strand that a running call is known to have reached.
    pub(crate) fn peak(&self, record: CallRecord) -> i64 {
        let of_thread = record.state().is_of_thread();
        let offset = if of_thread { self.offset.level() } else { 0 };
        record.peak().wrapping_sub(offset)
    }

    /// Raises a running call's peak to a level that its strand has reached.
    pub(crate) fn raise_peak(&self, record: CallRecord, level: i64) {
        let of_thread = record.state().is_of_thread();
        let offset = if of_thread { self.offset.level() } else { 0 };
        record.raise_peak(level.saturating_add(offset));
    }

    /// Returns the reading at the last boundary, for when nothing newer is known.
    pub(crate) fn boundary(&self) -> Reading {
        let (counts, ticks) = self.boundary.load();
        Reading::new(counts, ticks)
    }

    /// Returns the reading now, from any thread, and whether it is exact: if the thread that the
    /// meter runs with has ended, the last boundary's is all there is. Its peak is the highest level
    /// since the last boundary in the levels.
    pub(crate) fn read(&self) -> (Reading, bool) {
        let read = self.version.read(|_| {
            let thread = self.thread.load(Relaxed);
            let remote = if thread == 0 {
                None
            } else {
                self.remote.load()
            };
            let of_thread = remote.and_then(|remote| remote.read(thread));
            match of_thread {
                Some((counts, highest)) => {
                    let mut reading = ThreadReading::new(counts, clock::ticks());
                    reading.peak = reading.peak.max(highest);
                    (reading.to_strand(self.offset()), true)
                }
                None => (self.boundary(), thread == 0),
            }
        });
        // Otherwise the strand is entered and left without a pause, or a fork came in the middle of that.
        read.map_or_else(|_| (self.boundary(), false), |(reading, _)| reading)
    }

    /// Returns the counts now, from any thread, as [`read`](Self::read) does.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn counts(&self) -> Counts {
        self.paused_counts().unwrap_or_else(|| self.read().0.counts)
    }

    /// Returns the counts of a meter that is paused; `None` if it is not, or just changes.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) fn paused_counts(&self) -> Option<Counts> {
        self.version
            .try_read(|_| (!self.is_running()).then(|| self.boundary.counts()))
    }

    /// Reads a record at one moment, from any thread. A running call's start is the strand's reading.
    pub(crate) fn read_record(
        &self,
        record: CallRecord,
    ) -> (RecordState, Option<u64>, Figures<Reading>) {
        let mut patience = Patience::new();
        loop {
            let (state, stop, figures) = record.read();
            let start = match figures {
                Figures::Started(Start::OfThread(start)) => start,
                Figures::Started(Start::OfStrand(start)) => {
                    return (state, stop, Figures::Started(start));
                }
                Figures::Used(used) => return (state, stop, Figures::Used(used)),
            };
            // The record is rewritten before the strand is left. So if it is unchanged, the offset read
            // in between is the one that belongs to it.
            if let Ok((offset, _)) = self.version.read(|_| self.offset())
                && record.is_still(state)
            {
                return (state, stop, Figures::Started(start.to_strand(offset)));
            }
            if !patience.again() {
                let state = state.partial(true);
                return (state, stop, Figures::Started(self.boundary()));
            }
        }
    }
}
