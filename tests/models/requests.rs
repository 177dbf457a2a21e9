//! Random programs under a recorder: its decisions, comparisons and sums agree with the report of the
//! same request.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tracer::alloc::Counts;
use tracer::hotspots::Hotspots;
use tracer::recorder::{Policy, Recorder};
use tracer::{Call, Limits, Outcome, Report, Scope, Trace, call};

use crate::common::allocate;
use crate::pause::pause;

const PATIENCE: Duration = Duration::from_secs(60);

/// One step of a request. An index counts from the newest, and a step without a target does nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Opens a call of one of four functions.
    Open(u8),
    Stop(usize),
    Fail(usize),
    Allocate(u64),
    /// Moves a call into a future that opens a call in each of its polls. It is polled within the
    /// call that is open at that time.
    Move(usize, u32),
    Poll(usize),
    DropFuture(usize),
    /// Opens a strand on this thread, below the open call.
    Inject,
    Leave(usize),
    /// Opens a strand on another thread, with a call that may fail.
    Spawn(u8, bool),
    /// Stops a call on another thread.
    StopElsewhere(usize),
    /// Opens a scope of another trace. Scopes may be left out of order.
    InjectOther,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..4_u8).prop_map(Step::Open),
        4 => (0..4_usize).prop_map(Step::Stop),
        1 => (0..4_usize).prop_map(Step::Fail),
        3 => (1..5_u64).prop_map(Step::Allocate),
        2 => (0..4_usize, 0..3_u32).prop_map(|(which, polls)| Step::Move(which, polls)),
        4 => (0..3_usize).prop_map(Step::Poll),
        1 => (0..3_usize).prop_map(Step::DropFuture),
        1 => Just(Step::Inject),
        1 => (0..3_usize).prop_map(Step::Leave),
        1 => (0..4_u8, any::<bool>()).prop_map(|(site, fails)| Step::Spawn(site, fails)),
        1 => (0..4_usize).prop_map(Step::StopElsewhere),
        1 => Just(Step::InjectOther),
    ]
}

#[derive(Clone, Debug)]
struct Program {
    limits: Limits,
    steps: Vec<Step>,
}

fn program() -> impl Strategy<Value = Program> {
    let limits = prop_oneof![
        3 => Just(Limits::default()),
        1 => Just(Limits::default().calls(2)),
        1 => Just(Limits::default().calls(0)),
        1 => Just(Limits::default().strands(1)),
    ];
    let steps = prop::collection::vec(step(), 1..30);
    (limits, steps).prop_map(|(limits, steps)| Program { limits, steps })
}

fn one() -> Call {
    call!()
}

fn two() -> Call {
    call!()
}

fn three() -> Call {
    call!()
}

fn four() -> Call {
    call!()
}

fn open(site: u8) -> Call {
    [one, two, three, four][usize::from(site)]()
}

fn fail(call: &Call) {
    call.fail("no database");
}

async fn polled(times: u32) {
    for _ in 0..times {
        let call = one();
        allocate(1);
        pause(1).await;
        call.stop();
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct Run {
    calls: Vec<Call>,
    futures: Vec<Boxed>,
    scopes: Vec<Scope>,
}

fn remove<T>(all: &mut Vec<T>, which: usize) -> Option<T> {
    // Counted from the end, so the last is the most likely.
    let place = all.len().checked_sub(1 + which)?;
    Some(all.remove(place))
}

impl Run {
    fn take(&mut self, step: Step, other: &Trace) {
        match step {
            Step::Open(site) => self.calls.push(open(site)),
            Step::Stop(which) => drop(remove(&mut self.calls, which)),
            Step::Fail(which) => self
                .calls
                .iter()
                .rev()
                .nth(which)
                .into_iter()
                .for_each(fail),
            Step::Allocate(count) => allocate(count),
            Step::Move(which, polls) => {
                let call = remove(&mut self.calls, which);
                let future = call.map(|call| call.instrument(polled(polls)));
                self.futures.extend(future.map(|it| Box::pin(it) as Boxed));
            }
            Step::Poll(which) => {
                let Some(mut future) = remove(&mut self.futures, which) else {
                    return;
                };
                let mut context = Context::from_waker(Waker::noop());
                if future.as_mut().poll(&mut context).is_pending() {
                    self.futures.push(future);
                }
            }
            Step::DropFuture(which) => drop(remove(&mut self.futures, which)),
            Step::Inject => self.scopes.push(tracer::fetch().inject()),
            Step::Leave(which) => drop(remove(&mut self.scopes, which)),
            Step::Spawn(site, fails) => {
                let here = tracer::fetch();
                on_thread(move || {
                    let _scope = here.inject();
                    let call = open(site);
                    allocate(1);
                    if fails {
                        fail(&call);
                    }
                });
            }
            Step::StopElsewhere(which) => {
                let call = remove(&mut self.calls, which);
                on_thread(move || drop(call));
            }
            Step::InjectOther => self.scopes.push(other.inject()),
        }
    }
}

fn on_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|threads| {
        threads.spawn(work);
    });
}

/// The figures of a request that the policy sees.
#[derive(Clone, Debug)]
struct Seen {
    outcome: Outcome,
    total: Option<Counts>,
    peak_bytes: Option<u64>,
    calls: u64,
}

/// Runs a program `times` times as a request. Returns what the policy saw of each request, in order of
/// their ends, and the kept reports.
fn recorded(program: &Program, times: usize) -> (Recorder, Vec<Seen>, Vec<Arc<Report>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let by_policy = Arc::clone(&seen);
    let policy = Policy::none().when("all", move |ended| {
        by_policy.lock().unwrap().push(Seen {
            outcome: ended.outcome.clone(),
            total: ended.total,
            peak_bytes: ended.peak_bytes,
            calls: ended.calls,
        });
        true
    });
    let recorder = Recorder::builder()
        .policy(policy)
        .trace(10, program.limits)
        .start()
        .unwrap();
    for _ in 0..times {
        let other = Trace::new();
        let recording = recorder.begin("request");
        let scope = recording.inject();
        let mut run = Run::default();
        for step in &program.steps {
            run.take(*step, &other);
        }
        while run.futures.pop().is_some() {}
        while run.calls.pop().is_some() {}
        while run.scopes.pop().is_some() {}
        drop(scope);
        recording.finish();
    }
    assert!(recorder.flush(PATIENCE));
    let mut kept = recorder.kept();
    kept.reverse();
    let seen = seen.lock().unwrap().clone();
    assert_eq!((seen.len(), kept.len()), (times, times));
    (recorder, seen, kept)
}

fn hotspots(report: &Report) -> Hotspots {
    let mut hotspots = Hotspots::new();
    hotspots.add(report);
    hotspots
}

/// Returns `figure` of each path, by the names of its functions from the outermost inwards.
fn by_path<T>(
    hotspots: &Hotspots,
    figure: impl Fn(&tracer::hotspots::Totals) -> T,
) -> BTreeMap<String, T> {
    let paths = hotspots.paths();
    let mut names: Vec<String> = Vec::new();
    for path in &paths {
        let around = path.parent.map_or("", |parent| &*names[parent]);
        names.push(format!("{around}/{}:{}", path.frame.name, path.frame.line));
    }
    let figures = paths.iter().map(|path| figure(path.totals));
    let by_path: BTreeMap<_, _> = names.into_iter().zip(figures).collect();
    assert_eq!(by_path.len(), paths.len(), "a path is there twice");
    by_path
}

/// Returns the outcome without its message.
fn kind(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(_) => Outcome::Failed(String::new()),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A request's outcome is that of its outermost calls in the report.
    #[test]
    fn the_decision_agrees_with_the_report(program in program()) {
        let (_, seen, kept) = recorded(&program, 1);
        let (seen, report) = (&seen[0], &kept[0]);
        let request = report.request.as_ref().unwrap();
        prop_assert_eq!(kind(&seen.outcome), kind(&request.outcome), "{:#}", report);
        let mut without = (**report).clone();
        without.request = None;
        prop_assert_eq!(kind(&seen.outcome), kind(without.outcome()), "{:#}", report);
        prop_assert_eq!(seen.total, report.total, "{:#}", report);
        let folded: u64 = report.folded.iter().map(|it| it.calls).sum();
        prop_assert_eq!(seen.calls, report.calls.len() as u64 + folded, "{:#}", report);
        // Peaks of folded calls are not known.
        let highest = report.calls.iter().filter_map(|call| call.peak_bytes).max();
        prop_assert_eq!(seen.peak_bytes, Some(highest.unwrap_or(0)), "{:#}", report);
    }

    /// The hotspots of recent requests are the sums of their reports.
    #[test]
    fn hotspots_have_the_paths_of_the_reports(program in program()) {
        let (recorder, _, kept) = recorded(&program, 1);
        let report = &kept[0];
        let [ours, theirs] = [recorder.hotspots(None), hotspots(report)];
        let [calls_ours, calls_theirs] = [&ours, &theirs].map(|it| {
            by_path(it, |totals| (totals.calls, totals.failures))
        });
        prop_assert_eq!(calls_ours, calls_theirs, "{:#}", report);
        let [counts_ours, counts_theirs] = [&ours, &theirs].map(|it| {
            by_path(it, |totals| totals.total)
        });
        prop_assert_eq!(counts_ours, counts_theirs, "{:#}", report);
        prop_assert_eq!(ours.counts(), theirs.counts());
        // The recorder has only sums by path, so it doesn't know what a call did within another.
        let is_known = |call: &tracer::CallReport| !call.moved && !call.partial;
        if report.calls.iter().all(is_known) && report.folded.iter().all(|it| !it.partial && !it.moved) {
            let [own_ours, own_theirs] = [&ours, &theirs].map(|it| by_path(it, |it| it.self_counts));
            prop_assert_eq!(own_ours, own_theirs, "{:#}", report);
            prop_assert_eq!(ours.outside_calls(), theirs.outside_calls(), "{:#}", report);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// If all requests are equal, each path is in all of them, with its usual number of calls.
    #[test]
    fn a_request_like_all_others_is_usual(program in program()) {
        let (_, _, kept) = recorded(&program, 25);
        let report = kept.last().unwrap();
        let mut paths: BTreeMap<String, u64> = BTreeMap::new();
        let mut names: Vec<String> = Vec::new();
        for call in &report.calls {
            let around = call.parent.map_or("", |parent| &*names[parent]);
            names.push(format!("{around}/{}:{}", call.name, call.line));
        }
        for (call, name) in report.calls.iter().zip(&names) {
            let is_first = !paths.contains_key(name);
            *paths.entry(name.clone()).or_default() += 1;
            prop_assert_eq!(call.compared.is_some(), is_first, "{}: {:#}", name, report);
            if let Some(compared) = &call.compared {
                prop_assert_eq!(compared.requests, compared.of, "{}: {:#}", name, report);
                prop_assert_eq!(compared.calls, compared.usual_calls.p50, "{}: {:#}", name, report);
                prop_assert_eq!(compared.calls, compared.usual_calls.max, "{}: {:#}", name, report);
            }
        }
    }
}
