//! Random programs of spans, against a naive model.

mod tasks;
mod threads;

use std::fmt::{self, Write as _};
use std::sync::{Barrier, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRunner};
use tracer::{Call, CallReport, Outcome, Scope, Trace, call};
use tracing::dispatcher::with_default;
use tracing::field::Empty;
use tracing::span::Id;
use tracing::{Dispatch, Span, info, info_span};

use crate::model::{Expected, Model, Parent, Step};
use crate::{allocate, subscriber};

struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

fn new_span(number: usize, parent: Parent, explicit: Option<&Span>) -> Span {
    let id = format_args!("s{number}");
    match parent {
        Parent::Contextual => info_span!("span", request_id = %id, label = Empty),
        Parent::Root => info_span!(parent: None, "span", request_id = %id, label = Empty),
        Parent::Handle(_) => {
            info_span!(parent: explicit.and_then(Span::id), "span", request_id = %id, label = Empty)
        }
    }
}

fn event(number: usize, of: Option<&Span>, has_error: bool) {
    match (of, has_error) {
        (None, false) => info!("e{number}"),
        (None, true) => info!(error = number, "e{number}"),
        (Some(span), false) => info!(parent: span, "e{number}"),
        (Some(span), true) => info!(parent: span, error = number, "e{number}"),
    }
}

/// Lets the registry, and what else makes memory ready at its first use, do so.
fn warm_up() {
    let trace = Trace::new();
    let scope = trace.inject();
    let mut handles = Vec::new();
    for number in 0..64 {
        let parent = match number % 3 {
            0 => Parent::Contextual,
            1 => Parent::Root,
            _ => Parent::Handle(0),
        };
        let span = new_span(number, parent, handles.first().map(|(_, span)| span));
        let id = span.id().unwrap();
        handles.push((id, span));
    }
    let entered: Vec<_> = { handles.iter().chain(&handles) }
        .map(|(_, span)| span.enter())
        .collect();
    for has_error in [false, true] {
        event(0, None, has_error);
        event(0, Some(&handles[0].1), has_error);
    }
    handles[0].1.record("label", 0);
    drop(entered);
    drop(scope);
}

/// What the threads of a program have together.
struct Common {
    handles: Vec<(Id, Span)>,
    kept: Vec<Vec<u8>>,
    spans: usize,
}

/// Runs a program, and ends what it left open. The test's own memory is allocated before.
fn run(dispatch: &Dispatch, program: &[Step], model: &Model, traces: &[Trace; 2]) {
    let size = program.len();
    let common = Mutex::new(Common {
        handles: Vec::with_capacity(size),
        kept: Vec::with_capacity(size),
        spans: 0,
    });
    let barrier = Barrier::new(2);
    let run = |is_other| {
        let turn = || {
            barrier.wait();
        };
        run_turns(
            program,
            model,
            is_other,
            |number, step, own| {
                let mut common = common.lock().unwrap();
                run_step(
                    dispatch,
                    (number, step),
                    traces,
                    &mut common,
                    own,
                    model.keeps_open,
                );
            },
            turn,
        );
    };
    if !model.keeps_open {
        return run(false);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            with_default(dispatch, || {
                warm_up();
                run(true);
            });
        });
        run(false);
    });
}

/// What a thread of a program has for itself.
struct Own {
    entries: Vec<(Id, Option<Span>)>,
    guards: Vec<Option<Call>>,
    scopes: Vec<Scope>,
}

/// Runs the steps of one thread.
fn run_turns(
    program: &[Step],
    model: &Model,
    is_other: bool,
    mut run: impl FnMut(usize, Step, &mut Own),
    turn: impl Fn(),
) {
    let size = program.len();
    let mut own = Own {
        entries: Vec::with_capacity(size),
        guards: Vec::with_capacity(size),
        scopes: Vec::with_capacity(size),
    };
    let mut is_others_turn = false;
    for (number, step) in program.iter().enumerate() {
        if matches!(step, Step::Turn) {
            is_others_turn = !is_others_turn;
            turn();
        } else if is_other == is_others_turn && !model.is_skipped[number] {
            run(number, *step, &mut own);
        }
    }
    // From the inside out.
    while own.guards.pop().is_some() {}
}

fn run_step(
    dispatch: &Dispatch,
    (number, step): (usize, Step),
    traces: &[Trace; 2],
    common: &mut Common,
    own: &mut Own,
    keeps_open: bool,
) {
    let Common {
        handles,
        kept,
        spans,
    } = common;
    let Own {
        entries,
        guards,
        scopes,
    } = own;
    match step {
        Step::New(Parent::Handle(_)) if handles.is_empty() => {}
        Step::New(parent) => {
            let explicit = match parent {
                Parent::Handle(which) => Some(&handles[which % handles.len()].1),
                _ => None,
            };
            let span = new_span(*spans, parent, explicit);
            *spans += 1;
            handles.push((span.id().unwrap(), span));
        }
        Step::Enter(which) if !handles.is_empty() => {
            let (id, span) = &handles[which % handles.len()];
            let kept_open = keeps_open.then(|| span.clone());
            dispatch.enter(id);
            entries.push((id.clone(), kept_open));
        }
        Step::Exit(which) if !entries.is_empty() => {
            let (id, _kept_open) = entries.remove(which % entries.len());
            dispatch.exit(&id);
        }
        Step::Clone(which) if !handles.is_empty() => {
            handles.push(handles[which % handles.len()].clone());
        }
        Step::Drop(which) if !handles.is_empty() => {
            drop(handles.remove(which % handles.len()));
        }
        Step::Record(which) if !handles.is_empty() => {
            handles[which % handles.len()].1.record("label", number);
        }
        Step::Follow(which, of) if !handles.is_empty() => {
            let (followed, _) = &handles[of % handles.len()];
            handles[which % handles.len()].1.follows_from(followed);
        }
        Step::Event(has_error) => event(number, None, has_error),
        Step::EventOf(which, has_error) if !handles.is_empty() => {
            event(number, Some(&handles[which % handles.len()].1), has_error);
        }
        Step::Open => guards.push(Some(call!("g{}", guards.len()))),
        Step::Stop(which) if !guards.is_empty() => {
            let which = which % guards.len();
            drop(guards[which].take());
        }
        Step::Spike(size) => drop(allocate(size)),
        Step::Keep(size) => kept.push(allocate(size)),
        Step::Free(which) if !kept.is_empty() => {
            drop(kept.swap_remove(which % kept.len()));
        }
        Step::Inject(which) => scopes.push(traces[usize::from(which)].inject()),
        Step::Leave => drop(scopes.pop()),
        Step::Print => {
            for trace in traces {
                write!(Nowhere, "{trace}{trace:#}").unwrap();
            }
        }
        _ => {}
    }
}

fn expected(report: &CallReport) -> Expected {
    Expected {
        id: report.id.clone(),
        label: report.labels.first().map(|(_, label)| label.clone()),
        parent: report.parent,
        total: report.total.unwrap(),
        own: report.self_counts.unwrap(),
        checkpoints: report
            .checkpoints
            .iter()
            .map(|it| it.name.to_string())
            .collect(),
        failed: match &report.outcome {
            Outcome::Failed(why) => Some(why.clone()),
            _ => None,
        },
    }
}

fn check(dispatch: &Dispatch, program: &[Step]) -> Result<(), TestCaseError> {
    let traces = [Trace::new(), Trace::new()];
    let model = Model::of(program);
    run(dispatch, program, &model, &traces);
    compare(&model, &traces, false)
}

/// Compares the traces of a program with the model. If it `is_slow`, any call may be cancelled.
fn compare(model: &Model, traces: &[Trace; 2], is_slow: bool) -> Result<(), TestCaseError> {
    for (trace, handle) in traces.iter().enumerate() {
        let report = handle.report();
        prop_assert_eq!(report.dropped, 0);
        if model.are_mixed {
            let mut calls = report.calls.iter();
            let is_any_open = calls.any(|call| call.outcome == Outcome::Running);
            prop_assert!(!is_any_open, "{:#}", report);
            continue;
        }
        let is_of_trace = |call: &&crate::model::Call| call.trace == trace;
        let numbers: Vec<_> = { model.calls.iter().enumerate() }
            .filter(|(_, call)| call.trace == trace)
            .map(|(number, _)| number)
            .collect();
        let calls: Vec<_> = model.calls.iter().filter(is_of_trace).collect();
        prop_assert_eq!(calls.len(), report.calls.len(), "{:#}", report);
        for (call, shown) in calls.into_iter().zip(&report.calls) {
            let mut wanted = call.expected.clone();
            let parent = wanted.parent;
            wanted.parent = parent.and_then(|it| numbers.iter().position(|number| *number == it));
            let mut found = expected(shown);
            if shown.partial && call.may_be_partial || model.is_vague {
                (found.total, found.own) = (wanted.total, wanted.own);
            }
            prop_assert_eq!(&found, &wanted, "{:#}", &report);
            prop_assert!(!shown.partial || call.may_be_partial, "{:#}", &report);
            prop_assert!(shown.outcome != Outcome::Running, "{:#}", &report);
            prop_assert!(
                shown.outcome != Outcome::Cancelled || call.may_be_cancelled || is_slow,
                "{:#}",
                &report
            );
        }
    }
    Ok(())
}

fn step(traces: bool, threads: bool) -> impl Strategy<Value = Step> {
    let which = || 0..100_usize;
    let inject = if traces {
        prop_oneof![any::<bool>().prop_map(Step::Inject), Just(Step::Leave)].boxed()
    } else {
        Just(Step::Print).boxed()
    };
    prop_oneof![
        3 => Just(Step::New(Parent::Contextual)),
        1 => Just(Step::New(Parent::Root)),
        1 => which().prop_map(|it| Step::New(Parent::Handle(it))),
        7 => which().prop_map(Step::Enter),
        6 => which().prop_map(Step::Exit),
        1 => which().prop_map(Step::Clone),
        2 => which().prop_map(Step::Drop),
        1 => which().prop_map(Step::Record),
        1 => (which(), which()).prop_map(|(which, of)| Step::Follow(which, of)),
        1 => any::<bool>().prop_map(Step::Event),
        1 => (which(), any::<bool>()).prop_map(|(which, error)| Step::EventOf(which, error)),
        2 => Just(Step::Open),
        2 => which().prop_map(Step::Stop),
        4 => (1..100_usize).prop_map(Step::Spike),
        2 => (1..100_usize).prop_map(Step::Keep),
        2 => which().prop_map(Step::Free),
        4 => inject,
        1 => Just(Step::Print),
        4 => Just(if threads { Step::Turn } else { Step::Print }),
    ]
}

/// Appends what ends all that a program left open.
fn ended(mut program: Vec<Step>) -> Vec<Step> {
    let length = program.len();
    let count = |is: fn(&Step) -> bool| program.iter().filter(|step| is(step)).count();
    let guards = count(|step| matches!(step, Step::Open));
    let scopes = count(|step| matches!(step, Step::Inject(_)));
    let threads = if program.iter().any(|step| matches!(step, Step::Turn)) {
        2
    } else {
        1
    };
    // After two turns it is the first thread's again.
    let turn = (threads == 2).then_some(Step::Turn);
    for _ in 0..threads {
        program.extend(std::iter::repeat_n(Step::Exit(usize::MAX - 1), length));
        program.extend(turn);
    }
    program.extend(std::iter::repeat_n(Step::Drop(0), length));
    for _ in 0..threads {
        for _ in 0..scopes {
            program.extend((0..guards).rev().map(Step::Stop));
            program.push(Step::Leave);
        }
        program.extend(turn);
    }
    program
}

/// Steps, shown in a line.
#[derive(Clone)]
struct Program<T>(T);

impl<T: fmt::Debug> fmt::Debug for Program<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        // A fast one: the default takes longer than the programs.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

fn check_all(first: Option<Step>, traces: bool, threads: bool) {
    let programs = vec(step(traces, threads), 1..60)
        .prop_map(move |steps| Program(first.into_iter().chain(steps).collect()));
    let dispatch = Dispatch::new(subscriber());
    with_default(&dispatch, || {
        warm_up();
        let result = TestRunner::new(config(2000)).run(&programs, |Program(program)| {
            check(&dispatch, &ended(program))
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn in_one_trace() {
    check_all(Some(Step::Inject(false)), false, false);
}

#[test]
fn in_traces_that_come_and_go() {
    check_all(None, true, false);
}

#[test]
fn handed_to_another_thread_and_back() {
    check_all(Some(Step::Inject(false)), false, true);
}

#[test]
fn in_traces_of_two_threads() {
    check_all(None, true, true);
}
