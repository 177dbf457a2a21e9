//! What has changed between two sets of reports.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::by::Unit;
use super::table::{name, place};
use super::{By, Frame, Hotspots, Path, Rule, Totals};
use crate::report::names::Names;
use crate::report::units::count;

/// Each path has all its functions, so deep ones would take a lot of memory.
const MAX_DEPTH: usize = 100;

/// What has changed from one set of reports to another: which functions and paths take more than
/// before, which less, which are new, which are gone.
///
/// Functions are told apart by module and name, as lines and files change from one version of a
/// program to the next: what is opened on several lines of one function is added up. Where the sets
/// are not of as many reports, figures are compared per report, exactly.
#[derive(Clone, Copy, Debug)]
pub struct Diff<'a> {
    before: &'a Hotspots,
    after: &'a Hotspots,
}

/// A function or a path, before and after.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The functions on the path, the outermost first; of a function, just that. They stand where
    /// they are now, or were if they are gone.
    pub frames: Vec<Frame<'a>>,
    /// What the calls did before; `None` where there were none.
    pub before: Option<Totals>,
    /// What they do now; `None` where there are none any more.
    pub after: Option<Totals>,
}

/// A rule that is broken, by what, and by how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Diff<'a> {
    /// Between these.
    pub fn between(before: &'a Hotspots, after: &'a Hotspots) -> Self {
        Self { before, after }
    }

    /// The functions, those first of which this figure has grown most; those that did not change
    /// in any figure but the times included.
    pub fn functions(&self, by: By) -> Vec<Change<'a>> {
        let mut changes: BTreeMap<_, Change<'a>> = BTreeMap::new();
        // Those of now first, so that it is they who say where a function stands.
        for (hotspots, is_after) in [(self.after, true), (self.before, false)] {
            for function in hotspots.functions.iter() {
                let frame = function.frame();
                let change = changes.entry((frame.name, frame.module));
                let change = change.or_insert_with(|| Change::none(vec![frame]));
                change.add(is_after, &function.totals);
            }
        }
        self.sorted(changes.into_values().collect(), by)
    }

    /// The same of the paths. Those of more than a hundred functions are left out.
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

    /// By how much a change has grown, multiplied by the [scale](Self::scale).
    pub(super) fn growth(&self, by: By, change: &Change<'_>) -> i128 {
        let [before, after] = self.scaled(by, change);
        after.cast_signed().wrapping_sub(before.cast_signed())
    }

    /// Both figures as if each set had as many reports as both have together.
    fn scaled(&self, by: By, change: &Change<'_>) -> [u128; 2] {
        let [before, after] = [&change.before, &change.after]
            .map(|totals| u128::from(totals.as_ref().map_or(0, |totals| by.of(totals))));
        let (times_before, times_after) = self.factors(by);
        [
            before.saturating_mul(times_before),
            after.saturating_mul(times_after),
        ]
    }

    /// By what to multiply the figures to compare them.
    fn factors(&self, by: By) -> (u128, u128) {
        // A peak is not more for more reports.
        if !self.is_per_report() || by == By::Peak {
            return (1, 1);
        }
        (self.after.reports().into(), self.before.reports().into())
    }

    /// What one of a figure is, once multiplied.
    fn scale(&self, by: By) -> u128 {
        let (times_before, times_after) = self.factors(by);
        // The number of reports before, where it was multiplied with that after.
        times_before.saturating_mul(times_after)
    }

    /// Whether figures are compared per report, as there are not as many of both.
    pub fn is_per_report(&self) -> bool {
        let (before, after) = (self.before.reports(), self.after.reports());
        before != after && before > 0 && after > 0
    }

    /// Where the rules are broken: by all together, by which functions, and by which paths to
    /// functions that keep the rule as a whole. In the order of the rules, and then of the growth.
    ///
    /// A rule on a figure that was not counted, before or after, is broken: nobody knows.
    pub fn breaches(&self, rules: &[Rule]) -> Vec<Breach> {
        let names = self.names();
        let mut breaches = Vec::new();
        for rule in rules {
            self.check(rule, &names, &mut breaches);
        }
        breaches
    }

    /// How the functions of both sides are named beside one another.
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
                broken.insert((frame.name, frame.module));
                breaches.push(breach);
            }
        }
        for change in self.paths(by) {
            let frame = change.frame();
            if change.frames.len() > 1 && !broken.contains(&(frame.name, frame.module)) {
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
        // To the last one: `1.4 MiB -> 1.4 MiB` says nothing.
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

    /// By how much it grew or shrank, with the sign.
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

    /// The figure before (0) or after (1).
    pub(super) fn shown_side(&self, by: By, change: &Change<'_>, side: usize) -> String {
        self.shown(by, self.scaled(by, change)[side])
    }

    /// A multiplied figure as it is for one report, or for all where there are as many.
    fn shown(&self, by: By, scaled: u128) -> String {
        let scale = self.scale(by);
        match by.unit() {
            Unit::Count => self.exactly(by, scaled),
            _ => by.shown(u64::try_from((scaled + scale / 2) / scale).unwrap_or(u64::MAX)),
        }
    }

    /// The same in the figure's smallest unit, with up to three digits behind the point.
    fn exactly(&self, by: By, scaled: u128) -> String {
        let scale = self.scale(by);
        let whole = count(u64::try_from(scaled / scale).unwrap_or(u64::MAX));
        let decimals = format!(".{:03}", (scaled % scale) * 1000 / scale);
        format!("{whole}{}", decimals.trim_end_matches(['0', '.']))
    }
}

/// `+39.0%`; none where there was nothing before.
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

    /// Whether it is new or gone; otherwise nothing.
    pub(super) fn state(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, Some(_)) => "new",
            (Some(_), None) => "gone",
            _ => "",
        }
    }

    /// The functions' names, from the outermost inwards.
    pub(super) fn path(&self, names: &Names<'_>) -> String {
        let names = self.frames.iter().map(|frame| name(names, *frame));
        names.collect::<Vec<_>>().join(" > ")
    }

    /// The function whose calls these are.
    pub fn frame(&self) -> Frame<'a> {
        self.frames.last().copied().unwrap_or_default()
    }
}

/// The paths of both sets as one tree.
#[derive(Default)]
struct Tree<'a> {
    changes: Vec<Change<'a>>,
    places: HashMap<(Option<usize>, &'a str, &'a str), usize>,
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
                // As all that follow from here; nobody asks for its place.
                places.push(usize::MAX);
                continue;
            }
            let parent = path.parent.map(|parent| places[parent]);
            let Frame { name, module, .. } = path.frame;
            let place = *known.entry((parent, name, module)).or_insert_with(|| {
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
