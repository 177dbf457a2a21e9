//! Visits to a strand: records with the readings of the thread, seen through the meter.

use alloc_counter::model::Counters;
use loom::thread;

use super::explore;
use super::meter::{counters, run, stand};
use super::strand::{begin, first_chunk};
use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::chunk::{CallRef, Chunk};
use crate::store::record::NewCall;
use crate::store::state::{OutcomeKind, RecordKind, RecordState};
use crate::store::strand::Strand;
use crate::store::usage::Figures;
use crate::write::context;

/// Opens a call with the thread's readings at its start, as all calls in a visit are opened.
fn open(strand: &Strand, counters: &Counters) -> CallRef {
    let chunk: &Member<Chunk> = first_chunk(strand);
    let vacant = Chunk::vacant(chunk).unwrap();
    let record = vacant.as_call();
    record.open(&NewCall {
        state: RecordState::new(RecordKind::Call).of_thread(true),
        parent: Address::NONE,
        thread: 1,
        start: 1,
    });
    record.set_readings(1, counters.local().totals());
    let call = vacant.publish_call();
    strand.aside.put(chunk.number(), call.address(), 0);
    call
}

/// Checks that the strand had made this many allocations of one byte at the call's start, wherever the
/// strand is now.
fn assert_starts_after(strand: &Strand, call: CallRef, allocations: u64) {
    let (state, stop, figures) = strand.meter.read_record(call.record);
    assert!(state.outcome() == OutcomeKind::Running && !state.holds_usage() && stop.is_none());
    if !state.is_partial() {
        let Figures::Started(start) = figures else {
            panic!("{figures:?}");
        };
        let found = (start.counts.allocations, start.counts.bytes_allocated);
        assert_eq!(found, (allocations, allocations));
    }
}

/// The reader may see the record of one visit and the offset of the next.
#[test]
fn a_call_is_read_as_the_strands_when_its_visit_ends_and_the_next_begins() {
    explore(2, || {
        let strand = begin();
        let counters = counters(3);
        run(&strand.meter, &counters);
        counters.allocate(1);
        let call = open(strand, &counters);
        let reader = thread::spawn(move || assert_starts_after(strand, call, 1));
        context::stand(strand, Some(counters.local()), 2);
        counters.allocate(1000);
        run(&strand.meter, &counters);
        reader.join().unwrap();
        assert!(!call.record.state().is_of_thread());
        assert_starts_after(strand, call, 1);
    });
}

/// The reader sees a record of the new visit, and has the old visit's offset.
#[test]
fn a_call_is_read_with_the_offset_of_the_visit_in_which_it_was_opened() {
    explore(2, || {
        let strand = begin();
        let counters = counters(3);
        run(&strand.meter, &counters);
        counters.allocate(1);
        stand(&strand.meter, &counters);
        counters.allocate(1000);
        let reader = thread::spawn(|| {
            for (address, _) in strand.records() {
                assert_starts_after(strand, address.call().unwrap(), 1);
            }
        });
        run(&strand.meter, &counters);
        open(strand, &counters);
        reader.join().unwrap();
    });
}

/// A mark is one store to the word by which the reader knows the form of the figures.
#[test]
fn a_call_that_is_marked_as_failed_has_its_figures_in_their_form() {
    explore(2, || {
        let strand = begin();
        let counters = counters(3);
        run(&strand.meter, &counters);
        counters.allocate(1);
        let call = open(strand, &counters);
        let reader = thread::spawn(move || assert_starts_after(strand, call, 1));
        strand.rebase();
        call.record.set_failed();
        reader.join().unwrap();
    });
}
