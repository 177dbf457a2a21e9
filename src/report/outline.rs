//! A report's calls as a tree of entries, in which equal siblings may be one entry.

use std::collections::HashMap;
use std::time::Duration;

use super::{CallReport, FoldedReport, Outcome, Report};

/// From how many equal siblings on they are one entry.
const MANY: usize = 8;

/// One line of a rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An index into [`Report::calls`].
    Call(usize),
    /// Calls of one callsite, by their indexes in order of start. All of them, and all calls inside, stopped
    /// without a failure.
    Repeated(Vec<usize>),
    /// An index into [`Report::folded`], and below a [`Repeated`](Self::Repeated) others of its callsite.
    Folded(usize, Vec<usize>),
}

/// The entries of a report.
///
/// Siblings are calls in the same call. Eight or more of one callsite are one entry, wherever they stand among
/// the others, unless they or calls inside them failed, panicked, were cancelled or are running: these have
/// entries of their own. The calls inside such an entry are merged by callsite, so that it has one subtree.
pub(crate) struct Outline<'a> {
    report: &'a Report,
    is_unfolded: bool,
    /// Calls, in those around them.
    calls: Siblings,
    /// Paths of folded calls, in calls.
    folded: Siblings,
    /// Paths of folded calls, in others.
    within: Siblings,
    /// By call, whether it and all inside stopped without a failure. Empty if no entry can be of several calls.
    is_quiet: Vec<bool>,
}

/// Indexes, grouped by what is around them, in two lists for all groups.
#[derive(Default)]
struct Siblings {
    /// Where each group begins in the list of all, and where the last one ends. Empty if no group has members.
    starts: Vec<usize>,
    all: Vec<usize>,
}

/// The group of those that are in no call. A call's index and 1 is the group of those inside.
const OUTERMOST: usize = 0;

impl Siblings {
    /// Puts the indexes below `count` into `groups` groups. An index without a group is left out.
    fn of(groups: usize, count: usize, group: impl Fn(usize) -> Option<usize>) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mut starts = vec![0; groups + 1];
        for index in 0..count {
            if let Some(group) = group(index) {
                starts[group] += 1;
            }
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        // Each group is filled from its end.
        let mut all = vec![0; end];
        for index in (0..count).rev() {
            if let Some(group) = group(index) {
                starts[group] -= 1;
                all[starts[group]] = index;
            }
        }
        Self { starts, all }
    }

    fn of_group(&self, group: usize) -> &[usize] {
        match self.starts.get(group..group + 2) {
            Some([start, end]) => &self.all[*start..*end],
            _ => &[],
        }
    }

    /// Returns the size of the largest group.
    fn most(&self) -> usize {
        let sizes = self.starts.windows(2).map(|it| it[1] - it[0]);
        sizes.max().unwrap_or(0)
    }
}

/// A place in the code.
type Callsite<'a> = (&'a str, &'a str, &'a str, u32);

fn of_call(call: &CallReport) -> Callsite<'_> {
    (&call.name, &call.module, &call.file, call.line)
}

fn of_folded(folded: &FoldedReport) -> Callsite<'_> {
    (&folded.name, &folded.module, &folded.file, folded.line)
}

impl<'a> Outline<'a> {
    pub(crate) fn of(report: &'a Report) -> Self {
        let mut outline = Self::unfolded(report);
        outline.is_unfolded = outline.calls.most() < MANY;
        if !outline.is_unfolded {
            outline.is_quiet = quiet(report);
        }
        outline
    }

    /// Makes an outline with an entry for each call.
    pub(crate) fn unfolded(report: &'a Report) -> Self {
        let (calls, folded) = (&report.calls, &report.folded);
        let groups = calls.len() + 1;
        // A report may come from a file; only what comes before something can be above it.
        let around = |index: usize| {
            let parent = calls[index].parent.filter(|parent| *parent < index);
            Some(parent.map_or(OUTERMOST, |parent| parent + 1))
        };
        let within = |index: usize| folded[index].within.filter(|within| *within < index);
        let parent = |index: usize| {
            let parent = folded[index].parent.filter(|parent| *parent < calls.len());
            let group = parent.map_or(OUTERMOST, |parent| parent + 1);
            within(index).is_none().then_some(group)
        };
        Self {
            report,
            is_unfolded: true,
            calls: Siblings::of(groups, calls.len(), around),
            folded: Siblings::of(groups, folded.len(), parent),
            within: Siblings::of(folded.len(), folded.len(), within),
            is_quiet: Vec::new(),
        }
    }

    /// Appends the entries that are in no call.
    pub(crate) fn push_outermost(&self, entries: &mut Vec<Entry>) {
        self.push_group(OUTERMOST, entries);
    }

    /// Appends the entries inside an entry: calls in order of start, then folded calls.
    pub(crate) fn push_inside(&self, entry: &Entry, entries: &mut Vec<Entry>) {
        match entry {
            Entry::Call(call) => self.push_group(call + 1, entries),
            Entry::Repeated(calls) => {
                let groups = || calls.iter().map(|call| call + 1);
                let inside = groups().flat_map(|group| self.calls.of_group(group));
                let mut all: Vec<usize> = inside.copied().collect();
                all.sort_unstable();
                entries.extend(self.by_callsite(&all).into_iter().map(Entry::Repeated));
                let folded = groups().flat_map(|group| self.folded.of_group(group));
                entries.extend(self.merged(folded.copied()));
            }
            Entry::Folded(first, others) => {
                let paths = [first].into_iter().chain(others);
                let within = paths.flat_map(|path| self.within.of_group(*path));
                entries.extend(self.merged(within.copied()));
            }
        }
    }

    /// Returns when an entry begins. Folded calls have no single time and come last.
    pub(crate) fn start(&self, entry: &Entry) -> Duration {
        let first = match entry {
            Entry::Call(call) => Some(call),
            Entry::Repeated(calls) => calls.first(),
            Entry::Folded(..) => None,
        };
        first.map_or(Duration::MAX, |first| self.report.calls[*first].start)
    }

    fn push_group(&self, group: usize, entries: &mut Vec<Entry>) {
        let calls = self.calls.of_group(group);
        if self.is_unfolded || calls.len() < MANY {
            entries.extend(calls.iter().copied().map(Entry::Call));
        } else {
            self.push_grouped(calls, entries);
        }
        let folded = self.folded.of_group(group).iter();
        entries.extend(folded.map(|path| Entry::Folded(*path, Vec::new())));
    }

    fn push_grouped(&self, calls: &[usize], entries: &mut Vec<Entry>) {
        let (quiet, mut alone): (Vec<_>, Vec<_>) =
            calls.iter().partition(|call| self.is_quiet[**call]);
        let mut sorted = Vec::new();
        for group in self.by_callsite(&quiet) {
            if group.len() < MANY {
                alone.extend(group);
            } else {
                sorted.push((group[0], Entry::Repeated(group)));
            }
        }
        sorted.extend(alone.into_iter().map(|call| (call, Entry::Call(call))));
        sorted.sort_unstable_by_key(|(first, _)| *first);
        entries.extend(sorted.into_iter().map(|(_, entry)| entry));
    }

    /// Groups calls by callsite, in the order of their first ones.
    fn by_callsite(&self, calls: &[usize]) -> Vec<Vec<usize>> {
        grouped(calls.iter().copied(), |call| {
            of_call(&self.report.calls[call])
        })
    }

    /// Returns one entry for each callsite of folded calls.
    fn merged(&self, folded: impl Iterator<Item = usize>) -> Vec<Entry> {
        let groups = grouped(folded, |path| of_folded(&self.report.folded[path]));
        let entry = |mut group: Vec<usize>| {
            let others = group.split_off(1);
            Entry::Folded(group[0], others)
        };
        groups.into_iter().map(entry).collect()
    }
}

fn grouped<'a>(
    all: impl Iterator<Item = usize>,
    callsite: impl Fn(usize) -> Callsite<'a>,
) -> Vec<Vec<usize>> {
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for one in all {
        let place = *places.entry(callsite(one)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(one);
    }
    groups
}

/// Returns, for each call, whether it and all calls inside stopped without a failure.
fn quiet(report: &Report) -> Vec<bool> {
    let calls = report.calls.iter();
    let mut is_quiet: Vec<bool> = calls.map(|call| call.outcome == Outcome::Ok).collect();
    for folded in &report.folded {
        let is_loud = folded.failures > 0 || folded.cancelled > 0 || folded.running > 0;
        if let Some(around) = folded.parent.and_then(|parent| is_quiet.get_mut(parent)) {
            *around &= !is_loud;
        }
    }
    // A call comes after the one around it.
    for index in (0..is_quiet.len()).rev() {
        let parent = report.calls[index].parent.filter(|parent| *parent < index);
        if let (false, Some(parent)) = (is_quiet[index], parent) {
            is_quiet[parent] = false;
        }
    }
    is_quiet
}
