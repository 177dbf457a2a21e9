//! From a snapshot to a report: the strands' calls in one order, their parents, and what each used
//! with and without the calls inside.

use std::borrow::Cow;
use std::time::Duration;

use alloc_counter::Counts;

use crate::read::address_map::AddressMap;
use crate::read::moves::around_at;
use crate::read::snapshot::{
    CallId, CallSnapshot, FoldedInside, PathSnapshot, Snapshot, StrandSnapshot, SumSnapshot,
};
use crate::store::state::OutcomeKind;
use crate::store::threads::Tag;

use super::self_time::self_walls;
use super::{CallReport, CheckpointReport, FoldedReport, Outcome, Report, Thread};

pub(super) fn report(snapshot: Snapshot) -> Report {
    let is_counted = alloc_counter::is_installed();
    let order = Order::of(&snapshot.strands, &snapshot.paths);
    let shares = Shares::of(&snapshot, &order);
    let total: Counts = snapshot.strands.iter().map(|strand| strand.counts).sum();
    let folded = folded(&snapshot.paths, &order, &shares, is_counted);
    let mut names = Names::default();
    let mut calls = Vec::with_capacity(order.len());
    for (strand, snapshot) in snapshot.strands.into_iter().enumerate() {
        for (index, call) in snapshot.calls.into_iter().enumerate() {
            let place = order.place(strand, index);
            // It is there before, but where the trace had no room to note in which it was opened.
            let parent = order.parent(&call, snapshot.parent);
            let parent = parent.filter(|parent| *parent < place);
            let thread = names.thread(call.thread);
            calls.push(call_report(
                call,
                parent,
                snapshot.ordinal,
                thread,
                &shares.by_place[place],
                is_counted,
            ));
        }
    }
    let mut calls = order.arrange(calls);
    let walls = self_walls(&calls);
    for ((call, wall), share) in calls.iter_mut().zip(walls).zip(&shares.by_place) {
        call.self_wall = wall.saturating_sub(share.covered);
    }
    mark_overlaps(&mut calls, &shares);
    let is_running = calls.iter().any(|call| call.outcome == Outcome::Running)
        || folded.iter().any(|path| path.running > 0);
    let stops = calls.iter().map(|call| call.start + call.wall);
    let last_stop = stops.chain(shares.last_stop(order.len())).max();
    Report {
        request: None,
        trace: snapshot.id,
        started: snapshot.started,
        elapsed: match last_stop {
            Some(stop) if !is_running => stop,
            _ => snapshot.age,
        },
        grown: snapshot.grown,
        dropped: snapshot.dropped,
        memory_bytes: snapshot.footprint.record_bytes(),
        total: is_counted.then_some(total),
        calls,
        folded,
    }
}

/// A call that may have been open beside folded ones, as one of them was put aside or it ran on another
/// strand: the time of both is taken off the call around, and nobody knows how much of that was one time.
fn mark_overlaps(calls: &mut [CallReport], shares: &Shares) {
    for place in 0..calls.len() {
        let call = &calls[place];
        let Some(around) = call.parent else { continue };
        let (start, stop) = (call.start, call.start + call.wall);
        let Some(folded) = &shares.by_place[around].folded else {
            continue;
        };
        let may_be_beside =
            folded.was_suspended || call.busy < call.wall || call.strand != calls[around].strand;
        if may_be_beside && folded.first_start < stop && start < folded.last_stop {
            calls[around].partial = true;
        }
    }
}

/// The sums of all paths, depth first; those with the same around them by name, file and line.
fn folded(
    paths: &[PathSnapshot],
    order: &Order,
    shares: &Shares,
    is_counted: bool,
) -> Vec<FoldedReport> {
    let calls = order.len();
    // One that has a call inside is there, whenever it was read.
    let mut is_there: Vec<bool> = shares.paths(calls).map(|share| share.calls > 0).collect();
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
        let share = &shares.by_place[calls + path];
        let here = reports.len();
        inside[path].sort_by_key(key);
        next.extend(
            inside[path]
                .iter()
                .map(|inner| (*inner, parent, Some(here))),
        );
        reports.push(folded_report(
            &paths[path],
            share,
            parent,
            within,
            is_counted,
        ));
    }
    reports
}

fn folded_report(
    path: &PathSnapshot,
    share: &Share,
    parent: Option<usize>,
    within: Option<usize>,
    is_counted: bool,
) -> FoldedReport {
    let callsite = path.callsite;
    let wall = share.wall;
    // Of a call that was stopped on another thread, both were read at moments of their own.
    let busy = share.busy.min(wall);
    FoldedReport {
        name: callsite.name().into(),
        module: callsite.module().into(),
        file: callsite.file().into(),
        line: callsite.line(),
        parent,
        within,
        calls: share.calls,
        running: share.running,
        failures: share.failures,
        cancelled: share.cancelled,
        wall,
        self_wall: wall.saturating_sub(share.covered),
        busy,
        self_busy: busy.saturating_sub(share.busy_inside),
        total: is_counted.then_some(share.total),
        self_counts: is_counted.then(|| share.total.saturating_sub(share.inside)),
        moved: share.is_moved,
        partial: share.is_partial || share.running > 0,
    }
}

fn call_report(
    call: CallSnapshot,
    parent: Option<usize>,
    strand: u32,
    thread: Thread,
    share: &Share,
    is_counted: bool,
) -> CallReport {
    let mut before = (Duration::ZERO, Counts::ZERO);
    let checkpoints = call.checkpoints.into_iter().map(|checkpoint| {
        let since = (
            checkpoint.wall.saturating_sub(before.0),
            checkpoint.counts.saturating_sub(before.1),
        );
        before = (checkpoint.wall, checkpoint.counts);
        CheckpointReport {
            name: checkpoint.name,
            at: checkpoint.wall,
            wall: since.0,
            counts: is_counted.then_some(since.1),
        }
    });
    let names = call.callsite.labels().iter();
    let names = names.map(|name| Cow::Borrowed(name.trim_start_matches("r#")));
    let (id, values) = call.text;
    let labels = names.zip(values);
    CallReport {
        name: call.callsite.name().into(),
        module: call.callsite.module().into(),
        file: call.callsite.file().into(),
        line: call.callsite.line(),
        id,
        labels: labels
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        parent,
        strand,
        thread,
        start: call.start,
        wall: call.wall,
        busy: call.busy,
        // With the calls' own times.
        self_wall: Duration::ZERO,
        self_busy: call.busy.saturating_sub(share.busy_inside),
        total: is_counted.then_some(share.total),
        // In a running trace a call inside may have been read a little later than the one around it,
        // and hold a little more.
        self_counts: is_counted.then(|| share.total.saturating_sub(share.inside)),
        peak_bytes: call.peak_bytes.filter(|_| is_counted),
        outcome: match call.end {
            OutcomeKind::Running => Outcome::Running,
            OutcomeKind::Ok => Outcome::Ok,
            OutcomeKind::Failed => {
                Outcome::Failed(call.message.map_or_else(String::new, |it| it.text))
            }
            OutcomeKind::Panicked => Outcome::Panicked,
            OutcomeKind::Cancelled => Outcome::Cancelled,
        },
        compared: None,
        moved: !call.adoptions.is_empty(),
        partial: call.is_partial || share.is_partial,
        checkpoints: checkpoints.collect(),
    }
}

/// The names of threads: calls of a trace are mostly on the same few.
#[derive(Default)]
struct Names(Vec<(Tag, Option<&'static str>)>);

impl Names {
    fn thread(&mut self, tag: Tag) -> Thread {
        let known = self.0.iter().find(|(known, _)| *known == tag);
        let known = known.map(|(_, name)| *name);
        let name = known.unwrap_or_else(|| {
            let name = tag.name();
            self.0.push((tag, name));
            name
        });
        Thread {
            number: tag.number(),
            name: name.map(Cow::Borrowed),
        }
    }
}

/// Each call's place in the order of start, a call after the one in which it was opened.
///
/// Calls are counted through strand by strand; that count is not yet the place. Paths of folded calls
/// have the places after those of all calls.
struct Order {
    /// The count of each strand's first call.
    first: Vec<usize>,
    counts: AddressMap,
    /// None where the count is the place.
    sequence: Option<Sequence>,
    len: usize,
    paths: AddressMap,
}

struct Sequence {
    /// By count, the place; and by place, the count.
    places: Vec<usize>,
    counts: Vec<usize>,
}

impl Order {
    fn of(strands: &[StrandSnapshot], paths: &[PathSnapshot]) -> Self {
        let mut counts = AddressMap::new();
        let mut first = Vec::with_capacity(strands.len());
        let len = strands.iter().map(|strand| strand.calls.len()).sum();
        let mut starts: Vec<Duration> = Vec::with_capacity(len);
        for strand in strands {
            first.push(starts.len());
            for call in &strand.calls {
                let CallId(address) = call.id;
                counts.insert(address, starts.len());
                let parent = call.parent.or(strand.parent);
                let parent = parent.and_then(|CallId(parent)| counts.get(parent));
                // Clocks of two processors may differ by a few ticks.
                let parent_start = parent.map_or(Duration::ZERO, |parent| starts[parent]);
                starts.push(call.start.max(parent_start));
            }
        }
        let sequence = (!starts.is_sorted()).then(|| {
            let mut sequence: Vec<usize> = (0..len).collect();
            sequence.sort_by_key(|count| starts[*count]);
            let mut places = vec![0; len];
            for (place, count) in sequence.iter().enumerate() {
                places[*count] = place;
            }
            Sequence {
                places,
                counts: sequence,
            }
        });
        let mut path_places = AddressMap::new();
        for (index, path) in paths.iter().enumerate() {
            path_places.insert(path.id.0, len + index);
        }
        Self {
            first,
            counts,
            sequence,
            len,
            paths: path_places,
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn by_count(&self, count: usize) -> usize {
        let sequence = self.sequence.as_ref();
        sequence.map_or(count, |sequence| sequence.places[count])
    }

    fn place(&self, strand: usize, index: usize) -> usize {
        self.by_count(self.first[strand] + index)
    }

    /// The strand whose call has this place, and the call's index there.
    fn strand_and_index(&self, place: usize) -> Option<(usize, usize)> {
        let sequence = self.sequence.as_ref();
        let count = sequence.map_or(place, |sequence| sequence.counts[place]);
        // Of those without calls, the last that begins there has it.
        let strand = self.first.partition_point(|first| *first <= count);
        let strand = strand.checked_sub(1)?;
        Some((strand, count - self.first[strand]))
    }

    fn find(&self, id: Option<CallId>) -> Option<usize> {
        let CallId(address) = id?;
        if address.path().is_some() {
            return self.paths.get(address);
        }
        self.counts.get(address).map(|count| self.by_count(count))
    }

    fn parent(&self, call: &CallSnapshot, of_strand: Option<CallId>) -> Option<usize> {
        self.find(call.parent.or(of_strand))
    }

    /// From the order of counting to that of places.
    fn arrange(&self, calls: Vec<CallReport>) -> Vec<CallReport> {
        let Some(sequence) = &self.sequence else {
            return calls;
        };
        let mut calls: Vec<_> = sequence.places.iter().zip(calls).collect();
        calls.sort_by_key(|(place, _)| **place);
        calls.into_iter().map(|(_, call)| call).collect()
    }
}

/// What a call, or the calls of a path, used.
#[derive(Clone, Default)]
struct Share {
    total: Counts,
    /// The part of the total that the calls inside used.
    inside: Counts,
    busy_inside: Duration,
    /// The time in which a folded call was open inside.
    covered: Duration,
    /// Of a recorded call: the folded ones inside.
    folded: Option<FoldedInside>,
    is_partial: bool,
    is_moved: bool,
    // The rest is of paths only.
    calls: u64,
    running: u64,
    failures: u64,
    cancelled: u64,
    wall: Duration,
    busy: Duration,
    last_stop: Option<Duration>,
}

/// By the order's places.
struct Shares {
    by_place: Vec<Share>,
}

impl Shares {
    fn of(snapshot: &Snapshot, order: &Order) -> Self {
        let places = order.len() + snapshot.paths.len();
        let mut shares = Self {
            by_place: vec![Share::default(); places],
        };
        for (number, strand) in snapshot.strands.iter().enumerate() {
            let outside = order.find(strand.parent);
            for (index, call) in strand.calls.iter().enumerate() {
                shares.add_call(order.place(number, index), call, order, outside);
            }
            for sum in &strand.sums {
                shares.add_sum(sum, order, outside);
            }
        }
        let around = Around { snapshot, order };
        for strand in &snapshot.strands {
            shares.add_strand(strand, &around);
        }
        shares
    }

    /// When the last folded call stopped.
    fn last_stop(&self, calls: usize) -> Option<Duration> {
        self.paths(calls).filter_map(|share| share.last_stop).max()
    }

    fn paths(&self, calls: usize) -> impl Iterator<Item = &Share> {
        self.by_place[calls..].iter()
    }

    fn add_call(
        &mut self,
        place: usize,
        call: &CallSnapshot,
        order: &Order,
        outside: Option<usize>,
    ) {
        self.by_place[place].total += call.counts;
        for part in parts(call) {
            let around = match part.within {
                // None where that is a folded call, which has it in its sum.
                Some(_) => order.find(part.within),
                None => outside,
            };
            if let Some(around) = around {
                let around = &mut self.by_place[around];
                around.inside += part.counts;
                if part.within.is_some() {
                    around.busy_inside += part.busy;
                }
            }
        }
    }

    fn add_sum(&mut self, sum: &SumSnapshot, order: &Order, outside: Option<usize>) {
        let place = if sum.of.is_some() {
            order.find(sum.of)
        } else {
            outside
        };
        let Some(share) = place else { return };
        let share = &mut self.by_place[share];
        share.inside += sum.inside;
        share.is_partial |= sum.is_partial;
        if sum.of.is_none() {
            // On other strands, so nobody knows which part of the time around was theirs.
            share.is_partial |= sum.calls > 0;
            return;
        }
        share.is_moved |= sum.is_moved;
        share.total += sum.total;
        share.busy_inside += sum.busy_inside;
        share.covered += sum.covered;
        share.calls = share.calls.wrapping_add(sum.calls);
        share.running = share.running.wrapping_add(sum.running);
        share.failures += sum.failures;
        share.cancelled += sum.cancelled;
        share.wall += sum.wall;
        share.busy += sum.busy;
        if sum.folded.is_some() {
            share.folded.clone_from(&sum.folded);
        }
        share.last_stop = share.last_stop.max(sum.last_stop);
    }

    /// What a strand did is in the call below which it stands, and in those around it when it was
    /// made.
    fn add_strand(&mut self, strand: &StrandSnapshot, around: &Around<'_>) {
        let mut next = around.order.find(strand.parent);
        let mut is_inside = false;
        let is_vague =
            strand.counts != Counts::ZERO && next.is_some_and(|parent| around.is_moved(parent));
        // No more steps than there are places: what was read of a trace that is written meanwhile
        // may lead in a circle.
        for _ in 0..self.by_place.len() {
            let Some(place) = next else { break };
            let share = &mut self.by_place[place];
            share.total += strand.counts;
            if is_inside {
                share.inside += strand.counts;
                share.is_partial |= is_vague && around.may_be_over(place);
            }
            is_inside = true;
            next = around.of(place, strand.made_after);
        }
    }
}

/// What was around which call at which moment.
struct Around<'a> {
    snapshot: &'a Snapshot,
    order: &'a Order,
}

impl Around<'_> {
    /// Whether what is spawned from this path need not be in what is around it.
    fn is_moved(&self, place: usize) -> bool {
        let path = place.checked_sub(self.order.len());
        path.is_some_and(|path| self.snapshot.paths[path].is_moved)
    }

    fn may_be_over(&self, place: usize) -> bool {
        let call = self.call(place);
        call.is_none_or(|(_, call)| call.has_stopped())
    }

    /// The call at this place, and its strand; none where there is a path.
    fn call(&self, place: usize) -> Option<(&StrandSnapshot, &CallSnapshot)> {
        if place >= self.order.len() {
            return None;
        }
        let (strand, index) = self.order.strand_and_index(place)?;
        let strand = self.snapshot.strands.get(strand)?;
        Some((strand, strand.calls.get(index)?))
    }

    fn of(&self, place: usize, moment: Duration) -> Option<usize> {
        if let Some(path) = place.checked_sub(self.order.len()) {
            return self.order.find(self.snapshot.paths[path].around);
        }
        let (strand, call) = self.call(place)?;
        let moves = call.adoptions.iter();
        let moves = moves.map(|adoption| (adoption.left, adoption.within));
        let around = around_at(moves, call.within, moment);
        self.order.find(around.or(strand.parent))
    }
}

/// What a call used within one call around it.
struct Part {
    within: Option<CallId>,
    counts: Counts,
    busy: Duration,
}

/// A call's use, divided among the calls within which it went on.
fn parts(call: &CallSnapshot) -> impl Iterator<Item = Part> {
    let mut before = (Counts::ZERO, Duration::ZERO);
    let adoptions = call.adoptions.iter();
    let ends = adoptions.map(|adoption| (adoption.within, adoption.counts, adoption.busy));
    let last = (call.within, call.counts, call.busy);
    ends.chain([last]).map(move |(within, counts, busy)| {
        let part = Part {
            within,
            counts: counts.saturating_sub(before.0),
            busy: busy.saturating_sub(before.1),
        };
        before = (counts, busy);
        part
    })
}
