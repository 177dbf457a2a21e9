//! Random programs of spans on a thread and in tasks of a runtime, against the model.
//!
//! Each step is taken when the one before is over: on the test's thread, or in a task that is in the middle of a poll, on
//! the worker that polls it. Tasks yield, and are polled again by any worker; they finish, or are aborted. Several may be
//! in the middle of a poll.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracer::alloc::exclude;
use tracer::{Call, Trace};
use tracing::dispatcher::{set_default, with_default};
use tracing::instrument::Instrumented;
use tracing::{Dispatch, Instrument};

use crate::model::{MOST_TASKS, Model, Step};
use crate::subscriber;

use super::{Common, Own, Program, compare, config, ended, run_step, step, warm_up};

/// A program, and what it works with.
struct World {
    dispatch: Dispatch,
    program: Vec<Step>,
    traces: [Trace; 2],
    common: Mutex<Common>,
    keeps_open: bool,
    /// A future that was ready was dropped so late that it may look cancelled.
    is_slow: AtomicBool,
}

impl World {
    /// Takes a step that is not about tasks.
    fn run(&self, number: usize, own: &mut Own) {
        let mut common = self.common.lock().unwrap();
        let step = (number, self.program[number]);
        let keeps_open = self.keeps_open;
        run_step(
            &self.dispatch,
            step,
            &self.traces,
            &mut common,
            own,
            keeps_open,
        );
    }
}

/// What a task does next.
enum Next {
    Step(usize),
    Yield,
    Finish,
}

/// What the test's thread and a task tell each other.
#[derive(Default)]
struct Told {
    next: Option<Next>,
    /// The task takes a step.
    is_busy: bool,
    /// How many polls have begun and ended.
    begun: usize,
    ended: usize,
    /// The future was dropped.
    is_over: bool,
    waker: Option<Waker>,
    /// For each guard, the last one first, whether it stops with the task.
    stopped: Vec<bool>,
    /// Those that don't.
    left: Vec<Option<Call>>,
}

#[derive(Default)]
struct Meeting {
    told: Mutex<Told>,
    changed: Condvar,
}

impl Meeting {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&Told) -> bool) -> MutexGuard<'_, Told> {
        let told = self.told();
        self.changed.wait_while(told, |told| !until(told)).unwrap()
    }
}

/// The future inside the span.
struct Work {
    world: Arc<World>,
    meeting: Arc<Meeting>,
    guards: Vec<Option<Call>>,
    is_spawned: bool,
    ready_at: Option<Instant>,
}

/// The layer takes a future for ready that is dropped within 100 ms: see `src/tracing/left.rs`.
const SLOW: Duration = Duration::from_millis(50);

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let work = &mut *self;
        work.meeting.told().waker = Some(context.waker().clone());
        if !std::mem::replace(&mut work.is_spawned, true) {
            return Poll::Pending;
        }
        let size = work.world.program.len();
        let mut own = exclude(|| Own {
            entries: Vec::with_capacity(size),
            guards: std::mem::take(&mut work.guards),
            scopes: Vec::with_capacity(size),
        });
        work.meeting.tell(|told| told.begun += 1);
        let is_ready = loop {
            let next = work.meeting.wait(|told| told.next.is_some()).next.take();
            match next {
                Some(Next::Step(number)) => work.world.run(number, &mut own),
                Some(Next::Yield) => break false,
                _ => break true,
            }
            work.meeting.tell(|told| told.is_busy = false);
        };
        while let Some((id, _kept_open)) = own.entries.pop() {
            work.world.dispatch.exit(&id);
        }
        while own.scopes.pop().is_some() {}
        work.guards = std::mem::take(&mut own.guards);
        exclude(|| drop(own));
        if is_ready {
            work.ready_at = Some(Instant::now());
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.ready_at.is_some_and(|at| at.elapsed() > SLOW) {
            self.world.is_slow.store(true, Relaxed);
        }
        let stopped = std::mem::take(&mut self.meeting.told().stopped);
        let mut guards = std::mem::take(&mut self.guards);
        for (guard, is_stopped) in guards.iter_mut().rev().zip(&stopped) {
            if *is_stopped {
                drop(guard.take());
            }
        }
        let mut told = self.meeting.told();
        // Their memory is freed when nobody counts.
        (told.stopped, told.left) = (stopped, guards);
    }
}

/// The task: it tells what happens after the span was left.
struct Watched {
    work: Pin<Box<Instrumented<Work>>>,
    over: Over,
}

struct Over(Arc<Meeting>);

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let result = self.work.as_mut().poll(context);
        if result.is_pending() {
            self.over.0.tell(|told| told.ended += 1);
        }
        result
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.0.tell(|told| told.is_over = true);
    }
}

struct Task {
    meeting: Arc<Meeting>,
    handle: JoinHandle<()>,
    is_polled: bool,
    is_aborted: bool,
}

/// The tasks of a program, for the test's thread. What it does for them is in no call.
struct Tasks<'a> {
    world: &'a Arc<World>,
    runtime: &'a Runtime,
    /// In the order of their ends: see [`Model::stopped`].
    stopped: std::slice::Iter<'a, Vec<bool>>,
    alive: Vec<Task>,
    current: Option<Arc<Meeting>>,
    /// Their guards are dropped last.
    over: Vec<Arc<Meeting>>,
}

impl Tasks<'_> {
    fn step(&mut self, number: usize) {
        match self.world.program[number] {
            Step::Spawn(which) => self.spawn(which),
            Step::Go(which) => self.go(which),
            Step::Yield => self.end_poll(false),
            Step::Finish => self.end_poll(true),
            Step::Abort(which) => self.abort(which),
            _ => {
                let current = self.current.as_ref().unwrap();
                current.tell(|told| {
                    told.next = Some(Next::Step(number));
                    told.is_busy = true;
                });
                drop(current.wait(|told| !told.is_busy));
            }
        }
    }

    fn spawn(&mut self, which: usize) {
        let common = self.world.common.lock().unwrap();
        if common.handles.is_empty() || self.alive.len() == MOST_TASKS {
            return;
        }
        let span = common.handles[which % common.handles.len()].1.clone();
        drop(common);
        let meeting = Arc::new(Meeting::default());
        let work = Work {
            world: Arc::clone(self.world),
            meeting: Arc::clone(&meeting),
            guards: Vec::with_capacity(self.world.program.len()),
            is_spawned: false,
            ready_at: None,
        };
        let handle = self.runtime.spawn(Watched {
            work: Box::pin(work.instrument(span)),
            over: Over(Arc::clone(&meeting)),
        });
        drop(meeting.wait(|told| told.ended == 1));
        self.alive.push(Task {
            meeting,
            handle,
            is_polled: false,
            is_aborted: false,
        });
    }

    fn go(&mut self, which: usize) {
        let which = which % (self.alive.len() + 1);
        let Some(task) = which.checked_sub(1).map(|place| &mut self.alive[place]) else {
            self.current = None;
            return;
        };
        self.current = Some(Arc::clone(&task.meeting));
        if !std::mem::replace(&mut task.is_polled, true) {
            let mut told = task.meeting.told();
            let (begun, waker) = (told.begun, told.waker.take());
            drop(told);
            waker.unwrap().wake();
            drop(task.meeting.wait(|told| told.begun > begun));
        }
    }

    fn end_poll(&mut self, is_ready: bool) {
        let Some(meeting) = self.current.take() else {
            return;
        };
        let mut alive = self.alive.iter();
        let is_it = |task: &Task| Arc::ptr_eq(&task.meeting, &meeting);
        let place = alive.position(is_it).unwrap();
        let next = if is_ready { Next::Finish } else { Next::Yield };
        if is_ready || self.alive[place].is_aborted {
            self.end(place, Some(next));
        } else {
            let ended = meeting.told().ended;
            meeting.tell(|told| told.next = Some(next));
            drop(meeting.wait(|told| told.ended > ended));
            self.alive[place].is_polled = false;
        }
    }

    fn abort(&mut self, which: usize) {
        if self.alive.is_empty() {
            return;
        }
        let place = which % self.alive.len();
        let task = &mut self.alive[place];
        if task.is_polled {
            task.is_aborted = true;
            task.handle.abort();
        } else {
            self.end(place, None);
        }
    }

    /// Ends a task by its next step or, without one, aborts it.
    fn end(&mut self, place: usize, next: Option<Next>) {
        let Task {
            meeting, handle, ..
        } = self.alive.remove(place);
        let stopped = self.stopped.next().unwrap().clone();
        let is_aborted = next.is_none();
        meeting.tell(|told| (told.stopped, told.next) = (stopped, next));
        if is_aborted {
            handle.abort();
        }
        drop(meeting.wait(|told| told.is_over));
        self.over.push(meeting);
    }
}

/// Runs a program. The test's own memory is allocated before.
fn run(world: &Arc<World>, runtime: &Runtime, model: &Model) {
    let size = world.program.len();
    let mut tasks = Tasks {
        world,
        runtime,
        stopped: model.stopped.iter(),
        alive: Vec::new(),
        current: None,
        over: Vec::new(),
    };
    let mut own = Own {
        entries: Vec::with_capacity(size),
        guards: Vec::with_capacity(size),
        scopes: Vec::with_capacity(size),
    };
    for (number, step) in world.program.iter().enumerate() {
        let is_of_tasks = matches!(
            step,
            Step::Spawn(_) | Step::Go(_) | Step::Yield | Step::Finish | Step::Abort(_)
        );
        if model.is_skipped[number] {
        } else if is_of_tasks || tasks.current.is_some() {
            exclude(|| tasks.step(number));
        } else {
            world.run(number, &mut own);
        }
    }
    // From the inside out.
    for left in &model.left {
        drop(match left.task {
            Some(task) => tasks.over[task].told().left[left.guard].take(),
            None => own.guards[left.guard].take(),
        });
    }
}

fn check(dispatch: &Dispatch, runtime: &Runtime, program: Vec<Step>) -> Result<(), TestCaseError> {
    let size = program.len();
    let model = Model::of(&program);
    let world = Arc::new(World {
        dispatch: dispatch.clone(),
        program,
        traces: [Trace::new(), Trace::new()],
        common: Mutex::new(Common {
            handles: Vec::with_capacity(size),
            kept: Vec::with_capacity(size),
            spans: 0,
        }),
        keeps_open: model.keeps_open,
        is_slow: AtomicBool::new(false),
    });
    run(&world, runtime, &model);
    compare(&model, &world.traces, world.is_slow.load(Relaxed))
}

fn step_of_tasks(traces: bool) -> impl Strategy<Value = Step> {
    let which = || 0..100_usize;
    prop_oneof![
        40 => step(traces, false),
        4 => which().prop_map(Step::Spawn),
        8 => which().prop_map(Step::Go),
        4 => Just(Step::Yield),
        1 => Just(Step::Finish),
        1 => which().prop_map(Step::Abort),
    ]
}

/// Lets all tasks finish before the end of a program.
fn finished(mut program: Vec<Step>) -> Vec<Step> {
    for _ in 0..MOST_TASKS {
        // The first one that is alive.
        program.extend([Step::Go(1), Step::Finish, Step::Go(0)]);
    }
    ended(program)
}

fn check_all(first: Option<Step>, traces: bool) {
    let programs = vec(step_of_tasks(traces), 1..80)
        .prop_map(move |steps| Program(first.into_iter().chain(steps).collect()));
    let dispatch = Dispatch::new(subscriber());
    let of_workers = dispatch.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(MOST_TASKS + 1)
        .on_thread_start(move || {
            std::mem::forget(set_default(&of_workers));
            warm_up();
        })
        .build()
        .unwrap();
    with_default(&dispatch, || {
        warm_up();
        // A tenth of them are mixed, and not compared.
        let result = TestRunner::new(config(2300)).run(&programs, |Program(program)| {
            check(&dispatch, &runtime, finished(program))
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn in_one_trace() {
    check_all(Some(Step::Inject(false)), false);
}

#[test]
fn in_traces_that_come_and_go() {
    check_all(None, true);
}
