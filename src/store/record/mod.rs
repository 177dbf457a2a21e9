//! A record: one call, checkpoint or text, of fixed size and readable while it is written.
//!
//! One thread writes a record, and then publishes it by its chunk's length. A call's record changes
//! once more, when the call stops (and whenever the future that it is around is put aside, or it goes
//! on within another call): a version number, odd while that goes on, tells a reader to look again.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_counter::Counts;

use crate::primitives::pool::Number;
use crate::primitives::sync::{AtomicU32, AtomicU64, array, const_fn, fence};
use crate::primitives::wait::Patience;
use crate::store::address::Address;
use crate::store::short_text::{ShortText, WORD_BYTES};
use crate::store::state::{End, Kind, State};
use crate::store::usage::{Figures, Reading, Start, ThreadReading, Usage};

/// Sixteen words. Which stand for what depends on the kind.
#[repr(align(128))]
pub(crate) struct Record {
    state: AtomicU32,
    /// The address of the call that this is in now.
    parent: AtomicU32,
    /// A call's callsite, by number, or a folded one's sum; an adopted call's address; a text's
    /// length.
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
// Of a folded call, in place of its text.
const SERIAL: usize = TEXT;
const OPENED_IN: usize = TEXT + 1;
const CHILDREN: usize = TEXT + 2;
const SINCE: usize = TEXT + 3;
const COVERED: usize = TEXT + 4;

/// A record that holds nothing but text holds so much.
pub(crate) const TEXT_PIECE: usize = WORDS * WORD_BYTES;

const _: () = assert!(TEXT + ShortText::WORDS == WORDS);

/// A call at its start.
pub(crate) struct Opening {
    pub(crate) state: State,
    pub(crate) parent: Address,
    /// The callsite, or a folded call's sum.
    pub(crate) subject: Number,
    pub(crate) thread: u32,
    pub(crate) start: u64,
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

    /// Writes a call, without its text and figures. Not published yet, so nobody reads.
    #[inline]
    pub(crate) fn open(&self, opening: &Opening) {
        self.state.store(opening.state.to_bits(), Relaxed);
        self.parent.store(opening.parent.to_bits(), Relaxed);
        self.subject.store(opening.subject.to_bits(), Relaxed);
        self.thread.store(opening.thread, Relaxed);
        self.words[START].store(opening.start, Relaxed);
        self.words[STOP].store(0, Relaxed);
    }

    /// Writes an opening call's readings, one by one as they come, so that none is carried about.
    /// Answers the level.
    #[inline]
    pub(crate) fn set_readings(&self, now: u64, totals: impl Iterator<Item = u64>) -> i64 {
        self.words[BUSY].store(now, Relaxed);
        let mut level = Level::default();
        for (word, total) in self.words[COUNTS..COUNTS_END].iter().zip(totals) {
            word.store(total, Relaxed);
            level.push(total);
        }
        self.words[PEAK].store(level.bytes().cast_unsigned(), Relaxed);
        level.bytes()
    }

    /// Writes a record that is never changed again, without its text and figures.
    #[inline]
    pub(crate) fn note(&self, state: State, parent: Address, moment: u64) {
        self.state.store(state.to_bits(), Relaxed);
        self.parent.store(parent.to_bits(), Relaxed);
        self.words[START].store(moment, Relaxed);
    }

    pub(crate) fn set_adopted(&self, call: Address, so_far: Usage) {
        self.subject.store(call.to_bits(), Relaxed);
        self.store_used(so_far);
    }

    /// What the adopted call had done before.
    pub(crate) fn so_far(&self) -> Usage {
        self.used()
    }

    pub(crate) fn adopted(&self) -> Address {
        Address::from_bits(self.subject.load(Relaxed))
    }

    #[inline]
    pub(crate) fn write_short_text(&self, text: &ShortText) {
        for (word, part) in self.words[TEXT..].iter().zip(text.words()) {
            word.store(part, Relaxed);
        }
    }

    /// The sum of a folded call's path; stands where others have their callsite.
    pub(crate) fn sum(&self) -> Number {
        Number::from_bits(self.subject.load(Relaxed))
    }

    /// The record, which readers may know as another's, is about to be written as a folded call's.
    pub(crate) fn begin_again(&self, writing: State) {
        self.state.store(writing.to_bits(), Relaxed);
        // As in `rewrite`.
        fence(Release);
    }

    /// All of the folded call is written.
    pub(crate) fn is_whole(&self) {
        let whole = self.state().next_version();
        self.state.store(whole.to_bits(), Release);
    }

    /// Begins a folded call, which has no text. `serial` tells it from others that stood here;
    /// `opened_in` is the call in which it is opened, with that one's serial if it is folded.
    pub(crate) fn begin_folded(&self, serial: u32, opened_in: (Address, u32)) {
        let (address, around) = opened_in;
        let both = u64::from(around) << u32::BITS | u64::from(address.to_bits());
        self.words[SERIAL].store(serial.into(), Relaxed);
        self.words[OPENED_IN].store(both, Relaxed);
        self.words[CHILDREN].store(0, Relaxed);
        self.words[COVERED].store(0, Relaxed);
    }

    pub(crate) fn serial(&self) -> u32 {
        low(self.words[SERIAL].load(Relaxed))
    }

    /// The call in which a folded one was opened, and that one's serial.
    pub(crate) fn opened_in(&self) -> (Address, u32) {
        let both = self.words[OPENED_IN].load(Relaxed);
        (Address::from_bits(low(both)), low(both >> u32::BITS))
    }

    /// A folded call was opened in this folded one.
    pub(crate) fn cover(&self, now: u64) {
        let children = self.words[CHILDREN].load(Relaxed);
        if children == 0 {
            self.words[SINCE].store(now, Relaxed);
        }
        self.words[CHILDREN].store(children + 1, Relaxed);
    }

    /// One that was opened in it is open no more.
    pub(crate) fn uncover(&self, now: u64) {
        let children = self.words[CHILDREN].load(Relaxed).saturating_sub(1);
        if children == 0 {
            let covered = self.covered_until(now);
            self.words[COVERED].store(covered, Relaxed);
        }
        self.words[CHILDREN].store(children, Relaxed);
    }

    /// The time until `now` in which a folded call that was opened in this folded one was open.
    pub(crate) fn covered_until(&self, now: u64) -> u64 {
        let covered = self.words[COVERED].load(Relaxed);
        if self.words[CHILDREN].load(Relaxed) == 0 {
            return covered;
        }
        covered.wrapping_add(now.saturating_sub(self.words[SINCE].load(Relaxed)))
    }

    /// Writes a piece of at most [`TEXT_PIECE`] bytes of the next record's text.
    pub(crate) fn write_text_piece(&self, piece: &[u8], is_first: bool) {
        let state = State::new(Kind::Text).long_text(!is_first);
        self.state.store(state.to_bits(), Relaxed);
        self.subject
            .store(u32::try_from(piece.len()).unwrap_or(0), Relaxed);
        for (word, bytes) in self.words.iter().zip(piece.chunks(WORD_BYTES)) {
            let mut whole = [0; WORD_BYTES];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Relaxed);
        }
    }

    fn read_bytes(&self, length: usize, text: &mut Vec<u8>) {
        let end = text.len() + length;
        for word in &self.words {
            text.extend(word.load(Relaxed).to_le_bytes());
        }
        text.truncate(end);
    }

    /// The text that stands in the record.
    pub(crate) fn short_text(&self) -> ShortText {
        ShortText::from_words(std::array::from_fn(|index| {
            self.words[TEXT + index].load(Relaxed)
        }))
    }

    /// Reads a piece of text. The first one begins anew: what was there is of a record that found
    /// no room.
    pub(crate) fn read_text_piece(&self, text: &mut Vec<u8>) {
        if !self.state().has_long_text() {
            text.clear();
        }
        let length = self.subject.load(Relaxed) as usize;
        self.read_bytes(length.min(TEXT_PIECE), text);
    }

    #[inline]
    fn store_used(&self, used: Usage) {
        self.store_figures(used.counts, used.busy, used.peak);
    }

    /// Writes the reading at a call's start; the state says whose it is.
    pub(crate) fn store_start(&self, start: Start) {
        match start {
            Start::OfThread(start) => self.store_figures(start.counts, start.ticks, start.peak),
            Start::OfStrand(start) => self.store_figures(start.counts, start.ticks, start.peak),
        }
    }

    #[inline]
    fn store_figures(&self, counts: Counts, ticks: u64, peak: i64) {
        self.words[BUSY].store(ticks, Relaxed);
        self.words[PEAK].store(peak.cast_unsigned(), Relaxed);
        self.set_counts(counts);
    }

    #[inline]
    pub(crate) fn set_counts(&self, counts: Counts) {
        for (word, total) in self.words[COUNTS..COUNTS_END].iter().zip(counts.to_array()) {
            word.store(total, Relaxed);
        }
    }

    /// Notes what has been used since a call's start, whose readings are those of this thread.
    #[inline]
    pub(crate) fn set_counts_since(&self, call: &Self, totals: impl Iterator<Item = u64>) {
        let words = self.words[COUNTS..COUNTS_END].iter();
        for ((word, total), start) in words.zip(totals).zip(&call.words[COUNTS..]) {
            word.store(total.wrapping_sub(start.load(Relaxed)), Relaxed);
        }
    }

    #[inline]
    pub(crate) fn counts(&self) -> Counts {
        let counts: [u64; COUNTS_END - COUNTS] =
            std::array::from_fn(|index| self.words[COUNTS + index].load(Relaxed));
        Counts::from_array(counts)
    }

    /// Returns what the call holds, as its state says.
    #[inline]
    pub(crate) fn figures(&self) -> Figures {
        self.figures_in(self.state())
    }

    #[inline]
    fn figures_in(&self, state: State) -> Figures {
        let Usage { counts, busy, peak } = self.used();
        let ticks = busy;
        if state.is_at_rest() {
            Figures::AtRest(Usage { counts, busy, peak })
        } else if state.is_of_thread() {
            Figures::Running(Start::OfThread(ThreadReading {
                counts,
                ticks,
                peak,
            }))
        } else {
            Figures::Running(Start::OfStrand(Reading {
                counts,
                ticks,
                peak,
            }))
        }
    }

    #[inline]
    fn used(&self) -> Usage {
        Usage {
            counts: self.counts(),
            busy: self.words[BUSY].load(Relaxed),
            peak: self.peak(),
        }
    }

    /// Returns the word of the peak: a level of the thread or the strand while the call runs.
    #[inline]
    pub(crate) fn peak(&self) -> i64 {
        self.words[PEAK].load(Relaxed).cast_signed()
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        State::from_bits(self.state.load(Relaxed))
    }

    #[inline]
    pub(crate) fn parent(&self) -> Address {
        Address::from_bits(self.parent.load(Relaxed))
    }

    /// The call goes on within another, while `note` notes what it had done until then. Who reads
    /// one without the other is told to look again.
    pub(crate) fn move_to(&self, parent: Address, note: impl FnOnce()) {
        let writing = self.state().next_version();
        self.state.store(writing.to_bits(), Relaxed);
        fence(Release);
        self.parent.store(parent.to_bits(), Relaxed);
        note();
        self.state.store(writing.next_version().to_bits(), Release);
    }

    /// The same of a folded call, which no reader reads.
    pub(crate) fn set_parent(&self, parent: Address) {
        self.parent.store(parent.to_bits(), Relaxed);
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

    /// When the call was stopped, if it was.
    pub(crate) fn stop(&self) -> Option<u64> {
        let stop = self.words[STOP].load(Relaxed);
        (stop != 0).then_some(stop)
    }

    /// The same, in the visit to its strand in which it started or was taken up.
    #[inline]
    pub(crate) fn is_running_on_thread(&self) -> bool {
        self.is_open() && self.state().is_plain()
    }

    /// Whether the call is neither stopped nor put aside.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.is_open() && !self.state().is_at_rest()
    }

    /// Raises a running call's peak to a level, of the thread or the strand as the readings are.
    #[inline]
    pub(crate) fn raise_peak(&self, level: i64) {
        if level > self.peak() {
            self.words[PEAK].store(level.cast_unsigned(), Relaxed);
        }
    }

    /// Marks the call as failed; it goes on.
    pub(crate) fn set_failed(&self) {
        self.mark(self.state().failed());
    }

    /// The figures stay as they are. Release, as a reader may find this state instead of the one that
    /// was stored when they were written, and it must tell as much.
    fn mark(&self, state: State) {
        self.state.store(state.to_bits(), Release);
    }

    #[inline]
    fn rewrite(&self, state: State, write: impl FnOnce()) {
        let writing = state.next_version();
        self.state.store(writing.to_bits(), Relaxed);
        // A reader that sees one of the new figures must also see that they are being written.
        fence(Release);
        write();
        self.state.store(writing.next_version().to_bits(), Release);
    }

    /// A call stops whose readings are those of this thread: they become amounts for good, one by
    /// one as the totals come. `highest` answers the highest level since the last boundary, given
    /// the level now. Answers the highest since the call's start.
    #[inline]
    pub(crate) fn close_on_thread(
        &self,
        state: State,
        now: u64,
        totals: impl Iterator<Item = u64>,
        highest: impl FnOnce(i64) -> i64,
    ) -> i64 {
        let writing = state.at_rest(true).of_thread(false).next_version();
        self.state.store(writing.to_bits(), Relaxed);
        // As in `rewrite`.
        fence(Release);
        self.words[STOP].store(now, Relaxed);
        let busy = now.wrapping_sub(self.words[BUSY].load(Relaxed));
        self.words[BUSY].store(busy, Relaxed);
        let (mut start, mut level) = (Level::default(), Level::default());
        for (word, total) in self.words[COUNTS..COUNTS_END].iter().zip(totals) {
            let at_start = word.load(Relaxed);
            word.store(total.wrapping_sub(at_start), Relaxed);
            level.push(total);
            start.push(at_start);
        }
        let highest = highest(level.bytes()).max(self.peak());
        let peak = highest.wrapping_sub(start.bytes());
        self.words[PEAK].store(peak.cast_unsigned(), Relaxed);
        self.state.store(writing.next_version().to_bits(), Release);
        highest
    }

    /// The call stops: its figures become amounts for good.
    pub(crate) fn close(&self, used: Usage, stop: u64, end: End) {
        let state = self.state().ended(end).at_rest(true).of_thread(false);
        self.rewrite(state, || {
            self.store_used(used);
            self.words[STOP].store(stop, Relaxed);
        });
    }

    /// The future that the call is around is put aside: the figures become amounts for a while.
    pub(crate) fn rest(&self, used: Usage) {
        let state = self.state().at_rest(true).of_thread(false);
        self.rewrite(state, || self.store_used(used));
    }

    /// The future goes on: the figures are a reading again.
    pub(crate) fn resume(&self, start: Start) {
        let state = self.state().at_rest(false).of_thread(start.is_of_thread());
        self.rewrite(state, || self.store_start(start));
    }

    /// The strand is left: the figures of a running call are its strand's reading from now on.
    pub(crate) fn settle(&self, start: Reading) {
        let state = self.state().of_thread(false);
        self.rewrite(state, || self.store_start(Start::OfStrand(start)));
    }

    /// Whether the call has not changed since this was its state.
    pub(crate) fn is_still(&self, state: State) -> bool {
        fence(Acquire);
        self.state().is_same_version(state)
    }

    /// The call is stopped on a thread that may not write here; who does finds the word set. What
    /// it used is told elsewhere.
    pub(crate) fn close_from_afar(&self, stop: u64) {
        self.words[STOP].store(stop, Release);
    }

    pub(crate) fn set_partial(&self) {
        self.mark(self.state().partial(true));
    }

    /// The state, the moment of stopping, and the figures, as they were together at one moment.
    pub(crate) fn read(&self) -> (State, Option<u64>, Figures) {
        let mut patience = Patience::new();
        loop {
            let before = State::from_bits(self.state.load(Acquire));
            let stop = self.words[STOP].load(Acquire);
            let stop = (stop != 0).then_some(stop);
            let figures = self.figures_in(before);
            fence(Acquire);
            if before == self.state() && !before.is_being_written() {
                return (before, stop, figures);
            }
            if !patience.again() {
                // A fork came in the middle of writing.
                return (before.partial(true), stop, figures);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}

/// The last two totals that went by: bytes allocated and bytes freed.
#[derive(Default)]
struct Level([u64; 2]);

impl Level {
    #[inline]
    fn push(&mut self, total: u64) {
        self.0 = [self.0[1], total];
    }

    #[inline]
    fn bytes(&self) -> i64 {
        self.0[0].wrapping_sub(self.0[1]).cast_signed()
    }
}
