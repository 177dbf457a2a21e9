//! Random programs of calls whose guards are also dropped on another thread and never, against a naive
//! model.

use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

use tracer::alloc::exclude;
use tracer::{Call, Trace, call, fetch};

use crate::common::allocate;
use crate::numbers::Numbers;

/// One step of a program. An index is taken modulo the number of open calls.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Allocate(u64),
    /// In a scope of the trace.
    Spawn(u64),
    Stop(usize),
    /// On another thread, while this one waits.
    StopElsewhere(usize),
    Forget(usize),
}

impl Numbers {
    fn remote_step(&mut self) -> Step {
        let which = self.next(1000);
        match self.next(10) {
            0..3 => Step::Open,
            3..6 => Step::Allocate(which as u64 % 7 + 1),
            6 => Step::Spawn(which as u64 % 7 + 1),
            7 => Step::Stop(which),
            8 => Step::StopElsewhere(which),
            _ if which < 300 => Step::Forget(which),
            _ => Step::Stop(which),
        }
    }
}

/// A thread that drops guards.
struct Elsewhere {
    guards: Sender<(Call, Sender<()>)>,
    thread: JoinHandle<()>,
}

impl Elsewhere {
    fn new() -> Self {
        let (guards, taken) = channel::<(Call, Sender<()>)>();
        let thread = spawn(move || {
            for (guard, done) in taken {
                allocate(1);
                drop(guard);
                done.send(()).unwrap();
            }
        });
        Self { guards, thread }
    }

    fn drop_there(&self, guard: Call) {
        exclude(|| {
            let (done, is_done) = channel();
            self.guards.send((guard, done)).unwrap();
            is_done.recv().unwrap();
        });
    }
}

fn run(program: &[Step], trace: &Trace, elsewhere: &Elsewhere) {
    let mut open: Vec<Call> = Vec::with_capacity(program.len());
    let scope = trace.inject();
    for step in program {
        match *step {
            Step::Open => open.push(call!("{}", open.len())),
            Step::Allocate(count) => allocate(count),
            Step::Spawn(count) => {
                let _scope = fetch().inject();
                allocate(count);
            }
            Step::Stop(_) | Step::StopElsewhere(_) | Step::Forget(_) if open.is_empty() => {}
            Step::Stop(which) => drop(open.remove(which % open.len())),
            Step::StopElsewhere(which) => elsewhere.drop_there(open.remove(which % open.len())),
            Step::Forget(which) => std::mem::forget(open.remove(which % open.len())),
        }
    }
    while open.pop().is_some() {}
    drop(scope);
}

/// The expected figures of a call.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    parent: Option<usize>,
    total: u64,
    own: u64,
    is_partial: bool,
}

/// A forgotten call stays open.
fn model(program: &[Step]) -> Vec<Expected> {
    let mut calls: Vec<Expected> = Vec::new();
    // The open calls in order of opening, and those of them that have a guard.
    let (mut open, mut guards) = (Vec::new(), Vec::new());
    for step in program {
        match *step {
            Step::Open => {
                let parent = open.last().copied();
                open.push(calls.len());
                guards.push(calls.len());
                calls.push(Expected {
                    parent,
                    ..Expected::default()
                });
            }
            Step::Allocate(count) | Step::Spawn(count) => {
                for call in &open {
                    calls[*call].total += count;
                }
                if let Some(call) = open.last() {
                    calls[*call].own += count;
                }
            }
            Step::Stop(_) | Step::StopElsewhere(_) | Step::Forget(_) if guards.is_empty() => {}
            Step::Stop(which) => {
                let call = guards.remove(which % guards.len());
                open.retain(|it| *it != call);
            }
            Step::StopElsewhere(which) => {
                let call = guards.remove(which % guards.len());
                open.retain(|it| *it != call);
                calls[call].is_partial = true;
            }
            Step::Forget(which) => drop(guards.remove(which % guards.len())),
        }
    }
    calls
}

#[test]
fn calls_stopped_elsewhere_agree_with_the_model() {
    let elsewhere = Elsewhere::new();
    let mut numbers = Numbers(1);
    for length in (1..60).cycle().take(3000) {
        let program: Vec<_> = (0..length).map(|_| numbers.remote_step()).collect();
        let trace = Trace::new();
        run(&program, &trace, &elsewhere);
        let calls = trace.report().calls.into_iter().map(|call| Expected {
            parent: call.parent,
            total: call.total.unwrap().allocates(),
            own: call.self_counts.unwrap().allocates(),
            is_partial: call.partial,
        });
        assert_eq!(calls.collect::<Vec<_>>(), model(&program), "{program:?}");
    }
    drop(elsewhere.guards);
    elsewhere.thread.join().unwrap();
}
