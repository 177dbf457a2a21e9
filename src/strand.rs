//! A strand: the records of one line of execution, a thread's scope or one task.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::Allowance;
use crate::meter::Meter;
use crate::pool::{AtomicNumber, Member, Number, Pool};
use crate::record::{Address, CHUNKS, Chunk, End, Figures, Record, TEXT_PIECE, Vacant};

pub(crate) static STRANDS: Pool<Strand> = Pool::new();

/// What other threads may leave with a strand, besides one stop for each call, so that its memory
/// stays bounded.
const MAX_AFAR: usize = 1024;

/// One sequential line of execution inside a trace.
///
/// One thread at a time runs it and writes its records; any thread may read them. It is recycled
/// together with its trace: then its generation changes, by which a guard from before knows.
pub(crate) struct Strand {
    first: &'static Member<Chunk>,
    generation: AtomicU32,
    /// The trace, and what it may hold.
    pub(crate) trace: AtomicNumber,
    allowance: AtomicNumber,
    pub(crate) next_in_trace: AtomicNumber,
    /// The strand's place among those of its trace, in order of creation.
    pub(crate) ordinal: AtomicU32,
    /// The call, in another strand, that was open when this one was asked for.
    parent: AtomicU32,
    pub(crate) meter: Meter,
    /// The highest level outside any call.
    peak: AtomicI64,
    /// Where the writer stood when it put the strand aside.
    aside: Aside,
    /// The strand that its thread was in when it came to this one.
    pub(crate) below: AtomicNumber,
    /// The strand of the same trace that stands still while this one runs.
    pub(crate) pauses: AtomicNumber,
    pub(crate) cancelling: AtomicCancelling,
    /// Some figure could not be known; every call's is marked.
    partial: AtomicBool,
    /// Some level could not be known; no call's peak is shown.
    without_peaks: AtomicBool,
    /// What was done to calls on threads that do not run this strand. The lock also keeps the
    /// generation from changing meanwhile.
    afar: Mutex<Vec<Afar>>,
}

struct Aside {
    tail: AtomicNumber,
    open: AtomicU32,
    calls_left: AtomicU32,
}

/// Something done to a call away from its strand.
#[derive(Clone, Debug)]
pub(crate) struct Afar {
    pub(crate) call: Address,
    pub(crate) moment: u64,
    pub(crate) deed: Deed,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Stopped(Stopped),
    /// Set, the call having used what was known then.
    Checkpoint(String, Figures),
    Failed(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    pub(crate) end: End,
    /// What the call had used, as far as it was known.
    pub(crate) used: Figures,
    /// The call that was open within this one, and what it had used.
    pub(crate) left_open: Option<(Address, Figures)>,
}

impl Strand {
    pub(crate) fn new() -> Self {
        Self {
            first: CHUNKS.take(Chunk::new),
            generation: AtomicU32::new(0),
            trace: AtomicNumber::none(),
            allowance: AtomicNumber::none(),
            next_in_trace: AtomicNumber::none(),
            ordinal: AtomicU32::new(0),
            parent: AtomicU32::new(Address::NONE.to_bits()),
            meter: Meter::new(),
            peak: AtomicI64::new(0),
            aside: Aside {
                tail: AtomicNumber::none(),
                open: AtomicU32::new(Address::NONE.to_bits()),
                calls_left: AtomicU32::new(0),
            },
            below: AtomicNumber::none(),
            pauses: AtomicNumber::none(),
            cancelling: AtomicCancelling::default(),
            partial: AtomicBool::new(false),
            without_peaks: AtomicBool::new(false),
            afar: Mutex::new(Vec::new()),
        }
    }

    /// Makes the strand one of a trace's. The caller has it from the pool and publishes it.
    pub(crate) fn begin(&self, trace: Number, allowance: Number, ordinal: u32, parent: Address) {
        self.trace.store(trace, Relaxed);
        self.allowance.store(allowance, Relaxed);
        self.ordinal.store(ordinal, Relaxed);
        self.parent.store(parent.to_bits(), Relaxed);
        self.meter.reset();
        self.peak.store(0, Relaxed);
        self.aside.tail.store(self.first.number(), Relaxed);
        self.aside.open.store(Address::NONE.to_bits(), Relaxed);
        self.aside.calls_left.store(0, Relaxed);
        self.below.store(Number::NONE, Relaxed);
        self.pauses.store(Number::NONE, Relaxed);
        self.cancelling.set(Cancelling::No);
        self.partial.store(false, Relaxed);
        self.without_peaks.store(false, Relaxed);
    }

    /// Gives the strand and its chunks back. The caller knows that no thread runs it; guards may
    /// still know it.
    pub(crate) fn recycle(this: &'static Member<Self>) {
        let mut afar = this.lock();
        let generation = this.generation.load(Relaxed).wrapping_add(1);
        this.generation.store(generation, Release);
        alloc_counter::exclude(|| afar.clear());
        drop(afar);
        let mut next = this.first.next();
        while let Some(chunk) = next {
            next = chunk.next();
            chunk.clear();
            CHUNKS.give(chunk);
        }
        this.first.clear();
        STRANDS.give(this);
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    pub(crate) fn parent(&self) -> Address {
        Address::from_bits(self.parent.load(Relaxed))
    }

    pub(crate) fn allowance(&self) -> Option<&'static Member<Allowance>> {
        Allowance::get(self.allowance.load(Relaxed))
    }

    pub(crate) fn mark_partial(&self) {
        self.partial.store(true, Relaxed);
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.partial.load(Relaxed)
    }

    pub(crate) fn lose_peaks(&self) {
        self.without_peaks.store(true, Relaxed);
    }

    pub(crate) fn has_peaks(&self) -> bool {
        !self.without_peaks.load(Relaxed)
    }

    /// The published records, in the order in which they were written.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Address, &'static Record)> {
        std::iter::successors(Some(self.first), |chunk| chunk.next()).flat_map(Chunk::published)
    }

    /// Gives back the calls that the strand did not need. Its execution is over.
    pub(crate) fn return_calls(&self) {
        if let Some(allowance) = self.allowance() {
            allowance.return_calls(self.aside.calls_left.swap(0, Relaxed));
        }
    }

    /// The innermost call that was open when the strand was put aside.
    pub(crate) fn open_aside(&self) -> Open {
        Open::at(Address::from_bits(self.aside.open.load(Relaxed)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Afar>> {
        self.afar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves word of what a thread that does not run this strand does to a call of it. Nothing is
    /// done where the strand has been recycled since: the lock keeps it from being so meanwhile.
    pub(crate) fn do_from_afar(
        &self,
        generation: u32,
        call: Address,
        moment: u64,
        deed: impl FnOnce() -> Deed,
    ) {
        alloc_counter::exclude(|| {
            let mut left = self.lock();
            if self.generation.load(Relaxed) != generation {
                return;
            }
            let deed = deed();
            if matches!(deed, Deed::Stopped(_)) {
                left.push(Afar { call, moment, deed });
                if let Some(record) = call.record() {
                    record.close_from_afar(moment);
                }
            } else if left.len() < MAX_AFAR {
                left.push(Afar { call, moment, deed });
            } else if let Some(allowance) = self.allowance() {
                allowance.note_dropped();
            }
        });
    }

    pub(crate) fn done_from_afar(&self) -> Vec<Afar> {
        self.lock().clone()
    }
}

/// Whether a future of the strand is being dropped before it was ready, so that the calls which
/// stop meanwhile are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    No,
    Yes,
    /// Dropped because something else panics: no panic comes through its calls.
    InPanic,
}

#[derive(Default)]
pub(crate) struct AtomicCancelling(AtomicU8);

impl AtomicCancelling {
    #[inline]
    pub(crate) fn get(&self) -> Cancelling {
        match self.0.load(Relaxed) {
            0 => Cancelling::No,
            1 => Cancelling::Yes,
            _ => Cancelling::InPanic,
        }
    }

    pub(crate) fn set(&self, cancelling: Cancelling) {
        self.0.store(cancelling as u8, Relaxed);
    }

    /// A future begins to be dropped; what was until then.
    pub(crate) fn begin(&self) -> Cancelling {
        let before = self.get();
        self.set(if std::thread::panicking() {
            Cancelling::InPanic
        } else {
            Cancelling::Yes
        });
        before
    }
}

/// A call that is open, or none.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    pub(crate) address: Address,
    pub(crate) record: Option<&'static Record>,
}

impl Open {
    pub(crate) fn at(address: Address) -> Self {
        Self {
            address,
            record: address.record(),
        }
    }

    /// This call, or where it has been stopped or put aside, the nearest around it that is running.
    #[inline]
    pub(crate) fn or_around(self) -> Self {
        match self.record {
            Some(record) if !record.is_running() => self.around(),
            _ => self,
        }
    }

    #[cold]
    #[inline(never)]
    fn around(self) -> Self {
        let mut call = self;
        while let Some(record) = call.record
            && !record.is_running()
        {
            call = Self::at(record.parent());
        }
        call
    }
}

/// Where the writer of a strand stands: the chunk that it fills, the innermost open call, and how
/// many calls it may still record before it asks the trace again.
///
/// Each in a cell of its own: words that are written apart and read together are slow to read.
pub(crate) struct Position {
    tail: Cell<Option<&'static Member<Chunk>>>,
    open_record: Cell<Option<&'static Record>>,
    open_address: Cell<Address>,
    calls_left: Cell<u32>,
}

impl Position {
    pub(crate) const fn nowhere() -> Self {
        Self {
            tail: Cell::new(None),
            open_record: Cell::new(None),
            open_address: Cell::new(Address::NONE),
            calls_left: Cell::new(0),
        }
    }

    pub(crate) fn take_up(&self, strand: &Strand) {
        let aside = &strand.aside;
        self.tail.set(CHUNKS.get(aside.tail.load(Relaxed)));
        self.set_open(strand.open_aside());
        self.calls_left.set(aside.calls_left.load(Relaxed));
    }

    pub(crate) fn put_aside(&self, strand: &Strand) {
        let tail = self.tail.get().map_or(Number::NONE, Member::number);
        strand.aside.tail.store(tail, Relaxed);
        let open = self.open_address.get().to_bits();
        strand.aside.open.store(open, Relaxed);
        strand
            .aside
            .calls_left
            .store(self.calls_left.get(), Relaxed);
    }

    #[inline]
    pub(crate) fn open(&self) -> Open {
        Open {
            address: self.open_address.get(),
            record: self.open_record.get(),
        }
    }

    #[inline]
    pub(crate) fn set_open(&self, open: Open) {
        self.open_address.set(open.address);
        self.open_record.set(open.record);
    }

    /// The place for one more call; none when the trace holds as many as it may.
    #[inline]
    pub(crate) fn vacant_call(&self, strand: &Strand) -> Option<Vacant> {
        if self.calls_left.get() == 0 && !self.refill(strand) {
            return None;
        }
        self.calls_left.set(self.calls_left.get() - 1);
        self.vacant(strand)
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, strand: &Strand) -> bool {
        if let Some(allowance) = strand.allowance() {
            self.calls_left.set(allowance.take_calls());
            if self.calls_left.get() == 0 {
                allowance.note_dropped();
            }
        }
        self.calls_left.get() > 0
    }

    /// The place for one more record; none when the trace holds as many as it may.
    #[inline]
    pub(crate) fn vacant(&self, strand: &Strand) -> Option<Vacant> {
        match Chunk::vacant(self.tail.get()?) {
            Some(vacant) => Some(vacant),
            None => self.grow(strand),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, strand: &Strand) -> Option<Vacant> {
        let allowance = strand.allowance()?;
        let Some(chunk) = allowance.take_chunk() else {
            allowance.note_dropped();
            return None;
        };
        self.tail.get()?.link(chunk.number());
        self.tail.set(Some(chunk));
        Chunk::vacant(chunk)
    }

    /// Writes a text that is too long for its record, into records before it.
    #[cold]
    pub(crate) fn write_long_text(&self, strand: &Strand, text: &[u8]) {
        for (index, piece) in text.chunks(TEXT_PIECE).enumerate() {
            let Some(vacant) = self.vacant(strand) else {
                return;
            };
            vacant.record.write_text_piece(piece, index == 0);
            vacant.publish();
        }
    }
}

impl Strand {
    /// Raises the peak of the innermost open call, or where none is open the strand's own.
    #[inline]
    pub(crate) fn raise_peak(&self, open: Open, level: i64) {
        match open.record {
            Some(record) => record.raise_peak(level),
            None => {
                if level > self.peak.load(Relaxed) {
                    self.peak.store(level, Relaxed);
                }
            }
        }
    }
}
