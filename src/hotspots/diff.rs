//! Differences between two sets of reports.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::by::Unit;
use super::table::{name, place};
use super::{By, Frame, Hotspots, Path, Rule, Totals};
use crate::report::names::Names;
use crate::report::units::count;

/// Each path lists all its functions, so deep paths would take a lot of memory.
const MAX_DEPTH: usize = 100;

/// Differences from one set of reports to another: functions and paths that take more or less than
/// before, are new, or are gone.
///
/// Functions are identified by module and name, because lines and files change from one version of a
/// program to the next: calls that are opened on several lines of one function are added up, and so are its
/// lines of [allocation sites](Hotspots::with_sites). If the
/// sets have different numbers of reports, figures are compared per report, exactly.
#[derive(Clone, Copy, Debug)]
pub struct Diff<'a> {
    before: &'a Hotspots,
    after: &'a Hotspots,
}

/// A function or a path, before and after.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The functions on the path, the outermost first; for a function, just that one. Their files and
    /// lines are those of now, or those of before if they are gone.
    pub frames: Vec<Frame<'a>>,
    /// What the calls did before; `None` if there were no calls.
    pub before: Option<Totals>,
    /// What the calls do now; `None` if there are no calls.
    pub after: Option<Totals>,
}

/// A broken rule, with the function or path that breaks it and by how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Diff<'a> {
    /// Compares two sets of reports.
    pub fn between(before: &'a Hotspots, after: &'a Hotspots) -> Self {
        Self { before, after }
    }

    /// Returns all functions, the largest growth of this figure first; functions without a change are
    /// included.
    pub fn functions(&self, by: By) -> Vec<Change<'a>> {
        let mut changes: BTreeMap<_, Change<'a>> = BTreeMap::new();
        // Those of now first, so that files and lines are those of now.
        for (hotspots, is_after) in [(self.after, true), (self.before, false)] {
            for function in hotspots.functions.iter() {
                let frame = function.frame();
                let change = changes.entry((frame.is_site, frame.name, frame.module));
                let change = change.or_insert_with(|| Change::none(vec![frame]));
                change.add(is_after, &function.totals);
            }
        }
        self.sorted(changes.into_values().collect(), by)
    }

    /// Returns all paths, the largest growth of this figure first. Paths of more than 100 functions are
    /// left out.
    pub fn paths(&self, by: By) -> Vec<Change<'a>> {
        let mut tree = Tree::default();
        tree.add(&self.after.paths(), true);
        tree.add(&self.before.paths(), false);
        self.sorted(tree.changes, by)
    }

    fn sorted(&self, mut changes: Vec<Change<'a>>, by: By) -> Vec<Change<'a>> {
        changes.sort_by(|one, other| {
            let key = |change: &Change<'_>| Reverse(self.growth(by, change));
            key(one)
                .cmp(&key(other))
                .then_with(|| one.frames.cmp(&other.frames))
        });
        changes
    }

    /// Returns the growth of a change, multiplied by the [scale](Self::scale).
    pub(super) fn growth(&self, by: By, change: &Change<'_>) -> i128 {
        let [before, after] = self.scaled(by, change);
        after.cast_signed().wrapping_sub(before.cast_signed())
    }

    /// Returns both figures, multiplied by the [scale](Self::scale).
    fn scaled(&self, by: By, change: &Change<'_>) -> [u128; 2] {
        let [before, after] = [&change.before, &change.after]
            .map(|totals| u128::from(totals.as_ref().map_or(0, |totals| by.of(totals))));
        let (times_before, times_after) = self.factors(by);
        [
            before.saturating_mul(times_before),
            after.saturating_mul(times_after),
        ]
    }

    /// Returns the factors by which the figures are multiplied for comparison.
    fn factors(&self, by: By) -> (u128, u128) {
        // More reports do not make a peak higher.
        if !self.is_per_report() || by == By::Peak {
            return (1, 1);
        }
        (self.after.reports().into(), self.before.reports().into())
    }

    /// Returns what a figure of 1 is after multiplication.
    fn scale(&self, by: By) -> u128 {
        let (times_before, times_after) = self.factors(by);
        // Figures were multiplied by the other set's number of reports.
        times_before.saturating_mul(times_after)
    }

    /// Returns whether figures are compared per report, because the sets differ in size.
    pub fn is_per_report(&self) -> bool {
        let (before, after) = (self.before.reports(), self.after.reports());
        before != after && before > 0 && after > 0
    }

    /// Returns the broken rules: by the whole, by functions, and by paths to functions that keep the rule
    /// as a whole; in the order of the rules, then of the growth.
    ///
    /// A rule on a figure that was not counted, before or after, counts as broken.
    pub fn breaches(&self, rules: &[Rule]) -> Vec<Breach> {
        let names = self.names();
        let mut breaches = Vec::new();
        for rule in rules {
            self.check(rule, &names, &mut breaches);
        }
        breaches
    }

    /// Returns the names of the functions of both sets.
    pub(super) fn names(&self) -> Names<'a> {
        let frames = self.before.frames().chain(self.after.frames());
        Names::of(frames.map(|it| (it.module, it.name)))
    }

    fn check(&self, rule: &Rule, names: &Names<'_>, breaches: &mut Vec<Breach>) {
        let by = rule.by();
        let sides = [self.before, self.after];
        if by.is_counted()
            && sides
                .iter()
                .any(|it| it.reports() > 0 && it.counts().is_none())
        {
            let allowed = rule.allowed();
            breaches.push(Breach(format!(
                "all together: {by} not counted on both sides, allowed {allowed}"
            )));
            return;
        }
        if by != By::Peak {
            let [before, after] = sides.map(|it| u128::from(it.whole(by)));
            let (times_before, times_after) = self.factors(by);
            let scaled = [
                before.saturating_mul(times_before),
                after.saturating_mul(times_after),
            ];
            breaches.extend(self.breach(rule, scaled, || "all together".to_owned()));
        }
        let mut broken = HashSet::new();
        for change in self.functions(by) {
            let frame = change.frame();
            let breach = self.breach(rule, self.scaled(by, &change), || {
                format!("{} ({})", name(names, frame), place(frame))
            });
            if let Some(breach) = breach {
                broken.insert((frame.is_site, frame.name, frame.module));
                breaches.push(breach);
            }
        }
        for change in self.paths(by) {
            let frame = change.frame();
            if change.frames.len() > 1
                && !broken.contains(&(frame.is_site, frame.name, frame.module))
            {
                breaches.extend(self.breach(rule, self.scaled(by, &change), || {
                    format!("{} ({})", change.path(names), place(frame))
                }));
            }
        }
    }

    fn breach(
        &self,
        rule: &Rule,
        scaled: [u128; 2],
        what: impl FnOnce() -> String,
    ) -> Option<Breach> {
        let by = rule.by();
        if !rule.is_broken(scaled[0], scaled[1], self.scale(by)) {
            return None;
        }
        let unit = match by.unit() {
            Unit::Count => "",
            Unit::Nanoseconds => " ns",
            Unit::Bytes => " B",
        };
        // With all digits: `1.4 MiB -> 1.4 MiB` says nothing.
        let [before, after] = scaled.map(|figure| self.exactly(by, figure));
        let growth = self.exactly(by, scaled[1].saturating_sub(scaled[0]));
        let share = match share(scaled) {
            Some(share) => format!(", {share}"),
            None => String::new(),
        };
        let per_report = if self.is_per_report() && by != By::Peak {
            " per report"
        } else {
            ""
        };
        let (what, allowed) = (what(), rule.allowed());
        Some(Breach(format!(
            "{what}: {by}{per_report} {before} -> {after}{unit} (+{growth}{share}), allowed {allowed}"
        )))
    }

    pub(super) fn sides(&self) -> (&'a Hotspots, &'a Hotspots) {
        (self.before, self.after)
    }

    /// Returns the growth, with its sign.
    pub(super) fn shown_growth(&self, by: By, change: &Change<'_>) -> String {
        let growth = self.growth(by, change);
        let shown = self.shown(by, growth.unsigned_abs());
        match growth {
            0 => "=".to_owned(),
            1.. => format!("+{shown}"),
            _ => format!("-{shown}"),
        }
    }

    pub(super) fn shown_share(&self, by: By, change: &Change<'_>) -> String {
        share(self.scaled(by, change)).unwrap_or_default()
    }

    /// Returns the figure before (0) or after (1).
    pub(super) fn shown_side(&self, by: By, change: &Change<'_>, side: usize) -> String {
        self.shown(by, self.scaled(by, change)[side])
    }

    /// Returns a multiplied figure per report, or of all reports if the sets have the same size.
    fn shown(&self, by: By, scaled: u128) -> String {
        let scale = self.scale(by);
        match by.unit() {
            Unit::Count => self.exactly(by, scaled),
            _ => by.shown(u64::try_from((scaled + scale / 2) / scale).unwrap_or(u64::MAX)),
        }
    }

    /// Returns a multiplied figure in the smallest unit, with up to three decimals.
    fn exactly(&self, by: By, scaled: u128) -> String {
        let scale = self.scale(by);
        let whole = count(u64::try_from(scaled / scale).unwrap_or(u64::MAX));
        let decimals = format!(".{:03}", (scaled % scale) * 1000 / scale);
        format!("{whole}{}", decimals.trim_end_matches(['0', '.']))
    }
}

/// Returns the growth as `+39.0%`; `None` if the figure was 0 before.
fn share([before, after]: [u128; 2]) -> Option<String> {
    let change = before.abs_diff(after);
    let sign = if after < before { '-' } else { '+' };
    let tenths = change.saturating_mul(1000).saturating_add(before / 2);
    let tenths = tenths.checked_div(before)?;
    Some(format!("{sign}{}.{}%", tenths / 10, tenths % 10))
}

impl<'a> Change<'a> {
    fn none(frames: Vec<Frame<'a>>) -> Self {
        Self {
            frames,
            before: None,
            after: None,
        }
    }

    fn add(&mut self, is_after: bool, totals: &Totals) {
        let side = if is_after {
            &mut self.after
        } else {
            &mut self.before
        };
        side.get_or_insert_default().add(totals);
    }

    /// Returns `new` or `gone`; else an empty text.
    pub(super) fn state(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, Some(_)) => "new",
            (Some(_), None) => "gone",
            _ => "",
        }
    }

    /// Returns the functions' names, the outermost first.
    pub(super) fn path(&self, names: &Names<'_>) -> String {
        let names = self.frames.iter().map(|frame| name(names, *frame));
        names.collect::<Vec<_>>().join(" > ")
    }

    /// Returns the function whose calls these are.
    pub fn frame(&self) -> Frame<'a> {
        self.frames.last().copied().unwrap_or_default()
    }
}

/// Merges the paths of both sets into one tree.
#[derive(Default)]
struct Tree<'a> {
    changes: Vec<Change<'a>>,
    places: HashMap<(Option<usize>, bool, &'a str, &'a str), usize>,
}

impl<'a> Tree<'a> {
    fn add(&mut self, paths: &[Path<'a>], is_after: bool) {
        let Self {
            changes,
            places: known,
        } = self;
        let mut places: Vec<usize> = Vec::with_capacity(paths.len());
        for path in paths {
            if path.depth >= MAX_DEPTH {
                // And so are all paths below it; no one looks for its place.
                places.push(usize::MAX);
                continue;
            }
            let parent = path.parent.map(|parent| places[parent]);
            let Frame {
                name,
                module,
                is_site,
                ..
            } = path.frame;
            let key = (parent, is_site, name, module);
            let place = *known.entry(key).or_insert_with(|| {
                let around = parent.map_or(&[][..], |parent| &changes[parent].frames);
                let frames = [around, &[path.frame]].concat();
                changes.push(Change::none(frames));
                changes.len() - 1
            });
            changes[place].add(is_after, path.totals);
            places.push(place);
        }
    }
}
