//! Checks of reports against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracer::alloc::Counts;
use tracer::hotspots::Hotspots;
use tracer::recorder::Recorder;
use tracer::report::json;
use tracer::{CallReport, Limits, Outcome, Report, Trace};

use crate::model::{CallId, End, Model, State};

const SITES: [&str; 4] = ["c0", "c1", "c2", "c3"];

/// How long keeping a report may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks the present reports of both traces.
pub fn report(model: &Model, traces: &[Trace; 2], limits: Limits, is_over: bool) {
    for (which, trace) in traces.iter().enumerate() {
        let report = trace.report();
        let limits = if which == 0 {
            limits
        } else {
            Limits::default()
        };
        sums(&report, limits);
        reads_back(&report);
        let text = format!("{report}{report:#}");
        assert!(!text.contains("\0"));
        as_modelled(model, which, &report);
        if is_over {
            paths(model, which, &report);
        }
    }
}

fn at_most(one: Counts, other: Counts) -> bool {
    let pairs = one.to_array().into_iter().zip(other.to_array());
    pairs.into_iter().all(|(one, other)| one <= other)
}

/// Checks what holds in every report, after any program.
fn sums(report: &Report, limits: Limits) {
    assert!(
        report.calls.len() <= limits.calls,
        "more calls than the limit"
    );
    let strands: BTreeSet<_> = report.calls.iter().map(|call| call.strand).collect();
    assert!(
        strands.len() <= limits.strands,
        "more strands than the limit"
    );
    if limits == Limits::default() {
        assert_eq!(report.dropped, 0);
    }
    for (place, call) in report.calls.iter().enumerate() {
        let (total, own) = (call.total.unwrap(), call.self_counts.unwrap());
        assert!(
            at_most(own, total),
            "self over total in {:?}: {report:#}",
            call.id
        );
        assert!(
            call.self_busy <= call.busy && call.busy <= call.wall,
            "{call:?}"
        );
        if call.outcome != Outcome::Running {
            assert!(call.start + call.wall <= report.elapsed, "{call:?}");
        }
        let Some(parent) = call.parent else {
            continue;
        };
        assert!(parent < place, "a call before its parent");
        let parent = &report.calls[parent];
        assert!(parent.start <= call.start, "{call:?} in {parent:?}");
        // A call that continued elsewhere may have more than the call in which it was opened.
        let is_marked = call.partial || parent.partial || call.moved;
        assert!(
            is_marked || at_most(total, parent.total.unwrap()),
            "{:?} has more than {:?} around it, and neither is marked: {report:#}",
            call.id,
            parent.id
        );
        checkpoints(call);
    }
    for folded in &report.folded {
        assert!(folded.calls > 0, "an entry without calls: {folded:?}");
        assert!(folded.failures <= folded.calls);
        assert!(folded.busy <= folded.wall, "busy over wall: {folded:?}");
        assert!(
            at_most(folded.self_counts.unwrap(), folded.total.unwrap()),
            "self over total: {folded:?}"
        );
    }
}

fn checkpoints(call: &CallReport) {
    let mut before = Duration::ZERO;
    for checkpoint in &call.checkpoints {
        assert!(checkpoint.at >= before && checkpoint.at <= call.wall || call.partial);
        before = checkpoint.at;
    }
}

fn reads_back(report: &Report) {
    let mut line = Vec::new();
    json::write_line(report, &mut line).unwrap();
    let mut lines = json::Lines::new(&line[..]);
    assert_eq!(lines.next().unwrap().as_ref().ok(), Some(report));
    assert!(lines.next().is_none());
}

fn as_modelled(model: &Model, which: usize, report: &Report) {
    let total = report.total.unwrap();
    assert_eq!(
        (total.allocations, total.reallocations),
        (model.totals[which], 0),
        "what the trace did: {report:#}"
    );
    let ids: Vec<CallId> = { report.calls.iter() }
        .map(|call| call.id.as_deref().unwrap().parse().unwrap())
        .collect();
    let places: BTreeMap<_, _> = ids
        .iter()
        .zip(0..)
        .map(|(id, place)| (*id, place))
        .collect();
    assert_eq!(ids.len(), places.len(), "a call is there twice");
    for (id, call) in ids.into_iter().zip(&report.calls) {
        let expected = &model.calls[id];
        assert_eq!(model.trace_of(id), which);
        assert_eq!(call.name, SITES[expected.site]);
        let is_running = call.outcome == Outcome::Running;
        assert_eq!(
            is_running,
            expected.state != State::Stopped,
            "{id}: {report:#}"
        );
        if model.is_vague(id) {
            continue;
        }
        let around = std::iter::successors(expected.parent, |around| model.calls[*around].parent);
        let parent = { around }.find_map(|around| places.get(&around).copied());
        assert_eq!(call.parent, parent, "parent of {id}: {report:#}");
        if let (Some(end), false) = (expected.end, is_running) {
            assert_eq!(ended(&call.outcome), Some(end), "end of {id}: {report:#}");
        }
        if call.partial {
            assert!(
                expected.may_be_partial || model.has_limits,
                "{id} is marked: {report:#}"
            );
            continue;
        }
        if expected.is_own_known {
            let own = call.self_counts.unwrap();
            assert_eq!(own.allocations, expected.own, "self of {id}: {report:#}");
        }
        if expected.is_total_known {
            let total = call.total.unwrap().allocations;
            let (least, most) = expected.total;
            assert!(
                (least..=most).contains(&total),
                "total of {id} is {total}, expected {least} to {most}: {report:#}"
            );
        }
    }
}

fn ended(outcome: &Outcome) -> Option<End> {
    match outcome {
        Outcome::Ok => Some(End::Ok),
        Outcome::Failed(_) => Some(End::Failed),
        Outcome::Panicked => Some(End::Panicked),
        Outcome::Cancelled => Some(End::Cancelled),
        Outcome::Running => None,
    }
}

/// The figures of one path.
#[derive(Debug, Default, PartialEq, Eq)]
struct OnPath {
    calls: u64,
    /// `None` if it is not known.
    own: Option<u64>,
}

/// Checks all calls, recorded or folded, by the chain of functions that leads to them.
fn paths(model: &Model, which: usize, report: &Report) {
    if model.strands.iter().any(|strand| strand.is_vague) {
        return;
    }
    let mut hotspots = Hotspots::new();
    hotspots.add(report);
    let found = hotspots.paths();
    let mut names: Vec<Vec<&str>> = Vec::new();
    let mut told: BTreeMap<Vec<&str>, OnPath> = BTreeMap::new();
    let mut times: Vec<Duration> = vec![Duration::ZERO; found.len()];
    for (place, path) in found.iter().enumerate() {
        let mut name = path
            .parent
            .map_or_else(Vec::new, |parent| names[parent].clone());
        name.push(path.frame.name);
        names.push(name.clone());
        if let Some(parent) = path.parent {
            times[parent] += path.totals.wall;
        }
        let on_path = told.entry(name).or_default();
        on_path.calls += path.totals.calls;
        let own = path.totals.self_counts.unwrap().allocations;
        on_path.own = Some(on_path.own.unwrap_or(0) + own);
        assert!(path.totals.self_busy <= path.totals.busy || is_recursive(&names[place]));
    }
    let mut expected: BTreeMap<Vec<&str>, OnPath> = BTreeMap::new();
    let mut unknown: BTreeSet<Vec<&str>> = BTreeSet::new();
    let mut is_orderly = true;
    for (id, call) in model.calls.iter().enumerate() {
        is_orderly &= !call.may_be_partial && call.is_own_known;
        if model.trace_of(id) != which {
            continue;
        }
        let is_recorded = report.calls.iter().any(|it| it.id == Some(id.to_string()));
        if call.state != State::Stopped && !is_recorded {
            // It is folded when it stops; until then it is in the figures of the call around.
            return;
        }
        let path: Vec<_> = model.path(id).into_iter().map(|site| SITES[site]).collect();
        if !call.is_own_known {
            unknown.insert(path.clone());
        }
        let on_path = expected.entry(path).or_default();
        on_path.calls += 1;
        on_path.own = Some(on_path.own.unwrap_or(0) + call.own);
    }
    for path in unknown {
        for paths in [&mut told, &mut expected] {
            paths.entry(path.clone()).or_default().own = None;
        }
    }
    assert_eq!(told, expected, "by path: {report:#}");
    if model.calls.iter().all(|call| call.is_own_known) {
        let outside = hotspots.outside_calls().unwrap().allocations;
        assert_eq!(outside, model.outside[which], "in no call: {report:#}");
    }
    // Without futures, a strand does one thing at a time, so the time of a function is its self time and
    // the times of the functions inside.
    if is_orderly && !model.has_futures && model.strands.len() == 1 {
        for (place, path) in found.iter().enumerate() {
            let within = names.iter().filter(|name| name.starts_with(&names[place]));
            if within.into_iter().any(|name| is_recursive(name)) {
                continue;
            }
            let (own, inside, whole) = (path.totals.self_wall, times[place], path.totals.wall);
            // Allowed for rounding.
            let slack = Duration::from_nanos(2 * model.calls.len() as u64);
            assert!(
                own + inside <= whole + slack && own + inside + slack >= whole,
                "time of {:?}: {own:?} and inside {inside:?} are not {whole:?}: {report:#}",
                names[place]
            );
        }
    }
}

fn is_recursive(path: &[&str]) -> bool {
    let different: BTreeSet<_> = path.iter().collect();
    different.len() < path.len()
}

/// Checks a recorder after all requests have ended. `trace` is that of the last request, if it ended
/// after all of its calls.
pub fn recorded(recorder: &Recorder, begun: u64, trace: Option<&Trace>) {
    let now = recorder.statistics();
    assert_eq!(
        (
            now.in_flight,
            now.ended,
            now.kept + now.not_kept + now.dropped
        ),
        (0, begun, begun),
        "{now:#?}"
    );
    assert!(recorder.flush(PATIENCE));
    let Some(trace) = trace else {
        return;
    };
    let kept = recorder.get(trace.id()).expect("what was kept");
    let mut report = trace.report();
    let request = kept.request.as_deref().unwrap();
    let mut without = Report::clone(&kept);
    without.request = None;
    // A call that is still running may end in any way.
    if without.outcome() != &Outcome::Running {
        assert_eq!(
            ended(&request.outcome),
            ended(without.outcome()),
            "the request's end: {kept:#}"
        );
    }
    // The reports are equal but for the recorder's additions and the moments at which they were taken.
    let mut kept = Report::clone(&kept);
    kept.request = None;
    for call in &mut kept.calls {
        call.compared = None;
    }
    kept.started = report.started;
    let is_running = report
        .calls
        .iter()
        .any(|call| call.outcome == Outcome::Running)
        || report.folded.iter().any(|path| path.running > 0);
    if is_running || report.calls.is_empty() {
        report.elapsed = kept.elapsed;
    }
    for (one, other) in report.calls.iter_mut().zip(&kept.calls) {
        if one.outcome == Outcome::Running {
            (one.wall, one.self_wall) = (other.wall, other.self_wall);
        }
    }
    for (one, other) in report.folded.iter_mut().zip(&kept.folded) {
        if one.running > 0 {
            (one.wall, one.self_wall) = (other.wall, other.self_wall);
        }
    }
    assert_eq!(kept, report);
}
