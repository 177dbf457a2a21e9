//! Programs, and their execution on the library and on the model.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};

use tracer::alloc::exclude;
use tracer::recorder::{Policy, Recorder, Recording};
use tracer::{Call, InCall, Instrumented, Limits, Scope, Trace, call};

use crate::checks;
use crate::model::{CallId, Handle, Model, StrandId};
use crate::worker::{on_worker, thread};

/// The settings by the first character of a program: limits of calls and strands, and whether there is
/// a recorder.
const SETTINGS: [(usize, usize, bool); 10] = [
    (10_000, 1_000, false),
    (2, 1_000, false),
    (0, 1_000, false),
    (5, 1, false),
    (10_000, 1, false),
    (10_000, 1_000, true),
    (2, 1_000, true),
    (0, 1_000, true),
    (5, 1, true),
    (33, 2, true),
];

/// Longer programs are cut.
const MOST_STEPS: usize = 400;
const MOST_DEPTH: usize = 24;

/// The state that all threads of a program share.
pub struct Shared {
    program: Vec<u8>,
    next: AtomicUsize,
    depth: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    model: Model,
    traces: [Trace; 2],
    recording: Option<Recording>,
    guards: Vec<Guard>,
    handles: Vec<(Handle, Trace)>,
    futures: Vec<Held>,
    limits: Limits,
}

struct Guard {
    id: Option<CallId>,
    call: Call,
}

/// A future with something around it.
struct Held {
    around: Around,
    is_over: bool,
    is_ready: bool,
}

enum Around {
    Call {
        id: Option<CallId>,
        innermost: Option<CallId>,
        future: Pin<Box<Option<InCall<Body>>>>,
    },
    Trace {
        strand: StrandId,
        future: Pin<Box<Option<Instrumented<Body>>>>,
    },
}

/// A future whose polls are parts of the program.
struct Body {
    shared: Arc<Shared>,
    guards: Vec<Guard>,
    futures: Vec<Held>,
}

thread_local! {
    static SCOPES: RefCell<Vec<(StrandId, Scope)>> = const { RefCell::new(Vec::new()) };
}

/// The end of a part of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Pending,
    Ready,
    Panic,
    Program,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    OnWorker,
    Poll,
}

struct Recorded {
    recorder: Recorder,
    begun: AtomicUsize,
}

fn recorder(setting: usize) -> &'static Recorded {
    static ALL: [OnceLock<Recorded>; SETTINGS.len()] = [const { OnceLock::new() }; SETTINGS.len()];
    ALL[setting].get_or_init(|| {
        let (calls, strands, _) = SETTINGS[setting];
        let limits = Limits::default().calls(calls).strands(strands);
        let recorder = Recorder::builder()
            .policy(Policy::none().when("all", |_| true))
            .trace(10, limits)
            .start();
        Recorded {
            recorder: recorder.unwrap(),
            begun: AtomicUsize::new(0),
        }
    })
}

/// Runs a program and checks its result. Its own allocations while a strand is entered are excluded from
/// the counts.
pub fn run(input: &[u8]) {
    let Some((first, program)) = input.split_first() else {
        return;
    };
    let setting = usize::from(first.wrapping_sub(b'0')) % SETTINGS.len();
    let (calls, strands, is_recorded) = SETTINGS[setting];
    let limits = Limits::default().calls(calls).strands(strands);
    let recorded = is_recorded.then(|| recorder(setting));
    let recording = recorded.map(|it| {
        it.begun.fetch_add(1, Relaxed);
        it.recorder.begin("program")
    });
    let trace = match &recording {
        Some(recording) => recording.trace().clone(),
        None => Trace::with_limits(10, limits),
    };
    let shared = Arc::new(Shared {
        program: program.iter().copied().take(MOST_STEPS).collect(),
        next: AtomicUsize::new(0),
        depth: AtomicUsize::new(0),
        state: Mutex::new(State {
            model: Model::new(calls < 1_000 || strands < 1_000),
            traces: [trace, Trace::new()],
            recording,
            guards: Vec::new(),
            handles: Vec::new(),
            futures: Vec::new(),
            limits,
        }),
    });
    steps(&shared, None, Part::Whole);
    tidy(&shared);
    let for_worker = Arc::clone(&shared);
    on_worker(move || drop_scopes(&for_worker));
    let mut state = lock(&shared);
    checks::report(&state.model, &state.traces, state.limits, true);
    let has_recording = state.recording.take().is_some();
    let trace = state.traces[0].clone();
    drop(state);
    if let Some(recorded) = recorded {
        let begun = recorded.begun.load(Relaxed) as u64;
        checks::recorded(&recorded.recorder, begun, has_recording.then_some(&trace));
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap()
}

/// Drops everything that the program has left, on this thread first.
fn tidy(shared: &Arc<Shared>) {
    while let Some(future) = { exclude(|| lock(shared).futures.pop()) } {
        drop_future(shared, future);
    }
    while let Some(guard) = { exclude(|| lock(shared).guards.pop()) } {
        stop(shared, guard);
    }
    drop_scopes(shared);
    exclude(|| lock(shared).handles.clear());
}

fn drop_scopes(shared: &Shared) {
    while drop_scope(shared, 0) {}
}

fn next(shared: &Shared) -> Option<u8> {
    let program = &shared.program;
    program.get(shared.next.fetch_add(1, Relaxed)).copied()
}

/// Returns the digit behind a step, or 0 if there is none.
fn number(shared: &Shared) -> usize {
    let next = shared.program.get(shared.next.load(Relaxed));
    match next {
        Some(digit) if digit.is_ascii_digit() => {
            shared.next.fetch_add(1, Relaxed);
            usize::from(digit - b'0')
        }
        _ => 0,
    }
}

/// Returns the index that is `number` before the last.
fn from_last(length: usize, number: usize) -> Option<usize> {
    length.checked_sub(1)?.checked_sub(number)
}

fn steps(
    shared: &Arc<Shared>,
    mut body: Option<(&mut Vec<Guard>, &mut Vec<Held>)>,
    part: Part,
) -> End {
    while let Some(step) = next(shared) {
        let number = number(shared);
        match step {
            b'c' => open(shared, number % 4),
            b'd' => {
                if let Some(guard) = guard(shared, number) {
                    stop(shared, guard);
                }
            }
            b'f' => with_guard(shared, number, |id, call| {
                call.fail("failed");
                exclude(|| lock(shared).model.fail(thread(), id));
            }),
            b'k' => with_guard(shared, number, |id, call| {
                call.checkpoint("checkpoint");
                exclude(|| lock(shared).model.checkpoint(thread(), id));
            }),
            b'a' => allocate(shared, number + 1),
            b'x' => {
                if let Some(guard) = guard(shared, number) {
                    std::mem::forget(guard);
                }
            }
            b'i' | b'o' => inject(shared, usize::from(step == b'o')),
            b'j' => inject_fetched(shared),
            b'h' => fetch(shared),
            b'H' => inject_handle(shared, number),
            b'u' => {
                drop_scope(shared, number);
            }
            b'w' => wrap(shared, number),
            b'W' => instrument_fetched(shared),
            b'V' => {
                let trace = lock(shared).traces[0].clone();
                instrument(shared, &(Handle::of(0), trace));
            }
            b'I' => {
                let handle = exclude(|| {
                    let state = lock(shared);
                    let place = from_last(state.handles.len(), number);
                    place.map(|place| state.handles[place].clone())
                });
                if let Some(handle) = handle {
                    instrument(shared, &handle);
                    exclude(|| drop(handle));
                }
            }
            b'p' => poll(shared, number),
            b'y' => {
                if let Some(future) = { exclude(|| take_future(shared, number)) } {
                    drop_future(shared, future);
                }
            }
            b'g' => {
                if let Some((guards, _)) = &mut body {
                    exclude(|| guards.extend(guard(shared, number)));
                }
            }
            b'm' => {
                if let Some((_, futures)) = &mut body {
                    exclude(|| futures.extend(take_future(shared, number)));
                }
            }
            b'{' if thread() == 0 => {
                let there = exclude(|| Arc::clone(shared));
                on_worker(move || {
                    steps(&there, None, Part::OnWorker);
                });
            }
            b'}' if part == Part::OnWorker => return End::Program,
            b'q' | b'}' if part == Part::Poll => return End::Pending,
            b'r' if part == Part::Poll => return End::Ready,
            b'z' if part == Part::Poll => return End::Panic,
            b'R' => exclude(|| {
                let state = lock(shared);
                checks::report(&state.model, &state.traces, state.limits, false);
            }),
            b'D' => print(shared),
            b'E' => {
                let recording = exclude(|| lock(shared).recording.take());
                drop(recording);
            }
            _ => {}
        }
    }
    End::Program
}

fn open(shared: &Shared, site: usize) {
    let id = exclude(|| lock(shared).model.open(thread(), site));
    let call = match site {
        0 => c0(id),
        1 => c1(id),
        2 => c2(id),
        _ => c3(id),
    };
    exclude(|| lock(shared).guards.push(Guard { id, call }));
}

fn c0(id: Option<CallId>) -> Call {
    call!("{}", id.unwrap_or_default())
}

fn c1(id: Option<CallId>) -> Call {
    call!("{}", id.unwrap_or_default())
}

fn c2(id: Option<CallId>) -> Call {
    call!("{}", id.unwrap_or_default())
}

fn c3(id: Option<CallId>) -> Call {
    call!("{}", id.unwrap_or_default())
}

fn guard(shared: &Shared, number: usize) -> Option<Guard> {
    exclude(|| {
        let guards = &mut lock(shared).guards;
        from_last(guards.len(), number).map(|place| guards.remove(place))
    })
}

fn stop(shared: &Shared, guard: Guard) {
    drop(guard.call);
    exclude(|| {
        if let Some(id) = guard.id {
            lock(shared).model.stop(thread(), id, false);
        }
    });
}

fn with_guard(shared: &Shared, number: usize, work: impl FnOnce(CallId, &Call)) {
    let taken = exclude(|| {
        let guards = &mut lock(shared).guards;
        from_last(guards.len(), number).map(|place| (place, guards.remove(place)))
    });
    let Some((place, guard)) = taken else {
        return;
    };
    if let Some(id) = guard.id {
        work(id, &guard.call);
    }
    exclude(|| lock(shared).guards.insert(place, guard));
}

fn allocate(shared: &Shared, count: usize) {
    for _ in 0..count {
        drop(black_box(Box::new(black_box([0_u8; 16]))));
    }
    exclude(|| lock(shared).model.allocate(thread(), count as u64));
}

fn inject(shared: &Shared, which: usize) {
    let trace = lock(shared).traces[which].clone();
    inject_with(shared, &Handle::of(which), &trace);
}

fn inject_with(shared: &Shared, handle: &Handle, trace: &Trace) {
    let scope = trace.inject();
    exclude(|| {
        let model = &mut lock(shared).model;
        let strand = model.new_strand(thread(), handle);
        model.enter(thread(), strand);
        SCOPES.with_borrow_mut(|scopes| scopes.push((strand, scope)));
    });
}

fn inject_fetched(shared: &Shared) {
    let trace = tracer::fetch();
    let handle = exclude(|| lock(shared).model.fetch(thread()));
    assert_eq!(handle.is_none(), trace.is_empty());
    if let Some(handle) = handle {
        inject_with(shared, &handle, &trace);
        exclude(|| drop(handle));
    }
}

fn fetch(shared: &Shared) {
    let trace = tracer::fetch();
    exclude(|| {
        let mut state = lock(shared);
        if let Some(handle) = state.model.fetch(thread()) {
            assert_eq!(trace.id(), state.traces[handle.trace].id());
            state.handles.push((handle, trace));
        }
    });
}

fn inject_handle(shared: &Shared, number: usize) {
    let handle = exclude(|| {
        let state = lock(shared);
        let place = from_last(state.handles.len(), number);
        place.map(|place| state.handles[place].clone())
    });
    if let Some((handle, trace)) = handle {
        inject_with(shared, &handle, &trace);
        exclude(|| drop((handle, trace)));
    }
}

fn drop_scope(shared: &Shared, number: usize) -> bool {
    let scope = exclude(|| {
        SCOPES.with_borrow_mut(|scopes| {
            from_last(scopes.len(), number).map(|place| scopes.remove(place))
        })
    });
    let Some((strand, scope)) = scope else {
        return false;
    };
    drop(scope);
    exclude(|| lock(shared).model.leave(thread(), strand));
    true
}

fn body(shared: &Arc<Shared>) -> Body {
    exclude(|| Body {
        shared: Arc::clone(shared),
        guards: Vec::new(),
        futures: Vec::new(),
    })
}

fn wrap(shared: &Arc<Shared>, number: usize) {
    let Some(Guard { id, call }) = guard(shared, number) else {
        return;
    };
    let future = call.instrument(body(shared));
    exclude(|| {
        let mut state = lock(shared);
        let innermost = id.and_then(|id| state.model.rest_alone(thread(), id));
        let future = Box::pin(Some(future));
        state.futures.push(Held::of(Around::Call {
            id,
            innermost,
            future,
        }));
    });
}

fn instrument_fetched(shared: &Arc<Shared>) {
    let trace = tracer::fetch();
    let handle = exclude(|| lock(shared).model.fetch(thread()));
    if let Some(handle) = handle {
        let both = (handle, trace);
        instrument(shared, &both);
        exclude(|| drop(both));
    }
}

fn instrument(shared: &Arc<Shared>, (handle, trace): &(Handle, Trace)) {
    let future = trace.instrument(body(shared));
    exclude(|| {
        let mut state = lock(shared);
        let strand = state.model.new_strand(thread(), handle);
        let future = Box::pin(Some(future));
        state
            .futures
            .push(Held::of(Around::Trace { strand, future }));
    });
}

impl Held {
    fn of(around: Around) -> Self {
        Self {
            around,
            is_over: false,
            is_ready: false,
        }
    }
}

fn take_future(shared: &Shared, number: usize) -> Option<Held> {
    let futures = &mut lock(shared).futures;
    from_last(futures.len(), number).map(|place| futures.remove(place))
}

fn poll(shared: &Arc<Shared>, number: usize) {
    let Some(mut future) = exclude(|| take_future(shared, number)) else {
        return;
    };
    if !future.is_over && shared.depth.fetch_add(1, Relaxed) < MOST_DEPTH {
        poll_future(shared, &mut future);
        shared.depth.fetch_sub(1, Relaxed);
    }
    exclude(|| {
        let futures = &mut lock(shared).futures;
        let place = futures.len().saturating_sub(number);
        futures.insert(place, future);
    });
}

fn poll_future(shared: &Shared, held: &mut Held) {
    let mut context = Context::from_waker(Waker::noop());
    let polled = match &mut held.around {
        Around::Call {
            id,
            innermost,
            future,
        } => {
            if let Some(id) = *id {
                exclude(|| lock(shared).model.resume(thread(), id, innermost.take()));
            }
            let future = future.as_mut().as_pin_mut().unwrap();
            let polled = catch_unwind(AssertUnwindSafe(|| future.poll(&mut context)));
            exclude(|| {
                let model = &mut lock(shared).model;
                match (&polled, *id) {
                    (_, None) => {}
                    (Ok(Poll::Pending), Some(id)) => *innermost = model.rest(thread(), id),
                    (Ok(Poll::Ready(())), Some(id)) => model.stop(thread(), id, false),
                    (Err(_), Some(id)) => model.stop(thread(), id, true),
                }
            });
            polled
        }
        Around::Trace { strand, future } => {
            exclude(|| lock(shared).model.enter(thread(), *strand));
            let future = future.as_mut().as_pin_mut().unwrap();
            let polled = catch_unwind(AssertUnwindSafe(|| future.poll(&mut context)));
            exclude(|| lock(shared).model.leave(thread(), *strand));
            polled
        }
    };
    held.is_ready = matches!(polled, Ok(Poll::Ready(())));
    held.is_over = held.is_ready || polled.is_err();
}

fn drop_future(shared: &Arc<Shared>, mut held: Held) {
    match &mut held.around {
        Around::Call {
            id: Some(id),
            innermost,
            future,
        } if !held.is_over => {
            let id = *id;
            let before = exclude(|| {
                let model = &mut lock(shared).model;
                if let Some(innermost) = innermost.take() {
                    model.resume(thread(), id, Some(innermost));
                }
                let strand = model.calls[id].strand;
                let is_here = model.is_here(thread(), id);
                is_here.then(|| (strand, model.cancelling(strand, true)))
            });
            future.set(None);
            exclude(|| {
                let model = &mut lock(shared).model;
                model.cancel(thread(), id);
                if let Some((strand, before)) = before {
                    model.cancelling(strand, before);
                }
            });
        }
        Around::Call { future, .. } => future.set(None),
        Around::Trace { strand, future } => {
            exclude(|| {
                let model = &mut lock(shared).model;
                model.enter(thread(), *strand);
                if !held.is_ready {
                    model.cancelling(*strand, true);
                }
            });
            future.set(None);
            exclude(|| lock(shared).model.leave(thread(), *strand));
        }
    }
    exclude(|| drop(held));
}

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let Self {
            shared,
            guards,
            futures,
        } = &mut *self;
        match steps(shared, Some((guards, futures)), Part::Poll) {
            End::Pending | End::Program => Poll::Pending,
            End::Ready => Poll::Ready(()),
            End::Panic => {
                // The payload of the panic is allocated.
                exclude(|| lock(shared).model.allocate(thread(), 1));
                resume_unwind(Box::new(()));
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        while let Some(guard) = self.guards.pop() {
            stop(&self.shared, guard);
        }
        while let Some(future) = self.futures.pop() {
            drop_future(&self.shared, future);
        }
        exclude(|| {
            self.guards = Vec::new();
            self.futures = Vec::new();
        });
    }
}

struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// Prints the trace. The allocations of printing are not counted.
fn print(shared: &Shared) {
    let trace = lock(shared).traces[0].clone();
    write!(Nowhere, "{trace}{trace:#}").unwrap();
}
