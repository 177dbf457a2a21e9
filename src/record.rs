//! A record: one call, checkpoint or text, of fixed size and readable while it is written.
//!
//! A strand's records stand in a chain of chunks, a page each. One thread writes a record and then
//! publishes it by the chunk's length. A call's record changes once more, when the call stops (and
//! whenever the future that it is around is put aside): a version number, odd while that goes on,
//! tells a reader to look again.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use alloc_counter::Counts;

use crate::pool::{AtomicNumber, Member, Number, Pool};

/// A page, less the chunk's head.
const RECORDS: u32 = 31;

pub(crate) static CHUNKS: Pool<Chunk> = Pool::new();

/// Some records of one strand.
pub(crate) struct Chunk {
    head: Head,
    records: [Record; RECORDS as usize],
}

#[repr(align(128))]
struct Head {
    /// How many records are published.
    len: AtomicU32,
    /// The strand's next chunk.
    next: AtomicNumber,
}

const _: () = assert!(size_of::<Record>() == 128 && size_of::<Chunk>() == 4096);

impl Chunk {
    pub(crate) fn new() -> Self {
        Self {
            head: Head {
                len: AtomicU32::new(0),
                next: AtomicNumber::none(),
            },
            records: [const { Record::new() }; RECORDS as usize],
        }
    }

    /// The records that can be read, with their addresses.
    pub(crate) fn published(
        this: &'static Member<Self>,
    ) -> impl Iterator<Item = (Address, &'static Record)> {
        let len = this.head.len.load(Acquire);
        (0..len)
            .zip(&this.records)
            .map(|(index, record)| (Address::new(this.number(), index), record))
    }

    pub(crate) fn next(&self) -> Option<&'static Member<Self>> {
        CHUNKS.get(self.head.next.load(Acquire))
    }

    pub(crate) fn link(&self, next: Number) {
        self.head.next.store(next, Release);
    }

    /// The place for the next record; none when the chunk is full.
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

    pub(crate) fn clear(&self) {
        self.head.len.store(0, Relaxed);
        self.link(Number::NONE);
    }
}

/// A record that is not published yet.
pub(crate) struct Vacant {
    chunk: &'static Member<Chunk>,
    index: u32,
    pub(crate) record: &'static Record,
}

impl Vacant {
    #[inline]
    pub(crate) fn publish(self) -> Address {
        self.chunk.head.len.store(self.index + 1, Release);
        Address::new(self.chunk.number(), self.index)
    }
}

/// Where a record stands: in which chunk, and where in it. Stays the same for the record's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address(u32);

impl Address {
    pub(crate) const NONE: Self = Self(u32::MAX);
    const BITS: u32 = RECORDS.ilog2() + 1;

    #[inline]
    fn new(chunk: Number, index: u32) -> Self {
        Self(chunk.to_bits() << Self::BITS | index)
    }

    pub(crate) fn record(self) -> Option<&'static Record> {
        let chunk = CHUNKS.get(Number::from_bits(self.0 >> Self::BITS))?;
        let index = self.0 & ((1 << Self::BITS) - 1);
        chunk.records.get(index as usize)
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    /// A named moment of the call that is its parent; its text is its name.
    Checkpoint,
    /// A piece of the text of the next record that is none itself.
    Text,
    /// Why the call that is its parent failed.
    Message,
    /// A call outlived the one that it was in, or goes on in another. Holds the call's address, in
    /// which call it was (the parent), and what it had done there. In which it is now, the call's
    /// own record says.
    Adoption,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Ok,
    Failed,
    Panicked,
    Cancelled,
}

/// The record's kind, form and outcome in one word, and its version in the upper half.
#[derive(Clone, Copy)]
pub(crate) struct State(u32);

impl State {
    const KIND: u32 = 0b111;
    const END_SHIFT: u32 = 3;
    const END: u32 = 0b111 << Self::END_SHIFT;
    /// The figures are what was used. Without it they are readings from which to subtract.
    const AT_REST: u32 = 1 << 6;
    const FAILED: u32 = 1 << 7;
    /// Opened while the thread was already panicking, which is then not this call's end.
    const UNWINDING: u32 = 1 << 8;
    /// Opened while a future was being dropped, which is then not this call's end.
    const CANCELLING: u32 = 1 << 9;
    const PARTIAL: u32 = 1 << 10;
    /// The text stands in the records before, or, of a piece of text, begins there.
    const LONG_TEXT: u32 = 1 << 11;
    const VERSION: u32 = 1 << 16;

    #[inline]
    pub(crate) const fn new(kind: Kind) -> Self {
        Self(kind as u32)
    }

    pub(crate) fn kind(self) -> Kind {
        match self.0 & Self::KIND {
            0 => Kind::Call,
            1 => Kind::Checkpoint,
            2 => Kind::Text,
            3 => Kind::Message,
            _ => Kind::Adoption,
        }
    }

    pub(crate) fn end(self) -> End {
        match (self.0 & Self::END) >> Self::END_SHIFT {
            0 => End::Open,
            1 => End::Ok,
            2 => End::Failed,
            3 => End::Panicked,
            _ => End::Cancelled,
        }
    }

    #[inline]
    const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    const fn with(self, flag: u32, on: bool) -> Self {
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }

    /// Whether the figures have not been rewritten in between.
    pub(crate) const fn is_same_version(self, other: Self) -> bool {
        self.0 / Self::VERSION == other.0 / Self::VERSION
    }

    pub(crate) const fn is_at_rest(self) -> bool {
        self.has(Self::AT_REST)
    }

    #[inline]
    pub(crate) const fn has_failed(self) -> bool {
        self.has(Self::FAILED)
    }

    #[inline]
    pub(crate) const fn was_unwinding(self) -> bool {
        self.has(Self::UNWINDING)
    }

    pub(crate) const fn is_partial(self) -> bool {
        self.has(Self::PARTIAL)
    }

    pub(crate) const fn has_long_text(self) -> bool {
        self.has(Self::LONG_TEXT)
    }

    #[inline]
    pub(crate) const fn was_cancelling(self) -> bool {
        self.has(Self::CANCELLING)
    }

    #[inline]
    pub(crate) const fn unwinding(self, yes: bool) -> Self {
        self.with(Self::UNWINDING, yes)
    }

    #[inline]
    pub(crate) const fn cancelling(self, yes: bool) -> Self {
        self.with(Self::CANCELLING, yes)
    }

    #[inline]
    pub(crate) const fn long_text(self, yes: bool) -> Self {
        self.with(Self::LONG_TEXT, yes)
    }

    #[inline]
    pub(crate) const fn partial(self, yes: bool) -> Self {
        self.with(Self::PARTIAL, yes)
    }

    const fn is_being_written(self) -> bool {
        self.has(Self::VERSION)
    }

    #[inline]
    const fn next_version(self) -> Self {
        Self(self.0.wrapping_add(Self::VERSION))
    }

    #[inline]
    const fn ended(self, end: End) -> Self {
        Self(self.0 & !Self::END | (end as u32) << Self::END_SHIFT)
    }
}

/// What a call uses: heap, time on a thread, and the highest live level.
///
/// At rest these are amounts. While the call runs they are the strand's readings at its start, so
/// that the amounts so far are the readings now minus these; the peak is then a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) counts: Counts,
    /// In ticks.
    pub(crate) busy: u64,
    /// In bytes: a level of the strand, or above the level at the start.
    pub(crate) peak: i64,
}

impl Figures {
    /// What was used between two readings.
    #[inline]
    pub(crate) fn since(self, start: Self) -> Self {
        Self {
            counts: self.counts - start.counts,
            busy: self.busy.wrapping_sub(start.busy),
            peak: self
                .peak
                .max(start.peak)
                .wrapping_sub(start.counts.net_bytes()),
        }
    }

    /// What was used at least, where this reading may be older than the start.
    pub(crate) fn since_at_most(self, start: Self) -> Self {
        let [now, then] = [self.counts.to_array(), start.counts.to_array()];
        let counts = std::array::from_fn(|index| now[index].saturating_sub(then[index]));
        Self {
            counts: Counts::from_array(counts),
            busy: self.busy.saturating_sub(start.busy),
            peak: start.peak.wrapping_sub(start.counts.net_bytes()),
        }
    }

    /// The start from which, at this reading, so much would have been used.
    pub(crate) fn start_for(self, used: Self) -> Self {
        let counts = self.counts - used.counts;
        Self {
            counts,
            busy: self.busy.wrapping_sub(used.busy),
            peak: counts.net_bytes().wrapping_add(used.peak),
        }
    }
}

/// Sixteen words. Which stand for what depends on the kind.
#[repr(align(128))]
pub(crate) struct Record {
    state: AtomicU32,
    /// The address of the call that this is in now.
    parent: AtomicU32,
    /// A call's callsite, by number; an adopted call's address; a text's length.
    subject: AtomicU32,
    thread: AtomicU32,
    words: [AtomicU64; WORDS],
}

const WORDS: usize = 14;
const START: usize = 0;
/// 0 while the call is open. The one word that another thread may write.
const STOP: usize = 1;
const BUSY: usize = 2;
const PEAK: usize = 3;
const COUNTS: usize = 4;
const COUNTS_END: usize = COUNTS + 5;
const TEXT: usize = COUNTS_END;

const WORD_BYTES: usize = size_of::<u64>();
/// A text up to this length stands in the record, after a byte with its length.
pub(crate) const SHORT_TEXT: usize = (WORDS - TEXT) * WORD_BYTES - 1;
/// A record that holds nothing but text holds so much.
pub(crate) const TEXT_PIECE: usize = WORDS * WORD_BYTES;

/// A call at its start.
pub(crate) struct Opening {
    pub(crate) state: State,
    pub(crate) parent: Address,
    pub(crate) callsite: Number,
    pub(crate) thread: u32,
    pub(crate) start: u64,
    pub(crate) figures: Figures,
}

impl Record {
    const fn new() -> Self {
        Self {
            state: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            subject: AtomicU32::new(0),
            thread: AtomicU32::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Writes a call, without its text. Not published yet, so nobody reads.
    #[inline]
    pub(crate) fn open(&self, opening: &Opening) {
        self.state.store(opening.state.0, Relaxed);
        self.parent.store(opening.parent.0, Relaxed);
        self.subject.store(opening.callsite.to_bits(), Relaxed);
        self.thread.store(opening.thread, Relaxed);
        self.words[START].store(opening.start, Relaxed);
        self.words[STOP].store(0, Relaxed);
        self.store_figures(opening.figures);
    }

    /// Writes a record that is never changed again, without its text.
    #[inline]
    pub(crate) fn note(&self, state: State, parent: Address, moment: u64, figures: Figures) {
        self.state.store(state.0, Relaxed);
        self.parent.store(parent.0, Relaxed);
        self.words[START].store(moment, Relaxed);
        self.words[STOP].store(moment, Relaxed);
        self.store_figures(figures);
    }

    pub(crate) fn set_adopted(&self, call: Address) {
        self.subject.store(call.0, Relaxed);
    }

    pub(crate) fn adopted(&self) -> Address {
        Address(self.subject.load(Relaxed))
    }

    /// Writes a text of at most [`SHORT_TEXT`] bytes.
    #[inline]
    pub(crate) fn write_short_text(&self, text: &[u8]) {
        let mut bytes = [0; SHORT_TEXT + 1];
        let text = &text[..text.len().min(SHORT_TEXT)];
        bytes[0] = u8::try_from(text.len()).unwrap_or(0);
        bytes[1..=text.len()].copy_from_slice(text);
        self.write_bytes(TEXT, &bytes);
    }

    #[inline]
    pub(crate) fn clear_text(&self) {
        self.words[TEXT].store(0, Relaxed);
    }

    /// Writes a piece of at most [`TEXT_PIECE`] bytes of the next record's text.
    pub(crate) fn write_text_piece(&self, piece: &[u8], is_first: bool) {
        let state = State::new(Kind::Text).long_text(!is_first);
        self.state.store(state.0, Relaxed);
        self.subject
            .store(u32::try_from(piece.len()).unwrap_or(0), Relaxed);
        self.write_bytes(0, piece);
    }

    #[inline]
    fn write_bytes(&self, first: usize, bytes: &[u8]) {
        for (word, bytes) in self.words[first..].iter().zip(bytes.chunks(WORD_BYTES)) {
            let mut whole = [0; WORD_BYTES];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Relaxed);
        }
    }

    fn read_bytes(&self, first: usize, length: usize, text: &mut Vec<u8>) {
        let end = text.len() + length;
        for word in &self.words[first..] {
            text.extend(word.load(Relaxed).to_le_bytes());
        }
        text.truncate(end);
    }

    pub(crate) fn read_short_text(&self, text: &mut Vec<u8>) {
        let start = text.len();
        self.read_bytes(TEXT, SHORT_TEXT + 1, text);
        let length = text.get(start).copied().map_or(0, usize::from);
        text.drain(start..=start);
        text.truncate(start + length);
    }

    /// Reads a piece of text. The first one begins anew: what was there is of a record that found
    /// no room.
    pub(crate) fn read_text_piece(&self, text: &mut Vec<u8>) {
        if !self.state().has_long_text() {
            text.clear();
        }
        let length = self.subject.load(Relaxed) as usize;
        self.read_bytes(0, length.min(TEXT_PIECE), text);
    }

    #[inline]
    fn store_figures(&self, figures: Figures) {
        self.words[BUSY].store(figures.busy, Relaxed);
        self.words[PEAK].store(figures.peak.cast_unsigned(), Relaxed);
        for (word, total) in self.words[COUNTS..].iter().zip(figures.counts.to_array()) {
            word.store(total, Relaxed);
        }
    }

    #[inline]
    pub(crate) fn figures(&self) -> Figures {
        let counts: [u64; COUNTS_END - COUNTS] =
            std::array::from_fn(|index| self.words[COUNTS + index].load(Relaxed));
        Figures {
            counts: Counts::from_array(counts),
            busy: self.words[BUSY].load(Relaxed),
            peak: self.peak(),
        }
    }

    #[inline]
    fn peak(&self) -> i64 {
        self.words[PEAK].load(Relaxed).cast_signed()
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        State(self.state.load(Relaxed))
    }

    #[inline]
    pub(crate) fn parent(&self) -> Address {
        Address(self.parent.load(Relaxed))
    }

    /// The call goes on within another.
    pub(crate) fn set_parent(&self, parent: Address) {
        self.parent.store(parent.0, Relaxed);
    }

    pub(crate) fn callsite(&self) -> Number {
        Number::from_bits(self.subject.load(Relaxed))
    }

    pub(crate) fn thread(&self) -> u32 {
        self.thread.load(Relaxed)
    }

    pub(crate) fn start(&self) -> u64 {
        self.words[START].load(Relaxed)
    }

    pub(crate) fn is_call(&self) -> bool {
        self.state().kind() == Kind::Call
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.words[STOP].load(Relaxed) == 0
    }

    /// Whether the call is neither stopped nor put aside.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.is_open() && !self.state().is_at_rest()
    }

    /// Raises a running call's peak to a level that its strand has reached.
    #[inline]
    pub(crate) fn raise_peak(&self, level: i64) {
        if level > self.peak() {
            self.words[PEAK].store(level.cast_unsigned(), Relaxed);
        }
    }

    /// Marks the call as failed; it goes on.
    pub(crate) fn set_failed(&self) {
        let state = self.state().with(State::FAILED, true);
        self.state.store(state.0, Relaxed);
    }

    #[inline]
    fn rewrite(&self, state: State, figures: Figures) {
        let writing = state.next_version();
        self.state.store(writing.0, Relaxed);
        // A reader that sees one of the new figures must also see that they are being written.
        fence(Release);
        self.store_figures(figures);
        self.state.store(writing.next_version().0, Release);
    }

    /// The call stops: its figures become amounts for good.
    #[inline]
    pub(crate) fn close(&self, used: Figures, stop: u64, end: End) {
        self.words[STOP].store(stop, Relaxed);
        let state = self.state().ended(end).with(State::AT_REST, true);
        self.rewrite(state, used);
    }

    /// The future that the call is around is put aside: the figures become amounts for a while.
    pub(crate) fn rest(&self, used: Figures) {
        self.rewrite(self.state().with(State::AT_REST, true), used);
    }

    /// The future goes on: the figures are readings again.
    pub(crate) fn resume(&self, start: Figures) {
        self.rewrite(self.state().with(State::AT_REST, false), start);
    }

    /// The call is stopped on a thread that may not write here; who does finds the word set. What
    /// it used is told elsewhere.
    pub(crate) fn close_from_afar(&self, stop: u64) {
        self.words[STOP].store(stop, Release);
    }

    pub(crate) fn set_partial(&self) {
        let state = self.state().with(State::PARTIAL, true);
        self.state.store(state.0, Relaxed);
    }

    /// The state, the moment of stopping, and the figures, as they were together at one moment.
    pub(crate) fn read(&self) -> (State, Option<u64>, Figures) {
        loop {
            let before = State(self.state.load(Acquire));
            let stop = self.words[STOP].load(Acquire);
            let figures = self.figures();
            fence(Acquire);
            let after = self.state();
            if before.0 == after.0 && !before.is_being_written() {
                return (before, (stop != 0).then_some(stop), figures);
            }
            std::hint::spin_loop();
        }
    }
}
