//! A kept report beside what is usual.

use std::collections::HashMap;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::{Compared, Percentiles, Report};

use super::baseline::{Calls, Requests};
use super::route::Route;
use super::shared::Shared;
use super::sketch::Sketch;

/// What fewer requests did is not usual.
const ENOUGH: u64 = 20;

/// Notes on the first call of each path what is usual on it; answers the same of whole requests.
pub(super) fn compare(
    shared: &Shared,
    route: &Route,
    report: &mut Report,
    wall: Duration,
) -> Option<Compared> {
    let (paths, numbers) = OnPath::of(report);
    let mut requests = Requests::default();
    let mut usual: Vec<Calls> = vec![Calls::default(); paths.len()];
    for place in shared.stripes.places() {
        let mut stripe = shared.stripes.lock(place);
        let Some((figures, _)) = stripe.get(route) else {
            continue;
        };
        for window in figures.baseline.requests() {
            requests.merge(window);
        }
        // The place, in the report, of each path that the baseline has.
        let mut places: Vec<Option<usize>> = Vec::new();
        for (callsite, parent, windows) in figures.baseline.paths() {
            let found = callsite.and_then(|callsite| {
                let parent = match parent {
                    None => None,
                    // Where the way there is not in the report, nor is this.
                    Some(parent) => Some(places[parent]?),
                };
                let place = (
                    callsite.name(),
                    callsite.module(),
                    callsite.file(),
                    callsite.line(),
                );
                numbers.get(&(parent, place)).copied()
            });
            if let Some(found) = found {
                for window in windows {
                    usual[found].merge(window);
                }
            }
            places.push(found);
        }
    }
    drop(numbers);
    if requests.count < ENOUGH {
        return None;
    }
    for (path, usual) in paths.iter().zip(&usual) {
        let figures = (path.calls, path.wall, path.allocates);
        let spreads = (&usual.per_request, &usual.wall, &usual.allocates);
        let compared = beside(figures, requests.count, spreads);
        report.calls[path.first].compared = compared.map(Box::new);
    }
    let mut once = Sketch::default();
    once.record(1, &mut usize::MAX.clone());
    let allocates = report.total.map(|total| total.allocates());
    let whole = (&once, &requests.wall, &requests.allocates);
    let mut compared = beside((1, wall, allocates), requests.count, whole)?;
    compared.requests = requests.count;
    Some(compared)
}

fn beside(
    (calls, wall, allocates): (u64, Duration, Option<u64>),
    of: u64,
    (usual_calls, usual_wall, usual_allocates): (&Sketch, &Sketch, &Sketch),
) -> Option<Compared> {
    Some(Compared {
        calls,
        wall,
        allocates,
        of,
        requests: usual_calls.count(),
        usual_calls: usual_calls.percentiles()?,
        usual_wall: usual_wall.percentiles()?.map(Duration::from_nanos),
        usual_allocates: match allocates {
            Some(_) => usual_allocates.percentiles(),
            None => None::<Percentiles<u64>>,
        },
    })
}

/// What the calls of one path did in a report, and the first of them.
#[derive(Clone, Debug)]
struct OnPath {
    /// The index of its first call.
    first: usize,
    calls: u64,
    wall: Duration,
    allocates: Option<u64>,
}

/// The number of the path that leads there, if any, and a function's name, module, file and line.
type Key<'a> = (Option<usize>, (&'a str, &'a str, &'a str, u32));

impl OnPath {
    /// The paths of a report, in the order of their first calls, and the number of each.
    fn of(report: &Report) -> (Vec<Self>, HashMap<Key<'_>, usize>) {
        let mut paths: Vec<Self> = Vec::new();
        let mut numbers: HashMap<_, usize> = HashMap::new();
        let mut path_of: Vec<usize> = Vec::with_capacity(report.calls.len());
        for (index, call) in report.calls.iter().enumerate() {
            let parent = call.parent.and_then(|parent| path_of.get(parent).copied());
            let place = (&*call.name, &*call.module, &*call.file, call.line);
            let path = *numbers.entry((parent, place)).or_insert_with(|| {
                paths.push(Self {
                    first: index,
                    calls: 0,
                    wall: Duration::ZERO,
                    allocates: call.total.map(|_| 0),
                });
                paths.len() - 1
            });
            path_of.push(path);
            let path = &mut paths[path];
            path.calls += 1;
            path.wall = path.wall.saturating_add(call.wall);
            let more = call.total.as_ref().map(Counts::allocates);
            path.allocates = path.allocates.zip(more).map(|(sum, more)| sum + more);
        }
        (paths, numbers)
    }
}
