//! The cursor of a thread: the strand that it is in, the chunk that it fills, the innermost open call.
//!
//! It is one thread-local without a destructor. It can be read at any time of the thread's life, and a
//! guard computes its address only once.

mod room;

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use alloc_counter::Local;

use crate::primitives::clock;
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::cancelling::Cancelling;
use crate::store::chunk::{CallRef, Chunk, Key};
use crate::store::record::CallRecord;
use crate::store::strand::{Aside, STRANDS, Strand};
use crate::store::threads::Tag;

thread_local! {
    static HERE: Position = const { Position::new() };
}

/// Runs `work` with this thread's position.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "an address, on the path of every call"
)]
pub(crate) fn here<T>(work: impl FnOnce(&Position) -> T) -> T {
    HERE.with(work)
}

pub(crate) struct Position {
    strand: Cell<Option<&'static Member<Strand>>>,
    tail: Cell<Option<&'static Member<Chunk>>>,
    /// The innermost open call's record and key; [`Key::NONE`] if there is no call.
    record: Cell<Option<CallRecord>>,
    key: Cell<Key>,
    /// How many more calls may be recorded before the trace is asked again.
    calls_left: Cell<u32>,
    tag: Cell<Option<Tag>>,
    /// See [`counting`](Self::counting).
    counters: Cell<Option<Local>>,
    /// See [`plain`](Self::plain).
    plain: Cell<Option<Local>>,
    /// The number of the thread whose counters these are.
    thread: Cell<u64>,
}

impl Position {
    const fn new() -> Self {
        Self {
            strand: Cell::new(None),
            tail: Cell::new(None),
            record: Cell::new(None),
            key: Cell::new(Key::NONE),
            calls_left: Cell::new(0),
            tag: Cell::new(None),
            counters: Cell::new(None),
            plain: Cell::new(None),
            thread: Cell::new(0),
        }
    }

    /// Returns the thread's counters if calls start and stop plainly: the current strand counts with counters that the
    /// thread still has, no future of it is being dropped, and the thread has a [tag](Self::tag).
    #[inline]
    pub(crate) fn counting(&self) -> Option<Local> {
        let local = self.counters.get()?;
        (local.thread() == self.thread.get()).then_some(local)
    }

    /// Returns what [`counting`](Self::counting) does, if the clock is the [counter](clock::counter_ticks).
    #[inline]
    pub(crate) fn plain(&self) -> Option<Local> {
        let local = self.plain.get()?;
        (local.thread() == self.thread.get()).then_some(local)
    }

    /// Finds out anew what [`counting`](Self::counting) and [`plain`](Self::plain) return, given the thread's counters.
    /// To be called whenever the strand, its meter or its [`cancelling`](Strand::cancelling) has changed.
    #[inline]
    pub(crate) fn review(&self, local: Option<Local>) {
        let running = self.strand.get().filter(|it| it.meter.is_running());
        self.review_running(running, local);
    }

    /// As [`review`](Self::review), for a caller that knows the current strand and that its meter runs; `None` if it
    /// does not.
    #[inline]
    pub(crate) fn review_running(
        &self,
        strand: Option<&'static Member<Strand>>,
        local: Option<Local>,
    ) {
        let is_plain = strand.is_some_and(|strand| strand.cancelling.get() == Cancelling::No)
            && self.tag.get().is_some();
        let local = local.filter(|_| is_plain);
        self.counters.set(local);
        self.plain.set(local.filter(|_| clock::is_counter()));
        if let Some(local) = local {
            self.thread.set(local.thread());
        }
    }

    /// Returns the bits of the thread's [tag](Self::tag), which it has if calls start [plainly](Self::plain).
    #[inline]
    pub(crate) fn tag_bits(&self) -> u32 {
        self.tag.get().map_or(0, Tag::to_bits)
    }

    /// Returns the thread's number and name.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        self.tag.get().unwrap_or_else(|| {
            let tag = Tag::new();
            self.tag.set(Some(tag));
            self.review(Local::current());
            tag
        })
    }

    /// Returns the strand into which this thread records.
    #[inline]
    pub(crate) fn strand(&self) -> Option<&'static Member<Strand>> {
        self.strand.get()
    }

    #[inline]
    pub(crate) fn is_current(&self, strand: &'static Member<Strand>) -> bool {
        let current = self.strand.get();
        current.is_some_and(|current| std::ptr::eq(current, strand))
    }

    /// Returns the strand into which this thread records, if it is the call's.
    #[inline]
    pub(crate) fn strand_of(&self, call: CallRef) -> Option<&'static Member<Strand>> {
        let strand = self.strand.get()?;
        (self.is_innermost(call) || call.strand() == Some(strand.number())).then_some(strand)
    }

    /// Returns the strand into which this thread records, if the call is in its last chunk.
    #[inline]
    pub(crate) fn strand_near(&self, call: CallRef) -> Option<&'static Member<Strand>> {
        let is_near = self.tail.get().is_some_and(|tail| tail.has(call));
        self.strand.get().filter(|_| is_near)
    }

    /// Restores the position that was saved in the strand, and makes the strand current.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "few instructions, on the path of every poll"
    )]
    pub(crate) fn take_up(&self, strand: Option<&'static Member<Strand>>) {
        self.strand.set(strand);
        let aside = strand.map(|strand| &strand.aside);
        let tail = strand.and_then(|strand| strand.tail());
        self.tail.set(tail);
        match aside.map(Aside::innermost) {
            None | Some(Address::NONE) => self.set_innermost(None),
            Some(innermost) => self.set_innermost(innermost.call_near(tail)),
        }
        self.calls_left.set(aside.map_or(0, Aside::calls_left));
    }

    /// Returns whether the strand is the current one, and no call of it is open.
    #[inline]
    pub(crate) fn is_idle_in(&self, strand: &'static Member<Strand>) -> bool {
        self.is_current(strand) && self.record.get().is_none()
    }

    /// Leaves the current strand, no call of which is open, for none. There is nothing to
    /// [review](Self::review) then.
    #[inline]
    pub(crate) fn clear(&self) {
        self.strand.set(None);
        self.tail.set(None);
        self.calls_left.set(0);
        self.counters.set(None);
        self.plain.set(None);
    }

    /// Saves the position in the current strand.
    #[inline]
    pub(crate) fn put_aside(&self) {
        if let Some(strand) = self.strand.get() {
            let tail = self.tail.get().map_or(Number::NONE, Member::number);
            let innermost = self.innermost_address();
            strand.aside.put(tail, innermost, self.calls_left.get());
        }
    }

    /// Returns the innermost open call of the current strand.
    #[inline]
    pub(crate) fn innermost(&self) -> Option<CallRef> {
        let key = self.key.get();
        self.record.get().map(|record| CallRef { record, key })
    }

    /// Returns the record of the innermost open call.
    #[inline]
    pub(crate) fn innermost_record(&self) -> Option<CallRecord> {
        self.record.get()
    }

    /// Returns the address of the innermost open call.
    #[inline]
    pub(crate) fn innermost_address(&self) -> Address {
        self.key.get().address()
    }

    #[inline]
    pub(crate) fn is_innermost(&self, call: CallRef) -> bool {
        self.key.get() == call.key
    }

    /// Returns the innermost call or, if it has been stopped or suspended meanwhile, the nearest running
    /// call around it.
    #[inline]
    pub(crate) fn innermost_running(&self) -> Option<CallRef> {
        running(self.innermost())
    }

    #[inline]
    pub(crate) fn set_innermost(&self, call: Option<CallRef>) {
        self.record.set(call.map(|call| call.record));
        self.key.set(call.map_or(Key::NONE, |call| call.key));
    }

    /// Sets the innermost call, which may be folded. Calls that are opened inside a folded call are
    /// folded too.
    pub(crate) fn go_into(&self, strand: &Strand, call: Option<CallRef>) {
        self.set_innermost(call);
        let calls = self.calls_left.get();
        let is_folded = call.is_some_and(|call| call.record.state().is_folded());
        if let (Some(allowance), true) = (strand.allowance(), is_folded && calls > 0) {
            allowance.return_calls(calls);
            self.calls_left.set(0);
        }
    }

    /// Returns the call at this address in the current strand.
    #[inline]
    pub(crate) fn call_at(&self, address: Address) -> Option<CallRef> {
        address.call_near(self.tail.get())
    }

    /// Returns a call of the current strand and those around it, from the inside out.
    pub(crate) fn outwards(&self, from: Option<CallRef>) -> impl Iterator<Item = CallRef> {
        std::iter::successors(from, |call| self.call_at(call.record.parent()))
    }
}

/// Returns the strands that this thread has entered, the current one first.
pub(crate) fn entered(here: &Position) -> impl Iterator<Item = &'static Member<Strand>> {
    std::iter::successors(here.strand(), |strand| below(strand))
}

/// Returns the strand that the thread was in when it entered this one.
pub(crate) fn below(strand: &Strand) -> Option<&'static Member<Strand>> {
    STRANDS.get(strand.below.load(Relaxed))
}

/// Returns this call or, if it is folded, the nearest recorded call around it.
pub(crate) fn recorded(call: Address) -> Address {
    let mut call = call;
    while let Some(record) = call.call_record().and_then(CallRecord::folded) {
        call = record.parent();
    }
    call
}

/// Returns this call or, if it has been stopped or suspended, the nearest running call around it.
#[cold]
pub(crate) fn running(call: Option<CallRef>) -> Option<CallRef> {
    match call {
        Some(call) if !call.record.is_running() => nearest_running(call),
        _ => call,
    }
}

fn nearest_running(call: CallRef) -> Option<CallRef> {
    let strand = Strand::of(call)?;
    let mut highest = i64::MIN;
    let mut next = Some(call);
    while let Some(call) = next
        && !call.record.is_running()
    {
        // A call that was stopped on another thread did not pass its peak on to the calls around it.
        if let Some(start) = strand.meter.start(call.record) {
            highest = highest.max(start.peak);
            // It will not be among the calls that are rebased when the strand is left.
            call.record.rebase(start);
        }
        next = call.record.parent().call();
    }
    if let Some(call) = next {
        strand.meter.raise_peak(call.record, highest);
    }
    next
}
