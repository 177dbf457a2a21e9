//! Random programs of spans on several threads that run at once, each of which enters spans that others gave it: what was
//! allocated is found in the span that was the innermost one there.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Barrier, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tracer::{Outcome, Trace};
use tracing::dispatcher::with_default;
use tracing::span::Id;
use tracing::{Dispatch, Span};

use crate::model::Parent;
use crate::{allocate, subscriber};

use super::{Program, config, new_span, warm_up};

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
