//! Reports as Chrome trace events, for [Perfetto](https://ui.perfetto.dev) and
//! [speedscope](https://www.speedscope.app): the picture of one request, or of many beside one
//! another. (Feature `chrome`.)
//!
//! ```
//! use tracer::export::chrome;
//! use tracer::{Trace, call};
//!
//! let trace = Trace::new();
//! let scope = trace.inject();
//! call!("{}", 7).checkpoint("half way");
//! drop(scope);
//!
//! let mut file = Vec::new(); // or a `BufWriter` around a file
//! chrome::write([trace.report()], &mut file)?;
//!
//! let value: serde_json::Value = serde_json::from_slice(&file)?;
//! let events = value["traceEvents"].as_array().unwrap();
//! let call = events.iter().find(|event| event["ph"] == "B").unwrap();
//! assert_eq!(call["name"], "main");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Name the file `something.json`, but not `something.chrome.json`, which speedscope takes for a profile
//! made by Chrome.
//!
//! # What is drawn
//!
//! - A report is a process: `trace 7: handle [ca7a87c4]`. Times are those of the wall clock, so
//!   concurrent requests are drawn side by side.
//! - A [strand](CallReport::strand) is a track, named with the thread on which it began: a task
//!   that moves from thread to thread stays one line. If calls of a strand overlap without nesting
//!   (branches of a `join!`), the strand has further tracks; the arguments `call` and `parent` are
//!   indices into [`Report::calls`].
//! - A call is one slice. A running call ends with the report. A call that took no time is an instant,
//!   which Perfetto shows and speedscope does not.
//! - The call's figures are the slice's arguments, named as in the report; times are in nanoseconds.
//!   Unknown figures are left out. Calls folded below it are in its argument `folded`. speedscope shows
//!   only the argument `outcome`, if it is not `ok`.
//! - A checkpoint is an instant with the figures since the previous one. Folded calls outside recorded
//!   ones, and the number of [dropped](Report::dropped) records, are instants of the process.
//! - The counter `live bytes` is the level above that at the start of the outermost call. It is drawn at
//!   starts, ends and checkpoints of outermost calls, if all calls are of one strand and no figure is
//!   partial. What strands without calls did is added at the call's end.
//!
//! # The format
//!
//! It is the JSON object form of Google's
//! [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU),
//! which [Perfetto imports](https://perfetto.dev/docs/getting-started/other-formats). One event a
//! line: `B` and `E` (a call's start and stop), `i` (instants), `C` (the counter), `M` (names). The
//! unit of `ts` is the microsecond, with three decimals, counted from a day before the first report
//! began. A report that began more than a day before the first has negative times, which Perfetto
//! ignores: write reports in order of their start or stop. JSON numbers are mostly read as doubles, which
//! represent nanoseconds exactly for a hundred days.

// Why events have this form, by the importers of both viewers:
//
// - speedscope ignores async slices (`b`, `e`), and Perfetto would draw a call twice if it had both forms.
//   So a track is a strand, not a thread, and overlapping branches of a `join!` get lanes of their own.
// - `X` has a start and a length, which both viewers add up and round differently, so calls that end
//   together end in the wrong order. Of 400 random traces speedscope drew 175 wrongly with `X`, and 0 with
//   `B` and `E`.
// - speedscope makes the arguments of a start part of the frame's name, so with an id there all calls would
//   differ. Only an outcome other than `ok` is at the start.
// - A slice of no length breaks its neighbours in speedscope, so it is an instant. Perfetto names a thread by
//   `tid` only, so tracks are numbered throughout the file. `ts` counts from a day before the first report,
//   because a double can't hold nanoseconds since 1970. Some versions of Perfetto took `displayTimeUnit` for
//   the unit of `ts`, so it is absent.

mod args;
mod lanes;
mod live;
mod process;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use self::process::Process;
use crate::report::Report;
use crate::report::json::escaping;

#[cfg(doc)]
use crate::report::CallReport;

/// Writes reports as one file of trace events, valid JSON as a whole.
///
/// Reports are consumed one by one: a file of any size takes the memory of its largest report. Each event
/// is one write, so wrap a file in a [`BufWriter`](io::BufWriter).
///
/// # Errors
///
/// Those of `out`. What was written until then is not valid JSON.
pub fn write<R: Borrow<Report>>(
    reports: impl IntoIterator<Item = R>,
    out: impl io::Write,
) -> io::Result<()> {
    let mut file = File {
        out,
        event: Vec::new(),
        is_first: true,
        zero_ns: None,
        next_track: 1,
    };
    file.out.write_all(b"{\"traceEvents\":[")?;
    for report in reports {
        file.report(report.borrow())?;
    }
    file.out.write_all(b"\n]}\n")?;
    file.out.flush()
}

struct File<W> {
    out: W,
    /// Buffer of one event.
    event: Vec<u8>,
    is_first: bool,
    /// The file's time 0, since 1970: a day before the first report. JSON numbers are doubles, which can't
    /// represent nanoseconds since 1970.
    zero_ns: Option<i128>,
    /// Tracks are numbered throughout the file: Perfetto identifies their names by `tid` alone.
    next_track: u64,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl<W: io::Write> File<W> {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        let started_ns = since_1970_ns(report.started);
        let zero_ns = *self.zero_ns.get_or_insert_with(|| started_ns - nanos(DAY));
        let lanes = lanes::lanes(report);
        let process = Process::new(report, self.next_track, started_ns - zero_ns);
        self.next_track += u64::try_from(lanes.len()).unwrap_or(u64::MAX).max(1);
        process.write(&lanes, self)
    }

    fn event<A: Serialize>(&mut self, event: &Event<'_, A>) -> io::Result<()> {
        self.event.clear();
        let before: &[u8] = if self.is_first { b"\n" } else { b",\n" };
        self.is_first = false;
        self.event.extend_from_slice(before);
        escaping::to_writer(&mut self.event, event)?;
        self.out.write_all(&self.event)
    }
}

/// An event in the format's own fields.
#[derive(Serialize)]
struct Event<'a, A> {
    name: &'a str,
    ph: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    pid: u64,
    tid: u64,
    /// An instant's scope: thread or process.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<A>,
}

fn nanos(time: Duration) -> i128 {
    // 2⁶⁴ seconds are below 2⁹⁴ ns.
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

fn since_1970_ns(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}
