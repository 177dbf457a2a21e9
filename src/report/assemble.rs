//! From a snapshot to a report: the strands' calls in one order, their parents, and what each used
//! with and without the calls inside.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use alloc_counter::Counts;

use crate::callsite::Callsite;
use crate::clock;
use crate::places::Places;
use crate::snapshot::{CallId, CallSnapshot, Snapshot, StrandSnapshot};
use crate::state::End;
use crate::sum::Sum;
use crate::threads::Tag;

use super::{CallReport, CheckpointReport, FoldedReport, Outcome, Report, Thread};

pub(super) fn report(snapshot: Snapshot) -> Report {
    let is_counted = alloc_counter::is_installed();
    let order = Order::of(&snapshot.strands);
    let shares = Shares::of(&snapshot.strands, &order);
    let total: Counts = snapshot.strands.iter().map(|strand| strand.counts).sum();
    let folded = folded(&snapshot.strands, &order, is_counted);
    let memory_bytes = snapshot.memory_bytes();
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
                &shares.0[place],
                is_counted,
            ));
        }
    }
    let calls = order.arrange(calls);
    let is_running = calls.iter().any(|call| call.outcome == Outcome::Running);
    let last_stop = calls.iter().map(|call| call.start + call.wall).max();
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
        memory_bytes,
        total: is_counted.then_some(total),
        calls,
        folded,
    }
}

/// The sums of all strands, one for each callsite in each call around.
fn folded(strands: &[StrandSnapshot], order: &Order, is_counted: bool) -> Vec<FoldedReport> {
    let mut sums: BTreeMap<_, (Sum, &'static Callsite)> = BTreeMap::new();
    for strand in strands {
        for folded in &strand.folded {
            let parent = order.find(folded.parent.or(strand.parent));
            let callsite = folded.callsite;
            let key = (
                parent,
                callsite.name(),
                callsite.file(),
                callsite.line(),
                callsite.module(),
            );
            let entry = sums.entry(key).or_insert((Sum::default(), callsite));
            entry.0.add(&folded.sum);
        }
    }
    let report = |((parent, name, ..), (sum, callsite)): (
        (Option<usize>, &'static str, _, _, _),
        (Sum, &'static Callsite),
    )| FoldedReport {
        name: name.into(),
        module: callsite.module().into(),
        file: callsite.file().into(),
        line: callsite.line(),
        parent,
        calls: sum.calls,
        failures: sum.failures,
        wall: clock::duration(sum.wall),
        busy: clock::duration(sum.busy),
        total: is_counted.then_some(sum.total),
        own: is_counted.then_some(sum.own),
        partial: sum.is_partial,
    };
    sums.into_iter().map(report).collect()
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
        own_busy: call.busy.saturating_sub(share.busy_inside),
        total: is_counted.then_some(share.total),
        // In a running trace a call inside may have been read a little later than the one around it,
        // and hold a little more.
        own: is_counted.then(|| share.total.saturating_sub(share.inside)),
        peak_bytes: call.peak_bytes.filter(|_| is_counted),
        outcome: match call.end {
            End::Open => Outcome::Running,
            End::Ok => Outcome::Ok,
            End::Failed => Outcome::Failed(call.message.unwrap_or_default()),
            End::Panicked => Outcome::Panicked,
            End::Cancelled => Outcome::Cancelled,
        },
        compared: None,
        partial: call.is_partial,
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
/// Calls are counted through strand by strand; that count is not yet the place.
struct Order {
    /// The count of each strand's first call.
    first: Vec<usize>,
    counts: Places,
    /// By count; none where that is the place.
    places: Option<Vec<usize>>,
    len: usize,
}

impl Order {
    fn of(strands: &[StrandSnapshot]) -> Self {
        let mut counts = Places::new();
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
        let places = (!starts.is_sorted()).then(|| {
            let mut sequence: Vec<usize> = (0..len).collect();
            sequence.sort_by_key(|count| starts[*count]);
            let mut places = vec![0; len];
            for (place, count) in sequence.into_iter().enumerate() {
                places[count] = place;
            }
            places
        });
        Self {
            first,
            counts,
            places,
            len,
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn by_count(&self, count: usize) -> usize {
        self.places.as_ref().map_or(count, |places| places[count])
    }

    fn place(&self, strand: usize, index: usize) -> usize {
        self.by_count(self.first[strand] + index)
    }

    fn find(&self, id: Option<CallId>) -> Option<usize> {
        let CallId(address) = id?;
        self.counts.get(address).map(|count| self.by_count(count))
    }

    fn parent(&self, call: &CallSnapshot, of_strand: Option<CallId>) -> Option<usize> {
        self.find(call.parent.or(of_strand))
    }

    /// From the order of counting to that of places.
    fn arrange(&self, calls: Vec<CallReport>) -> Vec<CallReport> {
        let Some(places) = &self.places else {
            return calls;
        };
        let mut calls: Vec<_> = places.iter().zip(calls).collect();
        calls.sort_by_key(|(place, _)| **place);
        calls.into_iter().map(|(_, call)| call).collect()
    }
}

/// What a call used, by the order's places.
#[derive(Clone, Default)]
struct Share {
    total: Counts,
    /// The part of the total that the calls inside used.
    inside: Counts,
    busy_inside: Duration,
}

struct Shares(Vec<Share>);

impl Shares {
    fn of(strands: &[StrandSnapshot], order: &Order) -> Self {
        let mut shares = vec![Share::default(); order.len()];
        // From the last strand to the first, and from the last call to the first: what was
        // spawned or opened comes before that from which it was.
        for (strand, snapshot) in strands.iter().enumerate().rev() {
            let outside = order.find(snapshot.parent);
            let mut spawned = Counts::ZERO;
            for (index, call) in snapshot.calls.iter().enumerate().rev() {
                let place = order.place(strand, index);
                // Until here the share holds what the strands below this call used.
                let below = shares[place].total;
                shares[place].total += call.counts;
                match order.find(call.parent) {
                    Some(parent) => {
                        shares[parent].total += below;
                        shares[parent].inside += below;
                    }
                    None => spawned += below,
                }
                for part in parts(call) {
                    let around = match part.within {
                        // None where that is a folded call, which has it in its sum.
                        Some(_) => order.find(part.within),
                        None => outside,
                    };
                    if let Some(around) = around {
                        shares[around].inside += part.counts;
                        if part.within.is_some() {
                            shares[around].busy_inside += part.busy;
                        }
                    }
                }
            }
            for folded in &snapshot.folded {
                if let Some(around) = order.find(folded.parent).or(outside) {
                    // Folded calls may stand in others, so their totals would count twice.
                    shares[around].inside += folded.sum.own;
                    if folded.parent.is_some() {
                        let busy = clock::duration(folded.sum.outermost_busy);
                        shares[around].busy_inside += busy;
                    }
                }
            }
            if let Some(outside) = outside {
                shares[outside].total += snapshot.counts + spawned;
                shares[outside].inside += spawned;
            }
        }
        Self(shares)
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
