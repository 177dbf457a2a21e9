//! One report as a process: its tracks with their calls, and the instants of the process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::report::text::push_title;
use crate::report::tree::OnThread;
use crate::report::{CheckpointReport, Report};

use super::args::{CallArgs, Ending, FoldedArgs, Since, Total};
use super::lanes::{self, Lane, Step};
use super::{Event, File, live, nanos};

/// A report in the file.
pub(super) struct Process<'a> {
    report: &'a Report,
    /// Also the number of its first track.
    pid: u64,
    /// Relative to the file's time 0.
    began_ns: i128,
    /// By index of the call around.
    folded: BTreeMap<Option<usize>, Vec<FoldedArgs<'a>>>,
}

impl<'a> Process<'a> {
    pub(super) fn new(report: &'a Report, pid: u64, began_ns: i128) -> Self {
        Self {
            report,
            pid,
            began_ns,
            folded: folded(report),
        }
    }

    pub(super) fn write<W: io::Write>(&self, lanes: &[Lane], file: &mut File<W>) -> io::Result<()> {
        self.name("process_name", self.pid, &title(self.report), file)?;
        for (tid, lane) in (self.pid..).zip(lanes) {
            self.name("thread_name", tid, &self.track(lane), file)?;
            for step in &lane.steps {
                self.step(*step, tid, file)?;
            }
        }
        for folded in self.folded_in(None) {
            self.of_process("folded calls", folded, file)?;
        }
        if self.report.dropped > 0 {
            let count = self.report.dropped;
            self.of_process("not recorded", NotRecorded { count }, file)?;
        }
        if let Some(counts) = &self.report.subscriber {
            self.of_process("subscriber", Total::of(counts), file)?;
        }
        for (at, bytes) in live::levels(self.report).unwrap_or_default() {
            file.event(&Event {
                ts: Some(self.ts(at)),
                ..self.bare("live", "C", self.pid, Live { bytes })
            })?;
        }
        Ok(())
    }

    fn step<W: io::Write>(&self, step: Step, tid: u64, file: &mut File<W>) -> io::Result<()> {
        let (Step::Open(index) | Step::Close(index) | Step::Moment(index)) = step;
        let call = &self.report.calls[index];
        let end = lanes::end(self.report, call);
        // The args are on the end event: speedscope makes arguments of the begin event part of the
        // frame's name, so that no two calls of a function would be one frame.
        let args = || CallArgs::of(index, call, self.folded_in(Some(index)));
        match step {
            Step::Open(_) => file.event(&Event {
                args: Ending::of(call),
                ..self.at(&call.name, "B", "call", tid, call.start)
            }),
            Step::Close(_) => {
                for checkpoint in &call.checkpoints {
                    let at = call.start.saturating_add(checkpoint.at).min(end);
                    self.checkpoint(checkpoint, tid, at, file)?;
                }
                file.event(&Event {
                    args: Some(args()),
                    ..self.at(&call.name, "E", "call", tid, end)
                })
            }
            Step::Moment(_) => {
                file.event(&Event {
                    s: Some("t"),
                    args: Some(args().with_outcome(call)),
                    ..self.at(&call.name, "i", "call", tid, call.start)
                })?;
                let mut checkpoints = call.checkpoints.iter();
                checkpoints.try_for_each(|it| self.checkpoint(it, tid, call.start, file))
            }
        }
    }

    fn checkpoint<W: io::Write>(
        &self,
        checkpoint: &CheckpointReport,
        tid: u64,
        at: Duration,
        file: &mut File<W>,
    ) -> io::Result<()> {
        file.event(&Event {
            s: Some("t"),
            args: Some(Since::of(checkpoint)),
            ..self.at(&checkpoint.name, "i", "checkpoint", tid, at)
        })
    }

    /// Writes an instant of the process, at its beginning.
    fn of_process<W: io::Write>(
        &self,
        name: &str,
        args: impl Serialize,
        file: &mut File<W>,
    ) -> io::Result<()> {
        file.event(&Event {
            s: Some("p"),
            args: Some(args),
            ..self.at(name, "i", "trace", self.pid, Duration::ZERO)
        })
    }

    fn name<W: io::Write>(
        &self,
        what: &str,
        tid: u64,
        name: &str,
        file: &mut File<W>,
    ) -> io::Result<()> {
        file.event(&self.bare(what, "M", tid, Name { name }))
    }

    fn bare<'b, A>(&self, name: &'b str, ph: &'static str, tid: u64, args: A) -> Event<'b, A> {
        Event {
            name,
            ph,
            cat: None,
            ts: None,
            pid: self.pid,
            tid,
            s: None,
            args: Some(args),
        }
    }

    fn at<'b, A>(
        &self,
        name: &'b str,
        ph: &'static str,
        cat: &'static str,
        tid: u64,
        at: Duration,
    ) -> Event<'b, A> {
        Event {
            name,
            ph,
            cat: Some(cat),
            ts: Some(self.ts(at)),
            pid: self.pid,
            tid,
            s: None,
            args: None,
        }
    }

    // Up to 2⁵³ ns, the double nearest to the decimal fraction.
    #[allow(clippy::cast_precision_loss)]
    fn ts(&self, at: Duration) -> f64 {
        (self.began_ns + nanos(at)) as f64 / 1000.0
    }

    /// Returns `strand 0 on main #1`.
    fn track(&self, lane: &Lane) -> String {
        let calls = || self.report.calls.iter();
        let mut of_strand = calls().filter(|call| call.strand == lane.strand);
        let thread = of_strand.next().map(|call| &call.thread);
        let wanders = of_strand.any(|call| Some(&call.thread) != thread);
        let mut name = format!("strand {}", lane.strand);
        if let Some(thread) = thread {
            let _ = write!(name, " on {}", OnThread(thread));
        }
        if wanders {
            name += " and others";
        }
        if lane.number > 0 {
            let _ = write!(name, ", beside it {}", lane.number);
        }
        name
    }

    fn folded_in(&self, parent: Option<usize>) -> &[FoldedArgs<'_>] {
        self.folded.get(&parent).map_or(&[], Vec::as_slice)
    }
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct NotRecorded {
    count: u64,
}

#[derive(Serialize)]
struct Live {
    bytes: i64,
}

fn folded(report: &Report) -> BTreeMap<Option<usize>, Vec<FoldedArgs<'_>>> {
    let mut folded: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for it in &report.folded {
        // A report may come from a file.
        let parent = it.parent.filter(|parent| *parent < report.calls.len());
        folded.entry(parent).or_default().push(FoldedArgs::of(it));
    }
    folded
}

/// Returns `trace 7: handle [ca7a87c4]`.
fn title(report: &Report) -> String {
    let mut title = format!("trace {}", report.trace);
    if let Some(call) = report.calls.first() {
        title.push_str(": ");
        push_title(&call.name, call, &mut title);
    }
    title
}
