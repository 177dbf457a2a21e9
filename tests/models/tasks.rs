//! Random trees of traced futures, against a naive model: each step of a program adds its allocations to
//! the call that it is in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;
use tracer::alloc::measure;
use tracer::{CallReport, Outcome, Trace, call};

use crate::common::allocate;
use crate::numbers::Numbers;
use crate::pause::pause;

/// One step inside a call. `usize` is the number of a call inside.
#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate(u64),
    Pause(u32),
    /// A guard held across the steps.
    Plain(usize),
    /// A traced function.
    Call(usize),
    Join(usize, usize),
    /// The first ready one in order wins; without bias, tokio polls in a random order.
    SelectBiased(usize, usize),
    Select(usize, usize),
    /// Polled at most this number of times, and dropped if not ready by then.
    Abandon(usize, u32),
    /// In a strand of its own, in this task or in another one.
    Instrument(usize),
    Spawn(usize),
}

/// A call. Number 0 stands for everything outside of calls.
#[derive(Debug, Default)]
struct Node {
    parent: usize,
    steps: Vec<Step>,
    noted: Noted,
}

/// Notes that the program takes while it runs.
#[derive(Debug, Default)]
struct Noted {
    opened: AtomicBool,
    finished: AtomicBool,
    allocations: AtomicU64,
    bytes: AtomicU64,
}

impl Noted {
    fn add(&self, allocations: u64, bytes: u64) {
        self.allocations.fetch_add(allocations, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn allocated(&self) -> (u64, u64) {
        (self.allocations.load(Relaxed), self.bytes.load(Relaxed))
    }
}

#[derive(Debug)]
struct Program(Vec<Node>);

const MAX_CALLS: usize = 40;

impl Program {
    fn random(numbers: &mut Numbers, spawns: bool) -> Arc<Self> {
        let mut program = Self(vec![Node::default()]);
        program.grow(0, numbers, spawns, 5);
        Arc::new(program)
    }

    fn grow(&mut self, node: usize, numbers: &mut Numbers, spawns: bool, depth: u32) {
        for _ in 0..2 + numbers.next(5) {
            let kind = numbers.next(if spawns { 14 } else { 13 });
            let small = u32::try_from(numbers.next(5)).unwrap();
            let may_nest = depth > 0 && self.0.len() + 2 < MAX_CALLS;
            let mut inside = || {
                self.0.push(Node {
                    parent: node,
                    ..Node::default()
                });
                let inside = self.0.len() - 1;
                self.grow(inside, numbers, spawns, depth - 1);
                inside
            };
            let step = match kind {
                0..3 => Step::Allocate(1 + u64::from(small)),
                3..6 => Step::Pause(small),
                _ if !may_nest => Step::Pause(1),
                6 => Step::Plain(inside()),
                7 => Step::Call(inside()),
                8 => Step::Join(inside(), inside()),
                9 => Step::SelectBiased(inside(), inside()),
                10 => Step::Select(inside(), inside()),
                11 => Step::Abandon(inside(), small),
                12 => Step::Instrument(inside()),
                _ => Step::Spawn(inside()),
            };
            self.0[node].steps.push(step);
        }
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Boxes a future, and notes the allocation in the call around.
fn boxed(
    program: &Program,
    around: usize,
    future: impl Future<Output = ()> + Send + 'static,
) -> Boxed {
    let size = size_of_val(&future) as u64;
    program.0[around].noted.add(1, size);
    Box::pin(future)
}

/// Returns a call's steps, without the call.
fn untraced(program: &Arc<Program>, node: usize) -> Boxed {
    let future = body(Arc::clone(program), node);
    boxed(program, program.0[node].parent, future)
}

/// Returns a call of a traced function.
fn traced(program: &Arc<Program>, node: usize) -> Boxed {
    let call = call!("{node}");
    let noted = &program.0[node].noted;
    noted.opened.store(true, Relaxed);
    let future = call.instrument(body(Arc::clone(program), node));
    boxed(program, program.0[node].parent, future)
}

/// Returns a call in a strand of its own, opened at the strand's first poll.
fn in_strand(program: &Arc<Program>, node: usize) -> Boxed {
    let inside = Arc::clone(program);
    let future = async move {
        inside.0[node].noted.opened.store(true, Relaxed);
        let call = call!("{node}");
        call.instrument(body(Arc::clone(&inside), node)).await;
    };
    boxed(program, program.0[node].parent, future)
}

async fn body(program: Arc<Program>, node: usize) {
    for step in &program.0[node].steps {
        take(&program, node, *step).await;
    }
    program.0[node].noted.finished.store(true, Relaxed);
}

async fn take(program: &Arc<Program>, node: usize, step: Step) {
    match step {
        Step::Allocate(count) => {
            program.0[node].noted.add(count, count);
            allocate(count);
        }
        Step::Pause(times) => pause(times).await,
        Step::Plain(inside) => {
            // The box belongs to this call, so it comes first.
            let steps = untraced(program, inside);
            program.0[inside].noted.opened.store(true, Relaxed);
            let guard = call!("{inside}");
            steps.await;
            guard.stop();
        }
        Step::Call(inside) => traced(program, inside).await,
        Step::Join(one, two) => {
            tokio::join!(traced(program, one), traced(program, two));
        }
        Step::SelectBiased(one, two) => {
            tokio::select! {
                biased;
                () = traced(program, one) => {}
                () = traced(program, two) => {}
            }
        }
        Step::Select(one, two) => {
            tokio::select! {
                () = traced(program, one) => {}
                () = traced(program, two) => {}
            }
        }
        Step::Abandon(inside, polls) => {
            let mut future = traced(program, inside);
            let mut left = polls;
            std::future::poll_fn(|context| {
                if left == 0 || future.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                left -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        Step::Instrument(inside) => {
            let future = in_strand(program, inside);
            tracer::fetch().instrument(future).await;
        }
        Step::Spawn(inside) => {
            let future = tracer::fetch().instrument(in_strand(program, inside));
            let spawned = measure(|| tokio::spawn(future));
            let counts = spawned.counts.unwrap();
            program.0[node]
                .noted
                .add(counts.allocations, counts.bytes_allocated);
            // An error if the runtime is shut down.
            let _ = spawned.value.await;
        }
    }
}

/// Returns the root of a program in its trace.
fn root(program: &Arc<Program>, trace: &Trace) -> tracer::Instrumented<Boxed> {
    trace.instrument(Box::pin(body(Arc::clone(program), 0)))
}

fn allocated(counts: Option<tracer::alloc::Counts>) -> (u64, u64) {
    let counts = counts.unwrap();
    (counts.allocations, counts.bytes_allocated)
}

fn check(program: &Program, trace: &Trace) {
    let report = trace.report();
    let nodes = &program.0;
    let mut totals: Vec<_> = nodes.iter().map(|node| node.noted.allocated()).collect();
    for (number, node) in nodes.iter().enumerate().skip(1).rev() {
        let (allocations, bytes) = totals[number];
        let around = &mut totals[node.parent];
        *around = (around.0 + allocations, around.1 + bytes);
    }
    let explain = || format!("{program:#?}\n{report:#}");
    assert_eq!(allocated(report.total), totals[0], "{}", explain());
    let opened = nodes.iter().filter(|node| node.noted.opened.load(Relaxed));
    assert_eq!(report.calls.len(), opened.count(), "{}", explain());
    let number = |call: &CallReport| call.id.as_deref().unwrap().parse::<usize>().unwrap();
    for call in &report.calls {
        let node = number(call);
        let Node { parent, noted, .. } = &nodes[node];
        assert_eq!(
            call.parent
                .map_or(0, |parent| number(&report.calls[parent])),
            *parent,
            "{node}: {}",
            explain()
        );
        assert_eq!(
            allocated(call.self_counts),
            noted.allocated(),
            "{node}: {}",
            explain()
        );
        assert_eq!(allocated(call.total), totals[node], "{node}: {}", explain());
        let finished = noted.finished.load(Relaxed);
        let outcome = if finished {
            Outcome::Ok
        } else {
            Outcome::Cancelled
        };
        assert_eq!(
            (&call.outcome, call.partial),
            (&outcome, false),
            "{node}: {}",
            explain()
        );
    }
}

#[test]
fn random_programs_polled_on_one_thread_in_random_order() {
    let mut numbers = Numbers(7);
    for _ in 0..150 {
        let programs: Vec<_> = (0..8)
            .map(|_| Program::random(&mut numbers, false))
            .collect();
        let traces: Vec<_> = programs.iter().map(|_| Trace::new()).collect();
        let roots = programs.iter().zip(&traces);
        let mut tasks: Vec<_> = roots
            .map(|(program, trace)| Box::pin(root(program, trace)))
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        while !tasks.is_empty() {
            let which = numbers.next(tasks.len());
            let ready = tasks[which].as_mut().poll(&mut context).is_ready();
            // One in a hundred tasks that are not ready is dropped.
            if ready || numbers.next(100) == 0 {
                drop(tasks.swap_remove(which));
            }
        }
        for (program, trace) in programs.iter().zip(&traces) {
            check(program, trace);
        }
    }
}

#[test]
fn random_programs_on_four_workers() {
    let mut numbers = Numbers(11);
    for _ in 0..60 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(4).build().unwrap();
        let programs: Vec<_> = (0..32)
            .map(|_| Program::random(&mut numbers, true))
            .collect();
        let traces: Vec<_> = programs.iter().map(|_| Trace::new()).collect();
        let roots = programs.iter().zip(&traces);
        let tasks: Vec<_> = roots
            .map(|(program, trace)| runtime.spawn(root(program, trace)))
            .collect();
        for _ in 0..4 {
            tasks[numbers.next(tasks.len())].abort();
        }
        runtime.block_on(join_all(tasks));
        // Waits for tasks that were spawned by futures dropped since.
        drop(runtime);
        for (program, trace) in programs.iter().zip(&traces) {
            check(program, trace);
        }
    }
}
