//! A strand: the records of one line of execution, which is a scope of a thread or a task.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, shared_static};
use crate::store::address::Address;
use crate::store::cancelling::{AtomicCancelling, Cancelling};
use crate::store::chunk::{CHUNKS, CallRef, Chunk};
use crate::store::folded_calls::FoldedCalls;
use crate::store::limits::Allowance;
use crate::store::meter::Meter;
use crate::store::record::{CallRecord, Record};
use crate::store::remote::{Mailbox, RemoteKind, RemoteOperation};
#[cfg(feature = "sites")]
use crate::store::sites::StrandSites;
use crate::store::state::{RecordKind, RecordState};
use crate::store::sum::SharedSum;
use crate::store::usage::{Figures, Reading, Usage};

shared_static! {
    pub(crate) static STRANDS: Pool<Strand> = Pool::new();
}

/// One sequential line of execution inside a trace.
///
/// One thread at a time runs it and writes its records; any thread may read them. It is recycled
/// together with its trace.
pub(crate) struct Strand {
    first: &'static Member<Chunk>,
    pub(crate) trace: AtomicNumber,
    /// The trace's id: with it, a span need not look the trace up.
    #[cfg(feature = "tracing")]
    pub(crate) trace_id: AtomicU64,
    allowance: AtomicNumber,
    pub(crate) next_in_trace: AtomicNumber,
    /// Of a folding strand: the one before it in the trace's list of those.
    pub(crate) previous_in_trace: AtomicNumber,
    /// The strand's index among those of its trace, in order of creation.
    pub(crate) ordinal: AtomicU32,
    /// The call that this strand is below, which is in another strand, or the path of a folded one.
    parent: AtomicU32,
    /// The last moment before this strand was made at which a call moved into another one.
    made_after: AtomicU64,
    pub(crate) meter: Meter,
    /// The saved position of the thread that writes it.
    pub(crate) aside: Aside,
    /// The strand that its thread was in when it came to this one.
    pub(crate) below: AtomicNumber,
    /// The strand of the same trace that is paused while this one runs.
    pub(crate) pauses: AtomicNumber,
    pub(crate) cancelling: AtomicCancelling,
    /// The strand is beyond the trace's limit or below a folded call. All its calls are folded, and the
    /// strand is added up when it ends.
    is_folding: AtomicBool,
    /// The execution is over.
    is_over: AtomicBool,
    pub(crate) folded: FoldedCalls,
    /// Some figure could not be known; every call's is marked.
    partial: AtomicBool,
    /// Some level could not be known; no call's peak is shown.
    without_peaks: AtomicBool,
    pub(crate) mailbox: Mailbox,
    #[cfg(feature = "sites")]
    pub(crate) sites: StrandSites,
}

/// The saved position of a thread that left a strand or entered another one over it.
pub(crate) struct Aside {
    tail: AtomicNumber,
    innermost: AtomicU32,
    calls_left: AtomicU32,
}

impl Aside {
    fn new() -> Self {
        Self {
            tail: AtomicNumber::none(),
            innermost: AtomicU32::new(0),
            calls_left: AtomicU32::new(0),
        }
    }

    pub(crate) fn put(&self, tail: Number, innermost: Address, calls_left: u32) {
        self.tail.store(tail, Relaxed);
        self.innermost.store(innermost.to_bits(), Relaxed);
        self.calls_left.store(calls_left, Relaxed);
    }

    #[inline]
    pub(crate) fn innermost(&self) -> Address {
        Address::from_bits(self.innermost.load(Relaxed))
    }

    #[inline]
    pub(crate) fn calls_left(&self) -> u32 {
        self.calls_left.load(Relaxed)
    }
}

impl Strand {
    fn new(first: &'static Member<Chunk>) -> Self {
        Self {
            first,
            trace: AtomicNumber::none(),
            #[cfg(feature = "tracing")]
            trace_id: AtomicU64::new(0),
            allowance: AtomicNumber::none(),
            next_in_trace: AtomicNumber::none(),
            previous_in_trace: AtomicNumber::none(),
            ordinal: AtomicU32::new(0),
            parent: AtomicU32::new(Address::NONE.to_bits()),
            made_after: AtomicU64::new(0),
            meter: Meter::new(),
            aside: Aside::new(),
            below: AtomicNumber::none(),
            pauses: AtomicNumber::none(),
            cancelling: AtomicCancelling::default(),
            is_folding: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            folded: FoldedCalls::new(),
            partial: AtomicBool::new(false),
            without_peaks: AtomicBool::new(false),
            mailbox: Mailbox::new(),
            #[cfg(feature = "sites")]
            sites: StrandSites::new(),
        }
    }

    /// Takes a free strand or makes one; `None` if there is no memory for it.
    pub(crate) fn take() -> Option<&'static Member<Self>> {
        STRANDS.take_or_make(|| CHUNKS.take(Chunk::new).map(Self::new))
    }

    /// Returns the strand of a call; `None` if it has been recycled. See [`CallRef::strand`].
    pub(crate) fn of(call: CallRef) -> Option<&'static Member<Self>> {
        STRANDS.get(call.strand()?)
    }

    /// Makes the strand one of a trace. The caller has taken it from the pool, and publishes it.
    pub(crate) fn begin(
        this: &Member<Self>,
        trace: Number,
        allowance: Option<&Member<Allowance>>,
        ordinal: u32,
        parent: Address,
        is_folding: bool,
    ) {
        // Only once: the chunk is the strand's for ever.
        if this.first.strand() != this.number() {
            Chunk::belong_to(this.first, this.number());
        }
        this.trace.store(trace, Relaxed);
        let number = allowance.map_or(Number::NONE, Member::number);
        this.allowance.store(number, Relaxed);
        this.ordinal.store(ordinal, Relaxed);
        this.parent.store(parent.to_bits(), Relaxed);
        let moved = allowance.map_or(0, |allowance| allowance.moved());
        this.made_after.store(moved, Relaxed);
        this.meter.reset();
        this.aside.put(this.first.number(), Address::NONE, 0);
        this.below.store(Number::NONE, Relaxed);
        this.pauses.store(Number::NONE, Relaxed);
        this.cancelling.set(Cancelling::No);
        this.is_folding.store(is_folding, Relaxed);
        this.is_over.store(false, Relaxed);
        this.folded.begin();
        this.partial.store(false, Relaxed);
        this.without_peaks.store(false, Relaxed);
        #[cfg(feature = "sites")]
        this.sites
            .begin(allowance.map(|allowance| &allowance.sites));
    }

    /// Gives the strand and its chunks back. The caller knows that no thread runs it. Guards of its calls
    /// may still exist.
    pub(crate) fn recycle(this: &'static Member<Self>) {
        if this.clear() {
            STRANDS.give(this);
        }
    }

    /// Empties the strand, and gives its chunks back except for the first. The caller knows that no thread runs it.
    /// Guards of its calls may still exist.
    ///
    /// Returns `false` if the process was forked while another thread held the lock: then the strand can't be used
    /// again.
    #[inline]
    pub(crate) fn clear(&self) -> bool {
        // The caller knows that no thread writes a record.
        if self.first.is_empty() && !self.folded.has_sums() {
            #[cfg(feature = "sites")]
            self.sites.clear();
            // Nobody has a guard, so nobody posts an operation.
            return true;
        }
        self.clear_records()
    }

    #[inline(never)]
    fn clear_records(&self) -> bool {
        let Some(mut mailbox) = self.mailbox.lock() else {
            return false;
        };
        mailbox.clear();
        self.folded.clear();
        #[cfg(feature = "sites")]
        self.sites.clear();
        let mut next = self.first.next();
        while let Some(chunk) = next {
            next = chunk.next();
            chunk.clear();
            CHUNKS.give(chunk);
        }
        self.first.clear();
        true
    }

    /// Returns the chunk that the saved position fills.
    #[inline]
    pub(crate) fn tail(&self) -> Option<&'static Member<Chunk>> {
        let tail = self.aside.tail.load(Relaxed);
        if tail == self.first.number() {
            return Some(self.first);
        }
        CHUNKS.get(tail)
    }

    /// Returns whether its thread was in no strand when it came to this one.
    #[inline]
    pub(crate) fn is_over_none(&self) -> bool {
        self.below.load(Relaxed) == Number::NONE && self.pauses.load(Relaxed) == Number::NONE
    }

    pub(crate) fn is_folding(&self) -> bool {
        self.is_folding.load(Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Ends the execution. Returns the calls that it did not need to the trace, whose allowance this is.
    pub(crate) fn end(&self, allowance: &Allowance) {
        self.is_over.store(true, Relaxed);
        // No thread runs it any more.
        let calls = self.aside.calls_left();
        if calls > 0 {
            self.aside.calls_left.store(0, Relaxed);
            allowance.return_calls(calls);
        }
    }

    /// Returns the sum of a path's calls, or of the folded calls inside a recorded one; `None` if the
    /// trace may have no more, or there is no memory.
    pub(crate) fn sum_of(&self, of: Address) -> Option<&'static Member<SharedSum>> {
        self.folded.sum_of(of, || self.allowance()?.take_sum())
    }

    /// Reads a call's record at one moment, from any thread: its state, when it stopped, and its figures. A
    /// running call's start is the strand's reading.
    ///
    /// A call that was [left](CallRecord::leave) can't be resumed if the execution is over: it has stopped
    /// when it was left.
    #[inline]
    pub(crate) fn read_record(
        &self,
        record: CallRecord,
    ) -> (RecordState, Option<u64>, Figures<Reading>) {
        match record.read() {
            (state, Some(stop), Figures::Used(used)) => (state, Some(stop), Figures::Used(used)),
            _ => self.read_open(record),
        }
    }

    /// Reads the record of a call that was open a moment ago.
    fn read_open(&self, record: CallRecord) -> (RecordState, Option<u64>, Figures<Reading>) {
        let (state, stop, figures) = self.meter.read_record(record);
        if stop.is_none()
            && self.is_over()
            && let Some(left) = record.left()
        {
            let state = state.with_outcome(state.own_outcome());
            return (state, Some(left), figures);
        }
        (state, stop, figures)
    }

    /// Returns the usage of a call of the strand, as far as it is known to a thread that may not run the
    /// strand.
    pub(crate) fn known_usage(&self, record: CallRecord) -> Usage {
        self.known_usage_or_so_far(record).0
    }

    /// Returns the known usage of a call, and whether that is all of it: the call is suspended, or has
    /// stopped.
    pub(crate) fn known_usage_or_so_far(&self, record: CallRecord) -> (Usage, bool) {
        let (_, _, figures) = self.meter.read_record(record);
        match figures {
            // The clocks of two processors may differ: the known reading may be older than the start.
            Figures::Started(start) => (self.meter.read().0.saturating_since(start), false),
            Figures::Used(used) => (used, true),
        }
    }

    pub(crate) fn parent(&self) -> Address {
        Address::from_bits(self.parent.load(Relaxed))
    }

    pub(crate) fn made_after(&self) -> u64 {
        self.made_after.load(Relaxed)
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

    pub(crate) fn chunks(&self) -> u32 {
        self.pages().map(|_| 1).sum()
    }

    /// Returns the published records, in the order in which they were written.
    ///
    /// A chunk's successor is looked up before the chunk's length. So if there is one, the chunk is known
    /// to be full, and no record is passed over.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Address, &'static Record)> {
        self.pages().flat_map(Chunk::published)
    }

    /// Returns the chunks of the [records](Self::records): a loop in a loop costs less than one over both.
    #[inline]
    pub(crate) fn pages(&self) -> impl Iterator<Item = &'static Member<Chunk>> {
        std::iter::successors(Some(self.first), |chunk| chunk.next())
    }

    /// Returns the published records of the strand whose record this is, from that one onwards.
    pub(crate) fn records_from(first: Address) -> impl Iterator<Item = &'static Record> {
        let chunks = std::iter::successors(first.chunk(), |chunk| chunk.next());
        let records = chunks.flat_map(Chunk::published);
        { records.skip_while(move |(address, _)| *address != first) }.map(|(_, record)| record)
    }

    /// Returns the strand's calls, or only those after this one.
    pub(crate) fn calls_after(&self, call: Option<Address>) -> impl Iterator<Item = CallRef> {
        let first = call.map_or(Some(self.first), Address::chunk);
        let chunks = std::iter::successors(first, |chunk| chunk.next());
        chunks
            .flat_map(|chunk| Chunk::published(chunk).map(move |record| (chunk, record)))
            .skip_while(move |(_, (address, _))| call.is_some_and(|call| *address != call))
            .skip(usize::from(call.is_some()))
            .filter(|(_, (_, record))| record.state().kind() == RecordKind::Call)
            .filter_map(|(chunk, (address, _))| Chunk::call(chunk, address))
    }

    /// Converts the readings in the running calls' records into the strand's own, since the thread's
    /// mean nothing after this visit. Each is converted once: all readings inside a call that has the
    /// thread's are the thread's, too.
    #[inline]
    pub(crate) fn rebase(&self) {
        if self.aside.innermost() != Address::NONE {
            self.rebase_calls();
        }
    }

    fn rebase_calls(&self) {
        let mut next = self.aside.innermost().call();
        while let Some(call) = next {
            let record = call.record;
            if record.state().is_of_thread() {
                if let Some(start) = self.meter.start(record) {
                    record.rebase(start);
                }
            } else if record.is_running() && !self.is_partial() {
                return;
            }
            next = record.parent().call();
        }
    }

    /// Notes that something could not be recorded.
    pub(crate) fn note_dropped(&self) {
        if let Some(allowance) = self.allowance() {
            allowance.note_dropped();
        }
    }

    /// Posts an operation of a thread that does not run the call's strand. Does nothing if the strand
    /// has been recycled since.
    pub(crate) fn post(call: CallRef, at: u64, kind: impl FnOnce(&Self) -> Option<RemoteKind>) {
        let Some(strand) = Self::of(call) else { return };
        alloc_counter::exclude(|| {
            let Some(mut mailbox) = strand.mailbox.lock() else {
                return;
            };
            // The strand was looked up without the lock, and may have been recycled in between. From
            // here on it can't be.
            if call.strand() != Some(strand.number()) {
                return;
            }
            let operation = kind(strand).map(|kind| RemoteOperation {
                call: call.address(),
                at,
                kind,
            });
            let is_stop = operation.as_ref().is_some_and(RemoteOperation::is_stop);
            if !operation.is_some_and(|operation| mailbox.post(operation)) {
                strand.note_dropped();
            }
            if is_stop {
                // Only now, so that a thread that sees the call stopped finds the operation.
                call.record.close_remotely(at);
            }
        });
    }
}
