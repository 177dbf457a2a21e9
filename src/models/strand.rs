//! Strands: guards that come late.

use loom::thread;

use super::explore;
use super::records::{assert_whole, open, usage};
use crate::primitives::pool::{Member, Number};
use crate::store::address::Address;
use crate::store::chunk::{CHUNKS, CallRef, Chunk, RECORDS};
use crate::store::record::RecordedCall;
use crate::store::remote::{RemoteKind, RemoteStop};
use crate::store::state::OutcomeKind;
use crate::store::strand::Strand;

/// Begins a strand without a trace.
pub(super) fn begin() -> &'static Member<Strand> {
    let strand = Strand::take().unwrap();
    Strand::begin(strand, Number::NONE, None, 0, Address::NONE, false);
    strand
}

pub(super) fn first_chunk(strand: &Strand) -> &'static Member<Chunk> {
    strand.tail().unwrap()
}

fn recorded(call: CallRef) -> RecordedCall {
    call.record.recorded().unwrap()
}

/// Stops the call from another thread. Returns whether its strand was still there.
fn stop_remotely(call: CallRef, value: u32) -> bool {
    let mut is_done = false;
    Strand::post(call, 1000, |_| {
        assert_whole(recorded(call), value);
        is_done = true;
        Some(RemoteKind::Stop(RemoteStop {
            within: Address::NONE,
            outcome: OutcomeKind::Ok,
            used: usage(1),
            is_exact: false,
            left_open: None,
        }))
    });
    is_done
}

/// Meanwhile the strand is recycled, taken and written by the next owner.
#[test]
fn a_late_guard_leaves_a_recycled_record_alone() {
    explore(3, || {
        let strand = begin();
        let call = open(first_chunk(strand), 1);
        let late = thread::spawn(move || stop_remotely(call, 1));
        Strand::recycle(strand);
        let next = begin();
        assert_eq!(next.number(), strand.number());
        let other = open(first_chunk(next), 2);
        late.join().unwrap();
        assert!(!call.is(other) && call.address() == other.address());
        assert_whole(recorded(other), 2);
        assert!(other.record.is_open() && next.mailbox.len() == 0);
    });
}

/// Meanwhile the record's chunk goes to another strand.
#[test]
fn a_late_guard_leaves_another_strands_record_alone() {
    explore(3, || {
        let strand = begin();
        let first = first_chunk(strand);
        for _ in 0..RECORDS {
            open(first, 0);
        }
        let second = CHUNKS.take(Chunk::new).unwrap();
        first.link(second);
        let call = open(second, 1);
        let other = begin();
        let late = thread::spawn(move || stop_remotely(call, 1));
        Strand::recycle(strand);
        let chunk = CHUNKS.take(Chunk::new).unwrap();
        assert_eq!(chunk.number(), second.number());
        first_chunk(other).link(chunk);
        let new = open(chunk, 2);
        late.join().unwrap();
        assert_whole(recorded(new), 2);
        assert!(new.record.is_open() && other.mailbox.len() == 0);
    });
}

/// If the strand lives on, the operation is there as soon as the record's word says so.
#[test]
fn a_remote_stop_is_in_the_mailbox() {
    explore(3, || {
        let strand = begin();
        let chunk = first_chunk(strand);
        let call = open(chunk, 1);
        let elsewhere = thread::spawn(move || stop_remotely(call, 1));
        for value in 2..=RECORDS {
            open(chunk, u32::try_from(value).unwrap());
        }
        let (_, stop, _) = call.record.read();
        if stop.is_some() {
            assert!(strand.mailbox.has_any());
            assert_eq!(strand.mailbox.len(), 1);
        }
        assert!(elsewhere.join().unwrap() && !call.record.is_open());
        let operations = strand.mailbox.read();
        assert_eq!((operations.len(), operations[0].call), (1, call.address()));
    });
}
