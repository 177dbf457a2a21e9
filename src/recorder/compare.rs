//! The comparison of a kept report with its baseline.

use std::collections::HashMap;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::{Compared, Percentiles, Report};

use super::baseline::ENOUGH;
use super::shared::Shared;
use super::window::{CallsInWindow, RequestsInWindow};

/// Adds the baseline of each path to its first call. Returns the baseline of whole requests.
pub(super) fn compare(
    shared: &Shared,
    route: usize,
    report: &mut Report,
    wall: Duration,
) -> Option<Compared> {
    let (paths, numbers) = OnPath::of(report);
    let window = shared.window_now();
    let mut requests = RequestsInWindow::default();
    let mut is_whole = true;
    let mut usual: Vec<_> = { paths.iter() }.map(|_| CallsInWindow::default()).collect();
    shared.stripes.read_route(route, window, |baseline| {
        is_whole &= baseline.is_whole();
        for window in baseline.requests() {
            requests.merge(window);
        }
        // The place, in the report, of each path that the baseline has.
        let mut places: Vec<Option<usize>> = Vec::new();
        for (callsite, parent, windows) in baseline.paths() {
            let found = callsite.and_then(|callsite| {
                let parent = match parent {
                    None => None,
                    // Without the path that leads there, the report does not have this one either.
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
    });
    drop(numbers);
    if requests.count < ENOUGH {
        return None;
    }
    for (path, mut usual) in paths.iter().zip(usual) {
        // Two callsites on one line are one path here, and two in the baseline.
        let came_along = usual.requests.min(requests.count);
        if is_whole {
            usual.add_without(requests.count - came_along);
        } else if came_along < requests.count {
            // The others may have had no such call, or there may have been no memory for it.
            continue;
        }
        let spreads = usual.per_request.percentiles().zip(usual.wall());
        let compared = spreads.map(|(usual_calls, usual_wall)| Compared {
            calls: path.calls,
            wall: path.wall,
            allocates: path.allocates,
            net_bytes: path.net_bytes,
            of: requests.count,
            requests: came_along,
            usual_calls,
            usual_wall,
            usual_allocates: { path.allocates }.and_then(|_| usual.allocates.percentiles()),
            usual_net_bytes: { path.net_bytes }.and_then(|_| usual.kept_bytes()),
        });
        report.calls[path.first].compared = compared.map(Box::new);
    }
    let allocates = report.total.map(|total| total.allocates());
    let net_bytes = report.total.map(|total| total.net_bytes());
    Some(Compared {
        calls: 1,
        wall,
        allocates,
        net_bytes,
        of: requests.count,
        requests: requests.count,
        usual_calls: ONCE,
        usual_wall: requests.wall.durations()?,
        usual_allocates: allocates.and_then(|_| requests.allocates.percentiles()),
        usual_net_bytes: net_bytes.and_then(|_| requests.net_bytes.percentiles()),
    })
}

/// The calls of a whole request, which is there once.
const ONCE: Percentiles<u64> = Percentiles {
    p50: 1,
    p95: 1,
    p99: 1,
    max: 1,
};

/// The sums of one path's calls in a report, and the first of them.
#[derive(Clone, Debug)]
struct OnPath {
    /// The index of its first call.
    first: usize,
    calls: u64,
    wall: Duration,
    allocates: Option<u64>,
    net_bytes: Option<i64>,
}

/// The number of the path that leads there, if any, and the function's name, module, file and line.
type PathKey<'a> = (Option<usize>, (&'a str, &'a str, &'a str, u32));

impl OnPath {
    fn add(&mut self, calls: u64, wall: Duration, total: Option<Counts>) {
        self.calls += calls;
        self.wall = self.wall.saturating_add(wall);
        let sums = self.allocates.zip(total);
        self.allocates = sums.map(|(sum, total)| sum + total.allocates());
        let sums = self.net_bytes.zip(total);
        self.net_bytes = sums.map(|(sum, total)| sum.saturating_add(total.net_bytes()));
    }

    /// Returns the paths of a report, in the order of their first calls, and the number of each.
    fn of(report: &Report) -> (Vec<Self>, HashMap<PathKey<'_>, usize>) {
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
                    net_bytes: call.total.map(|_| 0),
                });
                paths.len() - 1
            });
            path_of.push(path);
            paths[path].add(1, call.wall, call.total);
        }
        // Only those on paths that have calls, which show the comparison.
        let mut path_of_folded: Vec<Option<usize>> = Vec::with_capacity(report.folded.len());
        for folded in &report.folded {
            let around = match (folded.within, folded.parent) {
                (Some(within), _) => path_of_folded.get(within).copied().flatten().map(Some),
                (None, Some(parent)) => path_of.get(parent).copied().map(Some),
                (None, None) => Some(None),
            };
            let place = (&*folded.name, &*folded.module, &*folded.file, folded.line);
            let path = around.and_then(|around| numbers.get(&(around, place)).copied());
            path_of_folded.push(path);
            if let Some(path) = path {
                paths[path].add(folded.calls, folded.wall, folded.total);
            }
        }
        (paths, numbers)
    }
}
