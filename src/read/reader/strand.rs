//! Reads one strand: its records, and the meter of the thread that runs it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alloc_counter::Counts;

use crate::primitives::clock;
use crate::read::address_map::AddressMap;
use crate::read::moves::opened_in;
use crate::read::snapshot::{
    Adoption, CallId, CallSnapshot, CheckpointSnapshot, Message, StrandSnapshot,
};
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::record::Record;
use crate::store::state::{End, Kind, State};
use crate::store::strand::{Afar, Deed, Strand};
use crate::store::sum::{self, SharedSum, Sum};
use crate::store::threads::Tag;
use crate::store::usage::Figures;

use super::sum_snapshot;

/// How often a strand is read until nothing was written meanwhile.
const ATTEMPTS: u32 = if cfg!(loom) { 1 } else { 16 };

/// Reads a strand as it was at one moment, although it may be written meanwhile.
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
    reader.read_texts();
    reader.apply_all();
    reader.finish()
}

/// Reads one strand's records in their order: first what changes, as often as it takes to have all of it
/// as it was at one moment, and then, once, what never changes.
struct Reader<'a> {
    strand: &'a Strand,
    started: u64,
    /// The strand's figures, by which those of all running calls are known; whether that is the thread's
    /// own reading, or an older one, as the thread has ended; and when it was made.
    reading: Figures,
    is_exact: bool,
    now: u64,
    /// How many records there were.
    records: usize,
    /// How many came afterwards and were read.
    late: usize,
    calls: Vec<CallSnapshot>,
    indexes: AddressMap,
    /// The sums of folded calls, with the version of each.
    sums: Vec<(&'static SharedSum, Sum, u32)>,
    /// The folded calls that are open, each with its state.
    open: Vec<(&'static Record, State)>,
    /// How much was done from afar before the first record was read.
    afar: usize,
    /// What is to be added to sums: what is done by calls that are open, and from afar.
    more: Vec<(Address, Sum)>,
}

impl<'a> Reader<'a> {
    fn read(strand: &'a Strand, started: u64) -> Self {
        let mut reader = Reader {
            strand,
            started,
            reading: Figures::default(),
            is_exact: false,
            now: 0,
            records: 0,
            late: 0,
            calls: Vec::new(),
            indexes: AddressMap::new(),
            sums: Vec::new(),
            open: Vec::new(),
            afar: strand.count_done_from_afar(),
            more: Vec::new(),
        };
        // Before the records: whoever closes a call meanwhile changes a sum.
        reader.read_sums();
        for (address, record) in strand.records() {
            reader.add(address, record);
            reader.records += 1;
        }
        reader.read_meter();
        // Inside out, as the level of a call is at least that of those running inside it.
        let mut levels = vec![i64::MIN; reader.calls.len()];
        for place in (0..reader.calls.len()).rev() {
            reader.read_figures(place, &mut levels);
        }
        reader.read_open();
        reader
    }

    fn read_meter(&mut self) {
        (self.reading, self.is_exact) = self.strand.meter.read();
        self.now = clock::ticks();
    }

    /// What the open folded calls have done that has not been added up.
    fn read_open(&mut self) {
        for (record, _) in &self.open {
            let read = self.read_now(record);
            if read.stop.is_none() {
                let (path, within, sum) = sum::open_now(record, read.used, self.now);
                self.more.extend([(path, sum), (within, sum::inside(&sum))]);
            }
        }
    }

    fn read_sums(&mut self) {
        let sums = self.strand.sums().map(|sum| (sum, sum.read()));
        let sums = sums.map(|(shared, (sum, version))| (&**shared, sum, version));
        self.sums = sums.collect();
    }

    /// Whether nothing has been opened, stopped or put aside since the first record was read: then
    /// the reading is that of all running calls together.
    fn is_still_true(&self) -> bool {
        let is_still = |record: &Record, state: State| {
            let now = record.state();
            now.is_same_version(state) && !now.is_being_written()
        };
        let is_same = |call: &CallSnapshot| {
            let record = call.id.0.record();
            record.is_some_and(|record| is_still(record, call.state))
        };
        let is_same_sum = |(sum, _, version): &(&SharedSum, Sum, u32)| sum.version() == *version;
        self.calls.iter().all(is_same)
            && { self.open.iter() }.all(|(record, state)| is_still(record, *state))
            && self.sums.iter().all(is_same_sum)
            && self.strand.count_done_from_afar() == self.afar
            && self.strand.sums().count() == self.sums.len()
            && self.strand.records().count() == self.records
    }

    /// The strand is written without a pause. Running calls are marked; those that have stopped get
    /// all that is theirs: what was read inside them before is read again, what came since is added.
    fn complete_stopped(&mut self) {
        self.now = clock::ticks();
        for place in 0..self.calls.len() {
            let call = &self.calls[place];
            if !call.has_stopped()
                && let Some(CallId(around)) = call.parent
                && self.has_stopped(around)
            {
                self.read_figures(place, &mut []);
            }
        }
        for (address, record) in self.strand.records().skip(self.records) {
            self.add_late(address, record);
            self.late += 1;
        }
        self.read_sums();
        // What the open ones do may be in those already.
        self.more.clear();
        self.afar = self.strand.count_done_from_afar();
        for call in &mut self.calls {
            call.is_partial |= !call.has_stopped();
        }
        // Last, so that the strand did no less than those of its calls that have stopped.
        self.read_meter();
    }

    fn finish(self) -> StrandSnapshot {
        let mut calls = self.calls;
        for call in &mut calls {
            call.checkpoints.sort_by_key(|checkpoint| checkpoint.wall);
            call.adoptions.sort_by_key(|adoption| adoption.left);
            let moves = call.adoptions.iter();
            let moves = moves.map(|adoption| (adoption.left, adoption.within));
            call.parent = opened_in(moves, call.parent);
            let is_known = self.is_exact || call.has_stopped();
            call.is_partial |= !is_known || self.strand.is_partial();
        }
        let mut counts = self.reading.counts;
        if !self.is_exact {
            // The thread has ended within the strand. At least it did what its calls did.
            let outermost = calls.iter().filter(|call| call.parent.is_none());
            let within: Counts = outermost.map(|call| call.counts).sum();
            counts = at_least(counts, within);
        }
        let is_partial = self.strand.is_partial();
        let sums = self.sums.into_iter().map(|(shared, mut sum, _)| {
            sum.is_partial |= is_partial;
            let stop = shared.of().record().and_then(Record::stop);
            sum.covered = sum.covered_until(stop.unwrap_or(self.now));
            (shared.of(), sum)
        });
        let sums = sums.chain(self.more);
        StrandSnapshot {
            ordinal: self.strand.ordinal.load(Relaxed),
            parent: CallId::at(self.strand.parent()),
            made_after: clock::between(self.started, self.strand.made_after()),
            counts,
            calls,
            sums: sums
                .map(|(of, sum)| sum_snapshot(of, &sum, self.started))
                .collect(),
        }
    }

    /// Adds a record that came while others were read. Of the calls, only those within one that has
    /// stopped.
    fn add_late(&mut self, address: Address, record: &'static Record) {
        if record.is_call() && !self.has_stopped(record.parent()) {
            return;
        }
        let calls = self.calls.len();
        self.add(address, record);
        for place in calls..self.calls.len() {
            self.read_figures(place, &mut []);
        }
    }

    /// Adds a call without its figures, or notes that a call went on within another.
    fn add(&mut self, address: Address, record: &'static Record) {
        let state = record.state();
        match state.kind() {
            Kind::Call if state.is_folded() => {
                if record.is_open() {
                    self.open.push((record, state));
                }
            }
            Kind::Call => self.add_call(address, record),
            Kind::Adoption => {
                let (before, so_far) = (record.parent(), record.figures());
                self.add_adoption(record.adopted(), before, so_far, record.start());
            }
            Kind::Checkpoint | Kind::Message | Kind::Text => {}
        }
    }

    /// Reads what never changes once it is published: texts, checkpoints and messages.
    fn read_texts(&mut self) {
        let mut text = Text::default();
        // They are in the records' order.
        let mut calls = 0;
        let read = self.strand.records().take(self.records + self.late);
        for (index, (address, record)) in read.enumerate() {
            // Of the records that came while others were read, those of calls that have stopped.
            let is_owned =
                |reader: &mut Self| index < reader.records || reader.has_stopped(record.parent());
            match record.state().kind() {
                Kind::Text => text.add_piece(record),
                Kind::Call => {
                    let call = self.calls.get_mut(calls).filter(|it| it.id.0 == address);
                    calls += usize::from(call.is_some());
                    if let Some(call) = call.filter(|call| call.callsite.has_texts()) {
                        call.text = text.take(record, |text| call.callsite.read_texts(text));
                    }
                }
                Kind::Checkpoint if is_owned(self) => {
                    let (name, counts) = (text.take_string(record), record.counts());
                    self.add_checkpoint(record.parent(), record.start(), name, counts);
                }
                Kind::Message if is_owned(self) => {
                    let message = text.take_string(record);
                    self.add_message(record.parent(), record.start(), message);
                }
                Kind::Checkpoint | Kind::Message | Kind::Adoption => {}
            }
        }
    }

    /// Applies what was done to calls away from their strand.
    fn apply_all(&mut self) {
        if self.afar == 0 {
            return;
        }
        let all = self.strand.done_from_afar();
        for afar in all.into_iter().take(self.afar) {
            self.apply(afar);
        }
    }

    fn has_stopped(&mut self, call: Address) -> bool {
        self.call(call).is_some_and(|call| call.has_stopped())
    }

    fn call(&mut self, address: Address) -> Option<&mut CallSnapshot> {
        self.calls.get_mut(self.indexes.get(address)?)
    }

    /// A call without its figures.
    fn add_call(&mut self, address: Address, record: &Record) {
        let Some(callsite) = Callsite::get(record.callsite()) else {
            return;
        };
        self.indexes.insert(address, self.calls.len());
        self.calls.push(CallSnapshot {
            id: CallId(address),
            parent: CallId::at(record.parent()),
            within: CallId::at(record.parent()),
            callsite,
            text: (None, Vec::new()),
            thread: Tag::from_bits(record.thread()),
            start: clock::between(self.started, record.start()),
            wall: Duration::ZERO,
            busy: Duration::ZERO,
            counts: Counts::ZERO,
            peak_bytes: None,
            end: End::Open,
            message: None,
            is_partial: false,
            checkpoints: Vec::new(),
            state: record.state(),
            adoptions: Vec::new(),
        });
    }

    /// Reads what changes of a call. `levels` has the highest level that the running calls inside
    /// each have reached; those are read before.
    fn read_figures(&mut self, place: usize, levels: &mut [i64]) {
        let Some(record) = self.calls[place].id.0.record() else {
            return;
        };
        let now = self.read_now(record);
        let mut used = now.used;
        if now.is_running
            && let Some(level) = levels.get(place)
        {
            let level = now.start.peak.max(*level);
            used.peak = used
                .peak
                .max(level.wrapping_sub(now.start.counts.net_bytes()));
            let around = self.indexes.get(record.parent());
            if let Some(around) = around.and_then(|around| levels.get_mut(around)) {
                *around = level.max(*around);
            }
        }
        let peak_bytes = self.peak_bytes(used);
        let call = &mut self.calls[place];
        call.wall = clock::between(record.start(), now.stop.unwrap_or(self.now));
        call.busy = clock::duration(used.busy).min(call.wall);
        call.counts = used.counts;
        call.peak_bytes = peak_bytes;
        call.end = now.state.end();
        call.is_partial |= now.state.is_partial();
    }

    fn read_now(&self, record: &Record) -> Now {
        let (state, stop, figures) = self.strand.meter.read_record(record);
        let is_running = !state.is_at_rest();
        // The reading may be older than the start, where the strand is written without a pause.
        let used = if is_running {
            self.reading.since_at_most(figures)
        } else {
            figures
        };
        Now {
            state,
            stop,
            is_running,
            start: figures,
            used,
        }
    }

    fn add_checkpoint(&mut self, call: Address, moment: u64, name: String, counts: Counts) {
        let since_trace = clock::between(self.started, moment);
        if let Some(call) = self.call(call) {
            call.checkpoints.push(CheckpointSnapshot {
                name,
                wall: since_trace.saturating_sub(call.start),
                counts,
            });
        }
    }

    fn add_message(&mut self, call: Address, moment: u64, message: String) {
        let at = clock::between(self.started, moment);
        if let Some(call) = self.call(call)
            && call.message.as_ref().is_none_or(|known| known.at <= at)
        {
            call.message = Some(Message { text: message, at });
        }
    }

    fn add_adoption(&mut self, call: Address, before: Address, so_far: Figures, moment: u64) {
        let left = clock::between(self.started, moment);
        if let (Some(call), Some(record)) = (self.call(call), call.record()) {
            call.within = CallId::at(record.parent());
            call.adoptions.push(Adoption {
                within: CallId::at(before),
                left,
                counts: so_far.counts,
                busy: clock::duration(so_far.busy),
            });
        }
    }

    /// What was done to a call away from its strand.
    fn apply(&mut self, afar: Afar) {
        if let Some(sums) = Strand::sums_from_afar(&afar) {
            return self.more.extend(sums);
        }
        let (moment, address) = (afar.moment, afar.call);
        match afar.deed {
            Deed::Checkpoint(name, so_far) => {
                self.add_checkpoint(address, moment, name, so_far.counts);
                if let Some(call) = self.call(address) {
                    call.is_partial = true;
                }
            }
            Deed::Failed(message) => {
                self.add_message(address, moment, message);
                if let Some(call) = self.call(address) {
                    call.end = call.end.failed();
                }
            }
            Deed::Stopped(stopped) => {
                let peak_bytes = self.peak_bytes(stopped.used);
                let since_trace = clock::between(self.started, moment);
                if let Some(call) = self.call(address) {
                    call.end = match call.message {
                        Some(_) => stopped.end.failed(),
                        None => stopped.end,
                    };
                    call.wall = since_trace.saturating_sub(call.start);
                    call.busy = clock::duration(stopped.used.busy).min(call.wall);
                    call.counts = stopped.used.counts;
                    call.peak_bytes = peak_bytes;
                    call.is_partial = true;
                }
                if let Some((inner, so_far)) = stopped.left_open {
                    self.add_adoption(inner, address, so_far, moment);
                }
                self.leave_to_around(CallId(address), since_trace);
            }
        }
    }

    /// A call stopped away from its strand, which went on: what ran in it then, or was opened in it
    /// before the strand's thread saw that it had stopped, is within the call around.
    fn leave_to_around(&mut self, stopped: CallId, at: Duration) {
        let around = self.call(stopped.0).and_then(|call| call.within);
        for call in &mut self.calls {
            let goes_on = !call.has_stopped() || call.start + call.wall > at;
            if call.within == Some(stopped) && goes_on {
                call.within = around;
            }
        }
    }

    fn peak_bytes(&self, used: Figures) -> Option<u64> {
        let is_known = self.strand.has_peaks();
        is_known.then(|| u64::try_from(used.peak).unwrap_or(0))
    }
}

/// The text of the next record, as far as it stands in records before it.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn add_piece(&mut self, record: &Record) {
        record.read_text_piece(&mut self.0);
    }

    /// Hands over the record's text, from the record itself or from those before it.
    fn take<T>(&mut self, record: &Record, read: impl FnOnce(&[u8]) -> T) -> T {
        let text = if record.state().has_long_text() {
            read(&self.0)
        } else {
            record.short_text().read(read)
        };
        self.0.clear();
        text
    }

    fn take_string(&mut self, record: &Record) -> String {
        self.take(record, |text| String::from_utf8_lossy(text).into_owned())
    }
}

/// A call as it is now.
struct Now {
    state: State,
    stop: Option<u64>,
    is_running: bool,
    /// The readings at its start, while it runs.
    start: Figures,
    used: Figures,
}

fn at_least(counts: Counts, least: Counts) -> Counts {
    let [counts, least] = [counts.to_array(), least.to_array()];
    Counts::from_array(std::array::from_fn(|index| counts[index].max(least[index])))
}
