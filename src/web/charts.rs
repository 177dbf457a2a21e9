//! Small pictures: SVG without scripts or styles of its own.

use std::time::Duration;

use maud::{Markup, html};

const WIDTH: u64 = 120;
const HEIGHT: u64 = 24;
/// A tenth of a decade each, over six decades of time.
const BARS: usize = 30;

/// How times are spread, from 1 µs at the left to 10 s at the right, each bar as high as its share of
/// the highest.
pub(super) fn spread(bins: &[(Duration, Duration, u64)]) -> Markup {
    let mut bars = [0_u64; BARS];
    for (from, to, count) in bins {
        let middle = u128::midpoint(from.as_nanos(), to.as_nanos());
        bars[bar_of(middle)] += count;
    }
    let highest = bars.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / BARS as u64;
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-label="how times are spread, from 1 µs to 10 s" {
            title { "From 1 µs at the left to 10 s at the right" }
            rect class="track" x="0" y=(HEIGHT - 1) width=(WIDTH) height="1" {}
            @for (place, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let height = (count * (HEIGHT - 2)).div_ceil(highest).max(1);
                rect class="time" x=(place as u64 * width) y=(HEIGHT - 1 - height)
                    width=(width - 1) height=(height) {}
            }
        }
    }
}

/// Seven decades in bars of equal width.
fn bar_of(nanoseconds: u128) -> usize {
    // Thousandths of the logarithm to base 2, of which there are 3,322 in a decade.
    let ns = nanoseconds.max(1);
    let octave = u128::from(ns.ilog2());
    let within = (ns * 1000) / (1 << octave) - 1000;
    let log = octave * 1000 + within;
    let from = log.saturating_sub(3 * 3322);
    let bar = from * BARS as u128 / (7 * 3322);
    usize::try_from(bar).unwrap_or(BARS).min(BARS - 1)
}

/// A bar from one part in a thousand to another, with marks on it.
pub(super) fn bar(class: &str, from: u64, to: u64, marks: &[u64]) -> Markup {
    html! {
        svg width="100%" height="14" viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true" {
            rect class="track" x="0" y="6" width="1000" height="2" {}
            rect class=(class) x=(from.min(998)) y="2" width=(to.saturating_sub(from).max(2)) height="10" {}
            @for mark in marks { rect class="mark" x=((*mark).min(998)) y="0" width="2" height="14" {} }
        }
    }
}

/// What part of the whole it is, of a thousand.
pub(super) fn part(part: u128, whole: u128) -> u64 {
    let part = (part * 1000).checked_div(whole).unwrap_or(0);
    u64::try_from(part.min(1000)).unwrap_or(1000)
}
