//! The command line.

use std::path::PathBuf;
#[cfg(feature = "top")]
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracer::export;
use tracer::hotspots::{By, Rule};
use tracer::search::{Outcomes, Query, QueryError};

/// Show what reports of the tracer have recorded, from files of JSON lines
#[derive(Parser)]
#[command(name = "tracer", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The most characters of an argument that a message shows.
const MOST_SHOWN: usize = 60;

impl Arguments {
    /// Parses the process's arguments, or ends it with a message.
    pub(crate) fn of_process() -> Self {
        Self::try_parse().unwrap_or_else(|mut error| {
            for kind in [
                ContextKind::InvalidValue,
                ContextKind::InvalidArg,
                ContextKind::InvalidSubcommand,
            ] {
                if let Some(ContextValue::String(text)) = error.get(kind)
                    && text.chars().count() > MOST_SHOWN
                {
                    let start: String = text.chars().take(MOST_SHOWN).collect();
                    error.insert(kind, ContextValue::String(start + "…"));
                    // It repeats the argument.
                    error.insert(ContextKind::Suggested, ContextValue::None);
                }
            }
            error.exit()
        })
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show reports one by one
    ///
    /// Shows those that all given options find. They mean what the search of the page does. Exits with 1
    /// if none is found.
    Show(Box<Show>),
    /// Show files on the page of a recorder, in a browser on this machine
    ///
    /// Prints the address of the page, with the token that opens it. The newest requests are in memory:
    /// lists, failures and hotspots are of these. The search covers all. What is added to the files is read
    /// when a page is asked for. Lines that are no reports are passed over and counted.
    #[cfg(feature = "serve")]
    Serve(Serve),
    /// Show which functions take or allocate the most
    Hotspots(Hotspots),
    /// Draw a flame graph, as SVG
    Flamegraph(Flamegraph),
    /// Write reports in a format of other tools
    Export(Export),
    /// Show what has changed, and fail if a rule is broken
    ///
    /// Functions are identified by module and name. If the numbers of reports before and after differ,
    /// figures are compared per report.
    Diff(Diff),
    /// Look up functions and lines of allocation sites, and write the reports again
    ///
    /// For reports from a machine without debug information, whose frames have module, build id and
    /// offset. Frames belong to a binary if they have its build id; the others stay as they are.
    Symbolize(Symbolize),
    /// Watch a running service, or a file, in the terminal
    ///
    /// Shows routes, requests in flight, the newest kept requests and failures, and the tree of each. The
    /// keys are those of htop; F1 shows them. Of a file, the figures of routes are sums over the requests
    /// that it has, not over all that there were.
    #[cfg(feature = "top")]
    Top(Top),
}

/// The source of reports.
#[derive(Args)]
pub(crate) struct Input {
    /// Files with one report per line; `-`, or no file, is standard input
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) leniency: Leniency,
}

#[derive(Args)]
pub(crate) struct Leniency {
    /// Skip lines that are not reports, and say how many there were
    #[arg(long)]
    pub(crate) skip_bad: bool,
}

#[derive(Clone, Copy, Args)]
pub(crate) struct Sites {
    /// Go on below the calls to the lines that allocate, if they were recorded
    #[arg(long)]
    pub(crate) sites: bool,
}

/// The destination of a result.
#[derive(Args)]
pub(crate) struct Output {
    /// Write to this file; a device or a pipe is written to directly
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file if it exists; its mode and owner stay
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) input: Input,
    /// As trees, with all figures (the default)
    #[arg(long, group = "form")]
    pub(crate) tree: bool,
    /// As trees with a line for each call, also if eight or more calls of a function repeat
    #[arg(long, group = "form")]
    pub(crate) unfolded: bool,
    /// As one line per call
    #[arg(long, group = "form")]
    pub(crate) plain: bool,
    /// Only the N requests that took longest, the longest first
    #[arg(long, value_name = "N", group = "which")]
    pub(crate) slowest: Option<usize>,
    /// Only the N requests that allocated the most bytes, the most first
    #[arg(long, value_name = "N", group = "which")]
    pub(crate) heaviest: Option<usize>,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// What requests have in common. The values of [`Value`] were checked when they were parsed.
#[derive(Args)]
pub(crate) struct Find {
    /// Only the request with this id
    #[arg(long, value_parser = value("id"))]
    pub(crate) id: Option<Value>,
    /// Only requests of the trace with this id, 32 hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = value("trace_id"))]
    pub(crate) trace_id: Option<Value>,
    /// Only requests of this name: of this route
    #[arg(long, value_parser = value("route"))]
    pub(crate) name: Option<Value>,
    /// Only requests that ended at this time or later: `2026-11-29T17:05:00Z`, or a time ago: `10m`,
    /// `2h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = value("since"))]
    pub(crate) since: Option<Value>,
    /// Only requests that began before this time
    #[arg(long, value_name = "TIME", value_parser = value("until"))]
    pub(crate) until: Option<Value>,
    /// Only requests with this text in an id, a label or a message of theirs or of a call; letters match
    /// in either case
    #[arg(long, value_name = "TEXT", value_parser = value("text"))]
    pub(crate) grep: Option<Value>,
    /// Only requests that took longer: `250us`, `30ms`, `1.5s`, `2m`
    #[arg(long, value_name = "TIME", value_parser = value("slower"))]
    pub(crate) slower_than: Option<Value>,
    /// Only requests that allocated more bytes: `100kB`, `1.5MiB`
    #[arg(long, value_name = "SIZE", value_parser = value("heavier"))]
    pub(crate) heavier_than: Option<Value>,
    /// Only requests that failed or panicked
    #[arg(long, group = "outcome")]
    pub(crate) failed: bool,
    /// Only requests that were cancelled
    #[arg(long, group = "outcome")]
    pub(crate) cancelled: bool,
}

/// A value of a query's parameter.
#[derive(Clone)]
pub(crate) struct Value {
    parameter: &'static str,
    value: String,
}

impl Find {
    pub(crate) fn query(&self) -> Result<Query, QueryError> {
        let values = [
            &self.id,
            &self.trace_id,
            &self.name,
            &self.since,
            &self.until,
            &self.grep,
            &self.slower_than,
            &self.heavier_than,
        ];
        let mut query = Query::new();
        for Value { parameter, value } in values.into_iter().flatten() {
            query = query.with(parameter, value)?;
        }
        Ok(match (self.failed, self.cancelled) {
            (true, _) => query.outcome(Outcomes::Failure),
            (_, true) => query.outcome(Outcomes::Cancelled),
            _ => query,
        })
    }
}

#[cfg(feature = "serve")]
#[derive(Args)]
pub(crate) struct Serve {
    /// Files with one report per line, also those that a service is writing
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Listen on this port of 127.0.0.1; 0 is one that is free
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Keep the newest requests in at most this much memory, in MiB; reading takes as much again
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) memory_mib: u32,
}

#[derive(Args)]
pub(crate) struct Hotspots {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Sort by this figure
    #[arg(long, value_name = "FIGURE", default_value_t = By::SelfBytes, value_parser = figures())]
    pub(crate) by: By,
    /// Show at most this many functions
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) sites: Sites,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As wide as the terminal, or 120 characters
    Table,
    /// For a pull request's comment
    Markdown,
    /// For other programs, with all paths
    Json,
}

#[derive(Args)]
pub(crate) struct Flamegraph {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The figure that sets the width of the bars
    #[arg(long, value_name = "FIGURE", default_value_t = By::SelfBytes, value_parser = figures())]
    pub(crate) by: By,
    /// Colour what has grown (red) and shrunk (blue) since these reports
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sites: Sites,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The format
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub(crate) to: export::Format,
    /// The figure of folded stacks
    #[arg(long, value_name = "FIGURE", default_value_t = By::SelfBytes, value_parser = figures())]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Diff {
    /// Reports before, one per line; `-` is standard input
    pub(crate) before: PathBuf,
    /// Reports after, one per line; `-` is standard input
    pub(crate) after: PathBuf,
    #[command(flatten)]
    pub(crate) leniency: Leniency,
    /// Fail (exit 1) if this holds for a function or for all together, as in 'allocations > +0' or
    /// 'bytes > +5%'; may be given more than once
    #[arg(long, value_name = "RULE")]
    pub(crate) fail_on: Vec<Rule>,
    /// Show what has changed in this figure
    #[arg(long, value_name = "FIGURE", default_value_t = By::Allocations, value_parser = figures())]
    pub(crate) by: By,
    /// Show at most this many functions, and this many paths
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) sites: Sites,
    /// As Markdown, for a pull request's comment
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Args)]
pub(crate) struct Symbolize {
    #[command(flatten)]
    pub(crate) input: Input,
    /// A program or library that ran, with its debug information, or the file that this was split off
    /// into; may be given more than once
    #[arg(long = "binary", value_name = "PATH", required = true)]
    pub(crate) binaries: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Parses a value of a query's parameter. An empty one is refused, since a query without it would find all.
fn value(parameter: &'static str) -> impl Fn(&str) -> Result<Value, String> + Clone {
    move |value| {
        if value.trim().is_empty() {
            return Err("expected a value that is not empty".to_owned());
        }
        let with = Query::new().with(parameter, value);
        with.map_err(|error| error.expected())?;
        let value = value.to_owned();
        Ok(Value { parameter, value })
    }
}

#[cfg(feature = "top")]
#[derive(Args)]
pub(crate) struct Top {
    /// The address of a recorder's page, as the service prints it, or a file with one report per line
    #[arg(value_name = "URL|FILE")]
    pub(crate) source: PathBuf,
    /// The page's token, if it is not in the address. Other users of this machine see it: the environment
    /// variable `TRACER_TOKEN` hides it from them
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// The time between two looks, from 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) every: Duration,
}

/// Parses a time with its unit.
#[cfg(feature = "top")]
fn interval(text: &str) -> Result<Duration, String> {
    let time = tracer::__command::duration(text);
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    let time = time.filter(|time| allowed.contains(time));
    time.ok_or_else(|| "expected a time from 100ms to 1h, such as 500ms, 2s or 1m".to_owned())
}

/// Parses a figure. The help shows the names.
fn figures() -> impl clap::builder::TypedValueParser<Value = By> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    let names = PossibleValuesParser::new(By::ALL.map(By::name));
    names.try_map(|name| name.parse::<By>())
}

/// Parses a format. The help shows the names with their descriptions.
fn formats() -> impl clap::builder::TypedValueParser<Value = export::Format> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
    let formats = export::Format::ALL.iter();
    let values = formats.map(|it| PossibleValue::new(it.name()).help(it.description()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<export::Format>())
}
