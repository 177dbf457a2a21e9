//! Traces: strands that come while others look for them, and the last handle.

use loom::thread;

use super::explore;
use super::records::{assert_whole, call_of, open};
use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::limits::Limits;
use crate::store::strand::Strand;
use crate::store::trace::Trace;

/// Adds a strand to the trace, with one call.
fn record(trace: &Trace, value: u32) -> &'static Member<Strand> {
    let strand = trace.strand(Address::NONE).unwrap();
    open(strand.tail().unwrap(), value);
    strand
}

/// Uses two strands for another trace, which ends.
fn use_two_strands() {
    let trace = Trace::with_limits(8, Limits::default());
    record(&trace, 8);
    record(&trace, 9);
}

#[test]
fn a_strand_that_is_found_is_the_traces_own() {
    explore(3, || {
        use_two_strands();
        let trace = Trace::with_limits(8, Limits::default());
        let writer = {
            let trace = trace.clone();
            thread::spawn(move || {
                record(&trace, 2);
            })
        };
        let reader = {
            let trace = trace.clone();
            thread::spawn(move || {
                for (_, record) in trace.strands().iter().flat_map(|strand| strand.records()) {
                    let call = call_of(record);
                    assert!(matches!(call.thread(), 1 | 2));
                    assert_whole(call, call.thread());
                }
            })
        };
        record(&trace, 1);
        let threads = [reader, writer];
        for thread in threads {
            thread.join().unwrap();
        }
        let values = trace.strands().into_iter().map(|strand| {
            let threads = strand.records().map(|(_, record)| call_of(record).thread());
            threads.sum::<u32>()
        });
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        assert_eq!(values, [1, 2]);
    });
}

/// The thread that drops it sees all writes through the other handles, and gives the strands back.
#[test]
fn the_last_handle_gives_all_strands_back() {
    explore(3, || {
        use_two_strands();
        let trace = Trace::with_limits(8, Limits::default());
        let other = trace.clone();
        let elsewhere = thread::spawn(move || {
            record(&other, 1);
        });
        record(&trace, 2);
        drop(trace);
        elsewhere.join().unwrap();
        // One stays with the trace's state, which the next trace takes.
        let next = Trace::with_limits(8, Limits::default());
        let mut strands = [0; 2].map(|value| record(&next, value).number().to_bits());
        strands.sort_unstable();
        assert_eq!(strands, [0, 1]);
    });
}

/// Returns the parts of a trace that must belong to one life of its state: the number, the beginning,
/// the strands' values.
fn life(trace: &Trace) -> (u64, Option<u64>, Vec<u32>) {
    let strands = trace.strands().into_iter();
    let values =
        strands.flat_map(|strand| strand.records().map(|(_, record)| call_of(record).thread()));
    (trace.id(), trace.started(), values.collect())
}

/// The state goes from one trace to the next, while another thread looks for traces in flight.
#[test]
fn a_trace_that_is_found_is_one_that_lives() {
    explore(3, || {
        let first = Trace::with_limits(8, Limits::default());
        record(&first, 1);
        let finder = thread::spawn(|| {
            let found = |trace: Trace| {
                let (before, after) = (life(&trace), life(&trace));
                assert_eq!((before.0, before.1), (after.0, after.1));
                after
            };
            Trace::all_in_flight().map(found).collect::<Vec<_>>()
        });
        let mut started = vec![None, first.started()];
        drop(first);
        let second = Trace::with_limits(8, Limits::default());
        started.push(second.started());
        record(&second, 2);
        for (id, begun, values) in finder.join().unwrap() {
            let id = usize::try_from(id).unwrap();
            assert_eq!(begun, started[id]);
            assert!(
                values.iter().all(|value| *value as usize == id),
                "{values:?}"
            );
        }
        assert_eq!(life(&second), (2, started[2], vec![2]));
        // The state that the finder dropped last is given back once.
        drop(second);
        let all = [0; 2].map(|_| Trace::with_limits(8, Limits::default()));
        assert_ne!(all[0].number(), all[1].number());
    });
}
