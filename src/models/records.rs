//! Records and chunks.

use alloc_counter::Counts;
use loom::thread;

use super::{explore, leak};
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::callsite::TextPlace;
use crate::store::chunk::{CHUNKS, CallRef, Chunk, RECORDS};
use crate::store::record::{
    FoldedCall, LateKind, LateText, NewCall, Record, RecordedCall, TextRecord, View, WrittenText,
};
use crate::store::short_text::ShortText;
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::usage::{Figures, Reading, Start, ThreadReading, Usage};

/// Returns counts of one value, as all figures are here, so that a mixture shows.
fn counts(value: u64) -> Counts {
    let mut counts = Counts::ZERO;
    counts.allocations = value;
    counts.deallocations = value;
    counts.reallocations = value;
    counts.bytes_allocated = value;
    counts.bytes_deallocated = value;
    counts
}

fn reading(value: u64) -> Reading {
    Reading {
        counts: counts(value),
        ticks: value,
        peak: value.cast_signed(),
    }
}

fn thread_reading(value: u64) -> ThreadReading {
    ThreadReading {
        counts: counts(value),
        ticks: value,
        peak: value.cast_signed(),
    }
}

pub(super) fn usage(value: u64) -> Usage {
    Usage {
        counts: counts(value),
        busy: value,
        peak: value.cast_signed(),
    }
}

fn opening(value: u32) -> NewCall {
    NewCall {
        state: RecordState::new(RecordKind::Call),
        parent: Address::from_bits(value),
        thread: value,
        start: u64::from(value),
    }
}

fn write(call: RecordedCall, value: u32) {
    call.set_callsite(Number::from_bits(value));
    call.open(&opening(value));
    call.set_start(Start::OfStrand(reading(u64::from(value))));
}

/// Writes a call into the chunk and publishes it.
pub(super) fn open(chunk: &'static Member<Chunk>, value: u32) -> CallRef {
    let vacant = Chunk::vacant(chunk).unwrap();
    write(vacant.as_call(), value);
    vacant.publish_call()
}

/// Checks that all parts of the [opened](open) call are there.
pub(super) fn assert_whole(call: RecordedCall, value: u32) {
    assert_eq!(call.state().outcome(), OutcomeKind::Running);
    assert_eq!(call.parent().to_bits(), value);
    assert_eq!(call.callsite().to_bits(), value);
    assert_eq!(call.thread(), value);
    assert_eq!(call.start(), u64::from(value));
    let start = Start::OfStrand(reading(u64::from(value)));
    assert_eq!(call.figures(), Figures::Started(start));
}

/// Returns the call of a record; these models have no other records.
pub(super) fn call_of(record: &'static Record) -> RecordedCall {
    match record.view(record.state()) {
        View::Call(call) => call,
        _ => panic!("no call's"),
    }
}

/// More than a chunk holds, so that a second one is linked meanwhile.
#[test]
fn what_is_published_is_whole_and_none_is_passed_over() {
    explore(3, || {
        let first = CHUNKS.take(Chunk::new).unwrap();
        let second = CHUNKS.take(Chunk::new).unwrap();
        let reader = thread::spawn(move || {
            let chunks = std::iter::successors(Some(first), |chunk| chunk.next());
            for (value, (_, record)) in (1..).zip(chunks.flat_map(Chunk::published)) {
                assert_whole(call_of(record), value);
            }
        });
        for value in 1..=RECORDS {
            open(first, u32::try_from(value).unwrap());
        }
        first.link(second);
        open(second, u32::try_from(RECORDS + 1).unwrap());
        reader.join().unwrap();
    });
}

/// Its text is in a piece, then in the record, and in the piece again.
#[test]
fn a_label_that_is_set_again_is_whole() {
    explore(3, || {
        let label = LateText::of(leak(Record::new()));
        let piece = TextRecord::of(leak(Record::new()));
        let long = |letter: u8| [letter; ShortText::MAX_BYTES + 1];
        piece.write(&long(b'a'), true);
        label.write(
            LateKind::Label(TextPlace::Id),
            Address::from_bits(1),
            1,
            None,
        );
        let reader = thread::spawn(move || {
            let Ok(text) = label.try_read(&[piece]) else {
                return;
            };
            let letter = text.as_bytes()[0];
            let expected = match letter {
                b'b' => vec![b'b'],
                b'a' | b'c' => long(letter).to_vec(),
                _ => panic!("{text}"),
            };
            assert_eq!(text.as_bytes(), expected);
        });
        let written = WrittenText {
            text: label,
            pieces: std::iter::once(piece).collect(),
        };
        assert!(written.try_rewrite(2, b"b"));
        assert!(written.try_rewrite(3, &long(b'c')));
        reader.join().unwrap();
        assert_eq!(label.read(&[piece]).as_bytes(), long(b'c'));
    });
}

const STOP: u64 = 5;

/// Checks that a reading is of one moment: the call was opened with 1 and suspended with 2 as figures,
/// resumed with 3, and stopped with 4.
fn assert_at_one_moment(call: RecordedCall) {
    let (state, stop, found) = call.read();
    if state.is_partial() {
        return;
    }
    let expected = match (state.outcome(), state.holds_usage(), state.is_of_thread()) {
        (OutcomeKind::Running, false, false) => Figures::Started(Start::OfStrand(reading(1))),
        (OutcomeKind::Running, false, true) => Figures::Started(Start::OfThread(thread_reading(3))),
        (OutcomeKind::Running, true, _) => Figures::Used(usage(2)),
        _ => Figures::Used(usage(4)),
    };
    assert_eq!(found, expected);
    if state.outcome() != OutcomeKind::Running {
        assert_eq!(stop, Some(STOP));
    }
}

fn opened() -> RecordedCall {
    let call = RecordedCall::of(leak(Record::new()));
    write(call, 1);
    call
}

#[test]
fn a_call_that_has_stopped_has_its_figures() {
    explore(3, || {
        let call = opened();
        let reader = thread::spawn(move || assert_at_one_moment(call));
        call.close(usage(4), STOP, OutcomeKind::Ok);
        reader.join().unwrap();
        let (state, stop, found) = call.read();
        assert!(state.outcome() == OutcomeKind::Ok && !state.is_partial());
        assert_eq!((stop, found), (Some(STOP), Figures::Used(usage(4))));
    });
}

/// The usual stop: each reading becomes an amount in place.
#[test]
fn a_call_that_stops_on_its_thread_has_its_figures() {
    explore(3, || {
        let call = opened();
        let reader = thread::spawn(move || assert_at_one_moment(call));
        let state = call.state().with_outcome(OutcomeKind::Ok);
        let highest =
            call.close_on_thread(state, (STOP, false), [5; 5].into_iter(), |level| level + 4);
        reader.join().unwrap();
        assert_eq!(highest, 4);
        let (state, stop, found) = call.read();
        assert!(state.outcome() == OutcomeKind::Ok && !state.is_partial());
        assert_eq!((stop, found), (Some(STOP), Figures::Used(usage(4))));
    });
}

/// The recorder looks at the state of a call once, before it reads the other words.
#[test]
fn a_call_that_has_stopped_well_changes_no_more() {
    explore(3, || {
        let record = leak(Record::new());
        let call = RecordedCall::of(record);
        write(call, 1);
        let reader = thread::spawn(move || {
            if record.state_of_stopped().has_stopped_well() {
                assert_eq!(call.wall_when_stopped(), STOP - 1);
                assert_eq!(call.busy_when_stopped(), 4);
                assert!(call.has_counts_when_stopped());
                assert_eq!(call.used_when_stopped(), usage(4));
            }
        });
        call.suspend(usage(2));
        call.resume(Start::OfThread(thread_reading(1)));
        let state = call.state().with_outcome(OutcomeKind::Ok);
        call.close_on_thread(state, (STOP, false), [5; 5].into_iter(), |level| level + 4);
        reader.join().unwrap();
        assert!(record.state_of_stopped().has_stopped_well());
    });
}

#[test]
fn figures_that_change_twice_are_read_together() {
    explore(1, || {
        let call = opened();
        let reader = thread::spawn(move || assert_at_one_moment(call));
        call.suspend(usage(2));
        let start = Start::OfThread(thread_reading(3));
        call.resume(start);
        reader.join().unwrap();
        assert_eq!(call.read().2, Figures::Started(start));
    });
}

fn open_folded(call: FoldedCall, value: u32) {
    let state = call.begin_writing();
    let opening = NewCall {
        state,
        ..opening(value)
    };
    call.open(&opening);
    call.set_start(Start::OfStrand(reading(u64::from(value))));
    call.end_writing();
}

/// A folded call's record goes to another one while it is read.
#[test]
fn two_folded_calls_in_one_record_are_not_mixed() {
    explore(1, || {
        let call = FoldedCall::of(leak(Record::new()));
        open_folded(call, 1);
        let reader = thread::spawn(move || {
            let (state, _, found) = call.read();
            let expected = [
                Figures::Started(Start::OfStrand(reading(1))),
                Figures::Used(usage(2)),
                Figures::Started(Start::OfStrand(reading(3))),
            ];
            assert!(state.is_partial() || expected.contains(&found), "{found:?}");
        });
        call.close(usage(2), STOP, OutcomeKind::Ok);
        open_folded(call, 3);
        reader.join().unwrap();
    });
}

/// It writes the record's only word that another thread may write.
#[test]
fn a_remote_stop_leaves_the_figures_alone() {
    explore(2, || {
        let call = opened();
        let reader = thread::spawn(move || assert_at_one_moment(call));
        let elsewhere = thread::spawn(move || call.close_remotely(STOP));
        call.suspend(usage(2));
        elsewhere.join().unwrap();
        reader.join().unwrap();
        let (state, stop, found) = call.read();
        assert!(state.outcome() == OutcomeKind::Running && !call.is_open());
        assert_eq!((stop, found), (Some(STOP), Figures::Used(usage(2))));
    });
}
