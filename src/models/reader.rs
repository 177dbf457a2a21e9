//! Snapshots of a strand that is written meanwhile: each is a state of one moment.

use alloc_counter::Counts;
use alloc_counter::model::Counters;
use loom::thread;

use super::records::open;
use super::strand::{begin, first_chunk};
use super::{explore, leak};
use crate::primitives::pool::Member;
use crate::read::read_strand;
use crate::read::snapshot::CallId;
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::chunk::{CHUNKS, CallRef, Chunk};
use crate::store::record::NewCall;
use crate::store::state::{RecordKind, RecordState};
use crate::store::usage::{Reading, Start};
use crate::write::cursor;
use crate::write::nesting;

/// Checks as the reader does whether its reading fits the calls that it has seen.
#[test]
fn a_call_is_seen_before_what_is_allocated_in_it() {
    explore(3, || {
        let strand = begin();
        let chunk = first_chunk(strand);
        let counters = Counters::claim().unwrap();
        strand.meter.run(Some(counters.local()), 1);
        open(chunk, 1);
        let reader = thread::spawn(|| {
            let before = strand.records().count();
            let (reading, is_exact) = strand.meter.read();
            let after = strand.records().count();
            if is_exact && (before, after) == (1, 1) {
                assert_eq!(reading.counts.allocations, 0);
            }
        });
        open(chunk, 2);
        counters.allocate(1);
        reader.join().unwrap();
    });
}

fn open_in(chunk: &'static Member<Chunk>, parent: Address) -> CallRef {
    let callsite = leak(Callsite::named("function", ("", "", 1), false, &[]));
    let vacant = Chunk::vacant(chunk).unwrap();
    let record = vacant.as_call();
    record.set_callsite(callsite.number());
    record.open(&NewCall {
        state: RecordState::new(RecordKind::Call),
        parent,
        thread: 1,
        start: 1,
    });
    record.set_start(Start::OfStrand(Reading::default()));
    vacant.publish_call()
}

/// The strand's figures and those of its calls are of one moment, while its thread goes on.
#[test]
fn a_strand_did_what_its_calls_did() {
    explore(3, || {
        let strand = begin();
        let counters = Counters::claim().unwrap();
        strand.meter.run(Some(counters.local()), 1);
        open_in(first_chunk(strand), Address::NONE);
        let reader = thread::spawn(|| read_strand(strand, 1));
        counters.allocate(1);
        let snapshot = reader.join().unwrap();
        let call = &snapshot.calls[0];
        assert!(!call.is_partial);
        assert_eq!(snapshot.counts, call.counts);
    });
}

/// The call outlives the one in which it was opened.
#[test]
fn a_call_is_seen_in_the_one_in_which_it_was_opened() {
    explore(2, || {
        let strand = begin();
        let first = first_chunk(strand);
        let outer = open_in(first, Address::NONE);
        let inner = open_in(first, outer.address());
        let second = CHUNKS.take(Chunk::new).unwrap();
        first.link(second);
        strand.aside.put(second.number(), inner.address(), 0);
        let reader = thread::spawn(|| read_strand(strand, 1));
        cursor::here(|here| {
            here.take_up(Some(strand));
            let reading = Reading {
                counts: Counts::from_array([5; 5]),
                ticks: 5,
                peak: 5,
            };
            nesting::reparent(here, strand, inner, None, reading, 2);
            here.take_up(None);
        });
        let snapshot = reader.join().unwrap();
        let inner = &snapshot.calls[1];
        assert!(inner.is_partial || inner.parent == Some(CallId(outer.address())));
    });
}
