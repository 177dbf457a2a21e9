//! Hotspots as JSON, for other programs.

#[cfg(feature = "tables")]
use std::io;

use serde::Serialize;
#[cfg(feature = "tables")]
use serde::Serializer;

use crate::report::duration::nanoseconds;
use crate::report::json::counts::CountsInJson;
#[cfg(feature = "tables")]
use crate::report::json::escaping;
use crate::report::json::request::PercentilesInJson;

#[cfg(feature = "tables")]
use super::Table;
use super::{Frame, Hotspot, Hotspots, Path, Totals};

/// Version of the schema that is written.
#[cfg(feature = "tables")]
const VERSION: u32 = 1;

/// Serialises the table as an object for other programs: `tracer_hotspots` (the version, 1), the number
/// of `reports`, their counts (`total`) and those outside calls (`outside_calls`), the `functions`,
/// sorted and cut as the table is, and all `paths`.
///
/// A function has `name`, `module`, `file`, `line`, for a line of a site `is_site`, the totals of its calls, and the percentiles of a
/// call: `wall_percentiles_ns` and `allocates_percentiles`. A path has no percentiles, but `parent`: the
/// index in `paths` of the path that leads to it. Unknown figures are `null`.
#[cfg(feature = "tables")]
impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct TableInJson<'a> {
            tracer_hotspots: u32,
            #[serde(flatten)]
            hotspots: HotspotsInJson<'a>,
        }
        TableInJson {
            tracer_hotspots: VERSION,
            hotspots: HotspotsInJson::of(self.hotspots, &self.functions().0),
        }
        .serialize(serializer)
    }
}

#[cfg(feature = "tables")]
impl Table<'_> {
    /// Writes the table as one line of JSON, with the fields that its `Serialize` describes. Characters
    /// that could disturb a terminal or an editor are escaped as in `\u202e`.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    ///
    /// ```
    /// use tracer::hotspots::Hotspots;
    ///
    /// let mut json = Vec::new();
    /// Hotspots::new().table().write_json(&mut json)?;
    /// assert!(json.starts_with(b"{\"tracer_hotspots\":1,\"reports\":0,"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_json(&self, mut out: impl io::Write) -> io::Result<()> {
        escaping::to_writer(&mut out, self)?;
        out.write_all(b"\n")
    }
}

/// Hotspots with some of their functions.
#[derive(Serialize)]
pub(crate) struct HotspotsInJson<'a> {
    reports: u64,
    total: Option<CountsInJson>,
    outside_calls: Option<CountsInJson>,
    functions: Vec<Function<'a>>,
    paths: Vec<PathInJson<'a>>,
}

impl<'a> HotspotsInJson<'a> {
    pub(crate) fn of(hotspots: &'a Hotspots, functions: &[Hotspot<'a>]) -> Self {
        Self {
            reports: hotspots.reports(),
            total: hotspots.counts().map(CountsInJson::of),
            outside_calls: hotspots.outside_calls().map(CountsInJson::of),
            functions: functions.iter().map(Function::of).collect(),
            paths: hotspots.paths().iter().map(PathInJson::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(flatten)]
    frame: FrameInJson<'a>,
    #[serde(flatten)]
    totals: TotalsInJson,
    wall_percentiles_ns: Option<PercentilesInJson>,
    allocates_percentiles: Option<PercentilesInJson>,
}

impl<'a> Function<'a> {
    fn of(function: &Hotspot<'a>) -> Self {
        let wall = function.wall.map(|wall| wall.map(nanoseconds));
        Self {
            frame: FrameInJson::of(function.frame),
            totals: TotalsInJson::of(function.totals),
            wall_percentiles_ns: wall.map(PercentilesInJson::of),
            allocates_percentiles: function.allocates.map(PercentilesInJson::of),
        }
    }
}

#[derive(Serialize)]
struct PathInJson<'a> {
    #[serde(flatten)]
    frame: FrameInJson<'a>,
    parent: Option<usize>,
    #[serde(flatten)]
    totals: TotalsInJson,
}

impl<'a> PathInJson<'a> {
    fn of(path: &Path<'a>) -> Self {
        Self {
            frame: FrameInJson::of(path.frame),
            parent: path.parent,
            totals: TotalsInJson::of(path.totals),
        }
    }
}

#[derive(Serialize)]
struct FrameInJson<'a> {
    name: &'a str,
    module: &'a str,
    file: &'a str,
    line: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_site: bool,
}

impl<'a> FrameInJson<'a> {
    fn of(frame: Frame<'a>) -> Self {
        Self {
            name: frame.name,
            module: frame.module,
            file: frame.file,
            line: frame.line,
            is_site: frame.is_site,
        }
    }
}

#[derive(Serialize)]
struct TotalsInJson {
    calls: u64,
    failures: u64,
    cancelled: u64,
    partial: u64,
    wall_ns: u64,
    self_wall_ns: u64,
    busy_ns: u64,
    self_busy_ns: u64,
    total: Option<CountsInJson>,
    #[serde(rename = "self")]
    own: Option<CountsInJson>,
    net_bytes: Option<i64>,
    peak_bytes: Option<u64>,
}

impl TotalsInJson {
    fn of(totals: &Totals) -> Self {
        Self {
            calls: totals.calls,
            failures: totals.failures,
            cancelled: totals.cancelled,
            partial: totals.partial,
            wall_ns: nanoseconds(totals.wall),
            self_wall_ns: nanoseconds(totals.self_wall),
            busy_ns: nanoseconds(totals.busy),
            self_busy_ns: nanoseconds(totals.self_busy),
            total: totals.total.map(CountsInJson::of),
            own: totals.self_counts.map(CountsInJson::of),
            net_bytes: totals.net_bytes,
            peak_bytes: totals.peak_bytes,
        }
    }
}
