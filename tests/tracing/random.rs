//! Random programs of spans, against a naive model.

mod tasks;

use std::fmt::{self, Write as _};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
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

/// One step of a thread that hands spans to other threads.
#[derive(Clone, Copy, Debug)]
enum Shared {
    New(Parent),
    Enter(usize),
    /// Leaves the span that was entered last.
    Exit,
    Drop(usize),
    Spike(usize),
    /// Hands a clone of a handle to another thread, which gets it at the next barrier.
    Give(usize, usize),
    /// Waits for the others.
    Barrier,
}

/// The most spans of a program.
const MOST: usize = 512;

struct Together {
    dispatch: Dispatch,
    trace: Trace,
    /// A span is not closed while it is entered.
    keeps_open: bool,
    barrier: Barrier,
    next: AtomicUsize,
    gifts: Vec<Mutex<Vec<Handle>>>,
    /// What was allocated on any thread while a span was the innermost one there.
    allocated: Vec<AtomicU64>,
}

/// A span, with its number and whether it belongs to the trace.
#[derive(Clone)]
struct Handle {
    number: usize,
    is_known: bool,
    is_root: bool,
    span: (Id, Span),
}

impl Together {
    /// Runs the steps of a thread. Each entered span is kept open by a handle.
    fn run(&self, thread: usize, has_scope: bool, mut steps: &[Shared], barriers: usize) {
        let mut handles: Vec<Handle> = Vec::with_capacity(MOST);
        let mut entered: Vec<Entry> = Vec::with_capacity(MOST);
        let mut given = 0;
        warm_up();
        self.barrier.wait();
        let scope = has_scope.then(|| self.trace.inject());
        handles.append(&mut self.gifts[thread].lock().unwrap());
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            match *step {
                Shared::New(Parent::Handle(_)) if handles.is_empty() => {}
                Shared::New(parent) => {
                    // A registry can't have a parent that is being closed.
                    let parent = match parent {
                        Parent::Contextual if !self.keeps_open => Parent::Root,
                        other => other,
                    };
                    let number = self.next.fetch_add(1, Relaxed);
                    let explicit = match parent {
                        Parent::Handle(which) => Some(&handles[which % handles.len()]),
                        _ => None,
                    };
                    let span = new_span(number, parent, explicit.map(|it| &it.span.1));
                    let is_traced = has_scope || entered.iter().any(|it| it.is_call);
                    // A root does not take the trace along.
                    let is_known = match explicit {
                        Some(parent) => parent.is_known || (!parent.is_root && is_traced),
                        None => is_traced && !matches!(parent, Parent::Root),
                    };
                    let is_root = explicit.map_or_else(
                        || is_traced && matches!(parent, Parent::Root),
                        |it| it.is_root,
                    );
                    let span = (span.id().unwrap(), span);
                    handles.push(Handle {
                        number,
                        is_known,
                        is_root,
                        span,
                    });
                }
                Shared::Enter(which) if !handles.is_empty() => {
                    let handle = handles[which % handles.len()].clone();
                    let is_call =
                        handle.is_known || has_scope || entered.iter().any(|it| it.is_call);
                    let (id, span) = handle.span;
                    self.dispatch.enter(&id);
                    entered.push(Entry {
                        number: handle.number,
                        id,
                        is_call,
                        _span: self.keeps_open.then_some(span),
                    });
                }
                Shared::Exit if !entered.is_empty() => {
                    // In another order, a strand that is left takes its calls along.
                    let place = entered.len() - 1;
                    let number = entered[place].number;
                    let mut again = entered.iter();
                    let place = again.rposition(|it| it.number == number).unwrap();
                    self.dispatch.exit(&entered[place].id);
                    drop(entered.remove(place));
                }
                Shared::Drop(which) if !handles.is_empty() => {
                    drop(handles.remove(which % handles.len()));
                }
                Shared::Spike(size) => {
                    drop(allocate(size));
                    if let Some(innermost) = innermost(&entered) {
                        self.allocated[innermost].fetch_add(1, Relaxed);
                    }
                }
                Shared::Give(which, to) if !handles.is_empty() => {
                    let handle = handles[which % handles.len()].clone();
                    let to = &self.gifts[to % self.gifts.len()];
                    to.lock().unwrap().push(handle);
                }
                Shared::Barrier if given < barriers => {
                    given += 1;
                    self.barrier.wait();
                    handles.append(&mut self.gifts[thread].lock().unwrap());
                    self.barrier.wait();
                }
                _ => {}
            }
        }
        while given < barriers {
            given += 1;
            self.barrier.wait();
            self.barrier.wait();
        }
        while let Some(entry) = entered.pop() {
            self.dispatch.exit(&entry.id);
        }
        drop(scope);
    }
}

/// A span that a thread has entered.
struct Entry {
    number: usize,
    id: Id,
    is_call: bool,
    /// Keeps it open.
    _span: Option<Span>,
}

/// Returns the span that was entered last, not counting entries while it was entered already.
fn innermost(entered: &[Entry]) -> Option<usize> {
    let is_first = |place: usize| {
        let number = entered[place].number;
        !{ entered[..place].iter() }.any(|it| it.number == number && it.is_call)
    };
    let mut places = (0..entered.len()).rev();
    let place = places.find(|place| entered[*place].is_call && is_first(*place))?;
    Some(entered[place].number)
}

fn shared_step() -> impl Strategy<Value = Shared> {
    let which = || 0..100_usize;
    prop_oneof![
        2 => Just(Shared::New(Parent::Contextual)),
        1 => Just(Shared::New(Parent::Root)),
        1 => which().prop_map(|it| Shared::New(Parent::Handle(it))),
        6 => which().prop_map(Shared::Enter),
        6 => Just(Shared::Exit),
        2 => which().prop_map(Shared::Drop),
        4 => (1..100_usize).prop_map(Shared::Spike),
        4 => (which(), which()).prop_map(|(which, to)| Shared::Give(which, to)),
        2 => Just(Shared::Barrier),
    ]
}

fn check_together(programs: &[(bool, Vec<Shared>)], keeps_open: bool) -> Result<(), TestCaseError> {
    let dispatch = Dispatch::new(subscriber());
    let together = Together {
        dispatch: dispatch.clone(),
        trace: Trace::new(),
        keeps_open,
        barrier: Barrier::new(programs.len()),
        next: AtomicUsize::new(0),
        gifts: { programs.iter() }
            .map(|_| Mutex::new(Vec::with_capacity(MOST)))
            .collect(),
        allocated: (0..MOST).map(|_| AtomicU64::new(0)).collect(),
    };
    // Each thread begins with some spans of the trace, which all have.
    with_default(&dispatch, || {
        let _scope = together.trace.inject();
        for number in 0..3 {
            together.next.store(number + 1, Relaxed);
            let span = new_span(number, Parent::Contextual, None);
            let span = (span.id().unwrap(), span);
            for gifts in &together.gifts {
                let span = span.clone();
                gifts.lock().unwrap().push(Handle {
                    number,
                    is_known: true,
                    is_root: false,
                    span,
                });
            }
        }
    });
    let is_barrier = |step: &&Shared| matches!(step, Shared::Barrier);
    let barriers = { programs.iter() }.map(|(_, steps)| steps.iter().filter(is_barrier).count());
    let barriers = barriers.min().unwrap();
    std::thread::scope(|scope| {
        for (thread, (has_scope, steps)) in programs.iter().enumerate() {
            let together = &together;
            scope.spawn(move || {
                with_default(&together.dispatch, || {
                    together.run(thread, *has_scope, steps, barriers);
                });
            });
        }
    });
    // A span that is closed lets its parent go in the dispatcher that is current.
    with_default(&dispatch, || {
        for gifts in &together.gifts {
            gifts.lock().unwrap().clear();
        }
    });
    let report = together.trace.report();
    let mut found = vec![0; MOST];
    let mut unknown = 0;
    for call in &report.calls {
        let own = call.self_counts.unwrap().allocations;
        match &call.id {
            Some(id) => found[id[1..].parse::<usize>().unwrap()] += own,
            None => unknown += own,
        }
        prop_assert!(call.outcome != Outcome::Running, "{:#}", report);
        prop_assert!(!(keeps_open && call.partial), "{:#}", report);
    }
    if !keeps_open {
        return Ok(());
    }
    let expected: Vec<_> = together
        .allocated
        .iter()
        .map(|it| it.load(Relaxed))
        .collect();
    let all: u64 = expected.iter().sum();
    prop_assert_eq!(found.iter().sum::<u64>() + unknown, all, "{:#}", report);
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        // Calls of spans that were made outside of all traces do not say whose they are.
        let is_known = *found > 0 || unknown == 0;
        prop_assert!(found == expected || !is_known, "s{}: {:#}", number, report);
    }
    Ok(())
}

fn check_all_together(keeps_open: bool) {
    let thread = (any::<bool>(), vec(shared_step(), 1..60));
    let programs = vec(thread, 2..4).prop_map(Program);
    let result = TestRunner::new(config(200)).run(&programs, |Program(programs)| {
        check_together(&programs, keeps_open)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn on_several_threads() {
    check_all_together(true);
}

#[test]
fn closed_elsewhere_while_entered() {
    check_all_together(false);
}
