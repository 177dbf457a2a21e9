//! From the sums of folded calls to their reports.

use crate::primitives::clock::from_nanoseconds;
use crate::read::snapshot::PathSnapshot;
use crate::report::duration::nanoseconds;
use crate::report::{FoldedReport, SiteReport};

use super::order::Order;
use super::shares::{FoldedShare, Share, Shares};

/// Reports all paths, depth first; paths within one call or path are sorted by name, file and line. `sites` returns the
/// sites of the path at a place in the order.
pub(super) fn folded(
    paths: &[PathSnapshot],
    order: &Order,
    shares: &Shares,
    mut sites: impl FnMut(usize) -> Option<Vec<SiteReport>>,
    is_counted: bool,
) -> Vec<FoldedReport> {
    let calls = order.len();
    if shares.folded.is_empty() {
        return Vec::new();
    }
    let of_paths = &shares.folded[calls..];
    // A path that has a call inside had one itself, even if that was read before.
    let mut is_there: Vec<bool> = of_paths.iter().map(|share| share.calls > 0).collect();
    let around: Vec<Option<usize>> = paths.iter().map(|path| order.find(path.around)).collect();
    for path in (0..paths.len()).rev() {
        let around = around[path].and_then(|around| around.checked_sub(calls));
        if let (true, Some(around)) = (is_there[path], around) {
            is_there[around] = true;
        }
    }
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); paths.len()];
    let mut outermost = Vec::new();
    for path in (0..paths.len()).filter(|path| is_there[*path]) {
        match around[path].and_then(|around| around.checked_sub(calls)) {
            Some(around) => inside[around].push(path),
            None => outermost.push(path),
        }
    }
    let key = |path: &usize| {
        let callsite = paths[*path].callsite;
        let place = (callsite.file(), callsite.line(), callsite.module());
        std::cmp::Reverse((around[*path], callsite.name(), place))
    };
    let mut next: Vec<(usize, Option<usize>, Option<usize>)> = Vec::new();
    outermost.sort_by_key(key);
    next.extend(outermost.into_iter().map(|path| (path, around[path], None)));
    let mut reports = Vec::new();
    while let Some((path, parent, within)) = next.pop() {
        let share = (&shares.by_place[calls + path], &of_paths[path]);
        let here = reports.len();
        inside[path].sort_by_key(key);
        next.extend(
            inside[path]
                .iter()
                .map(|inner| (*inner, parent, Some(here))),
        );
        reports.push(FoldedReport {
            sites: sites(calls + path),
            ..folded_report(&paths[path], share, parent, within, is_counted)
        });
    }
    reports
}

fn folded_report(
    path: &PathSnapshot,
    (share, folded): (&Share, &FoldedShare),
    parent: Option<usize>,
    within: Option<usize>,
    is_counted: bool,
) -> FoldedReport {
    let callsite = path.callsite;
    let wall = folded.wall;
    // Of a call that was stopped on another thread, both were read at moments of their own.
    let busy = folded.busy.min(wall);
    FoldedReport {
        name: callsite.name().into(),
        module: callsite.module().into(),
        file: callsite.file().into(),
        line: callsite.line(),
        parent,
        within,
        calls: folded.calls,
        running: folded.running,
        failures: folded.failures,
        cancelled: folded.cancelled,
        wall,
        self_wall: wall.saturating_sub(folded.covered),
        busy,
        self_busy: from_nanoseconds(nanoseconds(busy).saturating_sub(share.busy_inside_ns)),
        total: is_counted.then_some(share.total),
        self_counts: is_counted.then(|| share.total.saturating_sub(share.inside)),
        moved: folded.is_moved,
        partial: share.is_partial || folded.running > 0,
        // Put in by the caller.
        sites: None,
    }
}
