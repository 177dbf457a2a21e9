//! The heights of a chart's figures.

use crate::web::charts;

use super::{BOTTOM, Drawn, Mark, TOP};

/// How high a figure is drawn.
pub(super) struct Scale {
    /// Values with a line and a text.
    pub(super) lines: Vec<(u64, String)>,
    kind: Kind,
}

enum Kind {
    /// Bars from 0 to the highest value.
    Bars(u64),
    /// Strokes, from one power of ten to another.
    Decades(u32, u32),
}

impl Scale {
    pub(super) fn bars(figures: &[Drawn], shown: impl Fn(u64) -> String) -> Self {
        let most = figures.iter().map(|it| it.value).max().unwrap_or(0);
        let mut lines = vec![(0, String::new())];
        if most > 0 {
            lines.push((most, shown(most)));
        }
        let kind = Kind::Bars(most.max(1));
        Self { lines, kind }
    }

    pub(super) fn decades(
        figures: &[Drawn],
        marks: &[Mark<'_>],
        shown: impl Fn(u64) -> String,
    ) -> Self {
        let values = figures
            .iter()
            .map(|it| it.value)
            .chain(marks.iter().map(|it| it.value));
        let log = |value: u64| value.max(1).ilog10();
        let (low, high) = values.fold((u32::MAX, 0), |(low, high), it| {
            (low.min(log(it)), high.max(log(it)))
        });
        let (low, high) = (low.min(high), high + 1);
        // Some four lines.
        let step = (high - low).div_ceil(4).max(1) as usize;
        let lines = (low..=high)
            .step_by(step)
            .map(|it| 10_u64.saturating_pow(it));
        let lines = lines.map(|value| (value, shown(value))).collect();
        Self {
            lines,
            kind: Kind::Decades(low, high),
        }
    }

    /// Returns the height of a value, from the top.
    pub(super) fn y(&self, value: u64) -> u64 {
        let span = u128::from(BOTTOM - TOP);
        let up = match self.kind {
            Kind::Bars(most) => (u128::from(value) * span).div_ceil(u128::from(most)),
            Kind::Decades(low, high) => {
                let log =
                    charts::log(u128::from(value)).saturating_sub(u128::from(low) * charts::DECADE);
                log * span / (u128::from(high - low) * charts::DECADE)
            }
        };
        BOTTOM - u64::try_from(up.min(span)).unwrap_or(0)
    }

    /// Returns the top and the bottom of what is drawn for a value.
    pub(super) fn span(&self, value: u64) -> (u64, u64) {
        let y = self.y(value);
        match self.kind {
            Kind::Bars(_) => (y, BOTTOM),
            Kind::Decades(..) => (y - 1, y + 2),
        }
    }
}
