//! A strand: the records of one line of execution, which is a scope of a thread or a task.

mod records;
mod recycle;

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicBool, AtomicU32, AtomicU64, shared_static};
use crate::store::address::Address;
use crate::store::cancelling::{AtomicCancelling, Cancelling};
use crate::store::chunk::{CHUNKS, CallRef, Chunk};
use crate::store::folded_calls::FoldedCalls;
use crate::store::limits::Allowance;
use crate::store::meter::Meter;
use crate::store::remote::{Mailbox, RemoteKind, RemoteOperation};
#[cfg(feature = "sites")]
use crate::store::sites::StrandSites;
use crate::store::sum::SharedSum;

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
