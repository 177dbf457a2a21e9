//! Flame graphs, drawn by inferno.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io;

use inferno::flamegraph::color::{BackgroundColor, BasicPalette, Palette};
use inferno::flamegraph::{self, Options};

use crate::hotspots::{By, Hotspots, Unit};
use crate::report::units::plural;

impl Hotspots {
    /// Draws a flame graph as SVG: each path is a bar on top of the one that leads to it, as wide as
    /// its share of the figure. A browser can search it and zoom into it.
    ///
    /// The figure is taken without the calls inside ([`By::own`]), so a bar is as wide as its own share and
    /// the bars above it together. Paths of more than 500 functions are cut at that depth.
    ///
    /// # Errors
    ///
    /// If there is nothing to draw: no path has any of the figure, it was not counted, or it does not add
    /// up ([`By::Peak`]). Those of `out`, to which the picture is written whole.
    pub fn write_flamegraph(&self, by: By, out: impl io::Write) -> Result<(), FlamegraphError> {
        let own = by.own().ok_or(FlamegraphError(Problem::NoSum(by)))?;
        let mut whole = Sum::default();
        let lines = self.lines(own, |_, figure| whole.add(figure))?;
        if whole.0 == 0 {
            return Err(self.nothing(own));
        }
        let subtitle = format!(
            "{} in {}, calls inside in the bars above",
            amount(own, whole.0),
            plural(self.reports(), "report")
        );
        draw(own, own.name().to_owned(), subtitle, false, &lines, out)
    }

    /// Draws the changes since `before` as a flame graph: the bars are those of `self`, red if they have
    /// grown and blue if they have shrunk; the darker, the more.
    ///
    /// If the numbers of reports differ, the figures of `before` are scaled to that of `self`. Paths that
    /// are gone are not drawn.
    ///
    /// # Errors
    ///
    /// As [`write_flamegraph`](Self::write_flamegraph).
    pub fn write_flamegraph_since(
        &self,
        before: &Self,
        by: By,
        out: impl io::Write,
    ) -> Result<(), FlamegraphError> {
        let own = by.own().ok_or(FlamegraphError(Problem::NoSum(by)))?;
        let mut earlier = HashMap::new();
        let mut old = Sum::default();
        before.for_each_stack(own, |stack, figure| {
            let scaled = scale(figure, self.reports(), before.reports());
            *earlier.entry(stack.to_owned()).or_insert(0) += scaled;
            old.add(scaled)
        })?;
        let mut whole = Sum::default();
        let mut lines = String::new();
        self.for_each_stack(own, |stack, figure| {
            let before = earlier.get(stack).copied().unwrap_or(0);
            // Only the first of two equal stacks gets the earlier figure.
            earlier.remove(stack);
            // Writing to a string can't fail.
            let _ = writeln!(lines, "{stack} {before} {figure}");
            whole.add(figure)
        })?;
        if whole.0 == 0 {
            return Err(self.nothing(own));
        }
        let subtitle = format!(
            "{}, before {}: red has grown, blue has shrunk",
            amount(own, whole.0),
            own.shown(old.0)
        );
        draw(
            own,
            format!("{own}, what has changed"),
            subtitle,
            true,
            &lines,
            out,
        )
    }

    fn nothing(&self, by: By) -> FlamegraphError {
        FlamegraphError(if by.is_counted() && self.is_uncounted() {
            Problem::NotCounted(by)
        } else {
            Problem::Nothing(by)
        })
    }

    fn lines(
        &self,
        by: By,
        mut each: impl FnMut(&str, u64) -> Result<(), FlamegraphError>,
    ) -> Result<String, FlamegraphError> {
        let mut lines = String::new();
        self.for_each_stack(by, |stack, figure| {
            let _ = writeln!(lines, "{stack} {figure}");
            each(stack, figure)
        })?;
        Ok(lines)
    }
}

/// Sum of all figures, which must be a number that a browser represents exactly.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, figure: u64) -> Result<(), FlamegraphError> {
        let most = 1 << 53;
        match self.0.checked_add(figure).filter(|sum| *sum <= most) {
            Some(sum) => {
                self.0 = sum;
                Ok(())
            }
            None => Err(FlamegraphError(Problem::TooMuch)),
        }
    }
}

fn scale(figure: u64, to: u64, from: u64) -> u64 {
    if to == from || from == 0 {
        return figure;
    }
    let (figure, to, from) = (u128::from(figure), u128::from(to), u128::from(from));
    u64::try_from((figure * to + from / 2) / from).unwrap_or(u64::MAX)
}

fn draw(
    by: By,
    title: String,
    subtitle: String,
    is_difference: bool,
    lines: &str,
    mut out: impl io::Write,
) -> Result<(), FlamegraphError> {
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    // The unit follows each number.
    unit(by).clone_into(&mut options.count_name);
    "Function:".clone_into(&mut options.name_type);
    options.deterministic = true;
    options.colors = Palette::Basic(match by.unit() {
        Unit::Nanoseconds => BasicPalette::Hot,
        Unit::Bytes => BasicPalette::Mem,
        Unit::Count => BasicPalette::Orange,
    });
    if is_difference {
        options.bgcolors = Some(BackgroundColor::Grey);
    }
    let mut picture = Vec::new();
    flamegraph::from_lines(&mut options, lines.lines(), &mut picture)
        .map_err(|error| FlamegraphError(Problem::Drawing(error)))?;
    out.write_all(&picture)
        .and_then(|()| out.flush())
        .map_err(|error| FlamegraphError(Problem::Output(error)))
}

fn unit(by: By) -> &'static str {
    match (by.unit(), by) {
        (Unit::Nanoseconds, _) => "ns",
        (Unit::Bytes, _) => "bytes",
        (Unit::Count, By::Calls) => "calls",
        (Unit::Count, By::Failures) => "failures",
        (Unit::Count, By::Cancelled) => "cancelled calls",
        (Unit::Count, _) => "allocations",
    }
}

/// Returns a figure with its noun or unit: `3 calls`, `1 allocation`, `12.3 ms`.
fn amount(by: By, figure: u64) -> String {
    let thing = match by {
        By::Calls => "call",
        By::Failures => "failure",
        By::Cancelled => "cancelled call",
        By::Allocations | By::SelfAllocations => "allocation",
        _ => return by.shown(figure),
    };
    plural(figure, thing)
}

/// Error: a flame graph could not be drawn or written.
#[derive(Debug)]
pub struct FlamegraphError(Problem);

#[derive(Debug)]
enum Problem {
    NoSum(By),
    Nothing(By),
    NotCounted(By),
    TooMuch,
    Drawing(io::Error),
    Output(io::Error),
}

impl fmt::Display for FlamegraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::NoSum(by) => write!(
                f,
                "a flame graph by {by} can't be drawn: expected a figure that adds up, such as bytes"
            ),
            Problem::Nothing(by) => {
                write!(f, "nothing to draw: expected calls with {by} above 0")
            }
            Problem::NotCounted(by) => write!(
                f,
                "nothing to draw: {by} were not counted: expected another figure, such as time"
            ),
            Problem::TooMuch => f.write_str("the figures add up to more than can be drawn"),
            Problem::Drawing(error) => write!(f, "the flame graph could not be drawn: {error}"),
            Problem::Output(error) => write!(f, "the flame graph could not be written: {error}"),
        }
    }
}

impl std::error::Error for FlamegraphError {
    /// Returns the source of the cause, as the message includes the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Problem::Drawing(error) | Problem::Output(error) => error.source(),
            Problem::NoSum(_) | Problem::Nothing(_) | Problem::NotCounted(_) | Problem::TooMuch => {
                None
            }
        }
    }
}
