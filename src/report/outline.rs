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
    /// By call, the calls and the folded calls inside.
    inside: Vec<Inside>,
    outermost: Inside,
    /// By path of folded calls, those inside.
    within: Vec<Vec<usize>>,
    /// By call, whether it and all inside stopped without a failure. Empty if no entry can be of several calls.
    is_quiet: Vec<bool>,
}

#[derive(Clone, Default)]
struct Inside {
    calls: Vec<usize>,
    folded: Vec<usize>,
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
        let inside = outline.inside.iter().chain([&outline.outermost]);
        outline.is_unfolded = inside.map(|it| it.calls.len()).max() < Some(MANY);
        if !outline.is_unfolded {
            outline.is_quiet = quiet(report);
        }
        outline
    }

    /// Makes an outline with an entry for each call.
    pub(crate) fn unfolded(report: &'a Report) -> Self {
        let mut inside = vec![Inside::default(); report.calls.len()];
        let mut within = vec![Vec::new(); report.folded.len()];
        let mut outermost = Inside::default();
        // A report may come from a file; only what comes before something can be above it.
        for (index, call) in report.calls.iter().enumerate() {
            let parent = call.parent.filter(|parent| *parent < index);
            let around = parent.map_or(&mut outermost, |parent| &mut inside[parent]);
            around.calls.push(index);
        }
        for (index, folded) in report.folded.iter().enumerate() {
            let around = folded.within.filter(|within| *within < index);
            let list = match (around, folded.parent) {
                (Some(around), _) => within.get_mut(around),
                (None, Some(parent)) => inside.get_mut(parent).map(|it| &mut it.folded),
                (None, None) => None,
            };
            list.unwrap_or(&mut outermost.folded).push(index);
        }
        Self {
            report,
            is_unfolded: true,
            inside,
            outermost,
            within,
            is_quiet: Vec::new(),
        }
    }

    /// Returns the entries that are in no call.
    pub(crate) fn outermost(&self) -> Vec<Entry> {
        self.entries(&self.outermost)
    }

    /// Returns the entries inside an entry: calls in order of start, then folded calls.
    pub(crate) fn inside(&self, entry: &Entry) -> Vec<Entry> {
        match entry {
            Entry::Call(call) => self.entries(&self.inside[*call]),
            Entry::Repeated(calls) => {
                let inside = || calls.iter().map(|call| &self.inside[*call]);
                let mut all: Vec<usize> = inside().flat_map(|it| &it.calls).copied().collect();
                all.sort_unstable();
                let groups = self.by_callsite(&all).into_iter().map(Entry::Repeated);
                let folded = inside().flat_map(|it| &it.folded).copied();
                groups.chain(self.merged(folded)).collect()
            }
            Entry::Folded(first, others) => {
                let paths = [first].into_iter().chain(others);
                self.merged(paths.flat_map(|path| &self.within[*path]).copied())
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

    fn entries(&self, inside: &Inside) -> Vec<Entry> {
        let folded = inside
            .folded
            .iter()
            .map(|path| Entry::Folded(*path, Vec::new()));
        if self.is_unfolded || inside.calls.len() < MANY {
            let calls = inside.calls.iter().copied().map(Entry::Call);
            return calls.chain(folded).collect();
        }
        let (quiet, mut alone): (Vec<_>, Vec<_>) =
            inside.calls.iter().partition(|call| self.is_quiet[**call]);
        let mut entries = Vec::new();
        for group in self.by_callsite(&quiet) {
            if group.len() < MANY {
                alone.extend(group);
            } else {
                entries.push((group[0], Entry::Repeated(group)));
            }
        }
        entries.extend(alone.into_iter().map(|call| (call, Entry::Call(call))));
        entries.sort_unstable_by_key(|(first, _)| *first);
        let entries = entries.into_iter().map(|(_, entry)| entry);
        entries.chain(folded).collect()
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
