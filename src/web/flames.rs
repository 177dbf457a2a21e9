//! The flame graph: each path is a bar below the path that leads to it, as wide as its share of the
//! figure. SVG without scripts: zooming follows a link.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::hotspots::{By, Frame, Path};
use crate::report::names::Names;
use crate::report::units::{percent, plural};

use super::layout::shown;

/// Narrower bars are not drawn, in thousandths of the width.
const NARROWEST: u128 = 2;
/// Narrower bars have no name.
const NARROWEST_NAMED: u128 = 12;
/// Number of bars that are drawn at most, the outer ones first.
const MOST: usize = 1_000;
const ROW: usize = 20;

/// Flame graph of the paths, before it is drawn.
pub(super) struct Flames<'a> {
    by: By,
    paths: Vec<Path<'a>>,
    /// The figure of each path, with the paths below it.
    sums: Vec<u64>,
    /// Key of each path in addresses; stable while the code does not change.
    keys: Vec<u64>,
    whole: u64,
}

/// A bar that is drawn.
#[derive(Clone, Copy)]
struct Bar {
    path: usize,
    row: usize,
    /// Start and end within the width, as fractions of `of`.
    from: u64,
    to: u64,
    of: u64,
}

impl Bar {
    fn width(&self) -> u128 {
        thousandths(self.to - self.from, self.of)
    }
}

impl<'a> Flames<'a> {
    /// `by`: a figure that adds up.
    pub(super) fn of(by: By, paths: Vec<Path<'a>>) -> Self {
        let mut sums: Vec<u64> = paths.iter().map(|it| by.of(it.totals)).collect();
        let mut whole: u64 = 0;
        // A path comes after the one that leads to it.
        for (place, path) in paths.iter().enumerate().rev() {
            let sum = sums[place];
            match path.parent {
                Some(parent) => sums[parent] = sums[parent].saturating_add(sum),
                None => whole = whole.saturating_add(sum),
            }
        }
        let mut keys: Vec<u64> = Vec::with_capacity(paths.len());
        for path in &paths {
            let around = path.parent.map_or(0, |parent| keys[parent]);
            keys.push(key(around, path.frame));
        }
        Self {
            by,
            paths,
            sums,
            keys,
            whole,
        }
    }

    /// Returns the sum of all paths.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Returns the path with this key.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let key = u64::from_str_radix(text, 16).ok()?;
        let place = self.keys.iter().position(|it| *it == key)?;
        (self.sums[place] > 0).then_some(place)
    }

    /// Returns the bars, the outer ones first, and the number of paths that are left out.
    fn bars(&self, zoomed: Option<usize>) -> (Vec<Bar>, usize) {
        let of = zoomed.map_or(self.whole, |it| self.sums[it]);
        let mut bars = Vec::new();
        let mut around = zoomed;
        while let Some(path) = around {
            let row = self.paths[path].depth + 1;
            bars.push(Bar {
                path,
                row,
                from: 0,
                to: of,
                of,
            });
            around = self.paths[path].parent;
        }
        // Start of the next bar below each path; the last is that of the outermost bars.
        let outermost = self.paths.len();
        let mut next: Vec<Option<u64>> = vec![None; outermost + 1];
        next[zoomed.unwrap_or(outermost)] = Some(0);
        let mut hidden = 0;
        for (place, path) in self.paths.iter().enumerate() {
            let Some(next_below) = &mut next[path.parent.unwrap_or(outermost)] else {
                continue;
            };
            let (from, sum) = (*next_below, self.sums[place]);
            let to = from.saturating_add(sum).min(of);
            *next_below = to;
            if sum == 0 {
                continue;
            }
            let row = path.depth + 1;
            let bar = Bar {
                path: place,
                row,
                from,
                to,
                of,
            };
            next[place] = Some(from);
            if bar.width() < NARROWEST {
                hidden += 1;
            } else {
                bars.push(bar);
            }
        }
        bars.sort_by_key(|bar| bar.row);
        hidden += bars.len().saturating_sub(MOST);
        bars.truncate(MOST);
        (bars, hidden)
    }

    /// Draws the flame graph; `link` returns the address of one path, or of all.
    pub(super) fn draw(
        &self,
        names: &Names<'_>,
        zoomed: Option<usize>,
        link: impl Fn(Option<&str>) -> String,
    ) -> Markup {
        let (bars, hidden) = self.bars(zoomed);
        let rows = bars.last().map_or(0, |bar| bar.row) + 1;
        let inside = zoomed.map_or(0, |it| self.paths[it].depth + 1);
        html! {
            svg.flames width="100%" height=(rows * ROW) role="group" aria-label="Flame graph" {
                (drawn(("0%", "100%", 0), "flame-all", &link(None), "all", &format!("all: {}", self.by.shown(self.whole))))
                @for bar in &bars {
                    @let frame = self.paths[bar.path].frame;
                    @let name = format!("{}{}", names.get(frame.module, frame.name), frame.site_line());
                    @let class = if bar.row < inside { "flame-all" } else { tint(frame) };
                    @let short = if bar.width() < NARROWEST_NAMED { "" } else { &*name };
                    @let at = (&*place(bar.from, bar.of), &*place(bar.to - bar.from, bar.of), bar.row);
                    @let there = link(Some(&format!("{:x}", self.keys[bar.path])));
                    (drawn(at, class, &there, short, &self.says(bar.path)))
                }
            }
            @if hidden > 0 { p.faint { "Too narrow to be drawn: " (plural(hidden as u64, "path")) ". Zoom in to see more." } }
        }
    }

    /// Returns the tooltip: `shop::users::get: 12.3 ms, 45.6%, self 1.20 ms`.
    fn says(&self, path: usize) -> String {
        let Path { frame, totals, .. } = &self.paths[path];
        let (sum, own) = (self.sums[path], self.by.of(totals));
        let module = match frame.module {
            "" if frame.is_site => String::new(),
            module => format!("{module}::"),
        };
        let mut says = format!("{module}{}{}", frame.name, frame.site_line());
        // Writing to a string can't fail.
        let (shown, share) = (self.by.shown(sum), percent(sum, self.whole));
        let _ = write!(says, ": {shown}, {share}");
        if own != sum {
            let _ = write!(says, ", self {}", self.by.shown(own));
        }
        says
    }
}

/// Draws a bar in its row.
fn drawn(
    (x, width, row): (&str, &str, usize),
    class: &str,
    link: &str,
    name: &str,
    says: &str,
) -> Markup {
    html! {
        a href=(link) {
            svg x=(x) y=(row * ROW) width=(width) height=(ROW - 1) {
                title { (shown(says)) }
                rect class=(class) width="100%" height="100%" {}
                @if !name.is_empty() { text x="4" y="14" { (shown(name)) } }
            }
        }
    }
}

fn thousandths(part: u64, whole: u64) -> u128 {
    (u128::from(part) * 1000)
        .checked_div(u128::from(whole))
        .unwrap_or(0)
}

/// Returns a fraction as `12.345%`.
fn place(part: u64, whole: u64) -> String {
    let part = (u128::from(part) * 100_000)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    format!("{}.{:03}%", part / 1000, part % 1000)
}

/// Returns the tint of a function; functions of one module share it.
fn tint(frame: Frame<'_>) -> &'static str {
    const TINTS: [&str; 5] = ["flame-1", "flame-2", "flame-3", "flame-4", "flame-5"];
    let hash = hash(FNV, frame.module.as_bytes());
    let place = usize::try_from(hash % TINTS.len() as u64).unwrap_or(0);
    TINTS[place]
}

fn key(around: u64, frame: Frame<'_>) -> u64 {
    let parts = [frame.module, frame.name, frame.file];
    let hash = parts
        .iter()
        .fold(hash(FNV, &around.to_le_bytes()), |it, part| {
            hash(hash(it, part.as_bytes()), &[0xff])
        });
    let hash = self::hash(hash, &frame.line.to_le_bytes());
    self::hash(hash, &[u8::from(frame.is_site)])
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), which is equal in all processes.
const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(from: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(from, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
