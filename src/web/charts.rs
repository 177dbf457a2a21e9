//! Small charts: SVG without scripts and styles.

use std::time::Duration;

use maud::{Markup, html};

const WIDTH: u64 = 90;
const HEIGHT: u64 = 24;
pub(super) const BARS: usize = 30;
/// Range of a histogram, from the left to the right.
const DECADES: u128 = 7;

/// Draws a histogram of times; the highest bar has the full height.
pub(super) fn times(bins: &[(Duration, Duration, u64)]) -> Markup {
    let bins = bins.iter();
    let bins =
        bins.map(|(from, to, count)| (u128::midpoint(from.as_nanos(), to.as_nanos()), *count));
    spread("time", "How times are spread, from 1 µs to 10 s", 3, bins)
}

/// Draws a histogram of numbers of allocations.
pub(super) fn allocations(bins: &[(u64, u64, u64)]) -> Markup {
    let bins = bins.iter();
    let bins = bins.map(|(from, to, count)| (u128::from(u64::midpoint(*from, *to)), *count));
    spread(
        "heap",
        "How allocations are spread, from 1 to 10 million",
        0,
        bins,
    )
}

/// `from`: the power of ten at the left end.
fn spread(class: &str, says: &str, from: u32, bins: impl Iterator<Item = (u128, u64)>) -> Markup {
    let mut bars = [0_u64; BARS];
    for (middle, count) in bins {
        bars[bar_of(middle, from)] += count;
    }
    let highest = bars.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / BARS as u64;
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(says) {
            title { (says) }
            rect class="track" x="0" y=(HEIGHT - 1) width=(WIDTH) height="1" {}
            @for (place, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let height = (u128::from(*count) * u128::from(HEIGHT - 2)).div_ceil(u128::from(highest)).max(1);
                rect class=(class) x=(place as u64 * width) y=(u128::from(HEIGHT - 1) - height)
                    width=(width - 1) height=(height) {}
            }
        }
    }
}

/// Returns the bar of a figure; bars are equally wide on a logarithmic scale.
fn bar_of(figure: u128, from: u32) -> usize {
    let log = log(figure).saturating_sub(u128::from(from) * DECADE);
    let bar = log * BARS as u128 / (DECADES * DECADE);
    usize::try_from(bar).unwrap_or(BARS).min(BARS - 1)
}

/// The logarithm of ten: see [`log`].
pub(super) const DECADE: u128 = 3322;

/// Returns about a thousand times the logarithm to base 2.
pub(super) fn log(figure: u128) -> u128 {
    let figure = figure.max(1);
    let octave = figure.ilog2();
    let within = (figure * 1000) / (1 << octave) - 1000;
    u128::from(octave) * 1000 + within
}

/// Draws figures as bars, with a part of each that stands out.
pub(super) fn pair(says: &str, figures: &[u64], parts: &[u64]) -> Markup {
    let highest = figures.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / BARS as u64;
    let bar = |class: &str, place: usize, figure: u64| {
        let height = (u128::from(figure) * u128::from(HEIGHT - 2)).div_ceil(u128::from(highest));
        html! {
            rect class=(class) x=(place as u64 * width) y=(u128::from(HEIGHT - 1) - height) width=(width - 1) height=(height) {}
        }
    };
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(says) {
            title { (says) }
            rect class="track" x="0" y=(HEIGHT - 1) width=(WIDTH) height="1" {}
            @for (place, (figure, part)) in figures.iter().zip(parts).enumerate() {
                @if *figure > 0 { (bar("time", place, *figure)) }
                @if *part > 0 { (bar("failed", place, *part)) }
            }
        }
    }
}

/// Draws a bar of a waterfall from one thousandth of the width to another, with marks. The style sheet has what all bars
/// of a column have, as a trace has thousands, and an outline that keeps the narrowest visible.
pub(super) fn bar(is_failed: bool, from: u64, to: u64, marks: &[u64]) -> Markup {
    let percent = |thousandths: u64| format!("{}.{}%", thousandths / 10, thousandths % 10);
    let at = |thousandths: u64| percent(thousandths.clamp(2, 998));
    // Without a width nothing is drawn, not even the outline.
    let width = match to.saturating_sub(from) {
        0 => "1".to_owned(),
        width => percent(width),
    };
    html! {
        svg aria-hidden="true" {
            @if is_failed { rect class="failed" x=(at(from)) width=(width) {} }
            @else { rect x=(at(from)) width=(width) {} }
            @for mark in marks { line x1=(at(*mark)) x2=(at(*mark)) y2="14" {} }
        }
    }
}

/// Draws two rows of bars on one axis, each from one thousandth of the width to another. Each bar has a minimum width.
pub(super) fn bars(rows: [(&str, &[(u64, u64)]); 2]) -> Markup {
    html! {
        svg width="100%" height="26" viewBox="0 0 1000 26" preserveAspectRatio="none" aria-hidden="true" {
            @for ((class, spans), y) in rows.into_iter().zip([1, 14]) {
                rect class="track" x="0" y=(y + 4) width="1000" height="2" {}
                @for (from, to) in spans {
                    @let at = *from.clamp(&2, &998);
                    rect class=(class) x=(from) y=(y) width=(to.saturating_sub(*from)) height="10" {}
                    line class=(class) x1=(at) x2=(at) y1=(y) y2=(y + 10) vector-effect="non-scaling-stroke" {}
                }
            }
        }
    }
}

/// Returns the share of the whole, in thousandths.
pub(super) fn part(part: u128, whole: u128) -> u64 {
    let part = (part * 1000).checked_div(whole).unwrap_or(0);
    u64::try_from(part.min(1000)).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_equally_wide_in_the_logarithm() {
        let microseconds = [
            0,
            1,
            10,
            100,
            1_000,
            10_000,
            100_000,
            1_000_000,
            10_000_000,
            u128::from(u64::MAX),
        ];
        let bars = microseconds.map(|it| bar_of(it * 1000, 3));
        assert_eq!(bars, [0, 0, 4, 8, 12, 17, 21, 25, 29, 29]);
        assert_eq!(
            [0, 1, 9, 10, 1_000_000].map(|it| bar_of(it, 0)),
            [0, 0, 4, 4, 25]
        );
    }

    #[test]
    fn parts_of_nothing_are_nothing() {
        assert_eq!((part(1, 0), part(1, 3), part(4, 3)), (0, 333, 1000));
    }
}
