//! pprof: a profile of hotspots, for the viewers of the Go world.
//!
//! The messages are those of [profile.proto][proto], without unused fields; the field numbers are
//! the format.
//!
//! [proto]: https://github.com/google/pprof/blob/main/proto/profile.proto

use std::collections::HashMap;
use std::io;

use flate2::{Compression, GzBuilder};
use prost::Message;

use crate::hotspots::{By, Frame, Hotspots};
use crate::report::escape::Escaped;
use crate::report::units::plural;

use super::folded::MAX_DEPTH;

/// Figures of each sample, without the calls inside: pprof adds those itself.
const FIGURES: [(By, &str, &str); 5] = [
    (By::Calls, "calls", "count"),
    (By::SelfTime, "time", "nanoseconds"),
    (By::SelfBusy, "busy", "nanoseconds"),
    (By::SelfAllocations, "allocations", "count"),
    (By::SelfBytes, "bytes", "bytes"),
];

/// The figure that a viewer shows first, and the one if nothing was counted.
const FIRST_SHOWN: &str = "bytes";
const FIRST_SHOWN_UNCOUNTED: &str = "time";

impl Hotspots {
    /// Writes a compressed profile for pprof, with the sample types `calls`, `time`, `busy`, `allocations`
    /// and `bytes`. A viewer shows `bytes` first, or `time` if nothing was counted. Equal hotspots give
    /// equal bytes.
    ///
    /// ```sh
    /// go tool pprof -top -sample_index=allocations hotspots.pb.gz
    /// ```
    ///
    /// With [sites](Self::with_sites), a function that allocates has its lines, which `-list` shows in the source.
    /// Paths of more than 500 functions are cut at that depth.
    ///
    /// # Errors
    ///
    /// Those of `out`, to which the profile is written whole.
    pub fn write_pprof(&self, mut out: impl io::Write) -> io::Result<()> {
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::default());
        io::Write::write_all(&mut gzip, &self.profile().encode_to_vec())?;
        out.write_all(&gzip.finish()?)?;
        out.flush()
    }

    fn profile(&self) -> Profile {
        let mut names = Strings::new();
        let mut functions: HashMap<Frame<'_>, u64> = HashMap::new();
        let mut locations: HashMap<Frame<'_>, u64> = HashMap::new();
        let mut profile = Profile {
            sample_type: FIGURES
                .map(|(_, kind, unit)| ValueType {
                    kind: names.number(kind),
                    unit: names.number(unit),
                })
                .into(),
            default_sample_type: names.number(if self.is_uncounted() {
                FIRST_SHOWN_UNCOUNTED
            } else {
                FIRST_SHOWN
            }),
            ..Profile::default()
        };
        profile.comment =
            vec![names.number(&format!("tracer: {}", plural(self.reports(), "report")))];
        // The functions that lead to a path, the outermost first.
        let mut around: Vec<u64> = Vec::new();
        for path in self.paths() {
            let values =
                FIGURES.map(|(by, ..)| i64::try_from(by.of(path.totals)).unwrap_or(i64::MAX));
            if path.depth >= MAX_DEPTH {
                // Deeper paths follow directly on the one at the limit.
                if let Some(edge) = profile.sample.last_mut() {
                    for (sum, value) in edge.value.iter_mut().zip(values) {
                        *sum = sum.saturating_add(value);
                    }
                }
                continue;
            }
            around.truncate(path.depth);
            around.push(*locations.entry(path.frame).or_insert_with(|| {
                let function = Function::key(path.frame);
                let function = *functions.entry(function).or_insert_with(|| {
                    let id = profile.function.len() as u64 + 1;
                    profile
                        .function
                        .push(Function::of(function, id, &mut names));
                    id
                });
                let id = profile.location.len() as u64 + 1;
                profile
                    .location
                    .push(Location::of(id, function, path.frame));
                id
            }));
            profile.sample.push(Sample {
                location_id: around.iter().rev().copied().collect(),
                value: values.into(),
            });
        }
        profile.string_table = names.all;
        profile
    }
}

/// The string table: each text once, by index.
struct Strings {
    all: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Strings {
    /// The first must be the empty one.
    fn new() -> Self {
        let mut strings = Self {
            all: Vec::new(),
            numbers: HashMap::new(),
        };
        strings.number("");
        strings
    }

    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = i64::try_from(self.all.len()).unwrap_or(i64::MAX);
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

impl Location {
    fn of(id: u64, function: u64, frame: Frame<'_>) -> Self {
        Self {
            id,
            line: vec![Line {
                function_id: function,
                line: frame.line.into(),
            }],
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
    #[prost(int64, tag = "5")]
    start_line: i64,
}

impl Function {
    /// Returns a function's frame without the lines of its sites.
    fn key(frame: Frame<'_>) -> Frame<'_> {
        Frame {
            line: if frame.is_site { 0 } else { frame.line },
            ..frame
        }
    }

    fn of(frame: Frame<'_>, id: u64, names: &mut Strings) -> Self {
        let name = names.number(&frame.qualified());
        Self {
            id,
            name,
            system_name: name,
            filename: names.number(&Escaped(frame.file).to_string()),
            start_line: frame.line.into(),
        }
    }
}
