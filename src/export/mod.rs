//! Reports in the formats of other tools.
//!
//! [`Format`] lists the formats that take any number of reports: the command `tracer export`, the page
//! of a recorder and the table below are made from it. A flame graph also takes another figure and
//! what it was before: [`Hotspots::write_flamegraph`](crate::hotspots::Hotspots::write_flamegraph).
//!
//! | format | file name ends in | content |
//! |---|---|---|
//! | `text` | `.txt` | Lines and a tree, for people |
//! | `json` | `.jsonl` | A report on each line, for programs and the command `tracer` |
//! | `chrome` | `.trace.json` | Trace events, for Perfetto, speedscope and Chrome's own viewer |
//! | `folded` | `.folded` | Folded stacks, for flame graph tools |
//! | `otlp-json` | `.otlp.jsonl` | Spans of OpenTelemetry, a report on each line, for collectors |
//! | `pprof` | `.pb.gz` | A compressed profile, for `go tool pprof` and its kin |
//!
//! ```
//! use tracer::export::Format;
//! use tracer::{Trace, call};
//!
//! let trace = Trace::new();
//! let scope = trace.inject();
//! call!("7").stop();
//! drop(scope);
//!
//! let mut file = Vec::new();
//! Format::Text.write([trace.report()], &mut file)?;
//! assert!(file.starts_with(b"allocates at call stack: "));
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(feature = "chrome")]
pub mod chrome;
#[cfg(feature = "flamegraph")]
mod flamegraph;
#[cfg(feature = "hotspots")]
mod folded;
#[cfg(feature = "otlp-json")]
pub(crate) mod otlp;
#[cfg(feature = "pprof")]
mod pprof;

use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::str::FromStr;

#[cfg(feature = "hotspots")]
use crate::hotspots::{By, Hotspots};
use crate::primitives::text::character_boundary;
use crate::report::Report;
use crate::report::escape::Escaped;

#[cfg(feature = "flamegraph")]
pub use flamegraph::FlamegraphError;

/// A format in which reports are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Each report as a line for each call, then as a [tree](Report::tree).
    Text,
    /// A report on each line, as [`report::json`](crate::report::json) describes it.
    #[cfg(feature = "serde")]
    Json,
    /// [Trace events](chrome).
    #[cfg(feature = "chrome")]
    Chrome,
    /// Folded stacks of all reports together, with this figure:
    /// [`Hotspots::write_stacks`](crate::hotspots::Hotspots::write_stacks).
    #[cfg(feature = "hotspots")]
    Folded(By),
    /// Each report as a request to a collector of OpenTelemetry, in JSON on a line of its own: the file
    /// format of [OTLP](https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/).
    #[cfg(feature = "otlp-json")]
    OtlpJson,
    /// A profile of all reports together:
    /// [`Hotspots::write_pprof`](crate::hotspots::Hotspots::write_pprof).
    #[cfg(feature = "pprof")]
    Pprof,
}

/// What is said of a format, wherever formats are listed.
struct About {
    name: &'static str,
    description: &'static str,
    extension: &'static str,
    media_type: &'static str,
    /// Whether a terminal can show it.
    is_text: bool,
}

impl Format {
    /// The formats of the enabled features.
    pub const ALL: &'static [Self] = &[
        Self::Text,
        #[cfg(feature = "serde")]
        Self::Json,
        #[cfg(feature = "chrome")]
        Self::Chrome,
        #[cfg(feature = "hotspots")]
        Self::Folded(By::SelfBytes),
        #[cfg(feature = "otlp-json")]
        Self::OtlpJson,
        #[cfg(feature = "pprof")]
        Self::Pprof,
    ];

    const fn about(self) -> About {
        match self {
            Self::Text => About {
                name: "text",
                description: "Lines and a tree, for people",
                extension: "txt",
                media_type: "text/plain; charset=utf-8",
                is_text: true,
            },
            #[cfg(feature = "serde")]
            Self::Json => About {
                name: "json",
                description: "A report on each line, for programs and the command `tracer`",
                extension: "jsonl",
                media_type: "application/jsonl",
                is_text: true,
            },
            #[cfg(feature = "chrome")]
            Self::Chrome => About {
                name: "chrome",
                description: "Trace events, for Perfetto, speedscope and Chrome's own viewer",
                // speedscope takes `.chrome.json` for a profile of Chrome's own.
                extension: "trace.json",
                media_type: "application/json",
                is_text: true,
            },
            #[cfg(feature = "hotspots")]
            Self::Folded(_) => About {
                name: "folded",
                description: "Folded stacks, for flame graph tools",
                extension: "folded",
                media_type: "text/plain; charset=utf-8",
                is_text: true,
            },
            #[cfg(feature = "otlp-json")]
            Self::OtlpJson => About {
                name: "otlp-json",
                description: "Spans of OpenTelemetry, a report on each line, for collectors",
                extension: "otlp.jsonl",
                media_type: "application/jsonl",
                is_text: true,
            },
            #[cfg(feature = "pprof")]
            Self::Pprof => About {
                name: "pprof",
                description: "A compressed profile, for `go tool pprof` and its kin",
                extension: "pb.gz",
                media_type: "application/octet-stream",
                is_text: false,
            },
        }
    }

    /// Returns the format's name, by which it is also parsed.
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// Returns what the format contains and what it is for, in a few words.
    pub const fn description(self) -> &'static str {
        self.about().description
    }

    /// Returns what a file's name ends in, behind a dot.
    pub const fn extension(self) -> &'static str {
        self.about().extension
    }

    /// Returns the content type, for HTTP.
    pub const fn media_type(self) -> &'static str {
        self.about().media_type
    }

    /// Returns whether the format is text, which a terminal can show.
    pub const fn is_text(self) -> bool {
        self.about().is_text
    }

    /// Returns the format with this figure, if it has one; [`By::SelfBytes`] by default.
    #[cfg(feature = "hotspots")]
    #[must_use]
    pub const fn by(self, by: By) -> Self {
        match self {
            Self::Folded(_) => Self::Folded(by),
            other => other,
        }
    }

    /// Writes reports in this format. Those with a figure for each path, and profiles, hold the sums of
    /// all reports, by [allocation site](crate::hotspots::Hotspots::with_sites) if the reports have them; the
    /// others are written report by report.
    ///
    /// # Errors
    ///
    /// Those of `out`. An error that holds [`NothingToExport`] if there is no figure to write.
    pub fn write<R: Borrow<Report>>(
        self,
        reports: impl IntoIterator<Item = R>,
        mut out: impl io::Write,
    ) -> io::Result<()> {
        match self {
            Self::Text => {
                for (place, report) in reports.into_iter().enumerate() {
                    let report = report.borrow();
                    let before = if place == 0 { "" } else { "\n" };
                    write!(out, "{before}{report}\n\n{report:#}\n")?;
                }
            }
            #[cfg(feature = "serde")]
            Self::Json => {
                for report in reports {
                    crate::report::json::write_line(report.borrow(), &mut out)?;
                }
            }
            #[cfg(feature = "chrome")]
            Self::Chrome => chrome::write(reports, &mut out)?,
            #[cfg(feature = "hotspots")]
            Self::Folded(by) => {
                let hotspots = sum(reports);
                NothingToExport::check(&hotspots, by).map_err(io::Error::other)?;
                hotspots.write_stacks(by, &mut out)?;
            }
            #[cfg(feature = "otlp-json")]
            Self::OtlpJson => {
                for report in reports {
                    otlp::write_line(report.borrow(), &mut out)?;
                }
            }
            #[cfg(feature = "pprof")]
            Self::Pprof => sum(reports).write_pprof(&mut out)?,
        }
        out.flush()
    }
}

#[cfg(feature = "hotspots")]
fn sum<R: Borrow<Report>>(reports: impl IntoIterator<Item = R>) -> Hotspots {
    let mut hotspots = Hotspots::with_sites();
    for report in reports {
        hotspots.add(report.borrow());
    }
    hotspots
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.iter().find(|format| format.name() == name);
        found.copied().ok_or_else(|| {
            let name = &name[..character_boundary(name.as_bytes(), UnknownFormat::MAX_BYTES)];
            UnknownFormat(name.to_owned())
        })
    }
}

/// A name is none of a [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl UnknownFormat {
    /// More of the name is not kept.
    const MAX_BYTES: usize = 40;
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
        let names = names.join(", ");
        write!(
            f,
            "unknown format `{}`: expected one of {names}",
            Escaped(&self.0)
        )
    }
}

impl std::error::Error for UnknownFormat {}

/// An export would be empty, which tells nothing, least of all why.
#[cfg(feature = "hotspots")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingToExport {
    by: By,
    is_counted: bool,
}

#[cfg(feature = "hotspots")]
impl NothingToExport {
    fn check(hotspots: &Hotspots, by: By) -> Result<(), Self> {
        if hotspots.paths().iter().any(|path| by.of(path.totals) > 0) {
            return Ok(());
        }
        let is_counted = !by.is_counted() || hotspots.counts().is_some();
        Err(Self { by, is_counted })
    }
}

#[cfg(feature = "hotspots")]
impl fmt::Display for NothingToExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by;
        if self.is_counted {
            write!(f, "nothing to export: expected calls with {by} above 0")
        } else {
            write!(
                f,
                "nothing to export: {by} were not counted: expected another figure, such as time"
            )
        }
    }
}

#[cfg(feature = "hotspots")]
impl std::error::Error for NothingToExport {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_table_in_the_documentation_have_every_variant() {
        let source = include_str!("mod.rs");
        let table: Vec<_> = { source.lines() }
            .filter_map(|line| line.strip_prefix("//! | `"))
            .collect();
        for format in Format::ALL {
            let (name, extension) = (format.name(), format.extension());
            let line = format!("{name}` | `.{extension}` | {} |", format.description());
            assert!(table.contains(&&*line), "{line}\n{table:#?}");
            assert_eq!(name.parse(), Ok(*format));
        }
        // With all features, since a variant without its feature is not in the list.
        #[cfg(all(feature = "chrome", feature = "otlp-json", feature = "pprof"))]
        {
            let (_, after) = source.split_once("pub enum Format {\n").unwrap();
            let (variants, _) = after.split_once("\n}\n").unwrap();
            let variants: Vec<_> = { variants.lines().map(str::trim) }
                .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
                .filter_map(|line| line.split(['(', ',']).next())
                .collect();
            let listed = Format::ALL.iter().map(|format| format!("{format:?}"));
            let listed = listed.map(|it| it.split('(').next().unwrap().to_owned());
            assert_eq!(listed.collect::<Vec<_>>(), variants);
            assert_eq!(table.len(), variants.len());
        }
    }

    #[test]
    fn an_unknown_format_is_named() {
        let error = "csv\n".parse::<Format>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown format `csv\\n`: expected one of text"),
            "{error}"
        );
    }
}
