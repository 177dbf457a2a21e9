//! Random programs with a limit of calls, against sums by callsite.

use std::collections::BTreeMap;

use tracer::{Call, Limits, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::numbers::Numbers;

/// Calls of three callsites, opened and stopped in any order, with allocations in between.
#[test]
fn random_programs_add_up_by_callsite() {
    type Open = (usize, Call);
    fn open(which: usize) -> Open {
        match which {
            0 => (0, call!("a")),
            1 => (1, call!("b")),
            _ => (2, call!("c")),
        }
    }
    let mut numbers = Numbers(1);
    for round in 0..2000 {
        let limit = numbers.next(12);
        let trace = Trace::with_limits(10, Limits::default().calls(limit));
        let other = Trace::new();
        // The self allocations and the number of calls, by callsite.
        let mut expected = [(0_u64, 0_u64); 3];
        let mut outside = 0;
        let mut calls: Vec<Open> = Vec::with_capacity(100);
        let scope = trace.inject();
        for _ in 0..round % 100 {
            match numbers.next(8) {
                0..3 => {
                    let call = open(numbers.next(3));
                    expected[call.0].1 += 1;
                    calls.push(call);
                }
                3..5 if !calls.is_empty() => {
                    let last = calls.len() - 1;
                    // Most often the innermost call.
                    let which = if numbers.next(3) > 0 {
                        last
                    } else {
                        numbers.next(last + 1)
                    };
                    drop(calls.remove(which));
                }
                5 => drop(other.inject()),
                6 => {
                    let _again = trace.inject();
                }
                _ => {
                    let blocks = numbers.next(4) as u64;
                    allocate(blocks);
                    match calls.last() {
                        Some((callsite, _)) => expected[*callsite].0 += blocks,
                        None => outside += blocks,
                    }
                }
            }
        }
        while calls.pop().is_some() {}
        drop(scope);
        let report = trace.report();
        let mut lines = BTreeMap::new();
        for call in &report.calls {
            assert!(!call.partial);
            let sum: &mut (u64, u64) = lines.entry(call.line).or_default();
            sum.0 += call.self_counts.unwrap().allocations;
            sum.1 += 1;
        }
        for folded in &report.folded {
            assert!(!folded.partial);
            let sum = lines.entry(folded.line).or_default();
            sum.0 += folded.self_counts.unwrap().allocations;
            sum.1 += folded.calls;
        }
        let found: Vec<_> = lines.into_values().collect();
        let expected_calls: Vec<_> = expected
            .into_iter()
            .filter(|(_, calls)| *calls > 0)
            .collect();
        assert_eq!(
            found, expected_calls,
            "round {round}, limit {limit}: {report:#}"
        );
        let all: u64 = expected.iter().map(|(blocks, _)| blocks).sum();
        assert_eq!(report.total, Some(boxes(all + outside)));
        assert!(report.calls.len() <= limit);
        assert_eq!(report.dropped, 0);
    }
}
