//! A chunk: a page of one strand's records, and references to the calls in it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(not(loom))]
use crate::primitives::pool::ALIGNMENT;
use crate::primitives::pool::{AtomicNumber, Member, Number, Pool};
use crate::primitives::sync::{AtomicU32, AtomicU64, array, fence, shared_static};
use crate::store::address::Address;
use crate::store::record::{
    CallRecord, CheckpointRecord, FoldedCall, LateText, MoveRecord, Record, RecordedCall,
    TextRecord,
};

/// How many records fill a page with the head of the chunk, which is as long as a record.
pub(crate) const RECORDS: usize = if cfg!(loom) { 2 } else { 31 };

shared_static! {
    pub(crate) static CHUNKS: Pool<Chunk> = Pool::aligned();
}

/// Records of one strand.
#[repr(C)]
pub(crate) struct Chunk {
    head: Head,
    records: [Record; RECORDS],
}

#[repr(C)]
struct Head {
    /// How many records are published.
    len: AtomicU32,
    /// The strand's next chunk.
    next: AtomicNumber,
    /// The strand whose records these are.
    strand: AtomicNumber,
    /// The key of a call in the first record. Its generation changes when the chunk is given back, so
    /// that a guard from before knows that it is late.
    key: AtomicU64,
    #[cfg(not(loom))]
    _rest: [u64; 12],
}

// In the pool, each record is two lines of the cache, which are fetched together.
#[cfg(not(loom))]
const _: () = assert!(
    size_of::<Record>() == ALIGNMENT
        && Member::<Chunk>::OFFSET + size_of::<Head>() == ALIGNMENT
        && size_of::<Member<Chunk>>() == 4096
);
// The last index is that of paths.
const _: () = assert!(RECORDS < Address::MAX_IN_CHUNK);

impl Chunk {
    pub(crate) fn new() -> Self {
        Self {
            head: Head {
                len: AtomicU32::new(0),
                next: AtomicNumber::none(),
                strand: AtomicNumber::none(),
                key: AtomicU64::new(0),
                #[cfg(not(loom))]
                _rest: [0; 12],
            },
            records: array![Record::new(); RECORDS],
        }
    }

    /// Returns the published records, with their addresses.
    pub(crate) fn published(
        this: &'static Member<Self>,
    ) -> impl ExactSizeIterator<Item = (Address, &'static Record)> {
        let (len, number) = (this.head.len.load(Acquire), this.number());
        (0..len)
            .zip(&this.records)
            .map(move |(index, record)| (Address::new(number, index), record))
    }

    pub(crate) fn next(&self) -> Option<&'static Member<Self>> {
        CHUNKS.get(self.head.next.load(Acquire))
    }

    /// Links an empty chunk after this one.
    pub(crate) fn link(&self, next: &Member<Self>) {
        Self::belong_to(next, self.strand());
        self.head.next.store(next.number(), Release);
    }

    pub(crate) fn belong_to(this: &Member<Self>, strand: Number) {
        let key = Key::new(this.key().generation(), Address::new(this.number(), 0));
        this.head.key.store(key.0, Relaxed);
        this.head.strand.store(strand, Release);
    }

    pub(crate) fn strand(&self) -> Number {
        self.head.strand.load(Acquire)
    }

    #[inline]
    fn key(&self) -> Key {
        Key(self.head.key.load(Relaxed))
    }

    /// Returns the next record to be written; `None` if the chunk is full.
    #[inline]
    pub(crate) fn vacant(this: &'static Member<Self>) -> Option<Vacant> {
        let index = this.head.len.load(Relaxed);
        let record = this.records.get(index as usize)?;
        Some(Vacant {
            chunk: this,
            index,
            record,
        })
    }

    /// Returns whether this is the call's chunk, and was not given back since.
    #[inline]
    pub(crate) fn has(&self, call: CallRef) -> bool {
        self.key().is_beside(call.key)
    }

    /// Returns whether there is no record, as far as this thread knows.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.len.load(Relaxed) == 0
    }

    /// Empties the chunk. The caller holds the lock of the strand's mailbox.
    pub(crate) fn clear(&self) {
        self.head.len.store(0, Relaxed);
        self.head.next.store(Number::NONE, Relaxed);
        let key = self.key();
        let next = Key::new(key.generation().wrapping_add(1), key.address());
        self.head.key.store(next.0, Release);
    }

    #[inline]
    pub(crate) fn call(this: &'static Member<Self>, address: Address) -> Option<CallRef> {
        let record = CallRecord::of(this.records.get(address.index())?);
        let key = this.key().at(address.index());
        Some(CallRef { record, key })
    }
}

/// A record that is not published yet.
pub(crate) struct Vacant {
    chunk: &'static Member<Chunk>,
    index: u32,
    record: &'static Record,
}

/// A record is written through the view of its kind, and then published.
impl Vacant {
    #[inline]
    pub(crate) const fn as_call(&self) -> RecordedCall {
        RecordedCall::of(self.record)
    }

    pub(crate) const fn as_folded(&self) -> FoldedCall {
        FoldedCall::of(self.record)
    }

    #[inline]
    pub(crate) const fn as_checkpoint(&self) -> CheckpointRecord {
        CheckpointRecord::of(self.record)
    }

    pub(crate) const fn as_late_text(&self) -> LateText {
        LateText::of(self.record)
    }

    pub(crate) const fn as_text(&self) -> TextRecord {
        TextRecord::of(self.record)
    }

    pub(crate) const fn as_move(&self) -> MoveRecord {
        MoveRecord::of(self.record)
    }

    pub(crate) fn address(&self) -> Address {
        Address::new(self.chunk.number(), self.index)
    }

    #[inline]
    pub(crate) fn publish(self) {
        self.chunk.head.len.store(self.index + 1, Release);
        // A reader that sees later counts of the thread must also see the record.
        fence(Release);
    }

    /// Publishes the record, which was written as a call's.
    #[inline]
    pub(crate) fn publish_call(self) -> CallRef {
        let call = CallRef {
            record: CallRecord::of(self.record),
            key: self.chunk.key().at(self.index as usize),
        };
        self.publish();
        call
    }
}

impl Address {
    /// Returns the call's address; [`NONE`](Self::NONE) if there is no call.
    #[inline]
    pub(crate) fn of(call: Option<CallRef>) -> Self {
        call.map_or(Self::NONE, CallRef::address)
    }

    pub(crate) fn chunk(self) -> Option<&'static Member<Chunk>> {
        CHUNKS.get(self.chunk_number())
    }

    /// Returns the record of the call whose address this is; `None` if it is no call's.
    pub(crate) fn call_record(self) -> Option<CallRecord> {
        self.chunk()?.records.get(self.index()).map(CallRecord::of)
    }

    /// Returns the call whose address this is, with the key that it has now; `None` if it is no
    /// call's.
    #[cold]
    pub(crate) fn call(self) -> Option<CallRef> {
        Chunk::call(self.chunk()?, self)
    }

    /// Returns the call whose address this is, which is probably in this chunk.
    #[inline]
    pub(crate) fn call_near(self, chunk: Option<&'static Member<Chunk>>) -> Option<CallRef> {
        match chunk {
            _ if self == Self::NONE => None,
            Some(chunk) if chunk.key().address().is_beside(self) => Chunk::call(chunk, self),
            // In place, so that a stop needs no registers saved for a call.
            _ => Chunk::call(self.chunk()?, self),
        }
    }
}

/// A call's record, and a key that tells whether it still is that call's.
///
/// Two words, so that it is passed in registers.
#[derive(Clone, Copy)]
pub(crate) struct CallRef {
    pub(crate) record: CallRecord,
    pub(crate) key: Key,
}

/// A chunk's generation in the upper half, an address in it in the lower. No two calls have equal keys until
/// a chunk has been given back four billion times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// No call's; its address is [`Address::NONE`].
    pub(crate) const NONE: Self = Self(u64::MAX);

    fn new(generation: u32, address: Address) -> Self {
        Self(u64::from(generation) << u32::BITS | u64::from(address.to_bits()))
    }

    /// Returns the key of another call, from that of the chunk's first one.
    #[inline]
    fn at(self, index: usize) -> Self {
        Self(self.0 | index as u64)
    }

    /// Returns whether both are in one chunk, in the same generation.
    #[inline]
    fn is_beside(self, other: Self) -> bool {
        (self.0 ^ other.0) >> Address::INDEX_BITS == 0
    }

    #[inline]
    fn generation(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub(crate) fn address(self) -> Address {
        Address::from_bits(self.0 as u32)
    }
}

impl CallRef {
    #[inline]
    pub(crate) fn is(self, other: Self) -> bool {
        self.key == other.key
    }

    #[inline]
    pub(crate) fn address(self) -> Address {
        self.key.address()
    }

    /// Returns the strand whose call this is; `None` if the record is no longer this call's. That holds
    /// only while the strand runs on this thread or its mailbox is locked.
    pub(crate) fn strand(self) -> Option<Number> {
        let chunk = self.address().chunk()?;
        let strand = chunk.strand();
        (chunk.key().generation() == self.key.generation()).then_some(strand)
    }
}
