//! A record: one call, checkpoint or text, of fixed size and readable while it is written.
//!
//! One thread writes a record, and then publishes it by its chunk's length. A call's record changes
//! once more, when the call stops (and whenever the future that it is around is put aside, or it goes
//! on within another call): a version number, odd while that goes on, tells a reader to look again.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;

use crate::figures::Figures;
use crate::pool::Number;
use crate::state::{End, Kind, State};
use crate::sync::{AtomicU32, AtomicU64, array, const_fn, fence, spin_loop};

/// Where a record stands: in which chunk, and where in it. Stays the same for the record's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(u32);

impl Address {
    pub(crate) const NONE: Self = Self(u32::MAX);
    const INDEX_BITS: u32 = 5;
    pub(crate) const MAX_IN_CHUNK: usize = 1 << Self::INDEX_BITS;

    #[inline]
    pub(crate) const fn new(chunk: Number, index: u32) -> Self {
        Self(chunk.to_bits() << Self::INDEX_BITS | index)
    }

    #[inline]
    pub(crate) const fn chunk_number(self) -> Number {
        Number::from_bits(self.0 >> Self::INDEX_BITS)
    }

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % Self::MAX_IN_CHUNK
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
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
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                state: AtomicU32::new(0),
                parent: AtomicU32::new(0),
                subject: AtomicU32::new(0),
                thread: AtomicU32::new(0),
                words: array![AtomicU64::new(0); WORDS],
            }
        }
    }

    /// Writes a call, without its text. Not published yet, so nobody reads.
    #[inline]
    pub(crate) fn open(&self, opening: &Opening) {
        self.state.store(opening.state.to_bits(), Relaxed);
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
        self.state.store(state.to_bits(), Relaxed);
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
        self.state.store(state.to_bits(), Relaxed);
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
        State::from_bits(self.state.load(Relaxed))
    }

    #[inline]
    pub(crate) fn parent(&self) -> Address {
        Address(self.parent.load(Relaxed))
    }

    /// The call goes on within another, while `note` notes what it had done until then. Who reads
    /// one without the other is told to look again.
    pub(crate) fn move_to(&self, parent: Address, note: impl FnOnce()) {
        let writing = self.state().next_version();
        self.state.store(writing.to_bits(), Relaxed);
        fence(Release);
        self.parent.store(parent.0, Relaxed);
        note();
        self.state.store(writing.next_version().to_bits(), Release);
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
        let state = self.state().failed();
        self.state.store(state.to_bits(), Relaxed);
    }

    #[inline]
    fn rewrite(&self, state: State, figures: Figures) {
        let writing = state.next_version();
        self.state.store(writing.to_bits(), Relaxed);
        // A reader that sees one of the new figures must also see that they are being written.
        fence(Release);
        self.store_figures(figures);
        self.state.store(writing.next_version().to_bits(), Release);
    }

    /// The call stops: its figures become amounts for good.
    #[inline]
    pub(crate) fn close(&self, used: Figures, stop: u64, end: End) {
        self.words[STOP].store(stop, Relaxed);
        let state = self.state().ended(end).at_rest(true);
        self.rewrite(state, used);
    }

    /// The future that the call is around is put aside: the figures become amounts for a while.
    pub(crate) fn rest(&self, used: Figures) {
        self.rewrite(self.state().at_rest(true), used);
    }

    /// The future goes on: the figures are readings again.
    pub(crate) fn resume(&self, start: Figures) {
        self.rewrite(self.state().at_rest(false), start);
    }

    /// The call is stopped on a thread that may not write here; who does finds the word set. What
    /// it used is told elsewhere.
    pub(crate) fn close_from_afar(&self, stop: u64) {
        self.words[STOP].store(stop, Release);
    }

    pub(crate) fn set_partial(&self) {
        let state = self.state().partial(true);
        self.state.store(state.to_bits(), Relaxed);
    }

    /// The state, the moment of stopping, and the figures, as they were together at one moment.
    pub(crate) fn read(&self) -> (State, Option<u64>, Figures) {
        for _ in 0..ATTEMPTS {
            let before = State::from_bits(self.state.load(Acquire));
            let (stop, figures) = self.stop_and_figures();
            fence(Acquire);
            if before == self.state() && !before.is_being_written() {
                return (before, stop, figures);
            }
            spin_loop();
        }
        // A fork came in the middle of writing.
        let (stop, figures) = self.stop_and_figures();
        (self.state().partial(true), stop, figures)
    }

    fn stop_and_figures(&self) -> (Option<u64>, Figures) {
        let stop = self.words[STOP].load(Acquire);
        ((stop != 0).then_some(stop), self.figures())
    }
}

/// A record that is being written is read again so often.
const ATTEMPTS: u32 = if cfg!(loom) { 1 } else { 100_000 };
