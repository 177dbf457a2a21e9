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
//! Name the file `something.json`, but not `something.chrome.json`, which speedscope takes for a
//! profile of Chrome's own.
//!
//! # What is drawn
//!
//! - A report is a process: `trace 7: handle [ca7a87c4]`. Times are those of the clock on the wall,
//!   so concurrent requests lie beside one another.
//! - A [strand](CallReport::strand) is a track, named with the thread on which it began: a task
//!   that wanders from thread to thread stays one line. Where calls of a strand overlap without
//!   being within one another (branches of a `join!`), the strand has a further track for each
//!   that is beside; `call` and `parent` tell which call is within which, by their places in
//!   [`Report::calls`].
//! - A call is one slice. A running one ends with the report. One that took no time at all is an
//!   instant: Perfetto shows it, speedscope can't.
//! - The call's figures are the slice's arguments, named as in the report; raw times in
//!   nanoseconds. What is not known is left out. Calls folded below it are in its argument
//!   `folded`. speedscope shows no arguments but `outcome`, where that is not `ok`.
//! - A checkpoint is an instant with the figures since the one before. Calls folded below none, and
//!   the number of what was [not recorded](Report::dropped), are instants of the process.
//! - The counter `live bytes` is the level above that at the start of the outermost call, where it
//!   is known: at starts, ends and checkpoints of outermost calls, if all calls are of one strand
//!   and no figure is partial. What strands without a call did comes in at the call's end.
//!
//! # The format
//!
//! It is the JSON object form of Google's
//! [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU),
//! which [Perfetto imports](https://perfetto.dev/docs/getting-started/other-formats). One event a
//! line: `B` and `E` (a call's start and stop), `i` (instants), `C` (the counter), `M` (names). The
//! unit of `ts` is the microsecond, with three decimals, from a day before the first report began;
//! what began more than that day before the first has a negative one, which Perfetto passes over,
//! so reports are best written in the order of time, be it that of start or stop. A number in JSON
//! is mostly read as a double, which has the nanoseconds for a hundred days.

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
/// Reports are taken one by one, and none is kept: a file of any size is written in the memory
/// of its largest report. An event is one write; give a file in a [`BufWriter`](io::BufWriter).
///
/// # Errors
///
/// Those of `out`. What was written until then is no valid JSON.
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
    /// One event, before it is written.
    event: Vec<u8>,
    is_first: bool,
    /// The time that is 0 in the file, since 1970: a day before the first report. Numbers in JSON
    /// are doubles, which have no nanoseconds so long after 1970.
    zero_ns: Option<i128>,
    /// Tracks have numbers of their own throughout the file: Perfetto names them by `tid` alone.
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

/// The event as the format has it.
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
