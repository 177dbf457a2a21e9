//! Reads one strand as it was at one moment, although it may be written meanwhile.

use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Counts;
#[cfg(feature = "sites")]
use alloc_counter::{Site, SiteLog};

use crate::primitives::clock;
use crate::read::moves::opened_in;
use crate::read::snapshot::{CallId, CallSnapshot, StrandSnapshot};
use crate::store::address::Address;
use crate::store::record::{CallRecord, FoldedCall, Record, View};
use crate::store::state::RecordState;
use crate::store::strand::Strand;
use crate::store::sum::{self, SharedSum, Sum};
use crate::store::usage::{Figures, Reading, Usage};

use super::calls::StrandCalls;
use super::remote::apply_remote;
use super::sums::sum_snapshot;
use super::texts::read_texts;

/// The most times that a strand is read until nothing was written meanwhile.
const ATTEMPTS: u32 = if cfg!(loom) { 1 } else { 16 };

/// Reads a strand of a trace that began at `started`, in ticks.
pub(crate) fn read_strand(strand: &Strand, started: u64) -> StrandSnapshot {
    let mut reader = Reader::read(strand, started);
    for attempt in 1.. {
        if reader.is_still_true() {
            break;
        }
        if attempt == ATTEMPTS {
            reader.complete_stopped();
            break;
        }
        reader = Reader::read(strand, started);
    }
    // Read only once, since these never change.
    read_texts(strand, (reader.records, reader.late), &mut reader.calls);
    let more = apply_remote(strand, reader.remote, &mut reader.calls);
    reader.more.extend(more);
    reader.finish(started)
}

/// The changing part of a strand, read in the order of its records.
struct Reader<'a> {
    strand: &'a Strand,
    /// The strand's figures, by which those of all running calls are known.
    reading: Reading,
    /// Whether that is the thread's present reading. If the thread has ended, it is an older one.
    is_exact: bool,
    /// When it was made, in ticks.
    now: u64,
    /// How many records there were.
    records: usize,
    /// How many came later and were read.
    late: usize,
    calls: StrandCalls,
    /// The sums of folded calls, with the version of each.
    sums: Vec<(&'static SharedSum, Sum, u32)>,
    /// The folded calls that are open, each with its state.
    open: Vec<(FoldedCall, RecordState)>,
    /// How many operations of other threads there were before the first record was read.
    remote: usize,
    /// Sums to be added: those of open calls and of other threads' operations.
    more: Vec<(Address, Sum)>,
}

impl<'a> Reader<'a> {
    fn read(strand: &'a Strand, started: u64) -> Self {
        let mut reader = Reader {
            strand,
            reading: Reading::default(),
            is_exact: false,
            now: 0,
            records: 0,
            late: 0,
            calls: StrandCalls::with_capacity(strand.records().count(), started),
            sums: Vec::new(),
            open: Vec::new(),
            remote: strand.mailbox.len(),
            more: Vec::new(),
        };
        // Before the records: a call that is closed meanwhile changes a sum.
        reader.read_sums();
        for (address, record) in strand.records() {
            reader.add(address, record);
            reader.records += 1;
        }
        reader.read_meter();
        for index in (0..reader.calls.all.len()).rev() {
            if !reader.calls.all[index].has_stopped() {
                reader.read_figures(index, Pass::All);
            }
        }
        reader.read_open();
        reader
    }

    fn read_meter(&mut self) {
        (self.reading, self.is_exact) = self.strand.meter.read();
        self.now = clock::ticks();
    }

    fn read_sums(&mut self) {
        let sums = self.strand.folded.sums().map(|sum| (sum, sum.read()));
        let sums = sums.map(|(shared, (sum, version))| (&**shared, sum, version));
        self.sums = sums.collect();
    }

    /// Reads the usage of open folded calls that has not been added up yet.
    fn read_open(&mut self) {
        for (call, _) in &self.open {
            let read = self.read_now(**call);
            if read.stop.is_none() {
                let (path, within, sum) = sum::open_now(*call, read.used, self.now);
                self.more.extend([(path, sum), (within, sum::inside(&sum))]);
            }
        }
    }

    /// Returns whether nothing has been opened, stopped or suspended since the first record was read. Then
    /// the reading is that of all running calls together.
    fn is_still_true(&self) -> bool {
        let is_still = |record: CallRecord, state: RecordState| {
            !state.is_being_written() && record.is_still(state)
        };
        let is_same = |call: &CallSnapshot| is_still(call.record, call.state);
        let is_same_sum = |(sum, _, version): &(&SharedSum, Sum, u32)| sum.version() == *version;
        self.calls.all.iter().all(is_same)
            && { self.open.iter() }.all(|(call, state)| is_still(**call, *state))
            && self.sums.iter().all(is_same_sum)
            && self.strand.mailbox.len() == self.remote
            && self.strand.folded.sums().count() == self.sums.len()
            && self.strand.records().count() == self.records
    }

    /// Completes, as far as possible, the reading of a strand that is written without a pause. Running
    /// calls are marked as partial. Stopped calls become complete: calls inside them are read again, and
    /// later records are added.
    fn complete_stopped(&mut self) {
        self.now = clock::ticks();
        for index in 0..self.calls.all.len() {
            let call = &self.calls.all[index];
            if !call.has_stopped()
                && let Some(CallId(around)) = call.parent
                && self.calls.has_stopped(around)
            {
                self.read_figures(index, Pass::Some);
            }
        }
        for (address, record) in self.strand.records().skip(self.records) {
            self.add_late(address, record);
            self.late += 1;
        }
        self.read_sums();
        // The usage of the open ones may be in those sums already.
        self.more.clear();
        self.remote = self.strand.mailbox.len();
        for call in &mut self.calls.all {
            call.is_partial |= !call.has_stopped();
        }
        // Read last, so that the strand's counts are at least those of its stopped calls.
        self.read_meter();
    }

    /// Adds a record that came while others were read. A call is added only if it is inside one that has
    /// stopped.
    #[cold]
    fn add_late(&mut self, address: Address, record: &'static Record) {
        let around = match record.view(record.state()) {
            View::Call(call) => Some(call.parent()),
            View::Folded(call) => Some(call.parent()),
            _ => None,
        };
        if around.is_some_and(|around| !self.calls.has_stopped(around)) {
            return;
        }
        let calls = self.calls.all.len();
        self.add(address, record);
        for index in calls..self.calls.all.len() {
            self.read_figures(index, Pass::Some);
        }
    }

    /// Adds a call, without its figures if it is running, or notes that a call moved into another one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "in the loop over all records")]
    fn add(&mut self, address: Address, record: &'static Record) {
        let state = record.state();
        match record.view(state) {
            View::Folded(call) => {
                if call.is_open() {
                    self.open.push((call, state));
                }
            }
            View::Call(call) => self.calls.add(address, call, self.strand),
            View::Move(moved) => {
                let (call, moment) = (moved.call(), moved.moment());
                self.calls
                    .add_move(call, moved.before(), moved.so_far(), moment);
            }
            View::Checkpoint(_) | View::Message(_) | View::Label(_) | View::Text(_) => {}
        }
    }

    /// Reads a running call's figures; those of a stopped one are known.
    fn read_figures(&mut self, index: usize, pass: Pass) {
        if self.calls.all[index].has_stopped() {
            return;
        }
        let record = self.calls.all[index].record;
        let now = self.read_now(record);
        let mut used = now.used;
        if let Some(start) = now.start
            && pass == Pass::All
        {
            let level = start.peak.max(self.calls.all[index].level);
            used.peak = used.peak.max(level.wrapping_sub(start.counts.net_bytes()));
            if let Some(around) = self.calls.get_mut(record.parent()) {
                around.level = level.max(around.level);
            }
        }
        let stop = now.stop.unwrap_or(self.now);
        self.calls.all[index].set_figures(now.state, stop, used, self.strand);
    }

    fn read_now(&self, record: CallRecord) -> Now {
        let (state, stop, figures) = self.strand.read_record(record);
        Now {
            state,
            stop,
            start: match figures {
                Figures::Started(start) => Some(start),
                Figures::Used(_) => None,
            },
            // The reading may be older than the start if the strand is written without a pause.
            used: figures.used_at(self.reading),
        }
    }

    fn finish(self, started: u64) -> StrandSnapshot {
        let is_partial = self.strand.is_partial();
        let StrandCalls {
            all: mut calls,
            mut checkpoints,
            ..
        } = self.calls;
        checkpoints.sort_by_key(|checkpoint| (checkpoint.call, checkpoint.at_ns));
        for call in &mut calls {
            if !call.adoptions.is_empty() {
                call.adoptions.sort_by_key(|adoption| adoption.left_ns);
                let moves = call.adoptions.iter();
                let moves = moves.map(|adoption| (adoption.left_ns, adoption.within));
                call.parent = opened_in(moves, call.parent);
            }
            let is_known = self.is_exact || call.has_stopped();
            call.is_partial |= !is_known || is_partial;
        }
        let mut counts = self.reading.counts;
        if !self.is_exact {
            // The thread has ended inside the strand. The counts are at least those of its calls.
            let outermost = calls.iter().filter(|call| call.parent.is_none());
            let within: Counts = outermost.map(|call| call.counts).sum();
            counts = at_least(counts, within);
        }
        let sums = self.sums.into_iter().map(|(shared, mut sum, _)| {
            sum.is_partial |= is_partial;
            let stop = shared.of().call_record().and_then(CallRecord::stop);
            sum.covered = sum.covered_until(stop.unwrap_or(self.now));
            (shared.of(), sum)
        });
        let sums = sums.chain(self.more);
        StrandSnapshot {
            ordinal: self.strand.ordinal.load(Relaxed),
            parent: CallId::at(self.strand.parent()),
            made_after_ns: clock::nanoseconds_between(started, self.strand.made_after()),
            counts,
            calls,
            checkpoints,
            sums: sums
                .map(|(of, sum)| sum_snapshot(of, &sum, started))
                .collect(),
            #[cfg(feature = "sites")]
            sites: read_sites(self.strand),
        }
    }
}

/// Reads the sites of a strand that nobody records now, or this thread.
#[cfg(feature = "sites")]
fn read_sites(strand: &Strand) -> Option<Vec<(Option<CallId>, Site)>> {
    let key = strand.sites.key()?;
    strand.sites.look_at_rest(sites).or_else(|| {
        let mut here = SiteLog::look(key, sites)?;
        // Those of earlier visits.
        here.extend(strand.sites.look(sites).unwrap_or_default());
        Some(here)
    })
}

/// Returns the sites of a log, each with its call.
#[cfg(feature = "sites")]
pub(super) fn sites(log: &SiteLog) -> Vec<(Option<CallId>, Site)> {
    let call = |owner| CallId::at(Address::from_bits(owner));
    let sites = log.sites().map(|(owner, site)| (call(owner), site));
    sites.collect()
}

/// Which running calls' figures are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// All, from the inside out: the level of a call is at least that of the calls running inside it.
    All,
    /// Some once more.
    Some,
}

/// A call as it is now.
struct Now {
    state: RecordState,
    stop: Option<u64>,
    /// The reading at its start, while it runs.
    start: Option<Reading>,
    used: Usage,
}

fn at_least(counts: Counts, least: Counts) -> Counts {
    let [counts, least] = [counts.to_array(), least.to_array()];
    Counts::from_array(std::array::from_fn(|index| counts[index].max(least[index])))
}
