//! Random programs of calls, checkpoints, allocations and scopes, against a naive model.

use std::hint::black_box;

use tracer::alloc::Counts;
use tracer::{Call, Trace, call};

use crate::numbers::Numbers;

/// One step of a program. An index is taken modulo the number of candidates.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Stop(usize),
    Checkpoint(usize),
    /// Allocates a block and frees it.
    Spike(usize),
    Keep(usize),
    Free(usize),
    /// Enters another trace.
    Enter,
    Leave,
    /// Takes a report and prints it.
    Print,
}

impl Numbers {
    fn step(&mut self) -> Step {
        let which = self.next(1000);
        match self.next(20) {
            0..4 => Step::Open,
            4..8 => Step::Stop(which),
            8..10 => Step::Checkpoint(which),
            10..13 => Step::Spike(which + 1),
            13..15 => Step::Keep(which + 1),
            15..17 => Step::Free(which),
            17 => Step::Enter,
            18 => Step::Leave,
            _ => Step::Print,
        }
    }
}

fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(size)))
}

/// Runs a program. The test's own memory is allocated before.
fn run(program: &[Step], trace: &Trace, other: &Trace) {
    let mut open: Vec<Call> = Vec::with_capacity(program.len());
    let mut kept = Vec::with_capacity(program.len());
    let mut entered = Vec::with_capacity(program.len());
    let scope = trace.inject();
    for step in program {
        match *step {
            // Calls are opened in `trace` only, never in `other`.
            Step::Open if entered.is_empty() => open.push(call!("{}", open.len())),
            Step::Stop(which) if entered.is_empty() && !open.is_empty() => {
                drop(open.remove(which % open.len()));
            }
            Step::Checkpoint(which) if entered.is_empty() && !open.is_empty() => {
                open[which % open.len()].checkpoint("checkpoint");
            }
            Step::Spike(size) => drop(block(size)),
            Step::Keep(size) => kept.push(block(size)),
            Step::Free(which) if !kept.is_empty() => drop(kept.swap_remove(which % kept.len())),
            Step::Enter => entered.push(other.inject()),
            Step::Leave => drop(entered.pop()),
            Step::Print => {
                use std::fmt::Write as _;
                let mut nowhere = Nowhere;
                write!(nowhere, "{trace}{trace:#}").unwrap();
            }
            _ => {}
        }
    }
    while entered.pop().is_some() {}
    while open.pop().is_some() {}
    drop(scope);
}

struct Nowhere;

impl std::fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> std::fmt::Result {
        Ok(())
    }
}

/// The expected figures of a call.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    parent: Option<usize>,
    total: Counts,
    own: Counts,
    peak: i64,
    checkpoints: Vec<Counts>,
}

struct Model {
    calls: Vec<Expected>,
    /// The open calls in order of opening, each with the level at its start and its total at its
    /// last checkpoint.
    open: Vec<(usize, i64, Counts)>,
    level: i64,
    other: Counts,
    depth: u32,
}

impl Model {
    fn count(&mut self, counts: Counts) {
        let high = self.level + counts.bytes_allocated.cast_signed();
        self.level += counts.net_bytes();
        for (index, start, _) in &self.open {
            let call = &mut self.calls[*index];
            call.total += counts;
            call.peak = call.peak.max(high - start);
        }
        if let Some((index, ..)) = self.open.last() {
            self.calls[*index].own += counts;
        }
        if self.depth > 0 {
            self.other += counts;
        }
    }

    fn of(program: &[Step]) -> Self {
        let mut model = Self {
            calls: Vec::new(),
            open: Vec::new(),
            level: 0,
            other: Counts::ZERO,
            depth: 0,
        };
        let mut kept = Vec::new();
        for step in program {
            match *step {
                Step::Open if model.depth == 0 => {
                    let parent = model.open.last().map(|(index, ..)| *index);
                    model
                        .open
                        .push((model.calls.len(), model.level, Counts::ZERO));
                    model.calls.push(Expected {
                        parent,
                        ..Expected::default()
                    });
                }
                Step::Stop(which) if model.depth == 0 && !model.open.is_empty() => {
                    model.open.remove(which % model.open.len());
                }
                Step::Checkpoint(which) if model.depth == 0 && !model.open.is_empty() => {
                    let which = which % model.open.len();
                    let (index, _, before) = &mut model.open[which];
                    let call = &mut model.calls[*index];
                    call.checkpoints.push(call.total - *before);
                    *before = call.total;
                }
                Step::Spike(size) => model.count(Counts {
                    allocations: 1,
                    deallocations: 1,
                    reallocations: 0,
                    bytes_allocated: size as u64,
                    bytes_deallocated: size as u64,
                }),
                Step::Keep(size) => {
                    kept.push(size);
                    model.count(Counts {
                        allocations: 1,
                        bytes_allocated: size as u64,
                        ..Counts::ZERO
                    });
                }
                Step::Free(which) if !kept.is_empty() => {
                    let size = kept.swap_remove(which % kept.len());
                    model.count(Counts {
                        deallocations: 1,
                        bytes_deallocated: size as u64,
                        ..Counts::ZERO
                    });
                }
                Step::Enter => model.depth += 1,
                Step::Leave => model.depth = model.depth.saturating_sub(1),
                _ => {}
            }
        }
        model
    }
}

fn check(program: &[Step]) {
    let (trace, other) = (Trace::new(), Trace::new());
    run(program, &trace, &other);
    let model = Model::of(program);
    let report = trace.report();
    let calls: Vec<_> = report
        .calls
        .iter()
        .map(|call| {
            assert!(!call.partial);
            Expected {
                parent: call.parent,
                total: call.total.unwrap(),
                own: call.self_counts.unwrap(),
                peak: call.peak_bytes.unwrap().cast_signed(),
                checkpoints: call
                    .checkpoints
                    .iter()
                    .map(|point| point.counts.unwrap())
                    .collect(),
            }
        })
        .collect();
    assert_eq!(calls, model.calls, "{program:?}");
    assert_eq!(other.report().total, Some(model.other), "{program:?}");
    assert_eq!((report.dropped, other.report().dropped), (0, 0));
}

#[test]
fn random_programs_agree_with_the_model() {
    let mut numbers = Numbers(1);
    for length in (1..200).cycle().take(2000) {
        let program: Vec<_> = (0..length).map(|_| numbers.step()).collect();
        check(&program);
    }
}
